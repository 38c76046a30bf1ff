import { canonicalJson } from '../contract/canonical.ts'
import type { Manifest } from '../contract/manifests.ts'
import { fromBase64Url, mac, macKeys, macMatches, toBase64Url } from './secrets.ts'

/** Signs a manifest: HMAC-SHA256 over the canonical JSON of all its other fields, base64url. */
export const signManifest = async (secrets: string, manifest: Omit<Manifest, 'signature'>): Promise<Manifest> => {
  const [{ key }] = await macKeys(secrets, 'manifest')
  const unsigned = { ...manifest, signature: undefined }
  return { ...manifest, signature: toBase64Url(await mac(key, canonicalJson(unsigned))) }
}

/** Whether the edge signed exactly this manifest, under any secret still in use. */
export const verifyManifest = async (secrets: string, manifest: Manifest): Promise<boolean> => {
  const given = fromBase64Url(manifest.signature)
  if (!given) return false
  const text = canonicalJson({ ...manifest, signature: undefined })
  for (const { key } of await macKeys(secrets, 'manifest')) if (await macMatches(key, text, given)) return true
  return false
}

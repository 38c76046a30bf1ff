import { canonicalJson } from '../contract/canonical.ts'
import type { Manifest, UnsignedManifest } from '../contract/manifests.ts'
import { fromBase64Url, mac, macKeys, macMatches, toBase64Url } from './secrets.ts'

/** What the signature covers: the canonical JSON of all other fields. */
const signedText = (manifest: UnsignedManifest): string => canonicalJson({ ...manifest, signature: undefined })

/** Signs a manifest: HMAC-SHA256, base64url, under the newest secret. Throws where `macKeys` does. */
export const signManifest = async (secrets: string, manifest: UnsignedManifest): Promise<Manifest> => {
  const [newest] = await macKeys(secrets, 'manifest')
  return { ...manifest, signature: toBase64Url(await mac(newest.key, signedText(manifest))) }
}

/** Whether the edge signed exactly this manifest, under any secret still in use. */
export const verifyManifest = async (secrets: string, manifest: Manifest): Promise<boolean> => {
  const given = fromBase64Url(manifest.signature)
  if (!given) return false
  for (const { key } of await macKeys(secrets, 'manifest')) if (await macMatches(key, signedText(manifest), given)) return true
  return false
}

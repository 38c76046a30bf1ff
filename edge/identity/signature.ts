import { createHmac, hkdfSync } from 'node:crypto'
import { canonicalJson } from '../contract/canonical.ts'
import type { Manifest } from '../contract/manifests.ts'
import { fromBase64Url, macKeys, macMatches, secretBytes } from './secrets.ts'

/** What the signature covers: the canonical JSON of all other fields. */
const signedText = (manifest: Omit<Manifest, 'signature'>): string => canonicalJson({ ...manifest, signature: undefined })

/**
 * Signs manifests: HMAC-SHA256, base64url, with the key that `macKeys(secrets, 'manifest')` derives, but at once, for a
 * ledger signs inside a transaction, which cannot wait. The newest secret signs. Throws where `macKeys` does.
 */
export const manifestSigner = (secrets: string): ((manifest: Omit<Manifest, 'signature'>) => Manifest) => {
  const [newest = ''] = secrets.split(',')
  const key = new Uint8Array(hkdfSync('sha256', secretBytes(newest.trim()), new Uint8Array(32), 'scarab/v1/manifest', 32))
  return (manifest) => ({ ...manifest, signature: createHmac('sha256', key).update(signedText(manifest)).digest('base64url') })
}

/** Whether the edge signed exactly this manifest, under any secret still in use. */
export const verifyManifest = async (secrets: string, manifest: Manifest): Promise<boolean> => {
  const given = fromBase64Url(manifest.signature)
  if (!given) return false
  for (const { key } of await macKeys(secrets, 'manifest')) if (await macMatches(key, signedText(manifest), given)) return true
  return false
}

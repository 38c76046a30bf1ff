import { hkdfSync } from 'node:crypto'
import { fromBase64Url } from './secrets.ts'

/**
 * The key that signs manifests, as `macKeys(secrets, 'manifest')` derives it, but at once: a ledger signs inside a
 * transaction, which cannot wait. The newest secret signs.
 */
export const manifestKey = (secrets: string): Uint8Array => {
  const [newest = ''] = secrets.split(',')
  const bytes = fromBase64Url(newest.trim())
  if (!bytes) throw new Error('SCARAB_SECRET is not base64url')
  return new Uint8Array(hkdfSync('sha256', bytes, new Uint8Array(32), 'scarab/v1/manifest', 32))
}

import { canonicalJson } from './canonical.ts'
import { SliceHash } from './ids.ts'
import type { NormalSlice } from './slices.ts'

/** The first 32 hexadecimal digits of the SHA-256 of the canonical JSON. */
export const sliceHash = async (slice: NormalSlice): Promise<SliceHash> => {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonicalJson(slice)))
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return SliceHash.parse(hex.slice(0, 32))
}

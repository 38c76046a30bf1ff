import type { Http } from './http.ts'
import { ApiError } from './wire.ts'

const CACHE = 'scarab-results-1'
/** How many results stay in the browser's cache; the oldest go first. */
const KEPT_RESULTS = 12

export interface DownloadOptions {
  /** Names the bytes for ever: a result's file never changes. */
  sha256: string
  bytes: number
  signal?: AbortSignal | undefined
  onProgress?: ((loaded: number, total: number) => void) | undefined
}

/** Absent where the page is not in a secure context, or storage is forbidden. */
const openCache = async (): Promise<Cache | null> => {
  try {
    return typeof caches === 'undefined' ? null : await caches.open(CACHE)
  } catch {
    return null
  }
}

const hex = (bytes: ArrayBuffer): string => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')

const matches = async (bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<boolean> =>
  hex(await crypto.subtle.digest('SHA-256', bytes)) === sha256

const readAll = async (response: Response, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> => {
  const reader = response.body?.getReader()
  let bytes = new Uint8Array(options.bytes)
  let at = 0
  for (;;) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) break
    if (at + chunk.value.length > options.bytes)
      throw new ApiError(0, 'checksum_mismatch', 'The server sent more bytes than the result has')
    bytes.set(chunk.value, at)
    at += chunk.value.length
    options.onProgress?.(at, options.bytes)
  }
  if (at < options.bytes) bytes = bytes.subarray(0, at)
  return bytes
}

/**
 * A whole file, from the browser's cache or the server, only ever with the right SHA-256: a pack is a database that somebody
 * else wrote, and a cache is a place that others may have written to. Throws `checksum_mismatch` otherwise.
 */
export const download = async (http: Http, path: string, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> => {
  const cache = await openCache()
  const key = new URL(`/_local/${options.sha256}`, http.origin).href
  const hit = await cache?.match(key)
  if (hit !== undefined) {
    const bytes = new Uint8Array(await hit.arrayBuffer())
    if (await matches(bytes, options.sha256)) {
      options.onProgress?.(bytes.length, bytes.length)
      return bytes
    }
    await cache?.delete(key)
  }
  const response = await http.request(path, options.signal ? { signal: options.signal } : {})
  const bytes = await readAll(response, options)
  if (!(await matches(bytes, options.sha256)))
    throw new ApiError(0, 'checksum_mismatch', 'The downloaded copy is not the one that the result describes; it was dropped')
  if (cache !== null) {
    // The cache is a convenience: a full disk must not cost the result.
    await cache.put(key, new Response(bytes)).catch(() => undefined)
    const keys = await cache.keys().catch(() => [])
    for (const old of keys.slice(0, Math.max(0, keys.length - KEPT_RESULTS))) await cache.delete(old).catch(() => false)
  }
  return bytes
}

import type { BucketReader, StoredBody, StoredObject } from './bucket.ts'

/**
 * R2 in memory for tests, with the habits that matter to readers: etags in quotes, a list in key order with cursors and
 * delimiters, a throw for a range outside the object and for a cursor of somebody else.
 */
export interface FakeBucket extends BucketReader {
  put(key: string, value: string | Uint8Array, options?: { contentType?: string }): Promise<StoredObject>
  /** Every operation so far, as `get <key>`. */
  readonly operations: string[]
}

interface Kept {
  object: StoredObject
  bytes: Uint8Array<ArrayBuffer>
}

export const fakeBucket = (now: () => number = Date.now): FakeBucket => {
  const kept = new Map<string, Kept>()
  const operations: string[] = []
  let version = 0
  return {
    operations,
    async put(key, value, options = {}) {
      const bytes = new Uint8Array(typeof value === 'string' ? new TextEncoder().encode(value) : value)
      version += 1
      const httpEtag = `"${version.toString(16).padStart(32, '0')}"`
      const httpMetadata = options.contentType === undefined ? {} : { contentType: options.contentType }
      const object = { key, size: bytes.byteLength, httpEtag, uploaded: new Date(now()), httpMetadata }
      kept.set(key, { object, bytes })
      return object
    },
    async head(key) {
      operations.push(`head ${key}`)
      return kept.get(key)?.object ?? null
    },
    async get(key, options = {}): Promise<StoredBody | null> {
      operations.push(`get ${key}`)
      const found = kept.get(key)
      if (!found) return null
      return { ...found.object, body: new Response(cut(found, options.range)).body ?? new ReadableStream() }
    },
    async list({ prefix = '', delimiter, cursor, limit = 1_000, startAfter = '' }) {
      operations.push(`list ${prefix}`)
      const after = cursor === undefined ? startAfter : readCursor(cursor)
      const objects: StoredObject[] = []
      const prefixes = new Set<string>()
      let last = ''
      for (const key of [...kept.keys()].sort()) {
        if (!key.startsWith(prefix) || key <= after) continue
        const cutAt = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
        const common = cutAt < 0 || delimiter === undefined ? null : key.slice(0, cutAt + delimiter.length)
        if (common !== null && (prefixes.has(common) || after.startsWith(common))) continue
        if (objects.length + prefixes.size === limit)
          return { objects, delimitedPrefixes: [...prefixes], truncated: true, cursor: `c:${encodeURIComponent(last)}` }
        const found = kept.get(key)
        if (common !== null) prefixes.add(common)
        else if (found) objects.push(found.object)
        last = common ?? key
      }
      return { objects, delimitedPrefixes: [...prefixes], truncated: false }
    },
  }
}

const cut = (
  { bytes, object }: Kept,
  range: { offset: number; length?: number } | { suffix: number } | undefined,
): Uint8Array<ArrayBuffer> => {
  if (range === undefined) return bytes
  if ('suffix' in range) return bytes.slice(Math.max(0, object.size - range.suffix))
  if (range.offset >= object.size) throw new Error('get: The requested range is not satisfiable (10039)')
  return bytes.slice(range.offset, range.length === undefined ? undefined : range.offset + range.length)
}

const readCursor = (cursor: string): string => {
  if (!cursor.startsWith('c:')) throw new Error('list: Invalid cursor (10007)')
  return decodeURIComponent(cursor.slice(2))
}

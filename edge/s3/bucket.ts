/** The name of the bucket in every `s3://` address that Scarab gives out, and the first element of the route. */
export const BUCKET = 'lake'

/** What the S3 answers need to know of an object. */
export interface StoredObject {
  key: string
  size: number
  /** With quotes, as in a header. */
  httpEtag: string
  uploaded: Date
  httpMetadata?: { contentType?: string | undefined } | undefined
}

export interface StoredBody extends StoredObject {
  body: ReadableStream
}

/** The part of an `R2Bucket` that readers need; nothing here writes. */
export interface BucketReader {
  head(key: string): Promise<StoredObject | null>
  /** One operation tells size, etag and bytes. Throws, or answers whole, where the range lies outside (platform). */
  get(key: string, options?: { range?: { offset: number; length?: number } | { suffix: number } }): Promise<StoredBody | null>
  list(options: { prefix?: string; delimiter?: string; cursor?: string; limit?: number; startAfter?: string }): Promise<{
    objects: StoredObject[]
    delimitedPrefixes: string[]
    truncated: boolean
    cursor?: string
  }>
}

/** `s3://lake/<key>` → key, or null where it is another place. */
export const keyOfLocation = (location: string): string | null => {
  const start = `s3://${BUCKET}/`
  return location.startsWith(start) && location.length > start.length ? location.slice(start.length) : null
}

export const locationOfKey = (key: string): string => `s3://${BUCKET}/${key}`

const MAX_KEY_BYTES = 1_024
/** No object has such a key, and object storage throws when it is asked for one. */
export const tooLong = (key: string): boolean => new TextEncoder().encode(key).byteLength > MAX_KEY_BYTES

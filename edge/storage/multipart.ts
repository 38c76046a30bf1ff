import { PART_BYTES } from '../contract/node.ts'

/** The parts of an upload of so many bytes: all but the last of one size, as R2 demands. */
export const partsOf = (bytes: number, partBytes = PART_BYTES): { part: number; bytes: number }[] =>
  Array.from({ length: Math.ceil(bytes / partBytes) }, (_, n) => ({ part: n + 1, bytes: Math.min(partBytes, bytes - n * partBytes) }))

/** What a bucket of R2 does for an upload in parts. */
export interface PartsBucket {
  head(key: string): Promise<{ size: number } | null>
  resumeMultipartUpload(key: string, upload: string): { complete(parts: { partNumber: number; etag: string }[]): Promise<unknown> }
}

/**
 * Puts the parts of an upload together. Answers null when an object is at the key afterwards, else what went wrong.
 * An object that is there already stays as it is (write-once): a repeated word about the same upload, or another upload to
 * the same key. R2 itself would replace it.
 */
export const completeUpload = async (
  bucket: PartsBucket,
  key: string,
  upload: string,
  parts: { part: number; etag: string }[],
): Promise<string | null> => {
  if (await bucket.head(key)) return null
  // A node passes on what it read in a header, where an etag stands in quotes; the binding knows it without.
  const named = [...parts]
    .sort((a, b) => a.part - b.part)
    .map(({ part, etag }) => ({ partNumber: part, etag: etag.replace(/^"(.*)"$/, '$1') }))
  try {
    await bucket.resumeMultipartUpload(key, upload).complete(named)
    return null
  } catch (reason) {
    // Somebody else repeated the same word at the same time.
    if (await bucket.head(key)) return null
    return `the upload of ${key} could not be completed: ${reason instanceof Error ? reason.message : String(reason)}`
  }
}

/** `completeUpload` for one bucket, one at a time for each key: of two uploads that end at once, one is first, and stays. */
export const uploadsOf = (bucket: PartsBucket) => {
  const turns = new Map<string, Promise<unknown>>()
  return (key: string, upload: string, parts: { part: number; etag: string }[]): Promise<string | null> => {
    const before = turns.get(key) ?? Promise.resolve()
    const turn = before.catch(() => undefined).then(() => completeUpload(bucket, key, upload, parts))
    turns.set(key, turn)
    const over = (): void => {
      if (turns.get(key) === turn) turns.delete(key)
    }
    turn.then(over, over)
    return turn
  }
}

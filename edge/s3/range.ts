/** A single byte range as it was asked for, before the size is known. `last` is inclusive, null means to the end. */
export type RangeSpec = { first: number; last: number | null } | { suffix: number }

/** What a `Range` header means for an object of a known size. `end` is inclusive, as in `Content-Range`. */
export type ByteRange = { kind: 'whole' } | { kind: 'part'; start: number; end: number; length: number } | { kind: 'unsatisfiable' }

/** More digits than any object has bytes; such a number counts as "beyond the end". */
const number = (digits: string): number => (digits.length > 15 ? Number.MAX_SAFE_INTEGER : Number(digits))

/**
 * Reads a `Range` header (RFC 9110, section 14.1.2). Null where it must be ignored: none, another unit, several ranges
 * (a server may answer those whole, section 14.2, and so does S3), or bad syntax.
 */
export const readRange = (header: string | null | undefined): RangeSpec | null => {
  const [, first, last] = /^\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return null
  if (first === '') return { suffix: number(last) }
  if (last === '') return { first: number(first), last: null }
  return number(first) <= number(last) ? { first: number(first), last: number(last) } : null
}

/** Places a range on an object of `size` bytes. */
export const placeRange = (spec: RangeSpec | null, size: number): ByteRange => {
  if (spec === null) return { kind: 'whole' }
  const start = 'suffix' in spec ? Math.max(0, size - spec.suffix) : spec.first
  const end = 'suffix' in spec || spec.last === null ? size - 1 : Math.min(spec.last, size - 1)
  // An empty object has no byte that could be asked for, and a suffix of none asks for nothing.
  if (start >= size || ('suffix' in spec && spec.suffix === 0)) return { kind: 'unsatisfiable' }
  return { kind: 'part', start, end, length: end - start + 1 }
}

/**
 * What to send for a `Range` header on an object of `size` bytes: 200 whole, 206 with a part, or 416.
 *
 * @example
 * parseRange('bytes=-5', 10) // {kind: 'part', start: 5, end: 9, length: 5}
 */
export const parseRange = (header: string | null | undefined, size: number): ByteRange => placeRange(readRange(header), size)

/** Value of `Content-Range` for a part (206) or for "nothing of it" (416). */
export const contentRange = (range: Exclude<ByteRange, { kind: 'whole' }>, size: number): string =>
  range.kind === 'part' ? `bytes ${range.start}-${range.end}/${size}` : `bytes */${size}`

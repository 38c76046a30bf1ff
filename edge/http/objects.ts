import { Problem } from '../contract/problems.ts'
import { contentRange, parseRange } from '../s3/range.ts'
import type { AppContext } from './context.ts'
import { DATA_HEADERS } from './headers.ts'

export interface ServedObject {
  type: string
  /** With quotes. */
  etag: string
  disposition: string
  /** Request headers beside `Authorization` that the answer was chosen by. */
  vary?: string
}

/**
 * Results never change, so whoever has one keeps it; but a browser in which somebody else signs in must not answer from what
 * it kept. A 304 says the same (RFC 9110, section 15.4.5).
 */
const keeping = (served: ServedObject): Record<string, string> => ({
  etag: served.etag,
  'cache-control': 'private, max-age=31536000, immutable',
  vary: served.vary === undefined ? 'Authorization' : `Authorization, ${served.vary}`,
})

const headersOf = (served: ServedObject): Record<string, string> => ({
  ...DATA_HEADERS,
  'content-type': served.type,
  'content-disposition': served.disposition,
  'accept-ranges': 'bytes',
  ...keeping(served),
})

/** Conditions and ranges belong to GET and HEAD (RFC 9110, sections 13.1.2 and 14.2); a POST is answered as if it had none. */
const isRead = (c: AppContext): boolean => c.req.method === 'GET' || c.req.method === 'HEAD'

const isFresh = (c: AppContext, etag: string): boolean =>
  isRead(c) &&
  (c.req.header('if-none-match') ?? '').split(',').some((known) => known.trim().replace(/^W\//, '') === etag || known.trim() === '*')

/** If-Match (RFC 9110, section 13.1.1): whoever reads the parts of one version gets no part of another. Strong comparison. */
const demandMatch = (c: AppContext, etag: string): void => {
  const wanted = isRead(c) ? c.req.header('if-match') : undefined
  if (wanted === undefined || wanted.split(',').some((known) => known.trim() === etag || known.trim() === '*')) return
  throw new Problem('precondition_failed', `If-Match names ${wanted.slice(0, 100)}, and the object has the tag ${etag}: begin anew.`)
}

/** If-Range (RFC 9110, section 13.1.5): a range of another version than the reader's is answered whole. */
const rangeHeader = (c: AppContext, etag: string): string | undefined => {
  if (!isRead(c)) return undefined
  const condition = c.req.header('if-range')
  return condition === undefined || condition === etag ? c.req.header('range') : undefined
}

const placed = (
  c: AppContext,
  size: number,
  served: ServedObject,
): { status: 200 | 206; start: number; length: number; headers: Record<string, string> } => {
  const range = parseRange(rangeHeader(c, served.etag), size)
  if (range.kind === 'unsatisfiable')
    throw new Problem(
      'range_not_satisfiable',
      `The object has ${size} bytes; "${String(c.req.header('range')).slice(0, 100)}" lies outside.`,
      {
        headers: { 'content-range': contentRange(range, size) },
      },
    )
  const headers = headersOf(served)
  if (range.kind === 'whole') return { status: 200, start: 0, length: size, headers: { ...headers, 'content-length': String(size) } }
  return {
    status: 206,
    start: range.start,
    length: range.length,
    headers: { ...headers, 'content-length': String(range.length), 'content-range': contentRange(range, size) },
  }
}

/** Serves bytes at hand: GET and HEAD, 200, 206, 304, 416. */
export const serveBytes = (c: AppContext, bytes: Uint8Array, served: ServedObject): Response => {
  demandMatch(c, served.etag)
  if (isFresh(c, served.etag)) return new Response(null, { status: 304, headers: keeping(served) })
  const { status, start, length, headers } = placed(c, bytes.length, served)
  // A copy of exactly the part: a view's buffer would be sent whole.
  const body = c.req.method === 'HEAD' ? null : bytes.slice(start, start + length)
  return new Response(body, { status, headers, encodeBody: 'manual' })
}

/** Serves an object of the bucket in the same way, under its own tag where none is given; null when it is not there. */
export const serveObject = async (
  c: AppContext,
  key: string,
  served: Omit<ServedObject, 'etag'> & { etag?: string },
): Promise<Response | null> => {
  const head = await c.env.RESULTS.head(key)
  if (!head) return null
  const described = { ...served, etag: served.etag ?? head.httpEtag }
  demandMatch(c, described.etag)
  if (isFresh(c, described.etag)) return new Response(null, { status: 304, headers: keeping(described) })
  const { status, start, length, headers } = placed(c, head.size, described)
  if (c.req.method === 'HEAD') return new Response(null, { status, headers, encodeBody: 'manual' })
  const object = await c.env.RESULTS.get(key, status === 206 ? { range: { offset: start, length } } : {})
  if (!object || !('body' in object)) return null
  return new Response(object.body, { status, headers, encodeBody: 'manual' })
}

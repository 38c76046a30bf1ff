import type { Env } from '../env.ts'
import { BUCKET, type BucketReader, type StoredBody, type StoredObject, tooLong } from './bucket.ts'
import { type Conditions, judge } from './conditions.ts'
import { listObjects } from './list.ts'
import { contentRange, placeRange, readRange } from './range.ts'
import type { Session } from './session.ts'
import { decodePercent } from './sigv4.ts'
import { pathAndQuery, SigningKeys, verifyRequest } from './verify.ts'
import { errorXml, S3_ERRORS, type S3Code, type S3Fault } from './xml.ts'

export interface S3Deps {
  bucket: BucketReader
  /** `SCARAB_SECRET`. */
  secrets: string
  now: () => number
  keys: SigningKeys
  /** Gets one line for each refusal; a HEAD's answer has no body that could say why. Never a token or a signature. */
  log: (entry: { request_id: string; method: string; path: string; code: S3Code; detail: string | null }) => void
}

/** Parameters that an SDK adds and that change nothing. */
const HARMLESS = new Set(['x-id'])

const keys = new SigningKeys()

/** The S3 answers of this Worker: `/lake/<key>` for readers with vended credentials. */
export const handleS3 = (request: Request, env: Pick<Env, 'RESULTS' | 'SCARAB_SECRET'>): Promise<Response> =>
  answerS3(request, {
    bucket: env.RESULTS,
    secrets: env.SCARAB_SECRET,
    now: Date.now,
    keys,
    log: (entry) => console.warn(JSON.stringify({ at: 's3', ...entry })),
  })

/** Whether a path is one of the bucket's. */
export const isS3Path = (path: string): boolean => path === `/${BUCKET}` || path.startsWith(`/${BUCKET}/`)

/**
 * GET, HEAD and ListObjectsV2 below the prefix of the session token, path style. Everything else is refused: credentials
 * are for reading. Errors have S3's codes as XML.
 */
export const answerS3 = async (request: Request, deps: S3Deps): Promise<Response> => {
  const requestId = crypto.randomUUID()
  const [path] = pathAndQuery(request.url)
  const refuse = ({ code, detail, headers = {} }: S3Fault): Response => {
    deps.log({ request_id: requestId, method: request.method, path, code, detail })
    const body = errorXml(code, detail, requestId)
    const about = {
      'content-type': 'application/xml',
      'x-amz-request-id': requestId,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    }
    return new Response(request.method === 'HEAD' ? null : body, { status: S3_ERRORS[code].status, headers: { ...about, ...headers } })
  }
  // Before the signature: no write is ever right, whoever signed it, and its body need not be read.
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse({ code: 'AccessDenied', detail: 'These credentials are for reading; results are written by Scarab alone.' })
  const verified = await verifyRequest(request, deps)
  if (!verified.ok) return refuse(verified)
  const target = targetOf(path)
  if (!target.ok) return refuse({ code: target.code, detail: null })
  const parameters = verified.query.filter(([name]) => !HARMLESS.has(name))
  try {
    const answer =
      target.key === ''
        ? await answerBucket(request, parameters, verified.session, deps.bucket)
        : await answerObject(request, target.key, parameters, verified.session, deps.bucket)
    if (!(answer instanceof Response)) return refuse(answer)
    answer.headers.set('x-amz-request-id', requestId)
    return answer
  } catch (fault) {
    return refuse({ code: 'ServiceUnavailable', detail: fault instanceof Error ? null : String(fault) })
  }
}

type Target = { ok: true; key: string } | { ok: false; code: S3Code }

/** `/lake/<key>` → the decoded key, which is what R2 gets and what the prefix is compared with. */
const targetOf = (path: string): Target => {
  if (!isS3Path(path)) return { ok: false, code: 'NoSuchBucket' }
  const key = decodePercent(path.slice(BUCKET.length + 2))
  return key === null ? { ok: false, code: 'InvalidURI' } : { ok: true, key }
}

/** The last check before object storage is asked, on the very key that it is asked for (I6). */
export const mayRead = (session: Pick<Session, 'prefix'>, key: string): boolean =>
  key.startsWith(session.prefix) && !key.split('/').some((segment) => segment === '.' || segment === '..')

const DENIED: S3Fault = { code: 'AccessDenied', detail: null }

const answerBucket = async (
  request: Request,
  parameters: readonly (readonly [string, string])[],
  session: Session,
  bucket: BucketReader,
): Promise<Response | S3Fault> => {
  if (request.method === 'HEAD')
    return parameters.length === 0 ? new Response(null, { headers: { 'x-amz-bucket-region': 'us-east-1' } }) : DENIED
  return await listObjects(parameters, (prefix) => mayRead(session, prefix), bucket)
}

const answerObject = async (
  request: Request,
  key: string,
  parameters: readonly (readonly [string, string])[],
  session: Session,
  bucket: BucketReader,
): Promise<Response | S3Fault> => {
  if (!mayRead(session, key)) return DENIED
  if (tooLong(key)) return MISSING
  const [parameter] = parameters
  if (parameter) return { code: 'InvalidRequest', detail: `The parameter ${parameter[0]} is not implemented.` }
  const conditions: Conditions = {
    ifMatch: request.headers.get('if-match'),
    ifNoneMatch: request.headers.get('if-none-match'),
    ifModifiedSince: request.headers.get('if-modified-since'),
    ifUnmodifiedSince: request.headers.get('if-unmodified-since'),
  }
  return request.method === 'HEAD'
    ? answerHead(await bucket.head(key), conditions)
    : await answerGet(key, request.headers.get('range'), conditions, bucket)
}

const MISSING: S3Fault = { code: 'NoSuchKey', detail: null }

const headersOf = (object: StoredObject): Record<string, string> => ({
  etag: object.httpEtag,
  'last-modified': object.uploaded.toUTCString(),
  'accept-ranges': 'bytes',
  'content-type': object.httpMetadata?.contentType ?? 'application/octet-stream',
  // Without no-transform a proxy may compress on the way, and the readers' byte counts no longer fit.
  'cache-control': 'private, no-transform',
  'x-content-type-options': 'nosniff',
})

const answerHead = (object: StoredObject | null, conditions: Conditions): Response | S3Fault => {
  if (!object) return MISSING
  const headers = headersOf(object)
  const judged = judge(conditions, object)
  if (judged === 'not_modified') return new Response(null, { status: 304, headers })
  if (judged === 'failed') return { code: 'PreconditionFailed', detail: null }
  // RFC 9110, section 14.2: a range means nothing outside GET.
  return new Response(null, { headers: { ...headers, 'content-length': String(object.size) } })
}

const answerGet = async (key: string, range: string | null, conditions: Conditions, bucket: BucketReader): Promise<Response | S3Fault> => {
  const spec = readRange(range)
  const object = await fetchRange(key, spec, bucket)
  if (!object) return MISSING
  const headers = headersOf(object)
  const judged = judge(conditions, object)
  const placed = placeRange(spec, object.size)
  if (judged === 'go_on' && placed.kind !== 'unsatisfiable' && 'body' in object) {
    const length = placed.kind === 'part' ? placed.length : object.size
    const about = { ...headers, 'content-length': String(length) }
    if (placed.kind === 'whole') return new Response(object.body, { headers: about })
    return new Response(object.body, { status: 206, headers: { ...about, 'content-range': contentRange(placed, object.size) } })
  }
  if ('body' in object) await object.body.cancel()
  if (judged === 'not_modified') return new Response(null, { status: 304, headers })
  if (judged === 'failed') return { code: 'PreconditionFailed', detail: null }
  if (placed.kind === 'unsatisfiable')
    return { code: 'InvalidRange', detail: null, headers: { 'content-range': contentRange(placed, object.size) } }
  throw new Error('object storage answered without a body')
}

/** One ranged read; where storage refuses the range, the object's size says whether the range was at fault. */
const fetchRange = async (
  key: string,
  spec: ReturnType<typeof readRange>,
  bucket: BucketReader,
): Promise<StoredBody | StoredObject | null> => {
  if (spec === null) return await bucket.get(key)
  if ('suffix' in spec && spec.suffix === 0) return await bucket.head(key)
  const range =
    'suffix' in spec ? spec : spec.last === null ? { offset: spec.first } : { offset: spec.first, length: spec.last - spec.first + 1 }
  try {
    return await bucket.get(key, { range })
  } catch (fault) {
    const object = await bucket.head(key)
    if (object && placeRange(spec, object.size).kind !== 'unsatisfiable') throw fault
    return object
  }
}

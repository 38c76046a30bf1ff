import { fromHex, macMatches } from '../identity/secrets.ts'
import { openSession, type Session } from './session.ts'
import {
  type Authorization,
  canonicalPath,
  canonicalQuery,
  EMPTY_SHA256,
  queryPairs,
  readAuthorization,
  readTime,
  signingKey,
  stringToSign,
} from './sigv4.ts'
import type { S3Code } from './xml.ts'

/** How far the client's clock may be off, and how long a signed request can be sent again: S3's own 15 minutes. */
export const MAX_SKEW_SECONDS = 15 * 60
const MAX_KEYS_KEPT = 500

export type VerifiedRequest = { ok: true; session: Session; query: [string, string][] } | { ok: false; code: S3Code; detail: string | null }

export interface VerifyDeps {
  secrets: string
  now: () => number
  /** Signing keys of sessions seen lately. */
  keys: SigningKeys
}

interface Opened {
  session: Session
  key: CryptoKey
}

/** Opened session tokens with their signing keys: the same token comes with every read of a scan. Bounded; the oldest makes room. */
export class SigningKeys {
  readonly #kept = new Map<string, Opened>()
  get(name: string): Opened | undefined {
    return this.#kept.get(name)
  }
  set(name: string, opened: Opened): void {
    if (this.#kept.size >= MAX_KEYS_KEPT) {
      const oldest = this.#kept.keys().next()
      if (!oldest.done) this.#kept.delete(oldest.value)
    }
    this.#kept.set(name, opened)
  }
}

const refused = (code: S3Code, detail: string | null = null): VerifiedRequest => ({ ok: false, code, detail })

/**
 * Verifies the signature of a GET or HEAD, and that the session token is ours, alive, and that of the access key.
 * Whether the session may read the key is the caller's question.
 */
export const verifyRequest = async (request: Request, deps: VerifyDeps): Promise<VerifiedRequest> => {
  const header = request.headers.get('authorization')
  if (header === null) return refused('AccessDenied', 'The request is not signed (signatures in the address are not taken).')
  const authorization = readAuthorization(header)
  if (authorization?.service !== 's3') return refused('AuthorizationHeaderMalformed')
  const read = readRequest(request, authorization)
  if (!read.ok) return read
  const now = deps.now()
  const sent = readTime(read.time)
  if (sent === null || read.time.slice(0, 8) !== authorization.date)
    return refused('AuthorizationHeaderMalformed', 'x-amz-date does not fit the credential scope.')
  if (Math.abs(now - sent) > MAX_SKEW_SECONDS * 1_000) return refused('RequestTimeTooSkewed')
  const opened = await open(read.token, authorization, deps)
  if (!opened.ok) return opened
  if (opened.session.jti !== authorization.accessKeyId) return refused('InvalidAccessKeyId')
  const text = await stringToSign(
    {
      method: request.method,
      path: read.path,
      query: canonicalQuery(read.query),
      headers: read.headers,
      payload: read.payload,
      time: read.time,
    },
    authorization,
  )
  if (!(await macMatches(opened.key, text, fromHex(authorization.signature)))) return refused('SignatureDoesNotMatch')
  return { ok: true, session: opened.session, query: read.query }
}

type Read =
  | { ok: true; path: string; query: [string, string][]; headers: [string, string][]; payload: string; time: string; token: string }
  | { ok: false; code: S3Code; detail: string | null }

const fault = (code: S3Code, detail: string | null = null): Read => ({ ok: false, code, detail })

/** Takes from the request what was signed, and refuses what had to be signed and was not. */
const readRequest = (request: Request, { signedHeaders }: Authorization): Read => {
  if (!signedHeaders.includes('host')) return fault('AccessDenied', 'The header host must be signed.')
  for (const name of request.headers.keys())
    if (name.startsWith('x-amz-') && !signedHeaders.includes(name)) return fault('AccessDenied', `The header ${name} must be signed.`)
  const time = request.headers.get('x-amz-date')
  const payload = request.headers.get('x-amz-content-sha256')
  const token = request.headers.get('x-amz-security-token')
  if (time === null || payload === null)
    return fault('AccessDenied', 'The headers x-amz-date and x-amz-content-sha256 must be sent and signed.')
  if (token === null || token === '')
    return fault('InvalidToken', 'The header x-amz-security-token is missing: these credentials come with a session token.')
  if (payload !== EMPTY_SHA256 && payload !== 'UNSIGNED-PAYLOAD') return fault('XAmzContentSHA256Mismatch')
  const headers: [string, string][] = []
  for (const name of signedHeaders) {
    const value = signedValue(request, name)
    if (value === null) return fault('SignatureDoesNotMatch', `The signed header ${name} did not arrive as it was sent: do not sign it.`)
    headers.push([name, value])
  }
  const [path = '', query = ''] = pathAndQuery(request.url)
  const canonical = canonicalPath(path)
  const pairs = queryPairs(query)
  if (canonical === null || pairs === null) return fault('InvalidURI')
  return { ok: true, path: canonical, query: pairs, headers, payload, time, token }
}

/** By hand, because everything after the first "?" counts as it was sent. */
export const pathAndQuery = (url: string): [string, string] => {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  const rest = (start < 0 ? '/' : url.slice(start)).split('#')[0] ?? ''
  const mark = rest.indexOf('?')
  return mark < 0 ? [rest, ''] : [rest.slice(0, mark), rest.slice(mark + 1)]
}

/** A signed header's value as the client sent it. Null where the platform changed it past recovery. */
const signedValue = (request: Request, name: string): string | null => {
  if (name === 'accept-encoding') {
    // The platform rewrites this header and leaves the client's own beside it.
    const original = 'cf' in request && typeof request.cf === 'object' ? Reflect.get(request.cf ?? {}, 'clientAcceptEncoding') : undefined
    return typeof original === 'string' ? original : null
  }
  const value = request.headers.get(name)
  if (name === 'host') return value ?? new URL(request.url).host
  // A request without a body may lose its "content-length: 0" on the way.
  if (name === 'content-length') return value ?? '0'
  return value
}

type OpenedRequest = ({ ok: true } & Opened) | { ok: false; code: S3Code; detail: string | null }

const open = async (token: string, scope: Authorization, deps: VerifyDeps): Promise<OpenedRequest> => {
  const name = `${scope.date}/${scope.region}/${token}`
  const known = deps.keys.get(name)
  if (known) return deps.now() < known.session.exp * 1_000 ? { ok: true, ...known } : { ok: false, code: 'ExpiredToken', detail: null }
  const opened = await openSession(deps.secrets, token, deps.now())
  if (!opened.ok) return { ok: false, code: opened.expired ? 'ExpiredToken' : 'InvalidToken', detail: null }
  const fresh = { session: opened.session, key: await signingKey(opened.secretAccessKey, scope) }
  deps.keys.set(name, fresh)
  return { ok: true, ...fresh }
}

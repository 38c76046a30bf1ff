import { mac, sha256Hex, toHex } from '../identity/secrets.ts'

/**
 * AWS Signature Version 4 as S3 uses it: the path is encoded once and not normalised.
 * Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API Reference.
 */
export const ALGORITHM = 'AWS4-HMAC-SHA256'
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

export interface Authorization {
  accessKeyId: string
  /** YYYYMMDD. */
  date: string
  region: string
  service: string
  signedHeaders: string[]
  /** 64 hexadecimal digits. */
  signature: string
}

/** Reads an `Authorization` header. Null where it is not one of this algorithm in its only form. */
export const readAuthorization = (header: string): Authorization | null => {
  const [, credential, signed, signature] =
    /^AWS4-HMAC-SHA256 +Credential=([^, ]+) *, *SignedHeaders=([^, ]+) *, *Signature=([0-9a-f]{64}) *$/.exec(header) ?? []
  if (credential === undefined || signed === undefined || signature === undefined) return null
  const [, accessKeyId, date, region, service] =
    /^([A-Za-z0-9]{1,128})\/([0-9]{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/.exec(credential) ?? []
  if (!accessKeyId || !date || !region || !service) return null
  const signedHeaders = signed.split(';')
  // Sorted and without doubles is part of the form: else the same header could be read in two ways.
  const inOrder = signedHeaders.every(
    (name, index) => /^[a-z0-9-]+$/.test(name) && (index === 0 || (signedHeaders[index - 1] ?? '') < name),
  )
  return inOrder ? { accessKeyId, date, region, service, signedHeaders, signature } : null
}

/** Percent-encodes all bytes but RFC 3986's unreserved ones. */
export const encodeStrictly = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** Percent-decodes UTF-8; null where it is malformed. `+` stays a plus: this is no form. */
export const decodePercent = (text: string): string | null => {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

/** Each segment decoded and encoded again strictly, so that every client's way of escaping ends as one text. Null when malformed. */
export const canonicalPath = (path: string): string | null => {
  const segments = path.split('/').map(decodePercent)
  return segments.includes(null) ? null : segments.map((segment) => encodeStrictly(segment ?? '')).join('/')
}

/** The query's pairs, decoded, in their order. Split by hand: `URLSearchParams` would turn `+` into a blank. Null when malformed. */
export const queryPairs = (query: string): [string, string][] | null => {
  const pairs: [string, string][] = []
  for (const part of query.split('&').filter((each) => each !== '')) {
    const at = part.indexOf('=')
    const name = decodePercent(at < 0 ? part : part.slice(0, at))
    const value = at < 0 ? '' : decodePercent(part.slice(at + 1))
    if (name === null || value === null) return null
    pairs.push([name, value])
  }
  return pairs
}

export const canonicalQuery = (pairs: readonly (readonly [string, string])[]): string =>
  pairs
    .map(([name, value]) => [encodeStrictly(name), encodeStrictly(value)] as const)
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')

export interface SignedRequest {
  method: string
  /** Already canonical. */
  path: string
  query: string
  /** Signed headers in order, lower case, with the values the client sent. */
  headers: readonly (readonly [string, string])[]
  /** `x-amz-content-sha256`. */
  payload: string
  /** YYYYMMDDTHHMMSSZ. */
  time: string
}

export const canonicalRequest = (request: SignedRequest): string =>
  [
    request.method,
    request.path,
    request.query,
    ...request.headers.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}`),
    '',
    request.headers.map(([name]) => name).join(';'),
    request.payload,
  ].join('\n')

export const stringToSign = async (request: SignedRequest, scope: Pick<Authorization, 'date' | 'region' | 'service'>): Promise<string> =>
  [ALGORITHM, request.time, `${scope.date}/${scope.region}/${scope.service}/aws4_request`, await sha256Hex(canonicalRequest(request))].join(
    '\n',
  )

/** The key for one day, region and service: a chain of four HMACs from the secret. */
export const signingKey = async (secret: string, scope: Pick<Authorization, 'date' | 'region' | 'service'>): Promise<CryptoKey> => {
  let key = await hmacKey(new Uint8Array(new TextEncoder().encode(`AWS4${secret}`)))
  for (const part of [scope.date, scope.region, scope.service, 'aws4_request']) key = await hmacKey(await mac(key, part))
  return key
}

export const sign = async (key: CryptoKey, text: string): Promise<string> => toHex(await mac(key, text))

const hmacKey = (bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> =>
  crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])

/** `YYYYMMDDTHHMMSSZ` → milliseconds since 1970, or null. */
export const readTime = (text: string): number | null => {
  const [, year, month, day, hour, minute, second] = /^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z$/.exec(text) ?? []
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(time) ? null : time
}

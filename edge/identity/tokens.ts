import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import type { IssuerConfig } from './issuers.ts'
import type { KeyMemo } from './keys.ts'

/** Longer ones are refused before anything is parsed. */
export const MAX_TOKEN_BYTES = 16 * 1024
/** How far the issuer's clock and ours may differ. */
export const CLOCK_TOLERANCE_SECONDS = 5

/** `typ` of a token that may come as a bearer token: RFC 9068 section 2.1, and RFC 7519 section 5.1, where it may be absent too. */
const TYPES = new Set(['at+jwt', 'jwt'])

export type TokenFault =
  | 'malformed'
  | 'unknown_issuer'
  | 'algorithm'
  | 'type'
  | 'keys_unavailable'
  | 'unknown_key'
  | 'signature'
  | 'expired'
  | 'not_yet_valid'
  | 'audience'
  | 'both_audiences'
  | 'claim'

export type Verified =
  | { ok: true; use: 'person' | 'node'; issuer: IssuerConfig; claims: JWTPayload & { sub: string; exp: number } }
  | { ok: false; reason: TokenFault; detail: string }

export interface VerifyDeps {
  issuers: readonly IssuerConfig[]
  keys: Pick<KeyMemo, 'resolver'>
  now: () => number
}

const refused = (reason: TokenFault, detail: string): Verified => ({ ok: false, reason, detail })

/**
 * Verifies a bearer token (RFC 7519, RFC 8725): issuer from the list, algorithm from that issuer's list, `typ`, signature
 * by the issuer's published keys, `exp`, `nbf`, and exactly one of the issuer's two audiences, which says whether a
 * person or a node came.
 */
export const verifyToken = async (token: string, deps: VerifyDeps): Promise<Verified> => {
  if (token.length > MAX_TOKEN_BYTES) return refused('malformed', `the token has more than ${MAX_TOKEN_BYTES} bytes`)
  const look = peek(token)
  if (!look) return refused('malformed', 'the token is not a signed JWT')
  const issuer = deps.issuers.find((candidate) => candidate.issuer === look.iss)
  if (!issuer) return refused('unknown_issuer', 'the token comes from an issuer that is not trusted here')
  // Before any key is looked at (RFC 8725, section 3.1): "none" and HS256 never get further.
  if (!issuer.algorithms.some((algorithm) => algorithm === look.alg))
    return refused('algorithm', `the token's algorithm is not one of ${issuer.algorithms.join(', ')}`)
  if (look.typ !== null && !TYPES.has(look.typ.toLowerCase().replace(/^application\//, '')))
    return refused('type', "the token's typ is neither at+jwt nor JWT")
  let resolve: Awaited<ReturnType<KeyMemo['resolver']>>
  try {
    resolve = await deps.keys.resolver(issuer.issuer, look.kid)
  } catch {
    return refused('keys_unavailable', "the issuer's keys cannot be had at the moment: try again")
  }
  try {
    const { payload } = await jwtVerify(token, resolve, {
      issuer: issuer.issuer,
      audience: [issuer.audience, issuer.node_audience],
      algorithms: issuer.algorithms,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(deps.now()),
      requiredClaims: ['exp', 'sub'],
    })
    const { sub, exp } = payload
    if (typeof sub !== 'string' || sub === '' || typeof exp !== 'number') return refused('claim', 'the token has no usable sub or exp')
    const audiences = new Set([payload.aud].flat())
    const person = audiences.has(issuer.audience)
    const node = audiences.has(issuer.node_audience)
    // Whoever can be both could use one right to gain the other.
    if (person && node) return refused('both_audiences', 'the token is made out to people and nodes at once: ask for one audience')
    return { ok: true, use: node ? 'node' : 'person', issuer, claims: { ...payload, sub, exp } }
  } catch (fault) {
    return explain(fault, issuer)
  }
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** What the token says about itself before anything is verified: good for choosing a key and for nothing else. */
const peek = (token: string): { iss: string | null; alg: string | null; kid: string | null; typ: string | null } | null => {
  try {
    const header = decodeProtectedHeader(token)
    return { iss: text(decodeJwt(token).iss), alg: text(header.alg), kid: text(header.kid), typ: text(header.typ) }
  } catch {
    return null
  }
}

const explain = (fault: unknown, issuer: IssuerConfig): Verified => {
  if (fault instanceof errors.JWTExpired) return refused('expired', 'the token has expired: get a new one')
  if (fault instanceof errors.JWKSNoMatchingKey || fault instanceof errors.JWKSMultipleMatchingKeys)
    return refused('unknown_key', "the token's key is not one that its issuer publishes")
  if (fault instanceof errors.JWTClaimValidationFailed) {
    if (fault.claim === 'aud')
      return refused(
        'audience',
        `the token is made out to another audience: ask for "${issuer.audience}", or "${issuer.node_audience}" for a node`,
      )
    if (fault.claim === 'nbf') return refused('not_yet_valid', 'the token is not valid yet: wait for its time, or look at the clocks')
    return refused('claim', `the token's claim ${JSON.stringify(fault.claim)} is missing or wrong`)
  }
  if (fault instanceof errors.JWSSignatureVerificationFailed) return refused('signature', "the token's signature is wrong")
  return refused('malformed', 'the token could not be verified: get a new one')
}

import { errors, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import { JobId, SessionId, Sha256, TenantId } from '../contract/ids.ts'
import { tenantPrefix } from '../contract/keys.ts'
import { GRANT_SECONDS } from '../contract/node.ts'
import type { Fault } from '../contract/problems.ts'
import { macKeys } from './secrets.ts'

const AUDIENCE = 'scarab-grant'
const ISSUER = 'scarab-edge'

/**
 * The right to write or read one object for 15 minutes. The edge composed the key; the node only carries the grant in the
 * header of its request. `bytes` and `sha256` bind what may be written; `upload` and `part` name one part of a multipart upload.
 */
export const Grant = z.object({
  key: z.string().min(1).max(1_024),
  mode: z.enum(['put', 'get']),
  bytes: z.int().min(0).optional(),
  sha256: Sha256.optional(),
  tenant: TenantId,
  /** Absent where the object is no attempt's: a slice's answer, the files of a finished result. */
  job: JobId.optional(),
  attempt: z.int().min(1).optional(),
  session: SessionId.optional(),
  upload: z.string().min(1).optional(),
  part: z.int().min(1).max(10_000).optional(),
})
export type Grant = z.infer<typeof Grant>

/** Signs a grant as a compact JWT (HS256, key of its own, audience of its own). Throws when the key leaves the tenant's prefix. */
export const signGrant = async (secrets: string, grant: Grant, nowMs: number, seconds = GRANT_SECONDS): Promise<string> => {
  const claims = Grant.parse(grant)
  if (!claims.key.startsWith(tenantPrefix(claims.tenant))) throw new Error(`the key ${claims.key} is not one of tenant ${claims.tenant}`)
  const [{ kid, key }] = await macKeys(secrets, 'grant')
  return await new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'scarab-grant+jwt', kid })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setExpirationTime(Math.floor(nowMs / 1_000) + seconds)
    .sign(key)
}

export type VerifiedGrant = { ok: true; grant: Grant } | { ok: false; fault: Fault }

const refused = (detail: string): VerifiedGrant => ({ ok: false, fault: { code: 'invalid_token', detail } })

/** Verifies a grant. What it allows is still for the caller to compare with the request: mode, bytes, part. */
export const verifyGrant = async (secrets: string, token: string, nowMs: number): Promise<VerifiedGrant> => {
  const keys = await macKeys(secrets, 'grant')
  try {
    const { payload } = await jwtVerify(
      token,
      (header) => {
        const found = keys.find(({ kid }) => kid === header.kid)
        if (!found) throw new errors.JWKSNoMatchingKey()
        return found.key
      },
      {
        algorithms: ['HS256'],
        typ: 'scarab-grant+jwt',
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['exp'],
        currentDate: new Date(nowMs),
      },
    )
    const grant = Grant.safeParse(payload)
    if (!grant.success || !grant.data.key.startsWith(tenantPrefix(grant.data.tenant)))
      return refused('the grant has not the form of a grant')
    return { ok: true, grant: grant.data }
  } catch (fault) {
    return refused(fault instanceof errors.JWTExpired ? 'the grant has expired: ask for a new one' : 'the grant is not valid')
  }
}

import { errors, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import { CROCKFORD, TenantId } from '../contract/ids.ts'
import { tenantPrefix } from '../contract/keys.ts'
import { mac, macKeys, toBase64Url } from '../identity/secrets.ts'

/** Life of vended credentials. Never below 15 minutes: Java renews early, and some readers hold keys for a whole scan. */
export const CREDENTIAL_SECONDS = 3_600
const AUDIENCE = 's3'
const ISSUER = 'scarab-edge'

/** What a session token says: which prefix may be read. `jti` is the access key id. */
const Session = z.object({ tenant: TenantId, prefix: z.string(), mode: z.literal('r'), jti: z.string(), exp: z.number() })
export type Session = z.infer<typeof Session>

export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken: string
  /** Milliseconds since 1970. */
  expires_at: number
}

/**
 * Makes credentials that can read below `prefix` and do nothing else. Nothing is stored: the session token is a JWT of
 * ours, and the secret follows from it. Throws when the prefix is not one of the tenant's folders.
 */
export const vend = async (
  secrets: string,
  request: { tenant: TenantId; prefix: string },
  nowMs: number,
  seconds = CREDENTIAL_SECONDS,
): Promise<Credentials> => {
  if (!isFolderOf(request.tenant, request.prefix)) throw new Error(`${request.prefix} is not a folder of tenant ${request.tenant}`)
  const random = crypto.getRandomValues(new Uint8Array(18))
  const accessKeyId = `SC${Array.from(random, (byte) => CROCKFORD[byte % 32])
    .join('')
    .toUpperCase()}`
  const exp = Math.floor(nowMs / 1_000) + seconds
  const [{ kid, key }] = await macKeys(secrets, 's3-token')
  const sessionToken = await new SignJWT({ tenant: request.tenant, prefix: request.prefix, mode: 'r' })
    .setProtectedHeader({ alg: 'HS256', typ: 'scarab-s3+jwt', kid })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setJti(accessKeyId)
    .setExpirationTime(exp)
    .sign(key)
  return { accessKeyId, secretAccessKey: await secretOf(secrets, kid, sessionToken), sessionToken, expires_at: exp * 1_000 }
}

/** Prefixes end in a slash: `t/acme` would take in `t/acme2`. */
const isFolderOf = (tenant: TenantId, prefix: string): boolean => prefix.startsWith(tenantPrefix(tenant)) && prefix.endsWith('/')

export type OpenedSession = { ok: true; session: Session; secretAccessKey: string } | { ok: false; expired: boolean }

/** Verifies a session token and finds its secret. An expired one is told apart: readers then ask for new credentials. */
export const openSession = async (secrets: string, token: string, nowMs: number): Promise<OpenedSession> => {
  const keys = await macKeys(secrets, 's3-token')
  let kid = ''
  try {
    const { payload } = await jwtVerify(
      token,
      (header) => {
        const found = keys.find((candidate) => candidate.kid === header.kid)
        if (!found) throw new errors.JWKSNoMatchingKey()
        kid = found.kid
        return found.key
      },
      {
        algorithms: ['HS256'],
        typ: 'scarab-s3+jwt',
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['exp', 'jti'],
        currentDate: new Date(nowMs),
      },
    )
    const session = Session.safeParse(payload)
    if (!session.success || !isFolderOf(session.data.tenant, session.data.prefix)) return { ok: false, expired: false }
    return { ok: true, session: session.data, secretAccessKey: await secretOf(secrets, kid, token) }
  } catch (fault) {
    return { ok: false, expired: fault instanceof errors.JWTExpired }
  }
}

const secretOf = async (secrets: string, kid: string, token: string): Promise<string> => {
  const found = (await macKeys(secrets, 's3-secret')).find((candidate) => candidate.kid === kid)
  if (!found) throw new Error('the secret of this session token is gone')
  return toBase64Url(await mac(found.key, token))
}

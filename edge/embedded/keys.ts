import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'
import { z } from 'zod'
import { TenantId } from '../contract/ids.ts'
import { readIfThere, writeOnce } from './folder.ts'
import { StartFault } from './settings.ts'

/** Every right of a person, as the value of the claim `scope`. */
export const PERSON_SCOPES = 'tasks:read tasks:sql jobs:submit jobs:read jobs:cancel jobs:delete results:read catalog:read queues:manage'
export const PERSON_AUDIENCE = 'scarab'
export const NODE_AUDIENCE = 'scarab-node'
export const ALGORITHM = 'ES256'

const DAY_SECONDS = 24 * 60 * 60

const StoredKeys = z.object({
  /** The fixed issuer name: it does not follow the ephemeral port, so tokens outlive restarts. */
  issuer: z.string(),
  /** Signs manifests, grants and vended credentials: 32 random bytes, base64url. */
  secret: z.string(),
  jwk: z.record(z.string(), z.unknown()).and(z.object({ kid: z.string(), kty: z.literal('EC') })),
})

/** What signs tokens of one state folder. */
export interface DevKeys {
  issuer: string
  secret: string
  /** The public key, for the key set document. */
  publicJwk: JWK
  /** `ttl` in seconds. Throws `StartFault` for a tenant that is not a tenant's name. */
  person(tenant: string, options?: { scope?: string | undefined; ttl?: number | undefined; subject?: string | undefined }): Promise<string>
  node(claims: NodeClaims, options?: { ttl?: number | undefined }): Promise<string>
}

export interface NodeClaims {
  name: string
  pool: string
  /** `*` or names. */
  tenants: string[]
  /** `*` or glob patterns. */
  tasks: string[]
}

/** Reads the keys of a state folder, or makes them at its first use; `keys.json` has mode 600. Throws `StartFault`. */
export const openKeys = async (state: string): Promise<DevKeys> => {
  const path = join(state, 'keys.json')
  const text = readIfThere(path) ?? (await create(path))
  let stored: z.infer<typeof StoredKeys>
  try {
    stored = StoredKeys.parse(JSON.parse(text))
  } catch {
    throw new StartFault(`${path} is damaged: restore it, or remove it (tokens given out before are then refused)`)
  }
  const key = await importJWK(stored.jwk, ALGORITHM)
  const sign = (claims: Record<string, unknown>, audience: string, subject: string, ttl: number): Promise<string> => {
    const now = Math.floor(Date.now() / 1000)
    return new SignJWT(claims)
      .setProtectedHeader({ alg: ALGORITHM, kid: stored.jwk.kid, typ: 'at+jwt' })
      .setIssuer(stored.issuer)
      .setAudience(audience)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(now + ttl)
      .setJti(randomUUID())
      .sign(key)
  }
  const { d: _private, ...publicJwk } = stored.jwk
  return {
    issuer: stored.issuer,
    secret: stored.secret,
    publicJwk: { ...publicJwk, alg: ALGORITHM, use: 'sig' },
    person: async (tenant, options = {}) => {
      const parsed = TenantId.safeParse(tenant)
      if (!parsed.success) throw new StartFault(`tenant "${tenant}": ${parsed.error.issues[0]?.message}`)
      const subject = options.subject ?? `developer@${parsed.data}`
      return sign({ tenant: parsed.data, scope: options.scope ?? PERSON_SCOPES }, PERSON_AUDIENCE, subject, options.ttl ?? DAY_SECONDS)
    },
    node: (claims, options = {}) => sign({ scarab_node: claims }, NODE_AUDIENCE, `node:${claims.name}`, options.ttl ?? DAY_SECONDS),
  }
}

const create = async (path: string): Promise<string> => {
  const pair = await generateKeyPair(ALGORITHM, { extractable: true })
  const text = JSON.stringify({
    issuer: `http://127.0.0.1/scarab/${randomBytes(8).toString('hex')}`,
    secret: randomBytes(32).toString('base64url'),
    jwk: { ...(await exportJWK(pair.privateKey)), kid: randomBytes(8).toString('hex') },
  })
  return writeOnce(path, `${text}\n`)
}

/** "90", "90s", "15m", "1h", "7d" in seconds. Throws `StartFault`. */
export const parseTtl = (text: string): number => {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text.trim())
  const factor = { '': 1, s: 1, m: 60, h: 3_600, d: DAY_SECONDS }[match?.[2] ?? '']
  const seconds = Number(match?.[1]) * (factor ?? Number.NaN)
  if (!Number.isSafeInteger(seconds) || seconds < 1) throw new StartFault(`"${text}" is not a time to live: write 90s, 15m, 1h or 7d`)
  return seconds
}

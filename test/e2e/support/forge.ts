import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { importJWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { z } from 'zod'

const Keys = z.object({
  issuer: z.string(),
  jwk: z.object({ kid: z.string(), kty: z.literal('EC'), crv: z.string(), x: z.string(), y: z.string(), d: z.string() }),
})

export type ForgedToken =
  | 'expired'
  | 'not yet valid'
  | 'wrong audience'
  | 'both audiences'
  | 'alg none'
  | 'public key as secret'
  | 'other key'
  | 'other issuer'
  | 'no tenant'
  | 'bad tenant'
  | 'no expiry'
  | 'wrong type'
  | 'cut signature'
  | 'changed tenant'

/** Tokens that come near to a good one of tenant "alpha", each with one thing wrong. Reads the state folder's signing key. */
export const forge = async (state: string, kind: ForgedToken): Promise<string> => {
  const { issuer, jwk } = Keys.parse(JSON.parse(readFileSync(join(state, 'keys.json'), 'utf8')))
  const now = Math.floor(Date.now() / 1_000)
  const claims: JWTPayload = {
    iss: issuer,
    aud: 'scarab',
    sub: 'developer@alpha',
    iat: now,
    exp: now + 600,
    tenant: 'alpha',
    scope: 'tasks:read jobs:read results:read catalog:read',
  }
  const good = await importJWK(jwk, 'ES256')
  const sign = (
    payload: JWTPayload,
    header: { typ?: string; alg?: string } = {},
    key: Parameters<SignJWT['sign']>[0] = good,
  ): Promise<string> => new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: jwk.kid, typ: 'at+jwt', ...header }).sign(key)
  const without = (name: string): JWTPayload => Object.fromEntries(Object.entries(claims).filter(([claim]) => claim !== name))
  switch (kind) {
    case 'expired':
      return sign({ ...claims, exp: now - 60 })
    case 'not yet valid':
      return sign({ ...claims, nbf: now + 300 })
    case 'wrong audience':
      return sign({ ...claims, aud: 'another-service' })
    case 'both audiences':
      return sign({ ...claims, aud: ['scarab', 'scarab-node'], scarab_node: { name: 'n', pool: 'default', tenants: ['*'], tasks: ['*'] } })
    case 'alg none':
      return new UnsecuredJWT(claims).encode()
    case 'public key as secret':
      // RFC 8725, section 2.1: a verifier that took the token's word for it would use the public key as HMAC key.
      return sign(claims, { alg: 'HS256' }, new TextEncoder().encode(JSON.stringify({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y })))
    case 'other key':
      return sign(claims, {}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
    case 'other issuer':
      return sign({ ...claims, iss: `${issuer}x` })
    case 'no tenant':
      return sign(without('tenant'))
    case 'bad tenant':
      return sign({ ...claims, tenant: '../beta' })
    case 'no expiry':
      return sign(without('exp'))
    case 'wrong type':
      return sign(claims, { typ: 'scarab-s3+jwt' })
    case 'cut signature':
      return (await sign(claims)).slice(0, -4)
    case 'changed tenant': {
      const [header, , signature] = (await sign(claims)).split('.')
      return [header, Buffer.from(JSON.stringify({ ...claims, tenant: 'beta' })).toString('base64url'), signature].join('.')
    }
  }
}

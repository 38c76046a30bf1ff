import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DevKeys, openKeys, PERSON_SCOPES, parseTtl } from './keys.ts'
import { StartFault } from './settings.ts'

let state: string
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'scarab-keys-'))
})
afterEach(() => rmSync(state, { recursive: true, force: true }))

const verify = (keys: DevKeys, token: string, audience: string) =>
  jwtVerify(token, createLocalJWKSet({ keys: [keys.publicJwk] }), { issuer: keys.issuer, audience, algorithms: ['ES256'] })

describe('the keys of a state folder', () => {
  test('issuer, secret and key are the same at every start', async () => {
    const first = await openKeys(state)
    const again = await openKeys(state)
    expect([again.issuer, again.secret, again.publicJwk]).toEqual([first.issuer, first.secret, first.publicJwk])
    const token = await first.person('demo')
    expect((await verify(again, token, 'scarab')).payload.iss).toBe(first.issuer)
  })

  test('two commands that are first at the same time make one key', async () => {
    const [one, other] = await Promise.all([openKeys(state), openKeys(state)])
    expect(one.issuer).toBe(other.issuer)
    expect((await verify(other, await one.person('demo'), 'scarab')).payload.tenant).toBe('demo')
  })

  test('two folders have different issuers and refuse each other', async () => {
    const other = mkdtempSync(join(tmpdir(), 'scarab-keys-'))
    try {
      const [mine, theirs] = [await openKeys(state), await openKeys(other)]
      expect(mine.issuer).not.toBe(theirs.issuer)
      await expect(verify(theirs, await mine.person('demo'), 'scarab')).rejects.toThrow()
    } finally {
      rmSync(other, { recursive: true, force: true })
    }
  })

  test('only the owner can read them', async () => {
    await openKeys(state)
    expect(statSync(join(state, 'keys.json')).mode & 0o777).toBe(0o600)
  })

  test('the public key does not carry the private part', async () => {
    expect(await openKeys(state)).toMatchObject({ publicJwk: { kty: 'EC', alg: 'ES256', use: 'sig' } })
    expect((await openKeys(state)).publicJwk).not.toHaveProperty('d')
  })

  test('a damaged file is named', async () => {
    writeFileSync(join(state, 'keys.json'), '{')
    await expect(openKeys(state)).rejects.toThrow(StartFault)
  })
})

describe('tokens', () => {
  test('a person has every right of a person, for one tenant', async () => {
    const claims = decodeJwt(await (await openKeys(state)).person('acme', { ttl: 60 }))
    expect(claims).toMatchObject({ aud: 'scarab', tenant: 'acme', scope: PERSON_SCOPES })
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(60)
    expect(claims).not.toHaveProperty('scarab_node')
  })

  test('fewer rights when a scope is given', async () => {
    expect(decodeJwt(await (await openKeys(state)).person('acme', { scope: 'jobs:read' })).scope).toBe('jobs:read')
  })

  test('a tenant that is no tenant name is refused', async () => {
    await expect((await openKeys(state)).person('../other')).rejects.toThrow('tenant "../other"')
  })

  test("a node's token has its own audience and its bounds", async () => {
    const keys = await openKeys(state)
    const token = await keys.node({ name: 'n1', pool: 'default', tenants: ['acme'], tasks: ['sales_*'] })
    expect(decodeJwt(token)).toMatchObject({ aud: 'scarab-node', scarab_node: { name: 'n1', tenants: ['acme'], tasks: ['sales_*'] } })
    await expect(verify(keys, token, 'scarab')).rejects.toThrow()
  })

  test('a time to live is a number with s, m, h or d', () => {
    expect(['90', '90s', '15m', '1h', '7d'].map(parseTtl)).toEqual([90, 90, 900, 3_600, 604_800])
    for (const wrong of ['', '0', '-1h', '1w', 'h', '1.5h']) expect(() => parseTtl(wrong), wrong).toThrow(StartFault)
  })

  test('the secret is at least 32 bytes', async () => {
    const { secret } = await openKeys(state)
    expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    expect(readFileSync(join(state, 'keys.json'), 'utf8')).toContain(secret)
  })
})

import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { CODE_SECONDS, type DevIssuer, issuerConfig, startIssuer } from './issuer.ts'
import { type DevKeys, openKeys } from './keys.ts'

const PAGE = 'http://127.0.0.1:8787'
const SignedIn = z.object({ access_token: z.string(), token_type: z.literal('Bearer'), expires_in: z.int() })
let state: string
let keys: DevKeys
let issuer: DevIssuer
let now: number
beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'scarab-issuer-'))
  keys = await openKeys(state)
  now = Date.now()
  issuer = await startIssuer({ keys, origins: () => [PAGE], now: () => now })
})
afterEach(async () => {
  await issuer.close()
  rmSync(state, { recursive: true, force: true })
})

const signIn = (code: unknown, origin: string | null = PAGE): Promise<Response> =>
  fetch(`${issuer.address}/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(origin === null ? {} : { origin }) },
    body: JSON.stringify({ code }),
  })

describe('the development issuer', () => {
  test('is found by discovery, and its key set verifies its tokens', async () => {
    const discovery = z
      .object({ issuer: z.string(), jwks_uri: z.string() })
      .parse(await (await fetch(`${issuer.address}/.well-known/openid-configuration`)).json())
    expect(discovery.issuer).toBe(keys.issuer)
    expect(issuerConfig(keys, issuer)).toMatchObject({ issuer: keys.issuer, jwks_uri: discovery.jwks_uri })
    const set = createRemoteJWKSet(new URL(discovery.jwks_uri))
    const { payload } = await jwtVerify(await keys.person('demo'), set, { issuer: discovery.issuer, audience: 'scarab' })
    expect(payload.tenant).toBe('demo')
  })

  test('exchanges a code once for a token of the page', async () => {
    const code = issuer.mintCode()
    const first = await signIn(code)
    expect(first.status).toBe(200)
    expect(first.headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(first.headers.get('cache-control')).toBe('no-store')
    expect(SignedIn.parse(await first.json()).expires_in).toBeGreaterThan(3_600)
    expect((await signIn(code)).status).toBe(400)
  })

  test('a code is good for a minute', async () => {
    const [early, late] = [issuer.mintCode(), issuer.mintCode()]
    now += CODE_SECONDS * 1000 - 1
    expect((await signIn(early)).status).toBe(200)
    now += 1
    expect((await signIn(late)).status).toBe(400)
  })

  test('a code that was never given out, or is no text, is refused', async () => {
    for (const code of ['guess', '', 7, null]) expect((await signIn(code)).status, String(code)).toBe(400)
  })

  test("another site's page gets nothing, and burns no code", async () => {
    const code = issuer.mintCode()
    const foreign = await signIn(code, 'https://evil.example')
    expect(foreign.status).toBe(403)
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull()
    expect((await signIn(code)).status).toBe(200)
  })

  test('a name that was rebound to this machine is refused', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const url = new URL('/jwks.json', issuer.address)
      request(url, { headers: { host: 'evil.example' } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(421)
  })

  test('mints codes for whoever has the control key, and for nobody else', async () => {
    const ask = (key: string): Promise<Response> =>
      fetch(`${issuer.address}/codes`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })
    expect((await ask('wrong')).status).toBe(401)
    const { code } = z.object({ code: z.string() }).parse(await (await ask(issuer.control)).json())
    expect((await signIn(code)).status).toBe(200)
  })

  test('answers the browser before it sends a code', async () => {
    const answer = await fetch(`${issuer.address}/sign-in`, { method: 'OPTIONS', headers: { origin: PAGE } })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-headers')).toBe('content-type')
  })
})

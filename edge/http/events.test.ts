import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, expect, test } from 'vitest'
import { app } from './app.ts'

const ISSUER = 'https://issuer.example'
let token = ''
let env: Record<string, unknown> = {}
/** Addresses under which the ledger was asked for a reader's socket. */
const opened: string[] = []

beforeAll(async () => {
  const pair = await generateKeyPair('ES256', { extractable: true })
  token = await new SignJWT({ tenant: 'acme', scope: 'jobs:read' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuer(ISSUER)
    .setAudience('scarab')
    .setSubject('ann')
    .setExpirationTime('1h')
    .sign(pair.privateKey)
  const keys = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k' }], fetched_at: Date.now() }
  const directory = { keysOf: async () => keys, tenantOf: async () => 'acme' }
  const ledger = {
    follow: async () => ({ found: 'yes', items: [], reset: null, next: 3, more: false }),
    fetch: async (address: string) => {
      opened.push(new URL(address).pathname)
      return new Response(null, { status: 503 })
    },
  }
  const namespace = (object: unknown) => ({ idFromName: (name: string) => name, get: () => object })
  env = {
    SCARAB_EMBEDDED: '0',
    SCARAB_ISSUERS: JSON.stringify([{ issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, tenant_map: { acme: 'acme' } }]),
    DIRECTORY: namespace(directory),
    LEDGER: namespace(ledger),
  }
})

const ask = async (method: string, path: string): Promise<[number, string | null]> => {
  const answer = await app.request(path, { method, headers: { authorization: `Bearer ${token}` } }, env)
  return [answer.status, answer.headers.get('content-type')]
}

test('a HEAD of a stream says what a GET would, and leaves no reader behind', async () => {
  for (const path of ['/v1/events', '/v1/jobs/01kdyak3se2ztwde0000012345/events']) {
    expect(await ask('HEAD', path)).toEqual([200, 'text/event-stream'])
    expect(opened).toEqual([])
  }
  // A GET asks for one: here there are too many already.
  expect(await ask('GET', '/v1/events')).toEqual([503, 'application/problem+json'])
  expect(opened).toEqual(['/watch/tenant'])
})

import { base64url, exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { TenantId } from '../contract/ids.ts'
import { type AuthDeps, authenticate, challenge, TOKEN_CACHE_SECONDS, TokenCache } from './identity.ts'
import { IssuerConfig } from './issuers.ts'
import { COOLDOWN_SECONDS, FRESH_SECONDS, IssuerKeys, KeyMemo, type KeySet, STALE_SECONDS } from './keys.ts'

const ISSUER = 'http://127.0.0.1:1/dev'
const START = Date.UTC(2026, 5, 1)

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
const pairs = new Map<string, Pair>()
const pair = (name: string): Pair => {
  const found = pairs.get(name)
  if (!found) throw new Error(name)
  return found
}
beforeAll(async () => {
  for (const name of ['k1', 'k2', 'foreign']) pairs.set(name, await generateKeyPair('ES256', { extractable: true }))
  pairs.set('rsa', await generateKeyPair('RS256', { extractable: true }))
})

const jwk = async (name: string, more: object = {}) => ({ ...(await exportJWK(pair(name).publicKey)), kid: name, use: 'sig', ...more })

/** An issuer, a Directory and a Worker in one: counts what the issuer is asked. */
const world = (config: Partial<IssuerConfig> = {}) => {
  const issuer = IssuerConfig.parse({ issuer: ISSUER, jwks_uri: `${ISSUER}/keys`, algorithms: ['ES256'], tenants: 'any', ...config })
  const state = { now: START, published: [] as unknown[], fetches: 0, loads: 0, down: false, gate: Promise.resolve() }
  const stored = new Map<string, KeySet>()
  const now = () => state.now
  const directory = new IssuerKeys({
    now,
    stored: { read: (name) => stored.get(name) ?? null, write: (name, set) => void stored.set(name, set) },
    fetchKeys: async () => {
      state.fetches += 1
      await state.gate
      if (state.down) throw new Error('connection refused')
      return { keys: state.published }
    },
  })
  const worker = (): AuthDeps => ({
    issuers: [issuer],
    keys: new KeyMemo({
      now,
      load: (_name, kid) => {
        state.loads += 1
        return directory.keysOf(issuer, kid)
      },
    }),
    tenantOf: async ({ claim, any }) => (any ? (TenantId.safeParse(claim).data ?? null) : null),
    cache: new TokenCache(),
    now,
  })
  return { issuer, state, directory, worker }
}

interface TokenOptions {
  key?: string
  header?: object
  seconds?: number
  at?: number
}
const token = async (claims: object = {}, { key = 'k1', header = {}, seconds = 600, at = START }: TokenOptions = {}): Promise<string> =>
  await new SignJWT({
    iss: ISSUER,
    aud: 'scarab',
    sub: 'ann',
    tenant: 'acme',
    scope: 'jobs:submit jobs:read openid',
    exp: at / 1_000 + seconds,
    ...claims,
  })
    .setProtectedHeader({ alg: 'ES256', kid: key, ...header })
    .sign(pair(key).privateKey)

const nodeClaims = (more: object = {}) => ({
  aud: 'scarab-node',
  scarab_node: { name: 'n1', pool: 'default', tenants: ['*'], tasks: ['*'], ...more },
})

const send = (deps: AuthDeps, text: string) => authenticate(new Headers({ authorization: `Bearer ${text}` }), deps)
const codeOf = async (deps: AuthDeps, text: string): Promise<string> => {
  const answer = await send(deps, text)
  return answer.ok ? 'ok' : answer.fault.code
}
const reason = async (deps: AuthDeps, text: string): Promise<string> => {
  const answer = await send(deps, text)
  return answer.ok ? 'ok' : `${answer.fault.code}: ${answer.fault.detail}`
}

const ready = async (config: Partial<IssuerConfig> = {}) => {
  const made = world(config)
  made.state.published = [await jwk('k1')]
  return { ...made, deps: made.worker() }
}

describe('a good token', () => {
  it('gives the person with tenant and known scopes only', async () => {
    const { deps } = await ready()
    expect(await send(deps, await token())).toEqual({
      ok: true,
      identity: {
        kind: 'person',
        tenant: 'acme',
        subject: 'ann',
        issuer: ISSUER,
        scopes: ['jobs:submit', 'jobs:read'],
        expires_at: START + 600_000,
      },
    })
  })

  it('of a node gives its name, pool, tenants and task patterns', async () => {
    const { deps } = await ready()
    expect(await send(deps, await token(nodeClaims({ tenants: ['acme'], tasks: ['pay.*'] })))).toMatchObject({
      ok: true,
      identity: { kind: 'node', name: 'n1', pool: 'default', tenants: ['acme'], tasks: ['pay.*'] },
    })
  })

  it('of a node serves only tenants of its issuer, and takes no name of others (I6)', async () => {
    const { deps } = await ready({ tenants: 'table', tenant_map: { '4711': TenantId.parse('acme') } })
    const node = async (more: object) => await codeOf(deps, await token(nodeClaims(more)))
    expect(await send(deps, await token(nodeClaims({ name: 'acme.n1', tenants: ['4711'] })))).toMatchObject({
      identity: { name: 'acme.n1', tenants: ['acme'] },
    })
    expect(await node({ name: 'acme.n1', tenants: ['*'] })).toBe('insufficient_scope')
    expect(await node({ name: 'acme.n1', tenants: ['4711', 'bolt'] })).toBe('insufficient_scope')
    expect(await node({ name: 'acme.n1', tenants: ['constructor'] })).toBe('insufficient_scope')
    expect(await node({ name: 'embedded', tenants: ['4711'] })).toBe('insufficient_scope')
    expect(await node({ name: 'bolt.n1', tenants: ['4711'] })).toBe('insufficient_scope')
    expect(await node({ name: 'acme.n1', tenants: [] })).toBe('insufficient_scope')
  })

  it('may have its scopes as a list, and any usual typ', async () => {
    const { deps } = await ready({ scope_claim: 'scp' })
    expect(await send(deps, await token({ scp: ['catalog:read', 7, 'catalog:read'] }))).toMatchObject({
      identity: { scopes: ['catalog:read'] },
    })
    for (const typ of ['JWT', 'at+jwt', 'application/at+jwt', 'AT+JWT'])
      expect(await codeOf(deps, await token({}, { header: { typ } })), typ).toBe('ok')
  })

  it('never takes its tenant from anywhere but the claim', async () => {
    const { deps } = await ready()
    const headers = new Headers({ authorization: `Bearer ${await token()}`, 'x-tenant': 'globex', 'x-scarab-tenant': 'globex' })
    expect(await authenticate(headers, deps)).toMatchObject({ identity: { tenant: 'acme' } })
  })
})

describe('refused', () => {
  it('no token, another scheme, a token in no header', async () => {
    const { deps } = await ready()
    for (const value of [null, '', 'Basic abc', 'Bearer', 'Bearer ', 'Bearer a b', 'Bearer\tabc', `Token ${await token()}`]) {
      const answer = await authenticate(new Headers(value === null ? {} : { authorization: value }), deps)
      expect(answer, String(value)).toMatchObject({ ok: false, fault: { code: 'missing_token' } })
    }
  })

  it('alg none', async () => {
    const { deps } = await ready()
    const part = (value: object) => base64url.encode(JSON.stringify(value))
    const payload = part({ iss: ISSUER, aud: 'scarab', sub: 'ann', tenant: 'acme', exp: START / 1_000 + 600 })
    for (const alg of ['none', 'None', 'NONE', '']) expect(await codeOf(deps, `${part({ alg })}.${payload}.`), alg).toBe('invalid_token')
    expect(await codeOf(deps, `${part({ alg: 'none', kid: 'k1' })}.${payload}.AAAA`)).toBe('invalid_token')
  })

  it("HS256 with the issuer's public key as the secret", async () => {
    for (const algorithm of ['ES256', 'RS256'] as const) {
      const name = algorithm === 'ES256' ? 'k1' : 'rsa'
      const { deps, state } = await ready({ algorithms: [algorithm] })
      state.published = [await jwk(name)]
      const pem = new TextEncoder().encode(await exportSPKI(pair(name).publicKey))
      const json = new TextEncoder().encode(JSON.stringify(await jwk(name)))
      for (const secret of [pem, json]) {
        const forged = await new SignJWT({ iss: ISSUER, aud: 'scarab', sub: 'eve', tenant: 'acme', exp: START / 1_000 + 600 })
          .setProtectedHeader({ alg: 'HS256', kid: name })
          .sign(secret)
        expect(await reason(deps, forged)).toMatch(/^invalid_token: .*algorithm/)
      }
    }
  })

  it('an algorithm that is real but not allowed', async () => {
    const { deps, state } = await ready()
    state.published = [await jwk('rsa')]
    expect(await reason(deps, await token({}, { key: 'rsa', header: { alg: 'RS256' } }))).toMatch(/algorithm/)
  })

  it('a cut, changed or foreign signature, and changed claims', async () => {
    const { deps } = await ready()
    const good = await token()
    const [header = '', payload = '', signature = ''] = good.split('.')
    const other = base64url.encode(new TextDecoder().decode(base64url.decode(payload)).replace('acme', 'evil'))
    const flipped = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
    for (const bad of [
      `${header}.${payload}.${signature.slice(0, -4)}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${payload}.${flipped}`,
      `${header}.${other}.${signature}`,
      `${good}.x`,
      'x.y.z',
      '..',
      await token({}, { key: 'foreign', header: { kid: 'k1' } }),
    ])
      expect(await codeOf(deps, bad), bad).toBe('invalid_token')
    expect(await codeOf(deps, good)).toBe('ok')
  })

  it('an embedded or linked key of its own', async () => {
    const { deps } = await ready()
    const own = await exportJWK(pair('foreign').publicKey)
    for (const header of [
      { kid: 'k1', jwk: own },
      { kid: 'foreign', jwk: own },
      { kid: 'foreign', jku: 'http://evil/keys' },
    ])
      expect(await codeOf(deps, await token({}, { key: 'foreign', header }))).toBe('invalid_token')
  })

  it.each([
    ['another issuer', { iss: 'https://evil' }, /not trusted/],
    ['no issuer', { iss: undefined }, /not trusted/],
    ['another audience', { aud: 'other' }, /audience/],
    ['no audience', { aud: undefined }, /aud/],
    ['both audiences', { aud: ['scarab', 'scarab-node'] }, /people and nodes/],
    ['no expiry', { exp: undefined }, /exp/],
    ['an expiry of text', { exp: 'tomorrow' }, /./],
    ['no subject', { sub: undefined }, /sub/],
    ['an empty subject', { sub: '' }, /sub/],
    ['not valid yet', { nbf: START / 1_000 + 60 }, /not valid yet/],
    ['no tenant', { tenant: undefined }, /tenant/],
    ['a tenant that is a list', { tenant: ['acme'] }, /tenant/],
  ])('%s', async (_name, claims, detail) => {
    const { deps } = await ready()
    expect(await reason(deps, await token(claims))).toMatch(detail)
  })

  it('an expired one, after 5 s of tolerance, also out of the cache', async () => {
    const { deps, state } = await ready()
    const short = await token({}, { seconds: 10 })
    expect(await codeOf(deps, short)).toBe('ok')
    state.now = START + 14_000
    expect(await codeOf(deps, short)).toBe('ok')
    state.now = START + 15_000
    expect(await reason(deps, short)).toMatch(/expired/)
  })

  it('other kinds of JWT by their typ', async () => {
    const { deps } = await ready()
    for (const typ of ['logout+jwt', 'dpop+jwt', 'id_token'])
      expect(await codeOf(deps, await token({}, { header: { typ } })), typ).toBe('invalid_token')
  })

  it('one of more than 16 KiB', async () => {
    const { deps } = await ready()
    expect(await reason(deps, await token({ pad: 'x'.repeat(16_000) }))).toMatch(/bytes/)
  })

  it('a tenant that is not in the table, or not one at all', async () => {
    const { deps } = await ready({ tenants: 'table', tenant_map: { '4711': TenantId.parse('acme') } })
    expect(await codeOf(deps, await token({ tenant: 'globex' }))).toBe('insufficient_scope')
    expect(await codeOf(deps, await token({ tenant: 'constructor' }))).toBe('insufficient_scope')
    expect(await send(deps, await token({ tenant: '4711' }))).toMatchObject({ identity: { tenant: 'acme' } })
    const any = await ready()
    expect(await codeOf(any.deps, await token({ tenant: '../globex' }))).toBe('insufficient_scope')
  })

  it('a node token without, or with a wrong, claim scarab_node', async () => {
    const { deps } = await ready()
    for (const claims of [
      { aud: 'scarab-node' },
      nodeClaims({ name: 'a/b' }),
      nodeClaims({ pool: 'Ä' }),
      nodeClaims({ tenants: 'acme' }),
      nodeClaims({ tenants: ['ac*'] }),
      nodeClaims({ tasks: undefined }),
    ])
      expect(await codeOf(deps, await token(claims)), JSON.stringify(claims)).toBe('invalid_token')
  })

  it("a person's token that merely carries a node's claim is a person's", async () => {
    const { deps } = await ready()
    expect(await send(deps, await token({ ...nodeClaims(), aud: 'scarab' }))).toMatchObject({ identity: { kind: 'person' } })
  })

  it('with the right challenge', () => {
    expect(challenge({ code: 'missing_token', detail: '' })).toBe('Bearer')
    expect(challenge({ code: 'invalid_token', detail: '' })).toBe('Bearer error="invalid_token"')
    expect(challenge({ code: 'not_found', detail: '' })).toBe(null)
  })
})

describe('keys', () => {
  it('are fetched once for a hundred cold Workers', async () => {
    const { state, worker } = await ready()
    const text = await token()
    const gate = Promise.withResolvers<void>()
    state.gate = gate.promise
    const workers = Array.from({ length: 100 }, worker)
    // The issuer answers only when all hundred have asked.
    for (const each of workers) {
      const { keys } = each
      each.keys = {
        resolver: (issuer, kid) => {
          const resolved = keys.resolver(issuer, kid)
          if (state.loads === 100) gate.resolve()
          return resolved
        },
      }
    }
    const answers = await Promise.all(workers.map((each) => codeOf(each, text)))
    expect(new Set(answers)).toEqual(new Set(['ok']))
    expect(state).toMatchObject({ loads: 100, fetches: 1 })
  })

  it('rotate: a new key works after the cooldown, the old one until it is withdrawn', async () => {
    const { deps, state } = await ready()
    const old = await token()
    expect(await codeOf(deps, old)).toBe('ok')
    state.published = [await jwk('k1'), await jwk('k2')]
    const fresh = await token({}, { key: 'k2' })
    expect(await reason(deps, fresh)).toMatch(/not one that its issuer publishes/)
    state.now += COOLDOWN_SECONDS * 1_000
    expect(await codeOf(deps, fresh)).toBe('ok')
    expect(await codeOf(deps, old)).toBe('ok')
    expect(state.fetches).toBe(2)
    state.published = [await jwk('k2')]
    state.now += FRESH_SECONDS * 1_000
    const oldStillFresh = await token({}, { at: state.now })
    expect(await codeOf(deps, await token({}, { key: 'k2', at: state.now }))).toBe('ok')
    expect(await codeOf(deps, oldStillFresh)).toBe('invalid_token')
  })

  it('that are unknown cause one request in a cooldown, and not even a question to the Directory', async () => {
    const { deps, state, worker } = await ready()
    await codeOf(deps, await token())
    expect([state.fetches, state.loads]).toEqual([1, 1])
    const unknown = await Promise.all(Array.from({ length: 200 }, (_, n) => token({}, { header: { kid: `x${n}` } })))
    for (const text of unknown) expect(await codeOf(deps, text)).toBe('invalid_token')
    expect([state.fetches, state.loads]).toEqual([1, 1])
    // Workers that know nothing yet do ask the Directory, which asks nobody.
    for (const text of unknown.slice(0, 20)) expect(await codeOf(worker(), text)).toBe('invalid_token')
    expect([state.fetches, state.loads]).toEqual([1, 21])
    state.now += COOLDOWN_SECONDS * 1_000
    for (const text of unknown) expect(await codeOf(deps, text)).toBe('invalid_token')
    expect(state.fetches).toBe(2)
  })

  it('of an issuer that is down serve on, for a day', async () => {
    const { state, worker } = await ready()
    expect(await codeOf(worker(), await token())).toBe('ok')
    state.down = true
    state.now += (STALE_SECONDS - 1) * 1_000
    expect(await codeOf(worker(), await token({}, { at: state.now }))).toBe('ok')
    state.now += 2_000
    expect(await codeOf(worker(), await token({}, { at: state.now }))).toBe('unavailable')
    state.down = false
    state.now += 2_000
    expect(await codeOf(worker(), await token({}, { at: state.now }))).toBe('ok')
  })

  it('that never could be had answer 503, with one request a second', async () => {
    const { state, worker } = await ready()
    state.down = true
    for (let n = 0; n < 20; n += 1) expect(await codeOf(worker(), await token())).toBe('unavailable')
    expect(state.fetches).toBe(1)
  })

  it('for encryption, shared secrets and private parts are never kept', async () => {
    const { directory, issuer, state } = await ready()
    state.published = [
      { ...(await exportJWK(pair('k1').privateKey)), kid: 'k1' },
      await jwk('k2', { use: 'enc' }),
      { kty: 'oct', k: 'c2VjcmV0', kid: 'shared' },
      await jwk('foreign', { use: 'sig', key_ops: ['encrypt'] }),
      { kty: 7 },
      null,
    ]
    const { keys } = await directory.keysOf(issuer, null)
    expect(keys.map(({ kid }) => kid)).toEqual(['k1'])
    expect(keys[0]).not.toHaveProperty('d')
  })
})

describe('the cache of verified tokens', () => {
  it('spares the work for 60 s, never outlives the token, and holds no token', async () => {
    const { deps, state } = await ready()
    const text = await token({}, { seconds: 3_600 })
    const short = await token({}, { seconds: 20 })
    await codeOf(deps, text)
    await codeOf(deps, short)
    expect(deps.cache.size).toBe(2)
    // The key is withdrawn: only what is cached still passes.
    state.published = []
    state.now += (TOKEN_CACHE_SECONDS - 1) * 1_000
    expect(await codeOf(deps, text)).toBe('ok')
    expect(await codeOf(deps, short)).toBe('invalid_token')
    state.now = START + FRESH_SECONDS * 1_000
    expect(await codeOf(deps, text)).toBe('invalid_token')
    expect(JSON.stringify(deps.cache)).not.toContain(text.slice(-20))
  })

  it('is bounded', () => {
    const cache = new TokenCache(3)
    const identity = {
      kind: 'person',
      tenant: TenantId.parse('acme'),
      subject: 's',
      issuer: 'i',
      scopes: [],
      expires_at: START + 1_000,
    } as const
    for (let n = 0; n < 10; n += 1) cache.set(`h${n}`, { ...identity, scopes: [] }, START)
    expect(cache.size).toBe(3)
    expect(cache.get('h0', START)).toBe(null)
    expect(cache.get('h9', START)).not.toBe(null)
    expect(cache.get('h9', START + 1_000)).toBe(null)
  })
})

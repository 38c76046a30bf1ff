import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { Family, NodeId, PoolName, TenantId } from '../contract/ids.ts'
import { birthMetadata, metadataText } from '../iceberg/metadata.ts'
import type { Authenticated } from '../identity/identity.ts'
import { SCOPES, type Scope } from '../identity/scopes.ts'
import { toBase64Url } from '../identity/secrets.ts'
import { fakeBucket } from '../s3/fake-bucket.ts'
import { answerS3 } from '../s3/handler.ts'
import { SigningKeys } from '../s3/verify.ts'
import type { RestDeps } from './rest.ts'
import { restApp } from './rest.ts'

const SECRET = toBase64Url(new Uint8Array(32).fill(7))
const METADATA = '{"format-version":2,"current-snapshot-id":9007199254740993123,  "é":1}'
const tables: Record<string, Record<string, string>> = {
  acme: {
    'payments.daily_pnl': 's3://lake/t/acme/payments.daily_pnl/metadata/00004-a.metadata.json',
    'payments.other': 's3://lake/t/acme/payments.other/metadata/00001-b.metadata.json',
    'reports.broken': 's3://lake/t/globex/reports.secret/metadata/00001-c.metadata.json',
  },
  globex: { 'reports.secret': 's3://lake/t/globex/reports.secret/metadata/00001-c.metadata.json' },
}

/** Tokens here are `tenant:scope,scope`; what a real token must be is the identity folder's business. */
const authenticate = async (headers: Headers): Promise<Authenticated> => {
  const token = headers.get('authorization')?.slice('Bearer '.length) ?? ''
  if (token === '') return { ok: false, fault: { code: 'missing_token', detail: 'no token' } }
  if (token === 'bad') return { ok: false, fault: { code: 'invalid_token', detail: 'bad token' } }
  if (token === 'down') return { ok: false, fault: { code: 'unavailable', detail: 'no keys' } }
  const common = { subject: 's', issuer: 'i', expires_at: Number.MAX_SAFE_INTEGER }
  if (token === 'node') {
    const node = { kind: 'node', name: NodeId.parse('n'), pool: PoolName.parse('p'), tenants: ['*'], tasks: ['*'], ...common } as const
    return { ok: true, identity: { ...node, tenants: ['*'], tasks: ['*'] } }
  }
  const [tenant, scopes = ''] = token.split(':')
  const held: Scope[] = SCOPES.filter((scope) => scopes.split(',').includes(scope.replace(':', '.')))
  return { ok: true, identity: { kind: 'person', tenant: TenantId.parse(tenant), scopes: held, ...common } }
}

/** Near the clock by which the SDK signs, but standing still, at a whole second as tokens know them. */
const NOW = Math.floor(Date.now() / 1_000) * 1_000

const world = async () => {
  const bucket = fakeBucket()
  await bucket.put('t/acme/payments.daily_pnl/metadata/00004-a.metadata.json', METADATA)
  await bucket.put('t/acme/payments.daily_pnl/data/x.parquet', 'PAR1')
  await bucket.put('t/globex/reports.secret/metadata/00001-c.metadata.json', '{"secret":true}')
  const deps: RestDeps = {
    authenticate,
    families: async (tenant) => Object.keys(tables[tenant] ?? {}).map((family) => Family.parse(family)),
    pointer: async (tenant, family) => tables[tenant]?.[family] ?? null,
    bucket,
    secrets: SECRET,
    now: () => NOW,
  }
  const app = new Hono().route(
    '/iceberg/v1',
    restApp(() => deps),
  )
  const ask = async (path: string, token = 'acme:catalog.read', method = 'GET', more: Record<string, string> = {}) => {
    const headers: Record<string, string> = token === '' ? more : { authorization: `Bearer ${token}`, ...more }
    const response = await app.request(`http://127.0.0.1:8787/iceberg${path}`, { method, headers })
    const text = await response.text()
    return { status: response.status, text, headers: response.headers, json: text === '' ? null : JSON.parse(text) }
  }
  return { bucket, deps, ask }
}
const TABLE = '/v1/acme/namespaces/payments/tables/daily_pnl'

describe('the catalog', () => {
  it("gives the token's tenant as prefix, whatever warehouse is named", async () => {
    const { ask } = await world()
    for (const path of ['/v1/config', '/v1/config?warehouse=globex'])
      expect((await ask(path)).json).toMatchObject({
        defaults: {},
        overrides: { prefix: 'acme' },
        endpoints: expect.arrayContaining(['GET /v1/{prefix}/namespaces']),
      })
  })

  it('lists namespaces and tables', async () => {
    const { ask } = await world()
    expect((await ask('/v1/acme/namespaces')).json).toEqual({ namespaces: [['payments'], ['reports']] })
    expect((await ask('/v1/acme/namespaces?parent=payments')).json).toEqual({ namespaces: [] })
    expect((await ask('/v1/acme/namespaces?parent=none')).status).toBe(404)
    expect((await ask('/v1/acme/namespaces/payments')).json).toEqual({ namespace: ['payments'], properties: {} })
    expect((await ask('/v1/acme/namespaces/payments/tables')).json).toEqual({
      identifiers: [
        { namespace: ['payments'], name: 'daily_pnl' },
        { namespace: ['payments'], name: 'other' },
      ],
    })
    for (const path of ['/v1/acme/namespaces/payments', TABLE])
      expect(await ask(path, undefined, 'HEAD')).toMatchObject({ status: 204, text: '' })
  })

  it('loads a table with its metadata untouched and settings that are strings', async () => {
    const { ask } = await world()
    const { text, json, headers } = await ask(`${TABLE}?snapshots=all`)
    expect(text).toContain(`"metadata":${METADATA},`)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(json['metadata-location']).toBe(tables.acme?.['payments.daily_pnl'])
    const { config } = json
    expect(Object.values(config).every((value) => typeof value === 'string')).toBe(true)
    expect(config).toMatchObject({
      's3.endpoint': 'http://127.0.0.1:8787',
      's3.path-style-access': 'true',
      's3.region': 'us-east-1',
      'client.region': 'us-east-1',
      's3.access-key-id': expect.stringMatching(/^SC[0-9A-Z]{18}$/),
      'client.refresh-credentials-endpoint': 'v1/acme/namespaces/payments/tables/daily_pnl/credentials',
    })
    expect(json['storage-credentials']).toHaveLength(1)
    expect(json['storage-credentials'][0].prefix).toBe('s3://lake/t/acme/payments.daily_pnl/')
    expect(json['storage-credentials'][0].config).toMatchObject({ 's3.session-token': config['s3.session-token'] })
    expect(Number(config['s3.session-token-expires-at-ms'])).toBe(NOW + 3_600_000)
  })

  it('loads the named snapshots only where refs are asked for, every id with all its digits', async () => {
    const { ask, bucket } = await world()
    const snapshot = (id: bigint, sequence: number) => ({
      'snapshot-id': id,
      'sequence-number': sequence,
      'timestamp-ms': 5,
      'manifest-list': `s3://lake/${id}`,
      summary: { operation: 'append' },
    })
    const [first, last] = [9_007_199_254_740_993_121n, 9_007_199_254_740_993_123n]
    const born = birthMetadata('u', 's3://lake/t/acme/payments.daily_pnl', [{ id: 1, name: 'tenant_id', type: 'string' }], 3, 5)
    const whole = metadataText({
      ...born,
      'current-snapshot-id': last,
      snapshots: [snapshot(first, 1), snapshot(last, 2)],
      refs: { main: { 'snapshot-id': last, type: 'branch' } },
    })
    await bucket.put('t/acme/payments.daily_pnl/metadata/00004-a.metadata.json', whole)
    expect((await ask(TABLE)).text).toContain(whole)
    const { text } = await ask(`${TABLE}?snapshots=refs`)
    expect(text).not.toContain(String(first))
    expect(text.match(/"snapshot-id":9007199254740993123\b/g)).toHaveLength(2)
    expect(JSON.parse(text).metadata).toMatchObject({ schemas: born.schemas, 'partition-specs': born['partition-specs'] })
  })

  it('sends readers behind a proxy that ends TLS to its https address', async () => {
    const { ask } = await world()
    for (const [path, of] of [
      [TABLE, 'config'],
      [`${TABLE}/credentials`, 'storage-credentials'],
    ] as const) {
      const endpoints = async (more: Record<string, string>): Promise<string[]> =>
        [...JSON.stringify((await ask(path, undefined, 'GET', more)).json[of]).matchAll(/"s3.endpoint":"([^"]*)"/g)].map(
          ([, origin]) => origin ?? '',
        )
      expect(await endpoints({ 'x-forwarded-proto': 'https' })).toEqual(['https://127.0.0.1:8787'])
      for (const proto of ['http', 'ftp', '']) expect(await endpoints({ 'x-forwarded-proto': proto })).toEqual(['http://127.0.0.1:8787'])
    }
  })

  it('gives new credentials, and both kinds read the table and nothing beside it', async () => {
    const { ask, bucket } = await world()
    const fresh = (await ask(`${TABLE}/credentials`)).json
    expect(Object.keys(fresh)).toEqual(['storage-credentials'])
    for (const config of [(await ask(TABLE)).json.config, fresh['storage-credentials'][0].config]) {
      const client = new S3Client({
        endpoint: config['s3.endpoint'],
        region: config['s3.region'],
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: {
          accessKeyId: config['s3.access-key-id'],
          secretAccessKey: config['s3.secret-access-key'],
          sessionToken: config['s3.session-token'],
        },
        requestHandler: {
          handle: async (sent: { path: string; headers: Record<string, string>; query: Record<string, string> }) => {
            const url = `${config['s3.endpoint']}${sent.path}?${new URLSearchParams(sent.query)}`
            const response = await answerS3(new Request(url, { headers: sent.headers }), {
              bucket,
              secrets: SECRET,
              now: () => NOW,
              keys: new SigningKeys(),
              log: () => undefined,
            })
            return {
              response: { statusCode: response.status, headers: Object.fromEntries(response.headers), body: response.body ?? undefined },
            }
          },
        },
      })
      const get = (Key: string) => client.send(new GetObjectCommand({ Bucket: 'lake', Key }))
      expect(await (await get('t/acme/payments.daily_pnl/data/x.parquet')).Body?.transformToString()).toBe('PAR1')
      await expect(get('t/globex/reports.secret/metadata/00001-c.metadata.json')).rejects.toThrow(/Access Denied/)
      await expect(get('t/acme/payments.other/metadata/00001-b.metadata.json')).rejects.toThrow(/Access Denied/)
    }
  })
})

describe('another tenant', () => {
  it('answers in every endpoint exactly like one that does not exist', async () => {
    const { ask } = await world()
    const paths = ['', '/reports', '/reports/tables', '/reports/tables/secret', '/reports/tables/secret/credentials']
    for (const path of paths)
      for (const method of ['GET', 'HEAD']) {
        const foreign = await ask(`/v1/globex/namespaces${path}`, undefined, method)
        const unknown = await ask(`/v1/nobody/namespaces${path}`, undefined, method)
        expect([foreign.status, foreign.text], path).toEqual([404, unknown.text])
        expect(unknown.status).toBe(404)
        expect(foreign.text).not.toContain('lake')
      }
  })

  it('cannot be reached through the own prefix', async () => {
    const { ask } = await world()
    for (const path of [
      'reports/tables/secret',
      'payments/tables/nothing',
      '../globex/tables/x',
      'a.b/tables/c',
      'payments/tables/daily_pnl%2F..',
      'PAYMENTS/tables/daily_pnl',
      '%1F/tables/x',
    ])
      expect((await ask(`/v1/acme/namespaces/${path}`)).status, path).toBe(404)
  })

  it('stays unread even where a pointer led there', async () => {
    const { ask } = await world()
    const answer = await ask('/v1/acme/namespaces/reports/tables/broken')
    expect(answer.status).toBe(500)
    expect(answer.text).not.toMatch(/secret|globex/)
  })
})

describe('errors', () => {
  it('have the form of the Iceberg REST API', async () => {
    const { ask } = await world()
    expect((await ask('/v1/config', '')).json).toEqual({ error: { message: 'no token', type: 'NotAuthorizedException', code: 401 } })
    expect((await ask('/v1/config', '')).headers.get('www-authenticate')).toBe('Bearer')
    expect(await ask('/v1/config', 'bad')).toMatchObject({ status: 401 })
    expect(await ask('/v1/config', 'down')).toMatchObject({ status: 503 })
    expect((await ask('/v1/config', 'acme:jobs.read')).json).toMatchObject({ error: { type: 'ForbiddenException', code: 403 } })
    expect(await ask('/v1/config', 'node')).toMatchObject({ status: 403 })
    expect((await ask('/v1/nothing')).json).toMatchObject({ error: { type: 'NotFoundException', code: 404 } })
    expect((await ask('/v1/acme/namespaces/payments/tables/nothing')).json).toMatchObject({ error: { type: 'NoSuchTableException' } })
  })

  it('meet every attempt to write', async () => {
    const { ask } = await world()
    for (const method of ['POST', 'DELETE', 'PUT'])
      for (const path of [
        TABLE,
        '/v1/acme/namespaces',
        '/v1/acme/namespaces/payments/tables',
        '/v1/acme/transactions/commit',
        '/v1/oauth/tokens',
      ])
        expect((await ask(path, undefined, method)).json, `${method} ${path}`).toMatchObject({
          error: { type: 'ForbiddenException', code: 403 },
        })
  })
})

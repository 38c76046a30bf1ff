import { readdirSync, readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { Family, TenantId } from '../../edge/contract/ids.ts'
import type { Job } from '../../edge/contract/jobs.ts'
import { dataKey } from '../../edge/contract/keys.ts'
import { OPERATIONS } from '../../edge/http/openapi/document.ts'
import { eventually } from '../support/patience.ts'
import { type Client, client, JobPage, parsed, problemOf } from './support/client.ts'
import { type ForgedToken, forge } from './support/forge.ts'
import { startWorld, type World, writeTasks } from './support/world.ts'

const SHARED = "-- name: shared\n-- db: duckdb\nSELECT i AS n, 'row ' || i AS t FROM range(5000) r(i) ORDER BY n\n"
const PRIVATE = '-- name: private_plans\n-- db: duckdb\nSELECT 1 AS secret_figure\n'

let world: World
let alpha: Client
let beta: Client
/** Alpha's: one with files of its own, its slice, and one that was deleted. */
let job: Job
let deleted: Job
let hash: string
/** Every token that was sent during the tests. */
const sent: string[] = []

beforeAll(async () => {
  world = await startWorld({ node: false, tasks: { 'shared.sql': SHARED } })
  writeTasks(join(world.folder, 'private'), { 'shared.sql': SHARED, 'private.sql': PRIVATE })
  await Promise.all([
    world.system.startNode({ name: 'node-of-alpha', tenants: ['alpha'], folders: [join(world.folder, 'private')] }),
    world.system.startNode({ name: 'node-of-beta', tenants: ['beta'] }),
  ])
  await world.system.ready()
  alpha = await world.as('alpha')
  beta = await world.as('beta')
  sent.push(alpha.token, beta.token)
  await eventually(async () => expect((await alpha.ask('/v1/tasks/private_plans')).status).toBe(200))
  await eventually(async () => expect((await beta.ask('/v1/tasks/shared')).status).toBe(200))
  ;[job, deleted] = await Promise.all([alpha.run('shared'), alpha.run('private_plans')])
  hash = (await alpha.slice(job.id, { sql: 'SELECT sum(n) AS s FROM result' })).hash
  await Promise.all([alpha.published(job.id), alpha.published(deleted.id), beta.run('shared').then(({ id }) => beta.published(id))])
  expect((await alpha.ask(`/v1/jobs/${deleted.id}`, { method: 'DELETE' })).status).toBe(204)
})
afterAll(() => world.end())

/** Status, headers and body of an answer, without what names this request and the asked-for id. */
const essence = async (answer: Response, ...ids: string[]): Promise<unknown> => {
  const headers = Object.fromEntries([...answer.headers].filter(([name]) => name !== 'date' && name !== 'x-amz-request-id'))
  let body = await answer.text()
  for (const id of ids) body = body.replaceAll(id, '<id>')
  body = body.replace(/urn:scarab:request:[0-9a-f-]+/, '<request>').replace(/<RequestId>[^<]*/, '<RequestId>')
  return { status: answer.status, headers, body }
}

/** An id that no ledger gave out: of the same form, and of the same ledger as far as its tag goes. */
const unknownId = (id: string): string => `${id.slice(0, -6)}${id.slice(-6) === 'zzzzzz' ? 'yyyyyy' : 'zzzzzz'}`

const ENDPOINTS: [string, string, unknown?][] = [
  ['GET', '/v1/jobs/ID'],
  ['DELETE', '/v1/jobs/ID'],
  ['POST', '/v1/jobs/ID/cancel'],
  ['GET', '/v1/jobs/ID/events'],
  ['GET', '/v1/jobs/ID/events?until=published&after=1'],
  ['GET', '/v1/jobs/ID/events?until=pack&wait=5'],
  ['GET', '/v1/groups/gID/events?wait=5'],
  ['GET', '/v1/jobs/ID/result'],
  ...['parquet', 'csv', 'json', 'duckdb'].flatMap((form): [string, string][] => [
    ['GET', `/v1/jobs/ID/result.${form}`],
    ['HEAD', `/v1/jobs/ID/result.${form}`],
  ]),
  ['POST', '/v1/jobs/ID/slice', {}],
  ['POST', '/v1/jobs/ID/slice', { sql: 'SELECT 1 AS n FROM result' }],
  ['POST', '/v1/jobs/ID/slice', { select: ['nothing'] }],
  ['GET', '/v1/results/rID/slice/HASH'],
]

test('a foreign id answers exactly like an unknown one, in every endpoint', async () => {
  for (const one of [job, deleted])
    for (const [method, path, body] of ENDPOINTS) {
      const answer = async (id: string, slice: string): Promise<unknown> => {
        const response = await beta.ask(path.replace('ID', id).replace('HASH', slice), { method, ...(body === undefined ? {} : { body }) })
        expect(response.status, `${method} ${path}`).toBe(404)
        return essence(response, id, slice)
      }
      expect(await answer(one.id, hash), `${method} ${path}`).toEqual(await answer(unknownId(one.id), 'f'.repeat(32)))
    }
})

test('no list, name or number of one tenant shows in what another reads', async () => {
  const seen = await Promise.all(
    [
      '/v1/tasks',
      '/v1/nodes',
      '/v1/tables',
      '/v1/jobs?limit=500',
      '/v1/events?after=0&wait=0',
      '/v1/session',
      '/iceberg/v1/config',
      '/iceberg/v1/beta/namespaces',
    ].map(async (path) => (await beta.ask(path)).text()),
  )
  for (const text of seen)
    for (const foreign of ['alpha', 'private_plans', 'secret_figure', job.id, deleted.id]) expect(text).not.toContain(foreign)
  expect(await (await beta.ask('/v1/jobs?task=private_plans')).json()).toEqual({ items: [], next: null })
  expect(await (await alpha.ask('/v1/nodes')).json()).toMatchObject({ items: [{ node: 'node-of-alpha' }] })
})

test('a task that only another tenant’s node knows is an unknown task', async () => {
  for (const [method, path] of [
    ['GET', '/v1/tasks/NAME'],
    ['POST', '/v1/tasks/NAME/jobs'],
  ] as const)
    expect(await essence(await beta.ask(path.replace('NAME', 'private_plans'), { method }), 'private_plans')).toEqual(
      await essence(await beta.ask(path.replace('NAME', 'unknown_plans'), { method }), 'unknown_plans'),
    )
})

test('aliases and idempotency keys of two tenants never meet', async () => {
  const headers = { 'idempotency-key': 'one-key' }
  const mine = await alpha.submit('shared', { alias: 'one-name' }, headers)
  const theirs = await beta.submit('shared', { alias: 'one-name' }, headers)
  expect(theirs.id).not.toBe(mine.id)
  await Promise.all([alpha.ended(mine.id), beta.ended(theirs.id)])
  const { items } = await parsed(await beta.ask('/v1/jobs?alias=one-name'), JobPage)
  expect(items.map(({ id }) => id)).toEqual([theirs.id])
})

test('headers and parameters that name a tenant change nothing', async () => {
  for (const [path, headers] of [
    ['/v1/session', { 'x-scarab-tenant': 'alpha', 'x-tenant': 'alpha', 'x-scarab-bounds': '{"tenants":["*"]}' }],
    ['/v1/session?tenant=alpha&claim=alpha', {}],
  ] as const)
    expect(await (await beta.ask(path, { headers })).json()).toMatchObject({ tenant: 'beta' })
})

test('the catalog of another tenant answers like one that does not exist', async () => {
  for (const path of [
    'namespaces',
    'namespaces/reports',
    'namespaces/reports/tables',
    'namespaces/reports/tables/shared',
    'namespaces/reports/tables/shared/credentials',
  ]) {
    const [foreign, unknown] = await Promise.all(['alpha', 'nobody'].map((tenant) => beta.ask(`/iceberg/v1/${tenant}/${path}`)))
    expect(foreign?.status, path).toBe(404)
    if (foreign && unknown) expect(await essence(foreign, 'alpha'), path).toEqual(await essence(unknown, 'nobody'))
  }
  const [foreign, unknown] = await Promise.all(
    ['private_plans', 'unknown_plans'].map((table) => beta.ask(`/iceberg/v1/beta/namespaces/reports/tables/${table}`)),
  )
  if (foreign && unknown) expect(await essence(foreign, 'private_plans')).toEqual(await essence(unknown, 'unknown_plans'))
})

const Loaded = z.object({ config: z.record(z.string(), z.string()), 'metadata-location': z.string() })
const readerOf = async (who: Client, tenant: string, table: string): Promise<{ s3: S3Client; metadata: string }> => {
  const loaded = Loaded.parse(await (await who.ask(`/iceberg/v1/${tenant}/namespaces/reports/tables/${table}`)).json())
  const { config } = loaded
  const credentials = {
    accessKeyId: config['s3.access-key-id'] ?? '',
    secretAccessKey: config['s3.secret-access-key'] ?? '',
    sessionToken: config['s3.session-token'] ?? '',
  }
  sent.push(credentials.secretAccessKey, credentials.sessionToken)
  return {
    s3: new S3Client({ endpoint: who.origin, forcePathStyle: true, region: 'us-east-1', maxAttempts: 1, credentials }),
    metadata: loaded['metadata-location'].replace('s3://lake/', ''),
  }
}
const refusal = async (work: Promise<unknown>): Promise<number | undefined> =>
  work.then(
    () => undefined,
    (fault: { $metadata?: { httpStatusCode?: number } }) => fault.$metadata?.httpStatusCode,
  )

test('vended keys read their own table and nothing else, and write nothing', async () => {
  const { s3, metadata } = await readerOf(alpha, 'alpha', 'shared')
  const { metadata: foreign } = await readerOf(beta, 'beta', 'shared')
  const Bucket = 'lake'
  const own = (await alpha.result(job.id)).files[0]?.key ?? ''
  expect(own).toBe(dataKey(TenantId.parse('alpha'), Family.parse('reports.shared'), job.id, 1, 0))
  expect((await s3.send(new GetObjectCommand({ Bucket, Key: metadata }))).$metadata.httpStatusCode).toBe(200)
  expect((await s3.send(new HeadObjectCommand({ Bucket, Key: own }))).$metadata.httpStatusCode).toBe(200)
  const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 't/alpha/reports.shared/' }))
  expect(listed.Contents?.map(({ Key }) => Key)).toContain(own)

  const there = await alpha.ask(`/v1/jobs/${job.id}/result`)
  expect(there.status).toBe(200)
  for (const Key of [
    foreign,
    't/beta/reports.shared/data/none.parquet',
    't/alpha/reports.private_plans/metadata/x',
    't/alpha/_results/x.json',
    't/alpha2/reports.shared/x',
    't/alpha/reports.shared/../../beta/x',
    'x',
  ]) {
    expect(await refusal(s3.send(new GetObjectCommand({ Bucket, Key }))), Key).toBe(403)
    expect(await refusal(s3.send(new HeadObjectCommand({ Bucket, Key }))), Key).toBe(403)
  }
  for (const Prefix of ['', 't/', 't/alp', 't/beta/', 't/beta/reports.shared/', 't/alpha/'])
    expect(await refusal(s3.send(new ListObjectsV2Command({ Bucket, Prefix }))), Prefix).toBe(403)
  for (const Key of [own, metadata, 't/alpha/reports.shared/data/new.parquet', foreign]) {
    expect(await refusal(s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))), Key).toBe(403)
    expect(await refusal(s3.send(new DeleteObjectCommand({ Bucket, Key }))), Key).toBe(403)
    expect(await refusal(s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))), Key).toBe(403)
  }
  expect((await s3.send(new HeadObjectCommand({ Bucket, Key: own }))).$metadata.httpStatusCode).toBe(200)
  s3.destroy()
})

test('API tokens open no object, and vended keys no API', async () => {
  const { metadata } = await readerOf(alpha, 'alpha', 'shared')
  // As S3 answers what is no signature of its own (AuthorizationHeaderMalformed).
  expect((await alpha.ask(`/lake/${metadata}`)).status).toBe(400)
  const vended = sent.find((text) => text.startsWith('eyJ') && text !== alpha.token && text !== beta.token) ?? ''
  expect(await problemOf(await client(world.system.origin, vended).ask('/v1/jobs'))).toMatchObject({ code: 'invalid_token' })
})

/** One request of each operation of the API, with ids that would be found. */
const requests = (): { at: string; method: string; path: string; scope: string }[] =>
  OPERATIONS.flatMap(({ method, path, scope }) =>
    scope === null
      ? []
      : [
          {
            at: `${method} ${path}`,
            method: method.toUpperCase(),
            path: path.replace('{task}', 'shared').replace('{id}', job.id).replace('{result}', `r${job.id}`).replace('{hash}', hash),
            scope,
          },
        ],
  )

test('every operation demands a token and its own scope', async () => {
  const scopes = [...new Set(requests().map(({ scope }) => scope))]
  for (const { at, method, path, scope } of requests()) {
    const bare = await fetch(`${world.system.origin}${path}`, { method })
    expect(bare.headers.get('www-authenticate'), at).toBe('Bearer realm="scarab"')
    expect(await problemOf(bare), at).toMatchObject({ code: 'missing_token', status: 401 })
    const without = await world.as('alpha', scopes.filter((other) => other !== scope).join(' '))
    const refused = await without.ask(path, { method })
    expect(refused.headers.get('www-authenticate'), at).toContain('insufficient_scope')
    expect(await problemOf(refused), at).toMatchObject({ code: 'insufficient_scope', status: 403 })
  }
})

test('a node’s token opens no route of people, and a person’s no route of nodes', async () => {
  const node = client(world.system.origin, await world.system.nodeToken({ name: 'node-of-alpha', tenants: ['*'] }))
  sent.push(node.token)
  for (const { at, method, path } of requests()) {
    const answer = await node.ask(path, { method })
    expect(answer.status, at).toBe(403)
    expect(await problemOf(answer), at).toMatchObject({ code: 'insufficient_scope' })
  }
  expect((await node.ask('/iceberg/v1/config')).status).toBe(403)
  const link = { headers: { upgrade: 'websocket', 'sec-websocket-protocol': 'scarab.node.v1' } }
  expect(await problemOf(await alpha.ask('/node/v1/link'))).toMatchObject({ code: 'insufficient_scope' })
  expect(
    await problemOf(await alpha.ask('/node/v1/link', { headers: { 'sec-websocket-protocol': link.headers['sec-websocket-protocol'] } })),
  ).toMatchObject({ code: 'insufficient_scope' })
  for (const headers of [{}, { 'x-scarab-grant': alpha.token }, { 'x-scarab-grant': 'a.b' }] as Record<string, string>[])
    for (const method of ['GET', 'PUT'])
      expect(
        (await problemOf(await alpha.ask('/node/v1/objects', { method, headers, ...(method === 'PUT' ? { raw: 'x' } : {}) }))).status,
      ).toBe(401)
})

const FORGERIES: ForgedToken[] = [
  'expired',
  'not yet valid',
  'wrong audience',
  'both audiences',
  'alg none',
  'public key as secret',
  'other key',
  'other issuer',
  'no tenant',
  'no expiry',
  'wrong type',
  'cut signature',
  'changed tenant',
]
test.each(FORGERIES)('a token is refused everywhere: %s', async (kind) => {
  const token = await forge(world.system.state, kind)
  sent.push(token)
  const forged = client(world.system.origin, token)
  for (const path of ['/v1/jobs', `/v1/jobs/${job.id}/result.csv`, '/node/v1/link']) {
    const problem = await problemOf(await forged.ask(path))
    expect([problem.code, problem.status], path).toEqual(['invalid_token', 401])
    expect(JSON.stringify(problem)).not.toContain(token.slice(0, 20))
  }
  expect((await forged.ask('/iceberg/v1/config')).status).toBe(401)
})

test('a claim that is no tenant’s name gives no tenant', async () => {
  const forged = client(world.system.origin, await forge(world.system.state, 'bad tenant'))
  for (const path of ['/v1/jobs', `/v1/jobs/${job.id}`])
    expect(await problemOf(await forged.ask(path))).toMatchObject({ code: 'insufficient_scope', status: 403 })
  expect((await forged.ask('/iceberg/v1/config')).status).toBe(403)
})

const withHost = (path: string, host: string, method = 'GET'): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const { port } = new URL(world.system.origin)
    const asked = request(
      { host: '127.0.0.1', port, path, method, headers: { host, authorization: `Bearer ${alpha.token}` } },
      (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      },
    )
    asked.once('error', reject)
    asked.end()
  })

test('a host name that is not this machine’s is refused on every route', async () => {
  const paths = [
    ...requests(),
    ...[
      '/',
      '/index.html',
      '/assets/x.js',
      '/healthz',
      '/readyz',
      '/openapi.json',
      '/v1/session/config',
      '/node/v1/link',
      '/node/v1/objects',
      '/iceberg/v1/config',
      '/lake/t/alpha/x',
      '/nothing',
    ].map((path) => ({ path, method: 'GET' })),
  ]
  for (const { path, method } of paths) expect(await withHost(path, 'evil.example', method), `${method} ${path}`).toBe(421)
  for (const host of ['127.0.0.1.evil.example', 'localhost.evil.example', 'evil.example:8787', '127.0.0.2', '0.0.0.0'])
    expect(await withHost('/healthz', host), host).toBe(421)
  for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1', '[::1]:80']) expect(await withHost('/healthz', host), host).toBe(200)
})

/** Empty where the file is gone: databases and spools come and go while the system lives. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch (fault) {
    if (fault instanceof Error && 'code' in fault && fault.code === 'ENOENT') return ''
    throw fault
  }
}

test('no token and no secret lies in a log or in what the edge keeps', async () => {
  const own = new Set(['keys.json', 'dev-token', 'running.json', 'node-token', 'node-token-node-of-alpha', 'node-token-node-of-beta'])
  const keys = z
    .object({ secret: z.string(), jwk: z.looseObject({ d: z.string() }) })
    .parse(JSON.parse(readFileSync(join(world.system.state, 'keys.json'), 'utf8')))
  const nodeTokens = [...own]
    .filter((name) => name.startsWith('node-token-'))
    .map((name) => readFileSync(join(world.system.state, name), 'utf8').trim())
  const secrets = [keys.secret, keys.jwk.d, ...sent, ...nodeTokens, await world.system.token('alpha')].map(
    (text) => text.split('.').at(-1) ?? text,
  )
  const files = readdirSync(world.system.state, { recursive: true, encoding: 'utf8' }).filter(
    (name) => !own.has(name) && statSync(join(world.system.state, name), { throwIfNoEntry: false })?.isFile(),
  )
  expect(files.filter((name) => name.startsWith('logs/')).length).toBeGreaterThanOrEqual(2)
  for (const name of files) {
    const text = textOf(join(world.system.state, name))
    for (const secret of secrets) if (secret.length > 20) expect(text.includes(secret), name).toBe(false)
  }
  for (const name of own) if (name !== 'running.json') expect(statSync(join(world.system.state, name)).mode & 0o777, name).toBe(0o600)
})

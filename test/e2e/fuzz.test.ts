import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROBLEMS, ProblemDocument } from '../../edge/contract/problems.ts'
import { PERSON_SCOPES } from '../../edge/embedded/keys.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type Client, JobPage, parsed } from './support/client.ts'
import { Chance, mutate, mutateBody, type Wire } from './support/mutate.ts'
import { startWorld, type World } from './support/world.ts'

const MUTATIONS = 2_000
const AT_ONCE = 8
/** Another seed by `SCARAB_FUZZ_SEED`; a failure names the one it came from. */
const SEED = Number(process.env.SCARAB_FUZZ_SEED ?? 20_261_121)

const TASKS = {
  'add.sql':
    "-- name: add\n-- db: duckdb\n-- param: a int = 1\n-- param: b decimal = 2.5\n-- param: c date = 2024-01-01\n-- param: d timestamptz = null\n-- param: e text = 'x'\nSELECT $1::INT AS n, $2::DECIMAL(18,3) AS d, $3::DATE AS day, $4::TIMESTAMPTZ AS at, $5 AS t\n",
  'large.sql':
    "-- name: large\n-- db: duckdb\nSELECT i AS n, sha256(i::VARCHAR) AS t, i::DECIMAL(18,3) AS d, DATE '2024-01-01' + (i % 300)::INT AS day FROM range(20000) r(i) ORDER BY n\n",
}

let world: World
let seeds: Wire[]
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  const acme = await world.as('acme')
  seeds = await validRequests(acme, await world.as('acme', PERSON_SCOPES.replace('jobs:delete ', '')))
})
afterAll(() => world.end())

/** `sender` may not delete: a changed method must not take away what the other requests ask for. */
const validRequests = async (acme: Client, sender: Client): Promise<Wire[]> => {
  const [small, large, victim] = await Promise.all([acme.run('add'), acme.run('large'), acme.run('add')])
  await Promise.all([small, large, victim].map(({ id }) => acme.published(id)))
  const { hash } = await acme.slice(large.id, { where: [{ col: 'n', op: '<', value: 5 }] })
  await Promise.all(['csv', 'json'].map((form) => acme.made(`/v1/jobs/${large.id}/result.${form}`)))
  const authorization = `Bearer ${sender.token}`
  const get = (path: string, headers: Record<string, string> = {}): Wire => ({
    method: 'GET',
    path,
    headers: { authorization, ...headers },
    body: null,
  })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}): Wire => ({
    method: 'POST',
    path,
    headers: { authorization, 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  })
  const slice = {
    where: [
      { col: 'n', op: 'between', value: [5, '900'] },
      { col: 't', op: 'in', value: ['x', 'y'] },
      { col: 'd', op: '>=', value: '1.500' },
      { col: 'day', op: '!=', value: '2024-02-29' },
    ],
    order: ['-n', 'day'],
    limit: 10,
    offset: 0,
  }
  const groups = { group: ['day'], select: ['day', { fn: 'sum', col: 'd', as: 's' }, { fn: 'count' }], order: ['-s'], limit: 5 }
  const cursor = (await parsed(await acme.ask('/v1/jobs?limit=1'), JobPage)).next ?? ''
  return [
    get('/v1/tasks'),
    get('/v1/tasks/add'),
    post(
      '/v1/tasks/add/jobs',
      { args: { a: 1, b: '2.50', c: '2024-02-29', d: '2024-02-29T10:00:00Z', e: 'ü' }, alias: 'a:b', queue: 'q' },
      { 'idempotency-key': 'k', prefer: 'wait=1' },
    ),
    post('/v1/tasks/add/jobs', { args: [1, 2.5, null, null, ''], db: 'duckdb' }, { prefer: 'wait=1' }),
    get(`/v1/jobs?limit=2&cursor=${encodeURIComponent(cursor)}&state=succeeded&alias=a&task=add`),
    get(`/v1/jobs/${small.id}`, { prefer: 'wait=0' }),
    get(`/v1/jobs/${large.id}/events?after=1&until=published`, { 'last-event-id': '2' }),
    post(`/v1/jobs/${small.id}/cancel`, {}),
    { ...get(`/v1/jobs/${victim.id}`, { authorization: `Bearer ${acme.token}` }), method: 'DELETE' },
    get(`/v1/jobs/${small.id}/result`),
    ...[small, large].flatMap(({ id }) => [
      get(`/v1/jobs/${id}/result.parquet?file=0`, { range: 'bytes=0-99', 'if-range': '"x"' }),
      get(`/v1/jobs/${id}/result.csv`, { range: 'bytes=-5', 'if-none-match': '"x"' }),
      get(`/v1/jobs/${id}/result.json`, { range: 'bytes=5-' }),
      post(`/v1/jobs/${id}/slice?format=json`, slice),
      post(`/v1/jobs/${id}/slice`, groups, { accept: 'text/csv' }),
      post(`/v1/jobs/${id}/slice`, { sql: 'SELECT day, sum(n) AS s FROM result WHERE n < 100 GROUP BY day ORDER BY 1 LIMIT 5' }),
    ]),
    get(`/v1/results/r${large.id}/slice/${hash}?format=csv`),
    get('/v1/nodes'),
    get('/v1/tables'),
    get('/v1/session'),
    get('/v1/session/config'),
    get('/healthz'),
    get('/readyz?pool=default'),
    get('/openapi.json'),
    get('/iceberg/v1/config?warehouse=acme'),
    get('/iceberg/v1/acme/namespaces?parent=reports'),
    get('/iceberg/v1/acme/namespaces/reports/tables'),
    get('/iceberg/v1/acme/namespaces/reports/tables/add?snapshots=all'),
    get('/lake?list-type=2&prefix=t/acme/reports.add/'),
    get(`/lake/t/acme/reports.add/data/${small.id}/1/0.parquet`, { range: 'bytes=0-9' }),
    { ...post('/node/v1/objects', 'x', { 'x-scarab-grant': 'a.b.c' }), method: 'PUT' },
    get('/node/v1/link', {
      upgrade: 'websocket',
      connection: 'upgrade',
      'sec-websocket-protocol': 'scarab.node.v1',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }),
  ]
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}
/** A connection for each request: one that the other side closes just now, after a body it did not read, would fail the next one. */
const agent = new Agent({ keepAlive: false, maxSockets: AT_ONCE })

/** Node's own client: it sends what `fetch` would refuse or correct. */
const send = (wire: Wire): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(world.system.origin)
    const body = wire.method === 'GET' || wire.method === 'HEAD' ? null : wire.body
    const headers = { ...wire.headers, ...(body ? { 'content-length': String(body.length) } : {}) }
    const asked = request({ agent, hostname, port, method: wire.method, path: wire.path, headers, timeout: PATIENCE_MS }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.once('error', reject)
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.once('error', (fault: NodeJS.ErrnoException) => {
      // A body that is over the limit is refused before it has arrived.
      if (fault.code === 'EPIPE' || fault.code === 'ECONNRESET') resolve({ status: 0, headers: {}, body: fault.code })
      else reject(fault)
    })
    asked.end(body ?? undefined)
  })

const STACK = /\n\s+at |\.(ts|mjs|js):\d+:\d+|node_modules|worker\.mjs|SQLITE_|TypeError|ReferenceError|RangeError/

/** What is wrong with an answer, or null. */
const faultOf = ({ status, headers, body }: Answer, path: string): string | null => {
  // A pool without nodes is what this route is asked about.
  if (status === 503 && path.startsWith('/readyz')) return null
  if (status === 0 || status >= 500) return 'a server error'
  if (STACK.test(body) && String(headers['content-type']).includes('json')) return 'a stack trace'
  if (status < 400 || body === '') return null
  // workerd itself refuses what is no URI (RFC 3986), before our code sees it.
  if (status === 400 && body === 'invalid URI') return null
  const type = String(headers['content-type'])
  if (type === 'application/problem+json') {
    const problem = ProblemDocument.safeParse(JSON.parse(body))
    if (!problem.success) return 'a problem of another form'
    return PROBLEMS[problem.data.code].status === status ? null : 'a problem whose status is another'
  }
  // Iceberg's REST protocol and S3 have error forms of their own.
  if (type.startsWith('application/json') && /^\/+iceberg/.test(path))
    return typeof JSON.parse(body).error?.type === 'string' ? null : 'an error without its type'
  if (type.startsWith('application/xml') && path.includes('lake'))
    return /<Code>\w+<\/Code>/.test(body) ? null : 'an S3 error without a code'
  return `a ${type} where a problem belongs`
}

const show = ({ method, path, headers, body }: Wire): string =>
  `${method} ${path.slice(0, 300)} ${JSON.stringify({ ...headers, authorization: headers.authorization?.slice(0, 20) }).slice(0, 600)} ${body?.subarray(0, 300).toString('utf8') ?? ''}`

test('the requests that are mutated are all valid', async () => {
  for (const wire of seeds.filter(({ path }) => !path.startsWith('/lake') && !path.startsWith('/node') && !path.endsWith('/cancel'))) {
    const { status, body } = await send(wire)
    expect(status, `${wire.method} ${wire.path}: ${body.slice(0, 200)}`).toBeLessThan(400)
  }
})

test(`${MUTATIONS} mutations of valid requests find no server error, no stack trace, and only problems with codes`, async () => {
  console.info(`fuzz seed ${SEED}`)
  const chance = new Chance(SEED)
  const withBody = seeds.filter(({ body }) => body !== null)
  const plan = Array.from({ length: MUTATIONS }, (_, n) => {
    const seed = chance.of(n % 2 === 0 ? seeds : withBody)
    return { n, wire: n % 4 === 3 ? mutateBody(seed, chance) : mutate(seed, chance) }
  })
  const faults: string[] = []
  const seen = new Map<string, number>()
  const work = async (): Promise<void> => {
    for (let next = plan.shift(); next !== undefined; next = plan.shift()) {
      const { n, wire } = next
      const answer = await send(wire).catch((fault: unknown) => ({ status: 0, headers: {}, body: String(fault) }))
      seen.set(String(answer.status), (seen.get(String(answer.status)) ?? 0) + 1)
      const fault = faultOf(answer, wire.path)
      if (fault !== null)
        faults.push(`seed ${SEED}, mutation ${n}: ${fault}: ${answer.status} ${answer.body.slice(0, 400)}\n  ${show(wire)}`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  console.info(
    [...seen]
      .sort()
      .map(([status, count]) => `${status}: ${count}`)
      .join(', '),
  )
  expect(faults).toEqual([])
  // The mutations reach both what is refused and what is done.
  for (const status of ['200', '400', '404', '422']) expect(seen.get(status) ?? 0, status).toBeGreaterThan(20)
  expect((await send({ method: 'GET', path: '/readyz', headers: {}, body: null })).status).toBe(200)
}, 900_000)

import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { type Ask, type Client, client } from './support/client.ts'
import { misfits } from './support/json-schema.ts'
import { serverEvents } from './support/sse.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'one.sql': '-- name: one\n-- description: One row\n-- param: n int = 1\n-- db: duckdb\nSELECT $1 AS n, NULL::TEXT AS t\n',
  'large.sql': '-- name: large\n-- db: duckdb\nSELECT i, sha256(i::VARCHAR) AS t FROM range(40000) r(i)\n',
  'wrong.sql': "-- name: wrong\n-- db: duckdb\nSELECT error('on purpose') AS n\n",
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
}

const Content = z.record(z.string(), z.object({ schema: z.unknown().optional() }))
const Description = z.looseObject({
  paths: z.record(
    z.string(),
    z.record(z.string(), z.object({ responses: z.record(z.string(), z.object({ description: z.string(), content: Content.optional() })) })),
  ),
})
type Description = z.infer<typeof Description>

let world: World
let description: Description
/** Operations that were asked. */
const seen = new Set<string>()

beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  const answer = await fetch(`${world.system.origin}/openapi.json`)
  description = Description.parse(await answer.json())
})
afterAll(() => world?.end())

const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`)

/** What of an answer is not as the document says: its status, its type, its body. */
const deviations = async (method: string, path: string, answer: Response): Promise<string[]> => {
  const [pathname = ''] = path.split('?')
  // A path without names goes before one with, as the routes do.
  const [template] = Object.keys(description.paths)
    .filter((one) => patternOf(one).test(pathname))
    .sort((one, other) => one.split('{').length - other.split('{').length)
  const operation = template === undefined ? undefined : description.paths[template]?.[method === 'head' ? 'get' : method]
  const what = `${method} ${template ?? path}`
  if (!operation) return [`${what} is not described`]
  seen.add(what)
  const described = operation.responses[String(answer.status)]
  if (!described) return [`${what} answers ${answer.status}, which is not described: ${(await answer.text()).slice(0, 200)}`]
  const text = method === 'head' ? '' : await answer.clone().text()
  if (text === '') return []
  const [type = ''] = (answer.headers.get('content-type') ?? '').split(';')
  const content = described.content?.[type]
  if (!content) return [`${what} answers ${answer.status} as ${type}; described: ${Object.keys(described.content ?? {}).join(', ')}`]
  if (content.schema === undefined) return []
  const values = type === 'text/event-stream' ? await eventsOf(answer.clone()) : [JSON.parse(text)]
  return values.flatMap((value) => misfits(content.schema, value, description)).map((fault) => `${what} ${answer.status} ${fault}`)
}

/** Numbered events; a reset and progress have forms of their own. */
const eventsOf = async (answer: Response): Promise<unknown[]> => {
  const events: unknown[] = []
  for await (const { id, type, data } of serverEvents(answer)) if (id !== null && type !== 'reset') events.push(data)
  return events
}

const asked = async (by: Client, path: string, ask: Ask = {}): Promise<Response> => {
  const answer = await by.ask(path, ask)
  const method = (ask.method ?? (ask.body === undefined && ask.raw === undefined ? 'GET' : 'POST')).toLowerCase()
  expect(await deviations(method, path, answer)).toEqual([])
  return answer
}
const Named = z.looseObject({ id: z.string() })
const idOf = async (answer: Response): Promise<string> => Named.parse(await answer.json()).id

test('whatever the API answers is as its own description says', async () => {
  const acme = await world.as('acme')
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => asked(acme, path, { headers })
  const post = (path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Response> =>
    asked(acme, path, { body, headers })

  for (const path of ['/healthz', '/readyz', '/readyz?pool=none', '/openapi.json', '/v1/session/config', '/v1/session']) await get(path)
  for (const path of ['/v1/tasks', '/v1/tasks/one', '/v1/tasks/none', '/v1/nodes']) await get(path)

  const small = await idOf(await post('/v1/tasks/one/jobs', { alias: 'a', tags: ['t'] }, { prefer: 'wait=30', 'idempotency-key': 'k' }))
  await post('/v1/tasks/one/jobs', { alias: 'b' }, { 'idempotency-key': 'k' })
  const large = await idOf(await post('/v1/tasks/large/jobs'))
  const wrong = await idOf(await post('/v1/tasks/wrong/jobs'))
  const slow = await idOf(await post('/v1/tasks/slow/jobs', { alias: 'slow' }))
  await post('/v1/tasks/one/jobs', { alias: 'slow' })
  await post('/v1/tasks/one/jobs', { args: ['x'] })
  await post('/v1/tasks/one/jobs', { no: 1 })
  await asked(acme, '/v1/tasks/one/jobs', { raw: '{', headers: { 'content-type': 'application/json' } })
  await asked(acme, '/v1/tasks/one/jobs', { raw: '{}', headers: { 'content-type': 'text/plain' } })
  await asked(acme, '/v1/tasks/one/jobs', { raw: ' '.repeat(2 ** 21), headers: { 'content-type': 'application/json' } })
  await post('/v1/jobs/batch', { jobs: [{ task: 'one' }, { task: 'none' }] })
  await get(`/v1/jobs/${slow}/result`)
  await asked(acme, `/v1/jobs/${slow}`, { method: 'DELETE' })
  await post(`/v1/jobs/${slow}/cancel`)
  for (const id of [slow, wrong, large, small]) await acme.ended(id)
  await post(`/v1/jobs/${slow}/cancel`)
  await post(`/v1/jobs/${wrong}/retry`)
  for (const id of [slow, wrong, large, small, 'none']) {
    await get(`/v1/jobs/${id}`)
    await get(`/v1/jobs/${id}/events`)
    await get(`/v1/jobs/${id}/events?after=0&wait=0`)
    await get(`/v1/jobs/${id}/result`)
  }
  await get(`/v1/jobs/${small}/events?until=published`)
  await get(`/v1/jobs/${small}/events?after=x`)
  await get(`/v1/jobs/${small}/events?after=5&until=published`)
  for (const path of ['/v1/jobs', '/v1/jobs?limit=2&state=succeeded', '/v1/jobs?limit=0', '/v1/jobs?cursor=x', '/v1/dead', '/v1/ledger'])
    await get(path)
  await get('/v1/events?after=0&wait=0')
  // Of what does not change any more.
  for (const path of ['/v1/jobs?state=cancelled', `/v1/jobs/${slow}`]) {
    const tag = (await acme.ask(path)).headers.get('etag') ?? ''
    expect((await get(path, { 'if-none-match': tag })).status).toBe(304)
  }

  for (const id of [small, large])
    for (const form of ['parquet', 'csv', 'json']) {
      const path = `/v1/jobs/${id}/result.${form}`
      await get(path)
      await acme.made(path)
      await get(path)
      await asked(acme, path, { method: 'HEAD' })
      const whole = await get(path, { range: 'bytes=0-1' })
      expect(whole.status).toBe(206)
      await get(path, { 'if-none-match': whole.headers.get('etag') ?? '' })
      await get(path, { range: 'bytes=99999999-' })
      expect((await get(path, { 'if-match': '"other"' })).status).toBe(412)
    }
  await get(`/v1/jobs/${small}/result.duckdb`)
  await get(`/v1/jobs/${small}/result.parquet?file=x`)
  for (const id of [small, large]) {
    const slice = await post(`/v1/jobs/${id}/slice`, { limit: 1 })
    const address = slice.headers.get('content-location') ?? ''
    for (const headers of [{}, { accept: 'text/csv' }, { range: 'bytes=0-1' }, { 'if-none-match': slice.headers.get('etag') ?? '' }])
      await get(address, headers)
    await post(`/v1/jobs/${id}/slice`, { sql: 'SELECT nothing' })
    await post(`/v1/jobs/${id}/slice`, { limit: -1 })
    await post(`/v1/jobs/${id}/slice?format=csv`)
  }
  await get(`/v1/results/r${small}/slice/${'0'.repeat(32)}`)

  await asked(acme, '/v1/queues/q', { method: 'PUT', body: { priority: 1 } })
  for (const path of ['/v1/queues', '/v1/queues/q', '/v1/queues/none']) await get(path)
  await asked(acme, '/v1/queues/q', { method: 'DELETE' })
  const schedule = await idOf(await post('/v1/schedules', { task: 'one', cron: '0 0 1 1 *' }))
  await post('/v1/schedules', { task: 'one', cron: 'never' })
  for (const path of ['/v1/schedules', `/v1/schedules/${schedule}`, '/v1/schedules/none']) await get(path)
  await asked(acme, `/v1/schedules/${schedule}`, { method: 'DELETE' })
  await asked(acme, '/v1/schedules', { method: 'DELETE' })

  const steps = { a: { task: 'one' }, ok: { approval: { message: 'Well?' }, needs: ['a'] }, b: { task: 'one', needs: ['ok'] } }
  const group = await idOf(await post('/v1/groups', { steps, alias: 'g' }))
  await post('/v1/groups', { steps: { a: { task: 'none', needs: ['a'] } } })
  for (const path of ['/v1/groups', `/v1/groups/${group}`, '/v1/groups/none', `/v1/groups/${group}/events?after=0&wait=0`]) await get(path)
  await post(`/v1/groups/${group}/steps/b/approve`)
  await post(`/v1/groups/${group}/retry`)
  await post(`/v1/groups/${group}/cancel`)
  await get(`/v1/groups/${group}/events`)
  await asked(acme, `/v1/groups/${group}`, { method: 'DELETE' })
  await get(`/v1/groups/${group}`)

  await acme.published(small)
  await get('/v1/tables')
  await asked(acme, `/v1/jobs/${small}`, { method: 'DELETE' })
  for (const path of ['', '/result', '/result.csv', '/events']) expect((await get(`/v1/jobs/${small}${path}`)).status).toBe(410)

  const weak = await world.as('acme', 'tasks:read')
  const nobody = client(world.system.origin, 'nothing')
  for (const path of ['/v1/jobs', `/v1/jobs/${large}`, `/v1/jobs/${large}/result.csv`, '/v1/queues', '/v1/tables']) {
    expect((await asked(weak, path)).status).toBe(403)
    expect((await asked(nobody, path)).status).toBe(401)
  }
  // Whatever else is described is asked about what is not there.
  for (const [path, item] of Object.entries(description.paths))
    for (const method of Object.keys(item))
      if (!seen.has(`${method} ${path}`))
        await asked(acme, path.replace(/\{\w+\}/g, 'none'), { method: method.toUpperCase(), ...(method === 'get' ? {} : { body: {} }) })
}, 120_000)

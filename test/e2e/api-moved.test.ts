import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventPage, JobEvent } from '../../edge/contract/events.ts'
import { Job } from '../../edge/contract/jobs.ts'
import { type Client, JobPage, parsed, problemOf, WholeResult } from './support/client.ts'
import { type FaultServer, startFaultServer } from './support/faults.ts'
import { serverEvents } from './support/sse.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'quick.sql': '-- name: quick\n-- db: duckdb\n-- param: n int = 1\nSELECT $1::INT AS n\n',
  'text.sql': '-- name: text\n-- db: duckdb\n-- param: words text\nSELECT length($1::VARCHAR) AS n\n',
  'wrong.sql': "-- name: wrong\n-- db: duckdb\n-- param: words text\nSELECT error('no') AS n WHERE $1 <> ''\n",
}
const Page = eventPage(JobEvent)
const WORDS = 'word '.repeat(2_000)

let world: World
let client: Client
let faults: FaultServer
const jobs: Job[] = []
const events = new Map<string, unknown[]>()

/** Waits until all events so far have left the database with their jobs: a reader who knew only the first is told so. */
const moved = async (last: number): Promise<void> => {
  for (;;) {
    // Awaited from before the look on, so that no move falls between.
    const next = faults.reached('ledger.page-cut')
    const { reset } = await parsed(await client.ask('/v1/events?after=1&wait=0'), Page)
    if (reset && reset.oldest > last) return
    await next
  }
}
const lastNumber = async (): Promise<number> => Number((await parsed(await client.ask('/v1/events?wait=0'), Page)).next)

beforeAll(async () => {
  // Whatever has ended moves at once, but for what is still needed.
  const bindings = { SCARAB_HOUSEKEEPING: JSON.stringify({ most_jobs: 0, kept_jobs: 0, stay_seconds: 1, begin_seconds: 1 }) }
  faults = await startFaultServer()
  world = await startWorld({ tasks: TASKS, bindings: { ...bindings, SCARAB_FAULT_URL: faults.url } })
  client = await world.as('acme')
  for (let n = 0; n < 5; n++) jobs.push(await client.run('quick', [n]))
  jobs.push(await client.run('text', [WORDS]))
  for (const { id } of jobs) events.set(id, await client.published(id))
  await moved(await lastNumber())
})
afterAll(async () => {
  await world.end()
  faults.close()
})

const list = async (query = ''): Promise<string[]> => {
  const ids: string[] = []
  for (let cursor = ''; ; ) {
    const { items, next } = await parsed(await client.ask(`/v1/jobs?limit=2${query}${cursor}`), JobPage)
    ids.push(...items.map(({ id }) => id))
    if (next === null) return ids
    cursor = `&cursor=${next}`
  }
}

test('jobs that have moved are listed by the same cursor and filters, newer ones before them', async () => {
  const ids = jobs.map(({ id }) => id).reverse()
  expect(await list()).toEqual(ids)
  expect(await list('&task=quick')).toEqual(ids.slice(1))
  expect(await list('&state=failed')).toEqual([])
  const fresh = await client.submit('quick')
  expect(await list()).toEqual([fresh.id, ...ids])
  await client.published(fresh.id)
  jobs.push(fresh)
})

test('a job that has moved, its events and its result are as they were', async () => {
  for (const { id, args, task } of jobs.slice(0, 6)) {
    expect(await parsed(await client.ask(`/v1/jobs/${id}`), Job)).toMatchObject({
      id,
      task,
      args,
      state: 'succeeded',
      publication: 'published',
    })
    const seen: unknown[] = []
    for await (const event of serverEvents(await client.ask(`/v1/jobs/${id}/events?until=published`))) seen.push(event)
    expect(seen).toEqual(events.get(id))
    expect((await client.ask(`/v1/jobs/${id}/events?after=${seen.length}`)).status).toBe(204)
    const { rows } = await parsed(await client.ask(`/v1/jobs/${id}/result.json`), WholeResult)
    expect(rows).toEqual([[task === 'text' ? String(WORDS.length) : args[0]]])
    expect((await client.result(id)).job).toBe(id)
  }
})

test('arguments that are too many for lists are shown by the job itself', async () => {
  const { id } = jobs[5] ?? { id: '' }
  const { items } = await parsed(await client.ask('/v1/jobs?task=text'), JobPage)
  expect(items).toMatchObject([{ id, args: [], args_omitted: true }])
  const job = await parsed(await client.ask(`/v1/jobs/${id}`), Job)
  expect([job.args, job.args_omitted]).toEqual([[WORDS], undefined])
})

test('a job that has moved can be deleted, once, and is gone then', async () => {
  const [, { id } = { id: '' }] = jobs
  expect(await problemOf(await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' }))).toMatchObject({ code: 'job_finished' })
  expect((await client.ask(`/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204)
  for (const path of ['', '/events', '/result', '/result.json'])
    expect(await problemOf(await client.ask(`/v1/jobs/${id}${path}`)), path).toMatchObject({ code: 'gone' })
  expect(await problemOf(await client.ask(`/v1/jobs/${id}`, { method: 'DELETE' }))).toMatchObject({ code: 'gone' })
  expect(await list()).not.toContain(id)
  expect(await problemOf(await client.ask('/v1/jobs/01kdyak3se2ztwde0000012345'))).toMatchObject({ code: 'not_found' })
})

test('a dead letter with many arguments is run again with all of them', async () => {
  const { id } = await client.run('wrong', [WORDS])
  const answer = await client.ask(`/v1/jobs/${id}/retry`, { method: 'POST' })
  expect(answer.status).toBe(202)
  const again = await parsed(answer, Job)
  expect(again).toMatchObject({ task: 'wrong', args: [WORDS], retried_from: id })
  await client.ended(again.id)
})

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeadJob } from '../../edge/contract/dead.ts'
import { Job, page } from '../../edge/contract/jobs.ts'
import { LedgerFigures } from '../../edge/contract/ledger.ts'
import { Schedule } from '../../edge/contract/schedules.ts'
import type { SupervisedChild } from '../../edge/embedded/child.ts'
import { eventually } from '../support/patience.ts'
import { type Client, parsed, problemOf } from './support/client.ts'
import { startWorld, type World, writeTasks } from './support/world.ts'

const TASKS = {
  'time.sql': `
-- name: plain
-- db: duckdb
SELECT 7 AS n

-- name: broken
-- db: duckdb
-- param: text text = 'x'
SELECT $1::INT AS n

-- name: one_at_a_time
-- db: duckdb
-- conc: 1
SELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1

-- name: with_defaults
-- db: duckdb
-- param: n int
-- schedule: @daily Europe/Berlin missed=all
SELECT $1 AS n
`,
}

const MINUTELY = `
-- name: each_minute
-- db: duckdb
-- retries: 2
-- weight: 1
-- schedule: * * * * * Europe/Berlin overlap=queue
SELECT 1 AS n
`

let world: World
let node: SupervisedChild
let acme: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  // The token of this node names acme: the schedules of its files are for it, and for nobody else.
  writeTasks(join(world.folder, 'acme'), { 'minutely.sql': MINUTELY, 'time.sql': TASKS['time.sql'] })
  node = await world.system.startNode({ name: 'node-of-acme', tenants: ['acme'], folders: [join(world.folder, 'acme')] })
  acme = await world.as('acme')
})
afterAll(() => world.end())

const post = (path: string, body?: unknown, client = acme): Promise<Response> =>
  client.ask(path, { method: 'POST', ...(body === undefined ? {} : { body }) })
const jobOf = async (answer: Response): Promise<Job> => {
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
  return Job.parse(await answer.json())
}
const take = async (task: string, body: unknown = {}): Promise<Job> => jobOf(await post(`/v1/tasks/${task}/jobs`, body))
const show = async (id: string): Promise<Job> => jobOf(await acme.ask(`/v1/jobs/${id}`))
const until = (id: string, wanted: (now: Job) => boolean): Promise<Job> =>
  eventually(async () => {
    const now = await show(id)
    if (!wanted(now)) throw new Error(`${now.state} ${JSON.stringify(now.error)}`)
    return now
  })
const ended = (id: string): Promise<Job> => until(id, ({ finished_at }) => finished_at !== null)
const schedules = async (query = '', client = acme): Promise<Schedule[]> =>
  (await parsed(await client.ask(`/v1/schedules${query}`), page(Schedule))).items

describe('a job in time', () => {
  test('waits for its eta, is woken by a timer of its own, and the lateness is on record', async () => {
    const eta = new Date(Date.now() + 5_000).toISOString()
    const job = await take('plain', { eta: eta.replace('Z', '+00:00') })
    expect(job).toMatchObject({ state: 'scheduled', eta })
    // Nobody needs to come by: the ledger itself wakes, for this job or for something before it.
    const { next_timer_at } = await parsed(await acme.ask('/v1/ledger'), LedgerFigures)
    expect(Date.parse(next_timer_at ?? '')).toBeLessThanOrEqual(Date.parse(eta))
    const done = await ended(job.id)
    expect(done.state).toBe('succeeded')
    expect(Date.parse(done.started_at ?? '')).toBeGreaterThanOrEqual(Date.parse(eta))
    const { lateness } = await parsed(await acme.ask('/v1/ledger'), LedgerFigures)
    expect(lateness.due).toMatchObject({ fired: 1, max_ms: expect.any(Number) })
  })

  test('fails with `expired` when its ttl is over before it could begin, is a dead letter, and runs when it is asked for again', async () => {
    const busy = await take('one_at_a_time')
    await until(busy.id, ({ state }) => state === 'running')
    const waiting = await take('one_at_a_time', { ttl: '1s', tags: ['late'] })
    const dead = await ended(waiting.id)
    expect(dead).toMatchObject({ state: 'failed', error: { code: 'expired' }, tries: 0, expires_at: waiting.expires_at })
    expect(Date.parse(dead.finished_at ?? '')).toBeGreaterThanOrEqual(Date.parse(waiting.expires_at ?? ''))
    const letters = await parsed(await acme.ask('/v1/dead?task=one_at_a_time'), page(DeadJob))
    expect(letters.items).toMatchObject([{ id: waiting.id, dead: { class: 'expired' }, links: { retry: `/v1/jobs/${waiting.id}/retry` } }])
    expect((await post(`/v1/jobs/${busy.id}/cancel`)).ok).toBe(true)
    await ended(busy.id)
    const again = await post(`/v1/jobs/${waiting.id}/retry`)
    expect(again.status).toBe(202)
    const job = await jobOf(again)
    expect(job).toMatchObject({ retried_from: waiting.id, tags: ['late'] })
    await until(job.id, ({ state }) => state === 'running')
    await post(`/v1/jobs/${job.id}/cancel`)
  })
})

describe('dead letters', () => {
  test('tell what failed and what helps; running one again makes a new job, once', async () => {
    const job = await take('broken', { retries: 5 })
    expect(await ended(job.id)).toMatchObject({ state: 'failed', tries: 1, max_tries: 6 })
    const { items } = await parsed(await acme.ask('/v1/dead?task=broken'), page(DeadJob))
    expect(items).toMatchObject([{ id: job.id, dead: { class: 'sql' }, tries: 1, error: { code: 'invalid_value' } }])
    const again = await post(`/v1/jobs/${job.id}/retry`)
    expect(again.status).toBe(202)
    const retried = await jobOf(again)
    expect(again.headers.get('location')).toBe(`/v1/jobs/${retried.id}`)
    const twice = await post(`/v1/jobs/${job.id}/retry`)
    expect(await problemOf(twice)).toMatchObject({ status: 409, code: 'not_retryable', links: { retried_as: `/v1/jobs/${retried.id}` } })
    expect(await show(job.id)).toMatchObject({ state: 'failed', retried_as: retried.id })
  })

  test('are those of the tenant alone, and need the right to submit', async () => {
    const job = await take('broken')
    await ended(job.id)
    const globex = await world.as('globex')
    expect((await parsed(await globex.ask('/v1/dead'), page(DeadJob))).items).toEqual([])
    expect(await problemOf(await post(`/v1/jobs/${job.id}/retry`, undefined, globex))).toMatchObject({ code: 'not_found' })
    const reader = await world.as('acme', 'jobs:read')
    expect(await problemOf(await post(`/v1/jobs/${job.id}/retry`, undefined, reader))).toMatchObject({ code: 'insufficient_scope' })
    const done = await take('plain')
    await ended(done.id)
    expect(await problemOf(await post(`/v1/jobs/${done.id}/retry`))).toMatchObject({ status: 409, code: 'not_retryable' })
  })
})

describe('schedules of the API', () => {
  test('are kept, shown, listed and deleted; the same one twice is one', async () => {
    const body = { task: 'plain', cron: '0 6 29 feb *', tz: 'Asia/Kolkata', overlap: 'queue', tags: ['morning'] }
    const made = await post('/v1/schedules', body)
    expect(made.status).toBe(201)
    const schedule = Schedule.parse(await made.json())
    expect(made.headers.get('location')).toBe(`/v1/schedules/${schedule.id}`)
    expect(schedule).toMatchObject({ ...body, missed: 'latest', source: 'api', skipped: 0, last_job: null })
    expect(schedule.next_at).toMatch(/-02-29T00:30:00.000Z$/)
    const again = await post('/v1/schedules', body)
    expect([again.status, Schedule.parse(await again.json()).id]).toEqual([200, schedule.id])
    expect(await schedules('?task=plain')).toEqual([schedule])
    expect(await parsed(await acme.ask(`/v1/schedules/${schedule.id}`), Schedule)).toEqual(schedule)
    const globex = await world.as('globex')
    expect(await problemOf(await globex.ask(`/v1/schedules/${schedule.id}`))).toMatchObject({ code: 'not_found' })
    expect((await globex.ask(`/v1/schedules/${schedule.id}`, { method: 'DELETE' })).status).toBe(404)
    const reader = await world.as('acme', 'jobs:read jobs:submit')
    expect(await problemOf(await reader.ask(`/v1/schedules/${schedule.id}`, { method: 'DELETE' }))).toMatchObject({
      code: 'insufficient_scope',
    })
    expect((await acme.ask(`/v1/schedules?id=${schedule.id}`, { method: 'DELETE' })).status).toBe(204)
    expect(await problemOf(await acme.ask(`/v1/schedules/${schedule.id}`))).toMatchObject({ code: 'not_found' })
    expect(await problemOf(await acme.ask('/v1/schedules', { method: 'DELETE' }))).toMatchObject({ code: 'invalid_parameter' })
  })

  test.each([
    [{ task: 'plain', cron: '0 25 * * *' }, 'invalid_schedule', 'hour: "25"'],
    [{ task: 'plain', cron: '0 0 30 2 *' }, 'invalid_schedule', 'never comes'],
    [{ task: 'plain', cron: '@daily', tz: 'Mars/Base' }, 'invalid_schedule', 'Mars/Base'],
    [{ task: 'plain' }, 'invalid_schedule', 'no schedule line'],
    [{ task: 'nothing', cron: '@daily' }, 'unknown_task', 'nothing'],
    [{ task: 'with_defaults', cron: '@daily' }, 'invalid_arguments', '"n"'],
    [{ task: 'with_defaults', cron: '@daily', args: { n: 'x' } }, 'invalid_arguments', '"n"'],
    [{ task: 'plain', cron: '@daily', db: 'other' }, 'invalid_arguments', 'other'],
    [{ task: 'plain', cron: '@daily', missed: 'never' }, 'invalid_body', 'missed'],
    [{ task: 'plain', cron: '@daily', alias: 'a' }, 'invalid_body', 'alias'],
  ])('%j is refused', async (body, code, words) => {
    const problem = await problemOf(await post('/v1/schedules', body))
    expect(problem).toMatchObject({ code })
    expect(problem.detail).toContain(words)
  })

  test("take times, zone and policies from the task's line where they say none", async () => {
    const made = Schedule.parse(await (await post('/v1/schedules', { task: 'with_defaults', args: [3] })).json())
    expect(made).toMatchObject({ cron: '@daily', tz: 'Europe/Berlin', missed: 'all', overlap: 'skip', args: [3] })
    const own = Schedule.parse(await (await post('/v1/schedules', { task: 'with_defaults', cron: '@hourly', args: [3] })).json())
    expect(own).toMatchObject({ cron: '@hourly', tz: 'UTC', missed: 'all' })
    for (const { id } of [made, own]) expect((await acme.ask(`/v1/schedules/${id}`, { method: 'DELETE' })).status).toBe(204)
  })

  test('are listed by pages', async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(
        async (hour) => Schedule.parse(await (await post('/v1/schedules', { task: 'plain', cron: `0 ${hour} * * *` })).json()).id,
      ),
    )
    const first = await parsed(await acme.ask('/v1/schedules?task=plain&limit=2'), page(Schedule))
    const second = await parsed(await acme.ask(`/v1/schedules?task=plain&limit=2&cursor=${first.next}`), page(Schedule))
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids.sort().reverse())
    expect(second.next).toBeNull()
    expect(await problemOf(await acme.ask('/v1/schedules?cursor=abc'))).toMatchObject({ code: 'invalid_cursor' })
    for (const id of ids) await acme.ask(`/v1/schedules/${id}`, { method: 'DELETE' })
  })
})

describe('a schedule', () => {
  const change = (id: string, method: 'PUT' | 'PATCH', body: unknown, client = acme): Promise<Response> =>
    client.ask(`/v1/schedules/${id}`, { method, body })

  test('can be changed in part or whole, and paused', async () => {
    const made = Schedule.parse(
      await (await post('/v1/schedules', { task: 'with_defaults', cron: '@hourly', args: [3], tags: ['a'] })).json(),
    )
    const { id } = made
    const paused = await parsed(await change(id, 'PATCH', { paused: true }), Schedule)
    expect(paused).toEqual({ ...made, paused: true, next_at: null })
    const moved = await parsed(await change(id, 'PATCH', { cron: '0 6 * * mon', tz: 'Europe/Berlin', overlap: 'queue' }), Schedule)
    expect(moved).toEqual({ ...paused, cron: '0 6 * * mon', tz: 'Europe/Berlin', overlap: 'queue' })
    const whole = await parsed(await change(id, 'PUT', { cron: '@daily', args: [4] }), Schedule)
    expect(whole).toMatchObject({ id, cron: '@daily', tz: 'UTC', overlap: 'skip', args: [4], paused: false })
    expect([whole.tags, whole.next_at]).toEqual([undefined, expect.stringMatching(/T00:00:00.000Z$/)])
    expect(await parsed(await acme.ask(`/v1/schedules/${id}`), Schedule)).toEqual(whole)

    const [globex, reader] = [await world.as('globex'), await world.as('acme', 'jobs:read jobs:submit')]
    const refused = async (...asked: Parameters<typeof change>): Promise<unknown> => (await problemOf(await change(...asked))).code
    expect(await refused(id, 'PATCH', { cron: '0 0 30 2 *' })).toBe('invalid_schedule')
    expect(await refused(id, 'PATCH', { tz: 'Mars/Base' })).toBe('invalid_schedule')
    expect(await refused(id, 'PATCH', { args: ['no number'] })).toBe('invalid_arguments')
    expect(await refused(id, 'PATCH', { nonsense: 1 })).toBe('invalid_body')
    expect(await refused(id, 'PUT', { task: 'plain', cron: '@daily' })).toBe('invalid_schedule')
    expect(await refused(id, 'PATCH', { paused: true }, globex)).toBe('not_found')
    expect(await refused(id, 'PATCH', { paused: true }, reader)).toBe('insufficient_scope')
    expect(await parsed(await acme.ask(`/v1/schedules/${id}`), Schedule)).toEqual(whole)
    expect((await acme.ask(`/v1/schedules/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect(await refused(id, 'PATCH', { paused: true })).toBe('not_found')
  })
})

describe('schedules of files', () => {
  test('run for the tenants that the token names, on the minute, and cannot be deleted from outside', async () => {
    const [schedule, ...others] = await eventually(async () => {
      const found = await schedules()
      if (found.length === 0) throw new Error('not yet told')
      return found
    })
    // The line of `with_defaults` alone starts nothing: its parameter has no default.
    expect(others).toEqual([])
    expect(schedule).toMatchObject({ task: 'each_minute', source: 'file', cron: '* * * * *', tz: 'Europe/Berlin', overlap: 'queue' })
    expect(await problemOf(await acme.ask(`/v1/schedules/${schedule?.id}`, { method: 'DELETE' }))).toMatchObject({
      code: 'schedule_of_file',
    })
    expect(await schedules('', await world.as('initech'))).toEqual([])
    // A minute and whatever the machine needs.
    const run = await eventually(async () => {
      const [now] = await schedules()
      if (!now?.last_job) throw new Error('not yet due')
      return now
    })
    const job = await ended(run.last_job ?? '')
    expect(job).toMatchObject({ task: 'each_minute', state: 'succeeded', schedule: run.id, eta: run.last_at, max_tries: 3 })
    expect(run.last_at).toMatch(/:00\.000Z$/)
    expect(Date.parse(job.created_at)).toBeGreaterThanOrEqual(Date.parse(run.last_at ?? ''))
    const { lateness } = await parsed(await acme.ask('/v1/ledger'), LedgerFigures)
    expect(lateness.schedule.fired).toBeGreaterThan(0)
    // The node comes back without the line.
    await node.stop(1)
    writeTasks(join(world.folder, 'acme'), { 'minutely.sql': MINUTELY.replace(/^-- schedule.*$/m, '') })
    await world.system.startNode({ name: 'node-of-acme', tenants: ['acme'], folders: [join(world.folder, 'acme')] })
    await eventually(async () => expect(await schedules()).toEqual([]))
  }, 600_000)
})

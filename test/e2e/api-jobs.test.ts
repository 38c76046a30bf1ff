import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { BatchAnswer, isTerminal, Job } from '../../edge/contract/jobs.ts'
import { TaskInfo } from '../../edge/contract/tasks.ts'
import { eventually } from '../support/patience.ts'
import { type Client, JobPage, parsed, problemOf, TaskPage } from './support/client.ts'
import { eventOf } from './support/follow.ts'
import { startWorld, type World, writeTasks } from './support/world.ts'

const TASKS = {
  'add.sql': `-- name: add
-- description: Two numbers
-- db: duckdb
-- param: a int
-- param: b int = 2
-- param: note text = 'none'
SELECT $1::INT + $2::INT AS total, $3 AS note
`,
  'bare.sql': '-- name: bare\n-- db: duckdb\nSELECT $1::BIGINT AS first, $2::VARCHAR AS second\n',
  'odd.sql': '-- name: odd name/with slash & ümlaut\n-- db: duckdb\nSELECT 1 AS one\n',
  // Longer than any test, unless somebody stops it.
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
  'broken.sql': '-- name: broken\n-- db: duckdb\n-- param: text text\nSELECT $1::INT AS n\n',
}

let world: World
let acme: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
})
afterAll(() => world.end())

const submit = (task: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  acme.ask(`/v1/tasks/${task}/jobs`, { body, headers })
const jobOf = async (answer: Response): Promise<Job> => Job.parse(await answer.json())

test('tasks are listed with everything but their statement, which has a scope of its own', async () => {
  const { items, next } = await parsed(await acme.ask('/v1/tasks'), TaskPage)
  expect(next).toBeNull()
  expect(items.map(({ name }) => name).sort()).toEqual(['add', 'bare', 'broken', 'odd name/with slash & ümlaut', 'slow'])
  const add = items.find(({ name }) => name === 'add')
  expect(add).toMatchObject({
    description: 'Two numbers',
    family: 'reports.add',
    available: true,
    notice: null,
    arity: 3,
    columns: [
      { name: 'total', type: 'int' },
      { name: 'note', type: 'string' },
    ],
    params: [
      { name: 'a', type: 'int' },
      { name: 'b', type: 'int', default: 2 },
      { name: 'note', type: 'text', default: 'none' },
    ],
  })
  expect(add?.sql).toContain('SELECT $1::INT')
  const reader = await world.as('acme', 'tasks:read')
  const shown = await parsed(await reader.ask('/v1/tasks'), TaskPage)
  expect(shown.items.some((item) => 'sql' in item)).toBe(false)
  expect('sql' in (await parsed(await reader.ask('/v1/tasks/add'), TaskInfo))).toBe(false)
})

test('a task is addressed by its name, whatever characters it has, and answers 404 where there is none', async () => {
  const path = encodeURIComponent('odd name/with slash & ümlaut')
  expect(await (await acme.ask(`/v1/tasks/${path}`)).json()).toMatchObject({ name: 'odd name/with slash & ümlaut' })
  expect(await (await submit(path, {}, { prefer: 'wait=30' })).json()).toMatchObject({ state: 'succeeded' })
  for (const name of ['none', '%00', '%0a', 'x'.repeat(300)]) {
    expect(await problemOf(await acme.ask(`/v1/tasks/${name}`)), name).toMatchObject({ code: 'unknown_task' })
    expect(await problemOf(await submit(name, {})), name).toMatchObject({ code: 'unknown_task' })
  }
})

test('a submit answers 202 with the job and its place', async () => {
  const answer = await submit('add', { args: [1], alias: 'one:two_three-4', queue: 'night' })
  expect(answer.status).toBe(202)
  expect(answer.headers.has('preference-applied')).toBe(false)
  const job = await jobOf(answer)
  expect(answer.headers.get('location')).toBe(`/v1/jobs/${job.id}`)
  expect(job).toMatchObject({ alias: 'one:two_three-4', task: 'add', queue: 'night', args: [1, 2, 'none'], error: null, cancel: null })
  expect(['waiting', 'leased', 'running']).toContain(job.state)
  expect(job.links).toMatchObject({ self: `/v1/jobs/${job.id}`, events: `/v1/jobs/${job.id}/events` })
  const ended = await acme.ended(job.id)
  expect(ended).toMatchObject({ state: 'succeeded', attempt: 1, rows: 1, phase: null, progress: null, result: { id: `r${job.id}` } })
  expect(ended.finished_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('Prefer: wait answers 200 with the ended job, 202 with the one that has not, and says what it applied', async () => {
  const quick = await submit('add', { args: [1] }, { prefer: 'wait=29' })
  expect([quick.status, quick.headers.get('preference-applied')]).toEqual([200, 'wait=29'])
  expect(await jobOf(quick)).toMatchObject({ state: 'succeeded' })
  const slow = await submit('slow', {}, { prefer: 'respond-async, wait=1' })
  expect([slow.status, slow.headers.get('preference-applied')]).toEqual([202, 'wait=1'])
  const job = await jobOf(slow)
  expect(isTerminal(job.state)).toBe(false)
  const long = await submit('add', { args: [1] }, { prefer: 'wait=999' })
  expect(long.headers.get('preference-applied')).toBe('wait=30')
  await eventOf(acme, job.id, ({ state }) => state === 'running')
  const watched = acme.ask(`/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } })
  expect((await acme.ask(`/v1/jobs/${job.id}/cancel`, { method: 'POST' })).status).toBe(202)
  expect(await jobOf(await watched)).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed' } })
  expect(await problemOf(await submit('add', { args: [1] }, { prefer: 'wait=soon' }))).toMatchObject({ code: 'invalid_header' })
})

test('arguments come in order or by name, defaults fill in, and wrong ones are refused before anything is queued', async () => {
  const args = async (task: string, given: unknown): Promise<unknown> => (await jobOf(await submit(task, { args: given }))).args
  expect(await args('add', [5, 6, 'x'])).toEqual([5, 6, 'x'])
  expect(await args('add', { note: '', a: 7 })).toEqual([7, 2, ''])
  expect(await args('bare', ['9007199254740993', null])).toEqual(['9007199254740993', null])
  const refused: [string, unknown, RegExp][] = [
    ['add', undefined, /parameter "a" \(int\)/],
    ['add', [1, 2, 'x', 4], /takes 3 arguments/],
    ['add', { a: 1, c: 2 }, /no parameter "c"; it has a, b, note/],
    ['add', ['one'], /whole number from -2147483648/],
    ['add', [2147483648], /whole number/],
    ['add', [1.5], /whole number/],
    ['bare', [1], /takes 2 arguments, 1 came/],
    ['bare', { first: 1 }, /no named parameters/],
  ]
  for (const [task, given, detail] of refused) {
    const problem = await problemOf(await submit(task, { args: given }))
    expect(problem.code).toBe('invalid_arguments')
    expect(problem.detail).toMatch(detail)
  }
})

test('a job whose query fails has failed with the engine’s words and leaves no result', async () => {
  const job = await acme.run('broken', ['no number'])
  expect(job).toMatchObject({ state: 'failed', result: null, publication: 'none', tries: 1 })
  expect(job.error?.message).toMatch(/no number/)
  expect(await problemOf(await acme.ask(`/v1/jobs/${job.id}/result`))).toMatchObject({ code: 'no_result' })
})

test('an Idempotency-Key answers the same request with the same job, and refuses another', async () => {
  const headers = { 'idempotency-key': '"8e03978e-40d5-43e8-bc93-6894a57f9324"' }
  const first = await jobOf(await submit('add', { args: { a: 1, b: 3 } }, headers))
  const again = await submit('add', { args: { b: 3, a: 1 } }, headers)
  expect(again.status).toBe(202)
  expect((await jobOf(again)).id).toBe(first.id)
  expect(await problemOf(await submit('add', { args: [2] }, headers))).toMatchObject({ code: 'idempotency_mismatch', status: 422 })
  const other = await world.as('other')
  const theirs = await jobOf(await other.ask('/v1/tasks/add/jobs', { body: { args: [2] }, headers }))
  expect(theirs.id).not.toBe(first.id)
  expect(await problemOf(await submit('add', { args: [2] }, { 'idempotency-key': 'a b' }))).toMatchObject({ code: 'invalid_header' })
})

test('each job of a batch is checked and answered by itself, in order', async () => {
  const jobs = [
    { task: 'add', args: [40] },
    { task: 'add', args: ['x'] },
    { task: 'add', args: [1], ttl: 0 },
    { task: 'none' },
    7,
    { task: 'add', args: ['40'] },
  ]
  const answer = await acme.ask('/v1/jobs/batch', { body: { jobs } })
  expect(answer.status).toBe(200)
  const { items } = BatchAnswer.parse(await answer.json())
  expect(items.map(({ status }) => status)).toEqual([202, 422, 400, 404, 400, 202])
  expect(items[2]).toMatchObject({ problem: { code: 'invalid_body', detail: expect.stringMatching(/^The job 2: \/ttl: /) } })
  const [first, last] = [items[0], items[5]].map((item) => (item && 'job' in item ? item.job : null))
  // Its argument says the same in other words.
  expect(last).toMatchObject({ args: [40, 2, 'none'], coalesced_with: first?.id })
  expect(await problemOf(await acme.ask('/v1/jobs/batch', { body: { jobs: [] } }))).toMatchObject({ code: 'invalid_body' })
})

test('requests that arrive together under one key are one job', async () => {
  const headers = { 'idempotency-key': 'together' }
  const answers = await Promise.all(Array.from({ length: 40 }, () => submit('add', { args: [4] }, headers)))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
  expect(new Set((await Promise.all(answers.map(jobOf))).map(({ id }) => id)).size).toBe(1)
})

test('a live alias answers the same request with its job and another with 409; afterwards it is free', async () => {
  const live = await acme.submit('slow', { alias: 'nightly' })
  expect((await acme.submit('slow', { alias: 'nightly' })).id).toBe(live.id)
  expect(await problemOf(await submit('add', { args: [1], alias: 'nightly' }))).toMatchObject({ code: 'alias_in_use', status: 409 })
  expect(await problemOf(await submit('slow', { alias: 'nightly', fresh: true }))).toMatchObject({ code: 'alias_in_use', status: 409 })
  await acme.ask(`/v1/jobs/${live.id}/cancel`, { method: 'POST' })
  await acme.ended(live.id)
  const next = await acme.submit('add', { args: [1], alias: 'nightly' })
  expect(next.id).not.toBe(live.id)
  const found = await parsed(await acme.ask('/v1/jobs?alias=nightly'), JobPage)
  expect(found.items.map(({ id }) => id)).toEqual([next.id, live.id])
})

test('jobs are listed newest first in pages that a later submit does not shift', async () => {
  const page = await world.as('pages')
  const ids: string[] = []
  for (let n = 0; n < 7; n += 1) ids.unshift((await page.submit('add', { args: [n] })).id)
  const first = await parsed(await page.ask('/v1/jobs?limit=3'), JobPage)
  await page.submit('add', { args: [99] })
  const second = await parsed(await page.ask(`/v1/jobs?limit=3&cursor=${encodeURIComponent(first.next ?? '')}`), JobPage)
  const third = await parsed(await page.ask(`/v1/jobs?limit=3&cursor=${encodeURIComponent(second.next ?? '')}`), JobPage)
  expect([first, second, third].map(({ items }) => items.length)).toEqual([3, 3, 1])
  expect([first, second, third].flatMap(({ items }) => items.map(({ id }) => id))).toEqual(ids)
  expect(third.next).toBeNull()
  for (const query of ['limit=0', 'limit=501', 'limit=x', 'state=none', 'alias=a%20b'])
    expect(await problemOf(await page.ask(`/v1/jobs?${query}`)), query).toMatchObject({ code: 'invalid_parameter' })
  expect(await problemOf(await page.ask('/v1/jobs?cursor=abc'))).toMatchObject({ code: 'invalid_cursor' })
  for (const id of ids) await page.ended(id)
  const done = await parsed(await page.ask('/v1/jobs?state=succeeded&task=add&limit=500'), JobPage)
  expect(done.items.length).toBeGreaterThanOrEqual(7)
})

test('cancel stops a running statement, says what was confirmed, and is refused for an ended job', async () => {
  const running = await acme.submit('slow')
  await eventOf(acme, running.id, ({ state }) => state === 'running')
  const answer = await acme.ask(`/v1/jobs/${running.id}/cancel`, { method: 'POST' })
  expect(answer.status).toBe(202)
  expect((await jobOf(answer)).cancel).toMatchObject({ reason: 'cancelled by developer@acme' })
  const ended = await acme.ended(running.id)
  expect(ended).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed' }, result: null })
  expect(await problemOf(await acme.ask(`/v1/jobs/${running.id}/cancel`, { method: 'POST' }))).toMatchObject({ code: 'job_finished' })
})

test('a live job cannot be deleted; a deleted one is gone for its tenant and unknown to others', async () => {
  const live = await acme.submit('slow')
  expect(await problemOf(await acme.ask(`/v1/jobs/${live.id}`, { method: 'DELETE' }))).toMatchObject({
    code: 'job_not_finished',
    status: 409,
  })
  await acme.ask(`/v1/jobs/${live.id}/cancel`, { method: 'POST' })
  await acme.ended(live.id)
  const job = await acme.run('add', [1])
  const other = await world.as('other')
  for (const id of [live.id, job.id]) {
    const answer = await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' })
    expect([answer.status, await answer.text()]).toEqual([204, ''])
    for (const path of ['', '/events', '/result', '/result.csv', '/result.json', '/result.parquet', '/result.duckdb'])
      expect(await problemOf(await acme.ask(`/v1/jobs/${id}${path}`)), path).toMatchObject({ code: 'gone', status: 410 })
    for (const path of ['/slice', '/cancel'])
      expect(await problemOf(await acme.ask(`/v1/jobs/${id}${path}`, { method: 'POST' })), path).toMatchObject({ code: 'gone' })
    expect(await problemOf(await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' }))).toMatchObject({ code: 'gone' })
    expect(await problemOf(await other.ask(`/v1/jobs/${id}`))).toMatchObject({ code: 'not_found', status: 404 })
  }
  const { items } = await parsed(await acme.ask('/v1/jobs?limit=500'), JobPage)
  expect(items.map(({ id }) => id)).not.toContain(job.id)
})

test('a task whose nodes are gone stays listed and says so, and its jobs wait for the next node', async () => {
  const folder = join(world.folder, 'more')
  writeTasks(folder, { 'rare.sql': '-- name: rare\n-- db: duckdb\nSELECT 42 AS n\n' })
  const info = async (): Promise<TaskInfo> => TaskInfo.parse(await (await acme.ask('/v1/tasks/rare')).json())
  const listed = async (): Promise<TaskInfo | undefined> =>
    parsed(await acme.ask('/v1/tasks'), TaskPage).then(({ items }) => items.find(({ name }) => name === 'rare'))
  const node = await world.system.startNode({ name: 'other-node', folders: [folder] })
  await eventually(async () => expect(await info()).toMatchObject({ available: true }))
  await node.stop(1)
  await eventually(async () => expect(await listed()).toMatchObject({ available: false, notice: expect.stringMatching(/node/) }))
  const job = await acme.submit('rare')
  expect(job.state).toBe('waiting')
  await world.system.startNode({ name: 'other-node-2', folders: [folder] })
  expect(await acme.ended(job.id)).toMatchObject({ state: 'succeeded', rows: 1 })
})

test('health, readiness and the description of the API need no token', async () => {
  const open = (path: string): Promise<Response> => fetch(`${world.system.origin}${path}`)
  expect(await (await open('/healthz')).json()).toEqual({ status: 'ok' })
  expect(await (await open('/readyz')).json()).toMatchObject({ status: 'ready', nodes: expect.any(Number) })
  const none = await open('/readyz?pool=empty')
  expect([none.status, await none.json()]).toEqual([503, { status: 'no_node', nodes: 0 }])
  const document = await parsed(
    await open('/openapi.json'),
    z.looseObject({ components: z.object({ schemas: z.record(z.string(), z.unknown()) }) }),
  )
  expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: world.system.origin }] })
  expect(Object.keys(document.components.schemas)).toContain('Job')
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventPage } from '../../edge/contract/events.ts'
import { Group, GroupEvent } from '../../edge/contract/groups.ts'
import type { JobId } from '../../edge/contract/ids.ts'
import { Job, page } from '../../edge/contract/jobs.ts'
import { type Client, parsed, problemOf } from './support/client.ts'
import { persistently, readJob, readPersistently } from './support/follow.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'groups.sql': `
-- name: plain
-- db: duckdb
SELECT 7 AS n, DATE '2026-01-02' AS day, NULL::INT AS nothing

-- name: none
-- db: duckdb
SELECT 1 AS n WHERE false

-- name: twice
-- db: duckdb
-- param: n int
-- param: day date = '2000-01-01'
SELECT 2 * $1::INT AS n, $2::DATE AS day

-- name: broken
-- db: duckdb
-- param: text text = 'x'
SELECT $1::INT AS n

-- name: endless
-- db: duckdb
SELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1
`,
}

let world: World
let acme: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
})
afterAll(() => world.end())

const post = (path: string, body?: unknown, client = acme): Promise<Response> =>
  client.ask(path, { method: 'POST', ...(body === undefined ? {} : { body }) })
const groupOf = async (answer: Response): Promise<Group> => {
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
  return Group.parse(await answer.json())
}
const take = async (body: unknown): Promise<Group> => {
  const answer = await post('/v1/groups', body)
  const group = await groupOf(answer)
  expect([answer.status, answer.headers.get('location')]).toEqual([202, `/v1/groups/${group.id}`])
  return group
}
/** Looks again at every event of the group, and asks again while the edge is away. */
const until = async ({ id }: Group, wanted: (now: Group) => boolean): Promise<Group> => {
  for (;;) {
    const now = Group.parse(await readPersistently(acme, `/v1/groups/${id}`))
    if (wanted(now)) return now
    if (now.finished_at !== null) throw new Error(`ended before: ${JSON.stringify(states(now))}`)
    await persistently(acme, `/v1/groups/${id}/events?after=${now.seq}&wait=30`)
  }
}
const Events = eventPage(GroupEvent)
/** Waits until an event has told it: so a state is not missed that has passed before one could look. */
const told = async ({ id }: Group, wanted: (event: GroupEvent) => boolean): Promise<void> => {
  for (let after: string | null = '0'; after !== null; ) {
    const { items, next } = Events.parse(await readPersistently(acme, `/v1/groups/${id}/events?after=${after}&wait=20`))
    if (items.some(wanted)) return
    after = next
  }
  throw new Error(`${id} ended without that event`)
}
const ended = (group: Group): Promise<Group> => until(group, ({ finished_at }) => finished_at !== null)
const states = ({ steps }: Group): Record<string, string> =>
  Object.fromEntries(Object.entries(steps).map(([name, { state }]) => [name, state]))
const jobOf = (group: Group, step: string): JobId => {
  const job = Object.entries(group.steps).find(([name]) => name === step)?.[1].job
  if (!job) throw new Error(`no job of ${step}`)
  return job
}

describe('A, then B and C in parallel, then D if both succeeded, otherwise alert', () => {
  const diamond = (b: string) => ({
    steps: {
      a: { task: 'plain' },
      b: { task: b, needs: ['a'] },
      c: { task: 'twice', args: { n: { from: 'a', column: 'n' }, day: { from: 'a', column: 'day' } }, needs: ['a'] },
      d: { task: 'twice', args: [{ from: 'c', column: 'n' }], needs: ['b', 'c'] },
    },
    alert: { task: 'plain' },
  })

  test('runs D with what C brought, and does not alert', async () => {
    const group = await ended(await take(diamond('plain')))
    expect(group).toMatchObject({ state: 'succeeded', error: null })
    expect(states(group)).toEqual({ a: 'succeeded', b: 'succeeded', c: 'succeeded', d: 'succeeded', alert: 'skipped' })
    expect((await readJob(acme, jobOf(group, 'd'))).args).toEqual([14, '2000-01-01'])
    expect((await acme.slice(jobOf(group, 'd'), { select: ['n'] })).rows.map(String)).toEqual(['28'])
    expect((await acme.slice(jobOf(group, 'c'), { select: ['day'] })).rows.map(String)).toEqual(['2026-01-02'])
    const [a, b, c, d] = await Promise.all(['a', 'b', 'c', 'd'].map((step) => readJob(acme, jobOf(group, step))))
    const at = (text: string | null | undefined): number => Date.parse(text ?? '')
    for (const child of [b, c]) expect(at(child?.started_at)).toBeGreaterThanOrEqual(at(a?.finished_at))
    for (const parent of [b, c]) expect(at(d?.started_at)).toBeGreaterThanOrEqual(at(parent?.finished_at))
    expect(await readJob(acme, jobOf(group, 'alert'))).toMatchObject({ state: 'cancelled', error: { code: 'step_skipped' }, attempt: 0 })
  })

  test('skips D and alerts when B fails', async () => {
    const group = await ended(await take(diamond('broken')))
    expect(group).toMatchObject({ state: 'failed', error: { code: 'step_failed' }, steps: { d: { error: { code: 'upstream_failed' } } } })
    expect(group.error?.message).toMatch(/^The step "b" failed: .*Could not convert/)
    expect(states(group)).toEqual({ a: 'succeeded', b: 'failed', c: 'succeeded', d: 'skipped', alert: 'succeeded' })
  })
})

test('a group without needs is a plain group: its jobs run side by side', async () => {
  const group = await ended(
    await take({ steps: { one: { task: 'plain', queue: 'default' }, two: { task: 'twice', args: [3] } }, alias: 'nightly' }),
  )
  expect(states(group)).toEqual({ one: 'succeeded', two: 'succeeded' })
  const { items } = await parsed(await acme.ask('/v1/groups?alias=nightly&state=succeeded'), page(Group))
  expect(items.map(({ id }) => id)).toEqual([group.id])
})

test('a request may wait for the end of a group, and the job of a step says what it waits for', async () => {
  const body = { steps: { a: { task: 'plain' }, b: { task: 'plain', needs: ['a'] } } }
  const answer = await acme.ask('/v1/groups', { body, headers: { prefer: 'wait=30' } })
  expect([answer.status, answer.headers.get('preference-applied')]).toEqual([200, 'wait=30'])
  const group = await groupOf(answer)
  expect(group.state).toBe('succeeded')
  const again = await acme.ask(`/v1/groups/${group.id}`, { headers: { prefer: 'wait=5' } })
  expect([again.status, again.headers.get('preference-applied'), (await groupOf(again)).id]).toEqual([200, 'wait=5', group.id])

  const open = await take({ steps: { a: { task: 'endless' }, ok: { approval: {} }, b: { task: 'plain', needs: ['a', 'ok'] } } })
  const waits = async (): Promise<unknown> => (await readJob(acme, jobOf(open, 'b'))).waiting_for
  expect(await waits()).toEqual([jobOf(open, 'a'), 'ok'])
  const { items } = await parsed(await acme.ask('/v1/jobs?state=waiting'), page(Job))
  expect(items.find(({ id }) => id === jobOf(open, 'b'))?.waiting_for).toEqual([jobOf(open, 'a'), 'ok'])
  await post(`/v1/groups/${open.id}/steps/ok/approve`)
  expect(await waits()).toEqual([jobOf(open, 'a')])
  await post(`/v1/groups/${open.id}/cancel`)
  await ended(open)
})

test('an alert that nobody serves ends with the time that it has, and the group with it', async () => {
  expect((await acme.ask('/v1/queues/nobody', { method: 'PUT', body: { paused: true } })).status).toBe(200)
  const group = await ended(
    await take({ steps: { a: { task: 'broken' } }, alert: { task: 'plain', queue: 'nobody' }, compensation_deadline: '1s' }),
  )
  expect(group).toMatchObject({ state: 'failed', steps: { alert: { state: 'cancelled', error: { code: 'group_deadline' } } } })
})

test('a step that waits for the table begins when its parent stands there', async () => {
  const group = await ended(await take({ steps: { a: { task: 'plain' }, b: { task: 'plain', needs: ['a'], after: 'published' } } }))
  expect(states(group)).toEqual({ a: 'succeeded', b: 'succeeded' })
  const published = (await acme.published(jobOf(group, 'a'))).at(-1)?.data as { at: string }
  expect(Date.parse((await readJob(acme, jobOf(group, 'b'))).started_at ?? '')).toBeGreaterThanOrEqual(Date.parse(published.at))
})

test('a person decides, who may; a rejection is a failure', async () => {
  const subject = (JSON.parse(atob(acme.token.split('.')[1] ?? '')) as { sub: string }).sub
  const body = (by: string) => ({
    steps: { a: { task: 'plain' }, ok: { approval: { by: [by] }, needs: ['a'] }, b: { task: 'plain', needs: ['ok'] } },
  })
  const group = await until(await take(body(subject)), ({ steps }) => Object.values(steps).some(({ state }) => state === 'approval'))
  const reader = await world.as('acme', 'jobs:read')
  expect(await problemOf(await post(`/v1/groups/${group.id}/steps/ok/approve`, undefined, reader))).toMatchObject({
    code: 'insufficient_scope',
  })
  expect(await problemOf(await post(`/v1/groups/${group.id}/steps/a/approve`))).toMatchObject({ code: 'not_awaiting_approval' })
  expect(await groupOf(await post(`/v1/groups/${group.id}/steps/ok/approve`))).toMatchObject({
    steps: { ok: { state: 'succeeded', approval: { decided_by: subject } } },
  })
  expect(states(await ended(group))).toEqual({ a: 'succeeded', ok: 'succeeded', b: 'succeeded' })
  const other = await until(await take(body('somebody else')), ({ steps }) =>
    Object.values(steps).some(({ state }) => state === 'approval'),
  )
  expect(await problemOf(await post(`/v1/groups/${other.id}/steps/ok/reject`))).toMatchObject({ code: 'not_an_approver' })
  expect(await groupOf(await post(`/v1/groups/${other.id}/cancel`))).toMatchObject({ state: 'cancelled' })
})

test('an argument that its parent does not bring fails the step with a code of its own', async () => {
  const code = async (task: string, column: string, target: string): Promise<unknown> => {
    const group = await ended(await take({ steps: { a: { task }, b: { task: target, args: [{ from: 'a', column }], needs: ['a'] } } }))
    return Object.values(group.steps).find(({ needs }) => needs.length > 0)?.error?.code
  }
  expect(await code('none', 'n', 'twice')).toBe('argument_no_row')
  expect(await code('plain', 'nothing', 'twice')).toBe('argument_null')
  expect(await code('plain', 'day', 'twice')).toBe('argument_type')
})

test('a cancel ends what runs in the engine, undoes what succeeded, and the retry takes over what may be kept', async () => {
  const group = await take({
    steps: {
      a: { task: 'plain' },
      side: { task: 'plain' },
      b: { task: 'endless', needs: ['a', 'side'] },
      c: { task: 'plain', needs: ['b'] },
      undo: { task: 'twice', args: [{ from: 'side', column: 'n' }], compensates: 'side' },
    },
  })
  await until(group, (now) => states(now).b === 'running')
  expect((await problemOf(await acme.ask(`/v1/groups/${group.id}`, { method: 'DELETE' }))).code).toBe('group_not_finished')
  const asked = await post(`/v1/groups/${group.id}/cancel`)
  expect(asked.status).toBe(202)
  const done = await ended(group)
  expect(done).toMatchObject({ state: 'cancelled', stop: 'cancel', error: { code: 'group_cancelled' } })
  expect(states(done)).toEqual({ a: 'succeeded', side: 'succeeded', b: 'cancelled', c: 'cancelled', undo: 'succeeded' })
  expect(await readJob(acme, jobOf(done, 'b'))).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed' } })
  expect((await problemOf(await post(`/v1/groups/${group.id}/cancel`))).code).toBe('group_finished')

  const again = await groupOf(await post(`/v1/groups/${group.id}/retry`))
  expect(again).toMatchObject({ retried_from: group.id, steps: { a: { state: 'succeeded', job: jobOf(done, 'a') } } })
  expect(jobOf(again, 'side')).not.toBe(jobOf(done, 'side'))
  await until(again, (now) => states(now).b === 'running')
  await post(`/v1/groups/${again.id}/cancel`)
  expect(states(await ended(again))).toMatchObject({ a: 'succeeded', b: 'cancelled' })

  expect((await acme.ask(`/v1/groups/${group.id}`, { method: 'DELETE' })).status).toBe(204)
  expect((await problemOf(await acme.ask(`/v1/groups/${group.id}`))).code).toBe('gone')
  expect((await problemOf(await acme.ask(`/v1/jobs/${jobOf(done, 'b')}`))).code).toBe('gone')
  expect(Job.parse(await (await acme.ask(`/v1/jobs/${jobOf(done, 'a')}`)).json()).state).toBe('succeeded')
})

test('a group that cannot be run is refused whole, with every fault, and nobody else’s can be seen', async () => {
  const refused = await problemOf(
    await post('/v1/groups', { steps: { a: { task: 'plain', needs: ['b'] }, b: { task: 'nothing', needs: ['a', 'x'] } } }),
  )
  expect(refused).toMatchObject({ status: 422, code: 'invalid_group' })
  expect(refused.errors?.map(({ path }) => path)).toEqual(['/steps/a/needs', '/steps/b/needs/1', '/steps/b/task'])
  expect((await problemOf(await post('/v1/groups', { steps: { a: { task: 'plain', need: ['b'] } } }))).detail).toMatch(/need/)
  const group = await take({ steps: { a: { task: 'plain' } } })
  const globex = await world.as('globex')
  for (const answer of [
    await globex.ask(`/v1/groups/${group.id}`),
    await globex.ask(`/v1/groups/${group.id}`, { method: 'DELETE' }),
    await post(`/v1/groups/${group.id}/cancel`, undefined, globex),
    await post(`/v1/groups/${group.id}/retry`, undefined, globex),
    await post(`/v1/groups/${group.id}/steps/a/approve`, undefined, globex),
  ])
    expect((await problemOf(answer)).code).toBe('not_found')
  expect((await parsed(await globex.ask('/v1/groups'), page(Group))).items).toEqual([])
})

test('a group that was acknowledged goes on after the edge was killed, at whatever moment', async () => {
  const group = await take({
    steps: {
      a: { task: 'plain', fresh: true },
      ok: { approval: { deadline: 1, default: 'approve' }, needs: ['a'] },
      b: { task: 'twice', args: [{ from: 'a', column: 'n' }], needs: ['ok', 'a'], after: 'published' },
      c: { task: 'broken', needs: ['b'] },
      undo: { task: 'twice', args: [{ from: 'b', column: 'n' }], compensates: 'b' },
    },
    alert: { task: 'plain', queue: 'default' },
  })
  world.system.kill9Workerd()
  await told(group, ({ step_state }) => step_state === 'approval')
  world.system.kill9Workerd()
  await told(group, ({ step, step_state }) => step === 'b' && (step_state === 'running' || step_state === 'succeeded'))
  world.system.kill9Workerd()
  const done = await ended(group)
  expect(done).toMatchObject({ state: 'failed', error: { code: 'step_failed' } })
  expect(states(done)).toEqual({ a: 'succeeded', ok: 'succeeded', b: 'succeeded', c: 'failed', undo: 'succeeded', alert: 'succeeded' })
  expect((await readJob(acme, jobOf(done, 'undo'))).args).toEqual([14, '2000-01-01'])
  const { items } = (await (await acme.ask(`/v1/groups/${group.id}/events?wait=0`)).json()) as { items: { seq: number }[] }
  expect(items.map(({ seq }) => seq)).toEqual(items.map((_, index) => index + 1))
  expect(items).toHaveLength(done.seq)
})

test('groups are listed page by page, the newest first', async () => {
  const pages: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { items, next }: { items: Group[]; next: string | null } = await parsed(
      await acme.ask(`/v1/groups?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`),
      page(Group),
    )
    pages.push(...items.map(({ id }) => id))
    cursor = next
  }
  expect(pages.length).toBeGreaterThan(6)
  expect(pages).toEqual([...new Set(pages)].sort().reverse())
  expect((await problemOf(await acme.ask('/v1/groups?cursor=x'))).code).toBe('invalid_cursor')
})

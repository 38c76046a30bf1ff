import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Client, createClient } from '../../web/client/index.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'work.sql': `
-- name: orders
-- db: duckdb
SELECT 7 AS n

-- name: doubled
-- db: duckdb
-- param: n int
SELECT 2 * $1::INT AS n

-- name: broken
-- db: duckdb
-- param: text text = 'x'
SELECT $1::INT AS n
`,
}

let world: World
let client: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  const { origin } = world.system
  client = createClient({ origin, token: await world.system.token('acme') })
})
afterAll(() => world?.end())

const ended = async (id: string): Promise<string> => {
  let state = ''
  for await (const seen of client.watch(id)) if (seen.type === 'event') state = seen.event.state
  return state
}

test('the client library submits a batch and gets an answer for each job, in order', async () => {
  const answers = await client.batch([{ task: 'doubled', args: [21] }, { task: 'nothing' }, { task: 'orders', tags: ['close'] }])
  expect(answers.map((answer) => answer.status)).toEqual([202, 404, 202])
  const [first, second, third] = answers
  expect(second).toMatchObject({ problem: { code: 'unknown_task' } })
  for (const answer of [first, third]) if (answer && 'job' in answer) expect(await ended(answer.job.id)).toBe('succeeded')
  expect((await client.jobs({ task: 'orders' })).items[0]).toMatchObject({ state: 'succeeded', tags: ['close'] })
})

test('… runs a group to its end, event by event, and what failed in it again', async () => {
  const group = await client.groups.submit({
    alias: 'close',
    steps: {
      a: { task: 'orders' },
      b: { task: 'doubled', args: { n: { from: 'a', column: 'n' } }, needs: ['a'] },
      ok: { approval: {}, needs: ['b'] },
      c: { task: 'broken', needs: ['ok'] },
    },
    alert: { task: 'orders' },
  })
  const numbers: number[] = []
  for await (const seen of client.groups.watch(group.id)) {
    if (seen.type !== 'event') continue
    numbers.push(seen.event.seq)
    if (seen.event.step_state === 'approval') await client.groups.decide(group.id, 'ok', 'approve')
  }
  expect(numbers).toEqual(numbers.map((_, at) => at + 1))
  const after = await client.groups.get(group.id)
  expect(after).toMatchObject({ state: 'failed', alias: 'close', seq: numbers.length })
  expect(Object.entries(after.steps).map(([name, step]) => `${name} ${step.state}`)).toEqual([
    'a succeeded',
    'b succeeded',
    'ok succeeded',
    'c failed',
    'alert succeeded',
  ])
  const again = await client.groups.retry(group.id)
  expect(again).toMatchObject({ retried_from: group.id })
  await client.groups.cancel(again.id).catch(() => undefined)
  expect((await client.groups.list({ limit: 1 })).items.map((one) => one.id)).toEqual([again.id])
  expect((await client.groups.list({ limit: 1 })).next).toEqual(expect.any(String))
  await client.groups.remove(group.id)
  await expect(client.groups.get(group.id)).rejects.toMatchObject({ status: 410 })
})

test('… keeps schedules and queues, and runs dead jobs again', async () => {
  const schedule = await client.schedules.create({ task: 'doubled', args: [1], cron: '0 6 * * mon-fri', tz: 'Europe/Berlin' })
  expect((await client.schedules.list()).items).toEqual([schedule])
  await client.schedules.remove(schedule.id)
  expect((await client.schedules.list()).items).toEqual([])
  await expect(client.schedules.create({ task: 'orders', cron: '61 * * * *' })).rejects.toMatchObject({
    status: 422,
    code: 'invalid_schedule',
  })

  expect(await client.queues.set('nightly', { concurrency: 5, weight: 2 })).toMatchObject({ concurrency: 5, paused: false, weight: 2 })
  expect((await client.queues.list()).items.map((queue) => queue.name)).toContain('nightly')

  const job = await client.submit('broken', { args: ['seven'] })
  expect(await ended(job.id)).toBe('failed')
  const dead = (await client.dead()).items.find((one) => one.id === job.id)
  expect(dead?.dead).toMatchObject({ class: 'sql', explanation: expect.any(String), remedy: expect.any(String) })
  const again = await client.retry(job.id)
  expect(again).toMatchObject({ retried_from: job.id })
  expect(await ended(again.id)).toBe('failed')
})

test('… follows all jobs of the tenant from the beginning, by tag', async () => {
  const stop = new AbortController()
  const seen: string[] = []
  const job = await client.submit('orders', { tags: ['watched'], fresh: true })
  for await (const one of client.watchAll({ after: 0, tag: ['watched'], signal: stop.signal })) {
    if (one.type !== 'event') continue
    seen.push(one.event.state)
    expect(one.event.job).toBe(job.id)
    if (one.event.state === 'succeeded') stop.abort()
  }
  expect(seen[0]).toBe('waiting')
  expect(seen.at(-1)).toBe('succeeded')
})

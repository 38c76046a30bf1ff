import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventPage, JobEvent } from '../../edge/contract/events.ts'
import { type Client, problemOf } from './support/client.ts'
import { type ServerEvent, serverEvents } from './support/sse.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'quick.sql': '-- name: quick\n-- db: duckdb\nSELECT 1 AS n\n',
  'other.sql': '-- name: other\n-- db: duckdb\nSELECT 2 AS n\n',
  'many.sql': '-- name: many\n-- db: duckdb\nSELECT i AS n, i * 7919 % 100003 AS m FROM range(100000) t(i)\n',
  'wrong.sql': "-- name: wrong\n-- db: duckdb\nSELECT error('no') AS n\n",
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
}
const Page = eventPage(JobEvent)

let world: World
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
})
afterAll(() => world.end())

/** Reads a stream that never ends until `enough`. */
const follow = async (client: Client, query: string, enough: (events: ServerEvent[]) => boolean, opened?: () => Promise<unknown>) => {
  const answer = await client.ask(`/v1/events${query}`)
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  const events: ServerEvent[] = []
  const happening = opened?.()
  for await (const event of serverEvents(answer)) {
    events.push(event)
    if (enough(events)) break
  }
  await happening
  return events.map(({ id, type, data }) => (type === 'reset' ? { id, type, data } : { id, type, data: JobEvent.parse(data) }))
}
const jobEvents = (events: { data: unknown }[]): JobEvent[] => events.map(({ data }) => JobEvent.parse(data))
const terminal = (count: number) => (events: ServerEvent[]) =>
  events.filter(({ type, data }) => type === 'state' && ['succeeded', 'failed'].includes(JobEvent.parse(data).state)).length >= count

test("the tenant's stream tells every event of every job, by rising numbers, with task, queue and tags", async () => {
  const client = await world.as('every')
  const events = await follow(client, '', terminal(2), async () => {
    await client.run('quick')
    await client.run('other')
  })
  const numbers = events.map(({ id }) => Number(id))
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  const all = jobEvents(events)
  expect(all.map(({ n }) => n)).toEqual(numbers)
  for (const task of ['quick', 'other'])
    expect(all.filter((event) => event.task === task && event.type === 'state').map(({ state }) => state)).toEqual([
      'waiting',
      'leased',
      'running',
      'succeeded',
    ])
  for (const event of all) expect(event).toMatchObject({ queue: 'default', tags: [] })
})

test('the stream is narrowed by task and state, and by several values of one name', async () => {
  const client = await world.as('narrow')
  const events = jobEvents(
    await follow(client, '?state=failed&state=succeeded&task=wrong&task=other', terminal(2), async () => {
      await client.run('quick')
      await client.run('wrong')
      await client.run('other')
    }),
  )
  expect(events.filter(({ type }) => type === 'state').map(({ task, state }) => [task, state])).toEqual([
    ['wrong', 'failed'],
    ['other', 'succeeded'],
  ])
  expect(events.every(({ task }) => task !== 'quick')).toBe(true)
})

test('a reader resumes at its number and misses nothing; without one it hears what comes from now on', async () => {
  const client = await world.as('resumes')
  await client.run('quick')
  const page = Page.parse(await (await client.ask('/v1/events?after=0&wait=0')).json())
  expect(page.items.map(({ seq }) => seq).slice(0, 4)).toEqual([1, 2, 3, 4])
  const [first, second] = page.items
  const rest = await client.ask(`/v1/events`, { headers: { 'last-event-id': String(first?.n) } })
  for await (const { id, data } of serverEvents(rest)) {
    expect([Number(id), JobEvent.parse(data)]).toEqual([second?.n, second])
    break
  }
  const now = Page.parse(await (await client.ask('/v1/events?wait=0')).json())
  expect([now.items, Number(now.next) >= (page.items.at(-1)?.n ?? 0)]).toEqual([[], true])
})

test('a long poll answers when something happens, and empty-handed when its time is over', async () => {
  const client = await world.as('polls')
  const poll = async (query: string) => Page.parse(await (await client.ask(`/v1/events?${query}`)).json())
  const { next } = await poll('wait=0')
  // Two wait for the same: the one whose time is over answers, the other goes on.
  const patient = poll(`after=${next}&wait=30&state=succeeded`)
  const idle = poll(`after=${next}&wait=1&state=succeeded`)
  expect(await Promise.race([idle.then(() => 'idle'), patient.then(() => 'patient')])).toBe('idle')
  expect((await idle).items).toEqual([])
  const job = await client.run('quick')
  const { items } = await patient
  expect(items[0]).toMatchObject({ job: job.id, state: 'succeeded', task: 'quick' })
})

test('a job is followed to its end by long polls, and the last one says that nothing will follow', async () => {
  const client = await world.as('steps')
  const { id } = await client.submit('quick')
  const seen: number[] = []
  for (let next: string | null = '0'; next !== null; ) {
    const answer = await client.ask(`/v1/jobs/${id}/events?after=${next}&wait=20&until=published`)
    expect(answer.headers.get('content-type')).toContain('application/json')
    const page = Page.parse(await answer.json())
    seen.push(...page.items.map(({ seq }) => seq))
    next = page.next
  }
  expect(seen).toEqual(seen.map((_, index) => index + 1))
  // Whoever takes JSON and no stream is answered at once.
  const whole = Page.parse(await (await client.ask(`/v1/jobs/${id}/events`, { headers: { accept: 'application/json' } })).json())
  expect([whole.items.map(({ seq }) => seq).slice(0, seen.length), whole.next]).toEqual([seen, null])
})

test('a number that was never given out is answered by a reset, then by what is kept', async () => {
  const client = await world.as('restored')
  await client.run('quick')
  const events = await follow(client, '?after=999999', (all) => all.length > 4)
  expect(events[0]).toMatchObject({ id: '0', type: 'reset', data: { oldest: 1 } })
  expect(jobEvents(events.slice(1, 5)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  expect(Page.parse(await (await client.ask('/v1/events?after=999999&wait=20')).json())).toMatchObject({ reset: { oldest: 1 } })
})

test("until=pack ends when the browser's copy is there", async () => {
  const client = await world.as('packs')
  const typesOf = async (id: string): Promise<string[]> => {
    const types: string[] = []
    for await (const { type } of serverEvents(await client.ask(`/v1/jobs/${id}/events?until=pack`))) types.push(type)
    return types
  }
  const { id } = await client.submit('many')
  expect(await typesOf(id)).toContain('pack')
  expect((await client.ask(`/v1/jobs/${id}/result.duckdb`)).status).toBe(200)
  // A small result has none, and nobody waits for it.
  expect(await typesOf((await client.submit('quick')).id)).not.toContain('pack')
})

test('a poll that brings nothing new is a 304, until something has changed', async () => {
  const client = await world.as('tags')
  const { id } = await client.submit('slow')
  const paths = [`/v1/jobs/${id}`, '/v1/jobs', '/v1/jobs?task=slow&limit=1']
  for await (const event of serverEvents(await client.ask(`/v1/jobs/${id}/events`))) if (event.type === 'progress') break
  const answer = await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  expect(answer.status).toBe(202)
  await client.ended(id)
  for (const path of paths) {
    const first = await client.ask(path)
    const tag = first.headers.get('etag') ?? ''
    expect(tag, path).toMatch(/^W\/"/)
    const again = await client.ask(path, { headers: { 'if-none-match': tag } })
    expect([again.status, await again.text(), again.headers.get('etag')], path).toEqual([304, '', tag])
    expect((await client.ask(path, { headers: { 'if-none-match': '"other"' } })).status, path).toBe(200)
  }
  const tag = (await client.ask('/v1/jobs')).headers.get('etag') ?? ''
  await client.run('quick')
  expect((await client.ask('/v1/jobs', { headers: { 'if-none-match': tag } })).status).toBe(200)
})

test('what cannot be a filter or a number is refused with its reason', async () => {
  const client = await world.as('refused')
  for (const query of ['state=done', 'tag=%20', 'after=x', 'wait=-1', `task=${'x'.repeat(201)}`, Array(21).fill('queue=q').join('&')])
    expect(await problemOf(await client.ask(`/v1/events?${query}`)), query).toMatchObject({ code: 'invalid_parameter' })
  expect(await problemOf(await client.ask('/v1/groups/g01kdyak3se2ztwde0000012345/events'))).toMatchObject({ code: 'not_found' })
  expect(await problemOf(await client.ask('/v1/groups/x/events'))).toMatchObject({ code: 'not_found' })
})

test("no tenant hears another one's events (I6)", async () => {
  const [one, other] = [await world.as('mine'), await world.as('theirs')]
  const heard = follow(one, '', terminal(1), async () => {
    await other.run('quick')
    await one.run('other')
  })
  expect(new Set(jobEvents(await heard).map(({ task }) => task))).toEqual(new Set(['other']))
  expect(Page.parse(await (await one.ask('/v1/events?after=0&wait=0')).json()).items.every(({ task }) => task === 'other')).toBe(true)
})

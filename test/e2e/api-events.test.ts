import { afterAll, beforeAll, expect, test } from 'vitest'
import { JobEvent, ProgressEvent } from '../../edge/contract/events.ts'
import type { JobId } from '../../edge/contract/ids.ts'
import { type Client, problemOf } from './support/client.ts'
import { type ServerEvent, serverEvents } from './support/sse.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'quick.sql': '-- name: quick\n-- db: duckdb\nSELECT 1 AS n\n',
  // Runs until it is cancelled; a scan with a known end, so that there is progress to report.
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
}

let world: World
let acme: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
})
afterAll(() => world.end())

const stream = async (id: JobId, query = '', headers: Record<string, string> = {}): Promise<ServerEvent[]> => {
  const answer = await acme.ask(`/v1/jobs/${id}/events${query}`, { headers })
  // Nothing more will come, which an EventSource must be told by the status.
  if (answer.status === 204) return []
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  const events: ServerEvent[] = []
  for await (const event of serverEvents(answer)) events.push(event)
  return events
}
const numbered = (events: ServerEvent[]): JobEvent[] =>
  events
    .filter(({ id }) => id !== null)
    .map(({ id, data }) => {
      const event = JobEvent.parse(data)
      expect(id).toBe(String(event.seq))
      return event
    })

test('events are numbered from one without gaps, and the stream ends after the terminal one', async () => {
  const { id } = await acme.submit('quick')
  const events = numbered(await stream(id))
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, n) => n + 1))
  expect(events.map(({ state }) => state)).toEqual(['waiting', 'leased', 'running', 'succeeded'])
  for (const event of events) expect(event).toMatchObject({ job: id, at: expect.stringMatching(/Z$/) })
})

test('until=published goes on to the publication and its snapshot', async () => {
  const { id } = await acme.submit('quick')
  const last = numbered(await stream(id, '?until=published')).at(-1)
  expect(last).toMatchObject({
    type: 'publication',
    state: 'succeeded',
    publication: 'published',
    snapshot: expect.stringMatching(/^\d+$/),
  })
  expect(await (await acme.ask(`/v1/jobs/${id}`)).json()).toMatchObject({ publication: 'published', seq: last?.seq })
})

test('a reader that resumes at a number sees what came after it, and nothing twice', async () => {
  const { id } = await acme.run('quick')
  const all = numbered(await acme.published(id))
  for (const { seq } of all) {
    const rest = numbered(await stream(id, '?until=published', { 'last-event-id': String(seq) }))
    expect(rest.map((event) => event.seq)).toEqual(all.map((event) => event.seq).filter((other) => other > seq))
    expect(numbered(await stream(id, `?until=published&after=${seq}`))).toEqual(rest)
  }
  expect((await acme.ask(`/v1/jobs/${id}/events`, { headers: { 'last-event-id': String(all.at(-1)?.seq) } })).status).toBe(204)
  // A number that was never given out: the database was restored, and the reader is told so.
  const [reset, ...rest] = await stream(id, '', { 'last-event-id': '999' })
  expect(reset).toEqual({ id: '0', type: 'reset', data: { oldest: 1, last: all.length } })
  expect(numbered(rest)).toEqual(all)
})

test('the header wins over the parameter, and neither takes anything but a number', async () => {
  const { id } = await acme.run('quick')
  await acme.published(id)
  expect(numbered(await stream(id, '?after=1&until=published', { 'last-event-id': '4' })).map(({ seq }) => seq)).toEqual([5])
  expect(await problemOf(await acme.ask(`/v1/jobs/${id}/events?after=-1`))).toMatchObject({ code: 'invalid_parameter' })
  expect(await problemOf(await acme.ask(`/v1/jobs/${id}/events?until=dawn`))).toMatchObject({ code: 'invalid_parameter' })
  expect(await problemOf(await acme.ask(`/v1/jobs/${id}/events`, { headers: { 'last-event-id': 'x' } }))).toMatchObject({
    code: 'invalid_header',
  })
})

test('progress comes beside the events without a number, and a cancel is an event', async () => {
  const { id } = await acme.submit('slow')
  const answer = await acme.ask(`/v1/jobs/${id}/events`)
  const events: ServerEvent[] = []
  let asked = false
  for await (const event of serverEvents(answer)) {
    events.push(event)
    if (event.type !== 'progress' || asked) continue
    asked = true
    expect(event.id).toBeNull()
    expect(ProgressEvent.parse(event.data)).toMatchObject({ job: id, state: 'running' })
    expect((await acme.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })).status).toBe(202)
  }
  expect(asked).toBe(true)
  const seen = numbered(events)
  expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, n) => n + 1))
  expect(seen.at(-1)).toMatchObject({ state: 'cancelled' })
  expect(seen.some(({ type }) => type === 'cancel')).toBe(true)
})

test('many readers of one job see the same', async () => {
  const { id } = await acme.submit('quick')
  const readers = await Promise.all(Array.from({ length: 20 }, () => stream(id, '?until=published')))
  const [one, ...others] = readers.map(numbered)
  for (const other of others) expect(other).toEqual(one)
})

test('events of a deleted job are gone', async () => {
  const { id } = await acme.run('quick')
  await acme.published(id)
  expect((await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204)
  expect(await problemOf(await acme.ask(`/v1/jobs/${id}/events?until=published`))).toMatchObject({ code: 'gone' })
})

test('a reader that waits for the publication hears when the job is deleted before it', async () => {
  const { id } = await acme.submit('quick')
  const events: ServerEvent[] = []
  for await (const event of serverEvents(await acme.ask(`/v1/jobs/${id}/events?until=published`))) {
    events.push(event)
    if (event.id === null || JobEvent.parse(event.data).publication !== 'pending') continue
    expect((await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204)
  }
  // Publication takes longer than the deletion's way here, but both ends are right.
  const last = numbered(events).at(-1)
  expect(last).toMatchObject({ type: 'publication', state: 'succeeded' })
  expect(['withdrawn', 'published']).toContain(last?.publication)
})

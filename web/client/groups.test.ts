import { describe, expect, it } from 'vitest'
import { createClient } from './index.ts'

const GROUP = { id: 'g1', state: 'running', created_at: '2026-01-01T00:00:00.000Z', seq: 1, steps: {}, links: {} }
const event = (seq: number, state: string, more: object = {}): string =>
  `id: ${seq}\ndata: ${JSON.stringify({ seq, group: 'g1', type: 'step', state, at: '2026-01-01T00:00:00.000Z', ...more })}\n\n`

/** A client whose server answers each request with the next of some bodies, and what it was asked. */
const answering = (bodies: (object | string)[]) => {
  const asked: { line: string; last: string | null; key: string | null; body: unknown }[] = []
  const client = createClient({
    origin: 'http://scarab.test',
    token: 't',
    fetch: (input, init) => {
      const url = new URL(String(input))
      const headers = new Headers(init?.headers)
      asked.push({
        line: `${init?.method ?? 'GET'} ${url.pathname}${url.search}`,
        last: headers.get('last-event-id'),
        key: headers.get('idempotency-key'),
        body: typeof init?.body === 'string' ? JSON.parse(init.body) : null,
      })
      const next = bodies.shift()
      if (next === undefined) return Promise.resolve(new Response(null, { status: 204 }))
      return Promise.resolve(new Response(typeof next === 'string' ? next : JSON.stringify(next), { status: 200 }))
    },
  })
  return { client, asked }
}

describe('groups, schedules, queues and dead letters', () => {
  it('asks for each by its address', async () => {
    const queue = { name: 'a b', waiting: 0, held: 0 }
    const schedule = { id: 's1', task: 't', cron: '@daily', tz: 'UTC', source: 'api' }
    const page = { items: [], next: null }
    const { client, asked } = answering([GROUP, page, GROUP, GROUP, GROUP, GROUP, {}, page, schedule, {}, page, queue, page])
    await client.groups.submit({ steps: { a: { task: 't', args: [{ from: 'b', column: 'n' }] } } }, { idempotencyKey: 'k' })
    await client.groups.list({ cursor: 'c', limit: 5 })
    await client.groups.get('g1')
    await client.groups.cancel('g1')
    await client.groups.retry('g1')
    await client.groups.decide('g1', 'ok-to-go', 'approve')
    await client.groups.remove('g1')
    await client.schedules.list()
    await client.schedules.create({ task: 't', cron: '@daily' })
    await client.schedules.remove('s1')
    await client.queues.list()
    await client.queues.set('a b', { paused: true, weight: 3 })
    await client.dead({ limit: 20 })
    expect(asked.map((one) => one.line)).toEqual([
      'POST /v1/groups',
      'GET /v1/groups?cursor=c&limit=5',
      'GET /v1/groups/g1',
      'POST /v1/groups/g1/cancel',
      'POST /v1/groups/g1/retry',
      'POST /v1/groups/g1/steps/ok-to-go/approve',
      'DELETE /v1/groups/g1',
      'GET /v1/schedules',
      'POST /v1/schedules',
      'DELETE /v1/schedules/s1',
      'GET /v1/queues',
      'PUT /v1/queues/a%20b',
      'GET /v1/dead?limit=20',
    ])
    expect(asked[0]).toMatchObject({ key: 'k', body: { steps: { a: { args: [{ from: 'b', column: 'n' }] } } } })
    expect(asked[11]?.body).toEqual({ paused: true, weight: 3 })
  })

  it('gives every job of a batch its own answer', async () => {
    const job = { id: 'j', task: 't', state: 'waiting', publication: 'none', created_at: 'x', attempt: 0 }
    const problem = { code: 'unknown_task', detail: 'There is no task "x".' }
    const { client, asked } = answering([
      {
        items: [
          { status: 202, job },
          { status: 404, problem },
        ],
      },
    ])
    const items = await client.batch([{ task: 't' }, { task: 'x' }])
    expect(items).toEqual([
      { status: 202, job },
      { status: 404, problem },
    ])
    expect(asked[0]).toMatchObject({ line: 'POST /v1/jobs/batch', body: { jobs: [{ task: 't' }, { task: 'x' }] } })
  })

  it('follows a group to its end, once each event, over a broken stream and a reset', async () => {
    const { client, asked } = answering([
      event(1, 'running', { step: 'a', step_state: 'running' }),
      event(1, 'running', { step: 'a', step_state: 'running' }) + event(2, 'running', { step: 'a', step_state: 'failed' }),
      'event: reset\ndata: {"oldest":8,"last":11}\n\n',
      `${event(7, 'running')}${event(8, 'compensating', { type: 'group' })}${event(9, 'failed')}${event(10, 'failed', { type: 'group' })}${event(11, 'failed')}`,
    ])
    const seen: string[] = []
    for await (const one of client.groups.watch('g1', { wait: async () => undefined }))
      if (one.type === 'event') seen.push(`${one.event.seq} ${one.event.state}`)
      else if (one.type === 'reset') seen.push('reset')
    expect(seen).toEqual(['1 running', '2 running', 'reset', '8 compensating', '9 failed', '10 failed'])
    expect(asked.map((one) => one.last)).toEqual([null, '1', '2', '7'])
  })

  it('follows the tenant by the numbers that its events have there', async () => {
    const of = (n: number | undefined, seq: number): string =>
      `id: ${n}\ndata: ${JSON.stringify({ n, seq, job: 'j', type: 'state', state: 'running', at: 'x' })}\n\n`
    const { client, asked } = answering([of(4, 1) + of(9, 1) + of(undefined, 2) + of(9, 1)])
    const seen: number[] = []
    for await (const one of client.watchAll({ after: 3, task: 'a b', state: ['failed', 'running'], wait: async () => undefined }))
      if (one.type === 'event') seen.push(one.event.n ?? 0)
    expect(seen).toEqual([4, 9])
    expect(asked.map((one) => `${one.line} ${one.last}`)).toEqual([
      'GET /v1/events?after=3&task=a+b&state=failed&state=running 3',
      'GET /v1/events?after=3&task=a+b&state=failed&state=running 9',
    ])
  })
})

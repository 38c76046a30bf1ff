import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StreamFilter } from '../contract/events.ts'
import { type JobId, QueueName } from '../contract/ids.ts'
import { commit } from './context.ts'
import { QUEUE, submission, testLedger } from './fixture.ts'
import { addEvent, findJob, move } from './jobs.ts'
import { MAX_WATCHERS, STREAM_SCAN_ROWS } from './limits.ts'
import { Streams } from './streams.ts'
import { submit } from './submit.ts'

const everything: StreamFilter = { task: [], queue: [], tag: [], state: [] }

/** The edge's end of a socket, as far as readers' sockets go. */
class Socket {
  readonly sent: Record<string, unknown>[] = []
  #note: unknown = null
  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }
  serializeAttachment(note: unknown): void {
    this.#note = structuredClone(note)
  }
  deserializeAttachment(): unknown {
    return structuredClone(this.#note)
  }
  take(): Record<string, unknown>[] {
    return this.sent.splice(0)
  }
}

const opened: Socket[] = []
beforeEach(() => {
  opened.length = 0
  vi.stubGlobal(
    'WebSocketPair',
    class {
      0 = new Socket()
      1 = new Socket()
    },
  )
  vi.stubGlobal('WebSocketRequestResponsePair', class {})
  // Node's refuses the status of an upgrade.
  vi.stubGlobal(
    'Response',
    class {
      readonly status: number
      constructor(_body: null, { status }: { status: number }) {
        this.status = status
      }
    },
  )
})
afterEach(() => vi.unstubAllGlobals())

/** A ledger with its readers; `asleep` begins a new life in which only what the platform keeps is left. */
const bench = () => {
  const ledger = testLedger()
  const state = {
    acceptWebSocket: (socket: Socket) => opened.push(socket),
    getWebSockets: () => opened,
    setWebSocketAutoResponse: () => undefined,
  } as unknown as DurableObjectState
  const live = new Map()
  const make = (): Streams => new Streams(state, ledger.context, live, () => Promise.resolve({ found: 'no' }))
  let streams = make()
  const tell = (): void => {
    for (const effect of ledger.take()) if (effect.kind === 'events') streams.job(effect.job, effect.events, effect.ended)
  }
  return {
    ...ledger,
    tell,
    asleep: () => {
      streams = make()
    },
    take: (queue = QUEUE): JobId => {
      const answer = commit(ledger.context, (context) => submit(context, submission({ queue }), 0))
      if (!answer.ok) throw new Error(answer.detail)
      tell()
      return answer.job.id
    },
    add: (id: string, times = 1): void => {
      const row = findJob(ledger.context, id)
      if (!row) throw new Error('no such job')
      commit(ledger.context, (context) => {
        for (let time = 0; time < times; time++) addEvent(context, row, 'cancel', { reason: 'again' })
      })
      tell()
    },
    watch: (path: string): Socket => {
      const { status } = streams.open(new URL(`https://ledger/watch/${path}`))
      const socket = opened.at(-1)
      if (status !== 101 || !socket) throw new Error(`refused: ${status}`)
      return socket
    },
    said: (socket: Socket) => streams.said(socket as unknown as WebSocket),
    closed: (socket: Socket) => {
      opened.splice(opened.indexOf(socket), 1)
      streams.closed(socket as unknown as WebSocket)
    },
    status: (path: string): number => streams.open(new URL(`https://ledger/watch/${path}`)).status,
    follow: (wanted: Parameters<Streams['follow']>[0]) => streams.follow(wanted),
  }
}
const tenant = (after: number, filter: Partial<StreamFilter> = {}): string =>
  `tenant?after=${after}&filter=${encodeURIComponent(JSON.stringify({ ...everything, ...filter }))}`
const seqs = (messages: Record<string, unknown>[]): unknown[] => messages.map(({ event }) => (event as { seq: number }).seq)

it('sends what has happened, then what comes, also after the ledger has slept', () => {
  const one = bench()
  const id = one.take()
  const [job, stream, late] = [one.watch(`${id}?after=0`), one.watch(tenant(0)), one.watch(`${id}?after=1`)]
  expect([seqs(job.take()), seqs(stream.take()), seqs(late.take())]).toEqual([[1], [1], []])
  one.add(id)
  expect([seqs(job.take()), seqs(stream.take()), seqs(late.take())]).toEqual([[2], [2], [2]])
  one.asleep()
  one.add(id)
  expect([seqs(job.take()), seqs(stream.take()), seqs(late.take())]).toEqual([[3], [3], [3]])
  const other = one.take()
  expect([job.take(), seqs(stream.take())]).toEqual([[], [1]])
  one.closed(stream)
  one.add(other)
  expect(stream.take()).toEqual([])
})

it('narrows the stream of the tenant in the ledger, also after it has slept', () => {
  const one = bench()
  const id = one.take()
  const [waiting, failed] = [one.watch(tenant(0, { state: ['waiting'] })), one.watch(tenant(0, { state: ['failed'] }))]
  one.asleep()
  one.add(id)
  expect([seqs(waiting.take()), failed.take()]).toEqual([[1, 2], []])
  expect(waiting.sent).toEqual([])
})

it('gives a reader who is far behind its part when it has room, then joins it to what comes, without a gap', () => {
  const one = bench()
  const id = one.take()
  one.add(id, 2 * STREAM_SCAN_ROWS)
  const socket = one.watch(tenant(0))
  const first = socket.take()
  expect([first.length, first.at(-1)]).toEqual([STREAM_SCAN_ROWS + 1, { more: STREAM_SCAN_ROWS }])
  // Not yet: it would come before what is older.
  one.add(id)
  expect(socket.take()).toEqual([])
  one.asleep()
  one.said(socket)
  one.said(socket)
  one.add(id)
  const seen = [...first, ...socket.take()].filter((message) => 'event' in message)
  expect(seqs(seen)).toEqual(Array.from({ length: 2 * STREAM_SCAN_ROWS + 3 }, (_, index) => index + 1))
  one.said(socket)
  expect(socket.take()).toEqual([])
})

it('takes no more readers than it can hold, and takes one again when one has gone', () => {
  const one = bench()
  const id = one.take()
  for (let count = 0; count < MAX_WATCHERS; count++) one.watch(`${id}?after=1`)
  expect(one.status(`${id}?after=1`)).toBe(503)
  one.asleep()
  expect(one.status(tenant(0))).toBe(503)
  const [first] = opened
  if (first) one.closed(first)
  expect(one.status(tenant(0))).toBe(101)
  expect(one.status('01kdyak3se2ztwde0000012345?after=0')).toBe(404)
})

it('wakes who waits for an event of a job, and of the tenant by its filter', async () => {
  const one = bench()
  const id = one.take()
  const ofJob = one.follow({ of: 'job', id, after: 1, until: 'ended', wait_ms: 5_000 })
  const ofTenant = one.follow({ of: 'tenant', filter: { ...everything, state: ['waiting'] }, after: null, wait_ms: 5_000 })
  const never = one.follow({ of: 'tenant', filter: { ...everything, state: ['failed'] }, after: null, wait_ms: 20 })
  one.add(id)
  expect(await ofJob).toMatchObject({ found: 'yes', items: [{ seq: 2 }], next: 2 })
  expect(await ofTenant).toMatchObject({ found: 'yes', items: [{ seq: 2, n: 2, task: 'daily' }], next: 2 })
  expect(await never).toMatchObject({ found: 'yes', items: [], next: 2 })
})

it('lets others have their turn while it looks through events that nobody wants', async () => {
  const one = bench()
  one.add(one.take(), 2 * STREAM_SCAN_ROWS)
  one.take(QueueName.parse('late'))
  const turns: string[] = []
  const polled = one.follow({ of: 'tenant', filter: { ...everything, queue: [QueueName.parse('late')] }, after: 0, wait_ms: 5_000 })
  const told = polled.then((answer) => turns.push(answer.found === 'yes' ? `${answer.items.length} event` : answer.found))
  setTimeout(() => turns.push('another'), 0)
  await told
  expect(turns).toEqual(['another', '1 event'])
})

describe('requests that wait for events of the tenant', () => {
  const wanted = (state: StreamFilter['state'], after: number) =>
    ({ of: 'tenant', filter: { ...everything, state }, after, wait_ms: 20_000 }) as const

  it('go on for an event that they want, and are left alone by others', async () => {
    const one = bench()
    const id = one.take()
    const looks = vi.spyOn(one.context.store, 'all')
    const waits = Array.from({ length: 50 }, () => one.follow(wanted(['failed'], 1)))
    const heard = one.follow(wanted(['waiting'], 1))
    const before = looks.mock.calls.length
    one.add(id, 10)
    expect(await heard).toMatchObject({ items: { length: 10 }, next: 11 })
    // The one that was told has looked; the fifty have not.
    expect(looks.mock.calls.length - before).toBeLessThan(20)
    commit(one.context, (context) => {
      const row = findJob(context, id)
      if (row) move(context, row, 'fail', { error_code: 'x' })
    })
    looks.mockClear()
    one.tell()
    for (const wait of waits) expect(await wait).toMatchObject({ items: [{ n: 12, state: 'failed' }], next: 12 })
    // Each looked at the one event only, not at those that it had been asked about before.
    for (const [query, after] of looks.mock.calls) if (/FROM events/.test(query)) expect(after).toBe(11)
  })

  it('that have waited long enough go on after all that has happened', async () => {
    vi.useFakeTimers()
    try {
      const one = bench()
      const id = one.take()
      const waits = one.follow(wanted(['failed'], 1))
      one.add(id, 10)
      await vi.advanceTimersByTimeAsync(20_000)
      expect(await waits).toEqual({ found: 'yes', items: [], reset: null, next: 11, more: false })
    } finally {
      vi.useRealTimers()
    }
  })
})

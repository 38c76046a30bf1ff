import { beforeEach, expect, test } from 'vitest'
import { JobId, NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { FromNode, ToNode } from '../contract/node.ts'
import type { OfferAnswer } from '../ledger/leases.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import { receive } from './messages.ts'
import { dispatch, joinPool, type LinkMemory, newMemory, reportTo, unride } from './offers.ts'
import { type LedgerPort, type LinkContext, newCache } from './ports.ts'
import { LINK_MIGRATIONS } from './schema.ts'
import { currentSession, endSession, type NodeBounds, rememberLedger, socketLost, wasAway } from './session.ts'

const ACME = TenantId.parse('acme')
const POOL = PoolName.parse('default')
const QUEUE = QueueName.parse('default')
const bounds: NodeBounds = { name: NodeId.parse('n1'), pool: POOL, tenants: ['*'], tasks: ['*'] }
const session = (n: number): SessionId => SessionId.parse(`session-000000000${n}`)

/** Calls to other objects, in order; each waits until the test answers it. */
interface Call {
  name: string
  args: unknown[]
  answer(value?: unknown): void
  fail(): void
}
let calls: Call[]
let sent: ToNode[]
let context: LinkContext
let memory: LinkMemory

const called = (name: string, ...args: unknown[]): Promise<never> =>
  new Promise((resolve, reject) => {
    calls.push({ name, args, answer: (value) => resolve(value as never), fail: () => reject(new Error(`${name} did not answer`)) })
  })
/** Everything that can go on has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
const next = async (name: string): Promise<Call> => {
  await settled()
  const call = calls.shift()
  if (call?.name !== name) throw new Error(`expected ${name}, got ${call?.name ?? 'nothing'}`)
  return call
}

beforeEach(() => {
  const store = nodeStore()
  migrate(store, LINK_MIGRATIONS)
  calls = []
  sent = []
  memory = newMemory()
  const port = (of: string): object =>
    new Proxy(
      {},
      {
        get:
          (_target, method) =>
          (...args: unknown[]) =>
            called(`${of}.${String(method)}`, ...args),
      },
    )
  context = {
    store,
    cache: newCache(),
    now: () => 1_000_000,
    ledger: () => port('ledger') as LedgerPort,
    pool: () => port('pool') as ReturnType<LinkContext['pool']>,
    table: () => port('table') as ReturnType<LinkContext['table']>,
    directory: port('directory') as LinkContext['directory'],
    objects: port('objects') as LinkContext['objects'],
    send: (message) => sent.push(message) > 0,
    hangUp: () => {},
  }
})

const say = (message: Exclude<FromNode, { type: 'sliced' }>): Promise<void> =>
  receive(context, memory, { bounds, part: { first: true } }, message)
const hello = (n: number): Promise<void> =>
  say({ type: 'hello', version: 1, session: session(n), name: bounds.name, slots: 2, queues: null, labels: {}, engines: [], holding: [] })
const connect = async (n: number): Promise<void> => {
  const done = hello(n)
  ;(await next('directory.seen')).answer()
  await done
}
const current = (): NonNullable<ReturnType<typeof currentSession>> => {
  const row = currentSession(context)
  if (!row) throw new Error('there is no session')
  return row
}

test('of two hellos the later one counts, however long the earlier one had to wait', async () => {
  await connect(1)
  rememberLedger(context, ACME)
  const second = hello(2)
  const slow = await next('ledger.endSession')
  const third = hello(3)
  ;(await next('ledger.endSession')).answer()
  ;(await next('directory.gone')).answer()
  ;(await next('pool.leave')).answer()
  ;(await next('directory.seen')).answer()
  await third
  expect(current().session).toBe(session(3))
  slow.answer()
  ;(await next('directory.gone')).answer()
  ;(await next('pool.leave')).answer()
  await second
  expect(current()).toMatchObject({ session: session(3), connected: 1 })
  expect(sent.filter(({ type }) => type === 'welcome')).toMatchObject([{ session: session(1) }, { session: session(3) }])
})

test('a session that comes back while it is being ended goes on', async () => {
  await connect(1)
  rememberLedger(context, ACME)
  const lost = socketLost(context)
  ;(await next('pool.leave')).answer()
  await lost
  const ending = endSession(context, current(), 'lost', () => currentSession(context)?.connected === 1)
  const slow = await next('ledger.endSession')
  const back = hello(1)
  ;(await next('ledger.resume')).answer([])
  ;(await next('directory.seen')).answer()
  await back
  slow.answer()
  await ending
  expect(calls).toEqual([])
  expect(current()).toMatchObject({ session: session(1), connected: 1 })
  expect(context.store.all('SELECT tenant FROM ledgers')).toEqual([{ tenant: 'acme' }])
})

test('the pool hears one number at a time, so that an older one cannot take slots away', async () => {
  await connect(1)
  memory.free = 2
  const first = joinPool(context, memory, current())
  const join = await next('pool.join')
  memory.free = 5
  const second = reportTo(context, memory, current(), [], [])
  await settled()
  expect(calls).toEqual([])
  join.answer()
  const report = await next('pool.report')
  expect(report.args).toMatchObject([{ free: 5 }])
  report.answer()
  await Promise.all([first, second])
})

test('a report that was lost is made again, also when nothing has changed', async () => {
  await connect(1)
  memory.free = 2
  const lost = reportTo(context, memory, current(), [], [])
  ;(await next('pool.report')).fail()
  await expect(lost).rejects.toThrow('did not answer')
  const again = reportTo(context, memory, current(), [], [])
  ;(await next('pool.report')).answer()
  await again
  await reportTo(context, memory, current(), [], [])
  expect(calls).toEqual([])
})

test('an end whose answer took long does not undo what the node has said of its room since', async () => {
  await connect(1)
  const failure = { code: 'sql_error', message: 'no', class: 'sql' as const }
  const slow = say({ type: 'fail', re: 1, items: [{ tenant: ACME, job: JobId.parse('0'.repeat(26)), attempt: 1, failure }], want: 0 })
  const ledger = await next('ledger.fail')
  const wanting = say({ type: 'want', want: 4 })
  ;(await next('pool.join')).answer()
  await wanting
  ledger.answer({ verdicts: ['ok'], next: null })
  await slow
  expect(memory.free).toBe(4)
  expect(calls).toEqual([])
})

test('offers that could not be prepared leave the room of the node as it was', async () => {
  await connect(1)
  context.store.run(`INSERT INTO tasks (name, hash, columns) VALUES ('daily', ?, '[{"name":"n","type":"long"}]')`, 'a'.repeat(64))
  memory.free = 2
  memory.told = 2
  const given = { session: session(1), tenant: ACME, queue: QUEUE, count: 2, ride: false }
  const failing = dispatch(context, memory, given)
  const answer: OfferAnswer = {
    offers: [
      {
        job: JobId.parse('0'.repeat(26)),
        attempt: 1,
        task: 'daily',
        args: '[]',
        db: null,
        engine_hint: null,
        family: 'reports.daily',
        run_date: '2026-01-02',
        max_runtime_seconds: null,
        weight: 1,
        accept_by: 1_005_000,
      },
    ],
    drained: null,
  }
  ;(await next('ledger.offer')).answer(answer)
  ;(await next('table.ensureSchema')).fail()
  const report = await next('pool.report')
  expect(report.args).toMatchObject([{ free: 2 }])
  report.answer()
  await expect(failing).rejects.toThrow('did not answer')
  expect(memory.free).toBe(2)
})

const offered = (n: number, weight: number): OfferAnswer['offers'][number] => ({
  job: JobId.parse(`0${String(n).padStart(25, '0')}`),
  attempt: 1,
  task: 'daily',
  args: '[]',
  db: null,
  engine_hint: null,
  family: 'reports.daily',
  run_date: '2026-01-02',
  max_runtime_seconds: null,
  weight,
  accept_by: 1_005_000,
})

test('a heavy job takes its weight of the room, and its tenant is charged for all of it', async () => {
  await connect(1)
  context.store.run(`INSERT INTO tasks (name, hash, columns) VALUES ('daily', ?, NULL)`, 'a'.repeat(64))
  Object.assign(memory, { free: 4, idle: 4, told: 4, toldIdle: 4 })
  const done = dispatch(context, memory, { session: session(1), tenant: ACME, queue: QUEUE, count: 3, ride: false })
  ;(await next('ledger.offer')).answer({ offers: [offered(1, 2), offered(2, 5)], drained: null } satisfies OfferAnswer)
  const report = await next('pool.report')
  expect(report.args).toMatchObject([{ free: 0, idle: -3, unused: [{ tenant: ACME, queue: QUEUE, count: -4 }] }])
  report.answer()
  await done
  expect(sent.at(-1)).toMatchObject({ type: 'offers', items: [{ weight: 2 }, { weight: 5 }] })
})

test('where slots are kept for a lane, the pool hears of each idle slot', async () => {
  await connect(1)
  Object.assign(memory, { free: 8, idle: 3, told: 6, toldIdle: 2, joined: true })
  await reportTo(context, memory, current(), [], [])
  await settled()
  expect(calls).toEqual([])
  const done = unride(context, memory, { session: session(1), strict: true })
  const report = await next('pool.report')
  expect(report.args).toMatchObject([{ free: 8, idle: 3 }])
  report.answer()
  await done
  expect(memory.ride).toBe(false)
})

test('a grace that ends long after its time was none: the link was away itself, and the node could not come back', () => {
  expect([10_000, 12_000, 13_000, 13_001, 600_000].map((now) => wasAway(10_000, now))).toEqual([false, false, false, true, true])
})

test('a list of tasks is told under its own version, also when it came while the ledger was asked with the one before', async () => {
  await connect(1)
  const announce = (name: string): void => {
    context.store.run('INSERT INTO tasks (name, hash) VALUES (?, ?)', name, 'a'.repeat(64))
    memory.tasks = null
  }
  announce('daily')
  memory.free = 2
  const given = { session: session(1), tenant: ACME, queue: QUEUE, count: 2, ride: false }
  const dispatched = dispatch(context, memory, given)
  const asked = await next('ledger.offer')
  announce('weekly')
  asked.answer({ offers: [], drained: null, untold: true } satisfies OfferAnswer)
  const again = await next('ledger.offer')
  expect(again.args).toMatchObject([{ tasks: { daily: {}, weekly: {} } }])
  const version = ([ask]: unknown[]): unknown => Reflect.get(Object(ask), 'tasks_version')
  expect(version(again.args)).not.toBe(version(asked.args))
  again.answer({ offers: [], drained: 1 } satisfies OfferAnswer)
  await settled()
  for (const call of calls.splice(0)) call.answer()
  await dispatched
})

import { describe, expect, test } from 'vitest'
import { type JobId, QueueName } from '../contract/ids.ts'
import { QueueSettings } from '../contract/queues.ts'
import { cancel, cancelAnswered } from './cancel.ts'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { type Bench, completion, HOLDER, QUEUE, request, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, endSession, handBack, offer } from './leases.ts'
import { MAX_PLACES } from './limits.ts'
import { putQueue } from './queues.ts'
import { showJob } from './read.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

const FAST = QueueName.parse('fast')

const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const submitted = commit(bench.context, (context) => submit(context, submission({ sameness: 'same', ...change }), 0))
  if (!submitted.ok) throw new Error(submitted.detail)
  return submitted.job.id
}
const row = (bench: Bench, id: JobId): JobRow => {
  const found = findJob(bench.context, id)
  if (!found) throw new Error(`no job ${id}`)
  return found
}
const states = (bench: Bench, ...ids: JobId[]): string[] => ids.map((id) => row(bench, id).state)
const leaders = (bench: Bench, ...ids: JobId[]): (string | null)[] => ids.map((id) => row(bench, id).coalesced_with)
const serve = (bench: Bench, queue: QueueName, want = 1): { job: JobId; attempt: number }[] =>
  commit(bench.context, (context) => offer(context, { ...request(HOLDER, want), queue })).offers
const run = (bench: Bench, queue = QUEUE): { job: JobId; attempt: number } => {
  const [lease] = serve(bench, queue)
  if (!lease) throw new Error('nothing was offered')
  commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))
  return lease
}
const finish = (bench: Bench, { job, attempt }: { job: JobId; attempt: number }): unknown =>
  commit(bench.context, (context) => complete(context, HOLDER, [completion(job, attempt)]))
const set = (bench: Bench, queue: QueueName, settings: Partial<QueueSettings>): void => {
  commit(bench.context, (context) => putQueue(context, queue, QueueSettings.parse(settings)))
}

describe('an execution that several wait for', () => {
  test('waits in each of their lanes, and the first that a slot comes to runs for all', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench, { queue: FAST })
    const third = take(bench, { queue: FAST })
    expect(states(bench, leader, other, third)).toEqual(['waiting', 'waiting', 'joined'])
    expect(showJob(row(bench, other))).toMatchObject({ state: 'waiting', coalesced_with: leader, waiting_for: [] })
    bench.take()
    const lease = run(bench, FAST)
    expect(lease.job).toBe(other)
    expect(states(bench, leader, other, third)).toEqual(['joined', 'running', 'joined'])
    expect(showJob(row(bench, leader))).toMatchObject({ state: 'waiting', coalesced_with: other, waiting_for: [other] })
    expect(serve(bench, QUEUE)).toEqual([])
    finish(bench, lease)
    expect(states(bench, leader, other, third)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    expect(leaders(bench, leader, other, third)).toEqual([other, null, other])
    expect(bench.context.store.all('SELECT job FROM results')).toEqual([{ job: other }])
  })

  test('is lifted in its lane by whoever wants it more', () => {
    const bench = testLedger()
    const leader = take(bench)
    const before = take(bench, { sameness: 'other', priority: 3 })
    const urgent = take(bench, { priority: 5 })
    const less = take(bench, { priority: 4 })
    expect(states(bench, leader, urgent, less)).toEqual(['waiting', 'waiting', 'joined'])
    expect(serve(bench, QUEUE, 10).map(({ job }) => job)).toEqual([urgent, before])
    expect(states(bench, leader, urgent, less)).toEqual(['joined', 'offered', 'joined'])
  })

  test('does not wait for a lane that is paused after the others had joined', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench, { queue: FAST })
    set(bench, QUEUE, { paused: true })
    finish(bench, run(bench, FAST))
    expect(states(bench, leader, other)).toEqual(['succeeded', 'succeeded'])
  })

  test('goes on in the best places again when its node is lost, gives it back or lets the offer lapse', () => {
    const bench = testLedger()
    const leader = take(bench)
    const lease = run(bench)
    // While it runs nobody needs a place.
    const [plain, fast, urgent] = [take(bench), take(bench, { queue: FAST }), take(bench, { priority: 5 })]
    expect(states(bench, plain, fast, urgent)).toEqual(['joined', 'joined', 'joined'])
    set(bench, QUEUE, { paused: true })
    commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'drain' }]))
    expect(states(bench, leader, plain, fast, urgent)).toEqual(['waiting', 'joined', 'waiting', 'waiting'])
    expect(serve(bench, FAST)).toMatchObject([{ job: fast }])
    bench.pass(5_000)
    fireTimers(bench.context)
    expect(states(bench, leader, plain, fast, urgent)).toEqual(['joined', 'joined', 'waiting', 'waiting'])
    set(bench, QUEUE, {})
    expect(run(bench).job).toBe(urgent)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    expect(states(bench, leader, fast, urgent)).toEqual(['joined', 'joined', 'scheduled'])
    bench.pass(1_000)
    fireTimers(bench.context)
    expect(states(bench, leader, plain, fast, urgent)).toEqual(['joined', 'joined', 'waiting', 'waiting'])
    finish(bench, run(bench, FAST))
    expect(new Set(states(bench, leader, plain, fast, urgent))).toEqual(new Set(['succeeded']))
    expect(bench.context.store.all('SELECT job FROM results')).toEqual([{ job: fast }])
  })

  test('keeps a place in a lane when the one that stood there goes', () => {
    const bench = testLedger()
    const leader = take(bench)
    const [stands, behind] = [take(bench, { queue: FAST }), take(bench, { queue: FAST })]
    commit(bench.context, (context) => cancel(context, row(bench, stands), 'enough'))
    expect(states(bench, leader, stands, behind)).toEqual(['waiting', 'cancelled', 'waiting'])
    expect(run(bench, FAST).job).toBe(behind)
    expect(row(bench, leader)).toMatchObject({ state: 'joined', coalesced_with: behind })
  })

  test('is led by one that stands when its leader goes', () => {
    const bench = testLedger()
    const leader = take(bench)
    const [joined, stands] = [take(bench), take(bench, { queue: FAST })]
    commit(bench.context, (context) => cancel(context, row(bench, leader), 'enough'))
    // The one that stood leads; whoever waited in the leader's lane has its place now.
    expect(states(bench, leader, joined, stands)).toEqual(['cancelled', 'waiting', 'waiting'])
    expect(leaders(bench, joined, stands)).toEqual([stands, null])
    finish(bench, run(bench))
    expect(states(bench, joined, stands)).toEqual(['succeeded', 'succeeded'])
  })

  test('is not lost with a watcher that had watchers itself', () => {
    const bench = testLedger()
    const leader = take(bench)
    const behind = take(bench)
    const stands = take(bench, { queue: FAST })
    const lease = run(bench, FAST)
    expect(leaders(bench, leader, behind, stands)).toEqual([stands, leader, null])
    const stop = (id: JobId): unknown => commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    stop(stands)
    bench.take()
    stop(leader)
    expect(bench.take().filter(({ kind }) => kind === 'cancel')).toEqual([])
    expect(row(bench, behind)).toMatchObject({ state: 'joined', coalesced_with: stands })
    finish(bench, lease)
    expect(states(bench, leader, behind, stands)).toEqual(['cancelled', 'succeeded', 'cancelled'])
  })

  test('runs once also where its arguments are too large to be kept in memory', () => {
    const bench = testLedger()
    const args = ['x'.repeat(5_000)]
    const leader = take(bench, { args })
    const urgent = take(bench, { args, priority: 5 })
    expect(serve(bench, QUEUE, 10).map(({ job }) => job)).toEqual([urgent])
    expect(states(bench, leader, urgent)).toEqual(['joined', 'offered'])
  })

  test('of which an attempt was lost is not confirmed to be dead by whoever led it then (I8)', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench, { queue: FAST })
    run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    bench.pass(30_000)
    fireTimers(bench.context)
    const stop = (id: JobId): void => {
      commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    }
    const lease = run(bench, FAST)
    expect(row(bench, leader)).toMatchObject({ state: 'joined', tries: 1 })
    const second = take(bench)
    stop(leader)
    expect(row(bench, leader)).toMatchObject({ state: 'cancelled', cancel_outcome: 'not_confirmed' })
    // Whoever never led has no query of its own.
    stop(second)
    expect(row(bench, second).cancel_outcome).toBe('confirmed')
    stop(other)
    commit(bench.context, (context) => cancelAnswered(context, HOLDER, { ...lease, outcome: 'confirmed', reason: null }))
    expect(row(bench, leader).cancel_outcome).toBe('not_confirmed')
  })

  test('comes back to one that led it before with the tries that this one has burnt (I8)', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench, { queue: FAST })
    run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    bench.pass(30_000)
    fireTimers(bench.context)
    const lease = run(bench, FAST)
    commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'drain' }]))
    for (const id of [other, leader]) {
      if (id === leader) expect(row(bench, leader)).toMatchObject({ state: 'waiting', coalesced_with: null, tries: 1 })
      commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    }
    expect(row(bench, leader).cancel_outcome).toBe('not_confirmed')
  })

  test('waits in a bounded number of places', () => {
    const bench = testLedger()
    const ids = Array.from({ length: MAX_PLACES + 1 }, (_, n) => take(bench, { queue: QueueName.parse(`q${n}`) }))
    expect(states(bench, ...ids).filter((state) => state === 'waiting')).toHaveLength(MAX_PLACES)
    expect(states(bench, ...ids).at(-1)).toBe('joined')
  })
})

describe('a job that was put off', () => {
  test('shares the execution of one that waits when its time has come, or has begun since, and of no earlier one', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 10_000
    const [later, last] = [take(bench, { eta }), take(bench, { eta })]
    const early = take(bench)
    const lease = run(bench)
    bench.pass(10_000)
    fireTimers(bench.context)
    // What runs since before its time is not what it asked for.
    expect(states(bench, early, later, last)).toEqual(['running', 'waiting', 'joined'])
    finish(bench, lease)
    expect(states(bench, early, later, last)).toEqual(['succeeded', 'waiting', 'joined'])
    finish(bench, run(bench))
    expect(states(bench, later, last)).toEqual(['succeeded', 'succeeded'])
  })

  test('is not looked at by those that look for a leader, however many there are', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 10_000
    for (let n = 0; n < 20; n++) take(bench, { eta })
    const leading = (): unknown => bench.context.store.all(`SELECT sum(ncell) AS n FROM dbstat WHERE name = 'jobs_leading'`)
    expect(leading()).toEqual([{ n: 0 }])
    bench.pass(10_000)
    fireTimers(bench.context)
    expect(leading()).toEqual([{ n: 1 }])
    run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    expect(leading()).toEqual([{ n: 1 }])
  })

  test('takes a finished result that is not older than it wants, when its time has come', () => {
    const bench = testLedger()
    const later = take(bench, { eta: bench.context.now() + 10_000, reuse_seconds: 60 })
    const writer = take(bench)
    finish(bench, run(bench))
    bench.pass(10_000)
    fireTimers(bench.context)
    expect(row(bench, later)).toMatchObject({ state: 'succeeded', reused_from: writer })
  })
})

import { describe, expect, it } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import type { Failure } from '../contract/node.ts'
import { dueTimers, nextDue } from '../storage/timers.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { fail } from './finish.ts'
import { HOLDER, OTHER, request, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { latenessOf } from './lateness.ts'
import { accept, endSession, type Holder, handBack, offer, resumeSession, start } from './leases.ts'
import { AWAY_SECONDS, SESSION_SECONDS } from './limits.ts'
import { eventsAfter, showJob } from './read.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>
const SECOND = 1_000

const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const answer = commit(bench.context, (context) => submit(context, submission(change), 0))
  if (!answer.ok) throw new Error(answer.detail)
  return answer.job.id
}
const row = (bench: Bench, id: JobId): JobRow => {
  const found = findJob(bench.context, id)
  if (!found) throw new Error('no such job')
  return found
}
const given = (bench: Bench, holder: Holder = HOLDER): { job: JobId; attempt: number }[] =>
  commit(bench.context, (context) => offer(context, request(holder, 10))).offers.map(({ job, attempt }) => ({ job, attempt }))
/** The lane's first job, offered, taken and perhaps begun. */
const hold = (bench: Bench, begin: boolean): { job: JobId; attempt: number } => {
  const [lease] = given(bench)
  if (!lease) throw new Error('nothing was offered')
  expect(commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: begin }]))).toEqual(['ok'])
  return lease
}
const wait = (bench: Bench, ms: number): void => {
  bench.pass(ms)
  fireTimers(bench.context)
}
const failWith = (bench: Bench, lease: { job: JobId; attempt: number }, of: Failure['class'], code = 'x') =>
  commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure: { code, message: 'It went wrong.', class: of } }]))
const timersOf = (bench: Bench, kind: string): string[] =>
  dueTimers(bench.context.store, Number.MAX_SAFE_INTEGER, 1_000).flatMap((timer) => (timer.kind === kind ? [timer.ref] : []))

describe('a job with an eta', () => {
  it('is scheduled, is not offered before, and waits from that instant on', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 60 * SECOND
    const id = take(bench, { eta })
    expect(showJob(row(bench, id))).toMatchObject({ state: 'scheduled', eta: new Date(eta).toISOString() })
    expect(nextDue(bench.context.store)).toBe(eta)
    wait(bench, 60 * SECOND - 1)
    expect(given(bench)).toEqual([])
    bench.take()
    wait(bench, 1)
    expect(row(bench, id).state).toBe('waiting')
    expect(bench.take().map(({ kind }) => kind)).toContain('ready')
    expect(given(bench).map(({ job }) => job)).toEqual([id])
    expect(eventsAfter(bench.context, id, 0).map(({ state }) => state)).toEqual(['scheduled', 'waiting'])
  })

  it('is refused when the instant is further ahead than an alarm can be set with certainty', () => {
    const bench = testLedger()
    const wanted = (years: number) => submission({ eta: bench.context.now() + years * 365 * 86_400_000, ttl_seconds: 100 * 365 * 86_400 })
    const answer = (years: number) => commit(bench.context, (context) => submit(context, wanted(years), 0))
    expect(answer(11)).toMatchObject({ ok: false, code: 'invalid_body', detail: expect.stringContaining('/eta: 2036-') })
    expect(answer(10)).toMatchObject({ ok: true, job: { state: 'scheduled', expires_at: expect.stringMatching(/^2135-/) } })
  })

  it('waits at once when the instant has passed', () => {
    const bench = testLedger()
    expect(row(bench, take(bench, { eta: bench.context.now() })).state).toBe('waiting')
    expect(timersOf(bench, 'due')).toEqual([])
  })

  it('leaves no timer when it is cancelled before', () => {
    const bench = testLedger()
    const id = take(bench, { eta: bench.context.now() + 60 * SECOND, ttl_seconds: 5 })
    expect(commit(bench.context, (context) => cancel(context, row(bench, id), 'not wanted'))).toBe('cancelled')
    expect([...timersOf(bench, 'due'), ...timersOf(bench, 'expire')]).toEqual([])
    wait(bench, 70 * SECOND)
    expect(row(bench, id).state).toBe('cancelled')
  })

  it('is the same request again under its alias only with the same times', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 60 * SECOND
    const again = (change: Partial<Submission>) =>
      commit(bench.context, (context) => submit(context, submission({ alias: 'a' as never, eta, ttl_seconds: 9, ...change }), 0))
    expect(again({})).toMatchObject({ ok: true, created: true })
    bench.pass(SECOND)
    expect(again({})).toMatchObject({ ok: true, created: false })
    expect(again({ eta: eta + 1 })).toMatchObject({ ok: false, code: 'alias_in_use' })
    expect(again({ ttl_seconds: 10 })).toMatchObject({ ok: false, code: 'alias_in_use' })
    expect(again({ priority: 1 })).toMatchObject({ ok: false, code: 'alias_in_use' })
  })
})

describe('a job with a ttl', () => {
  it('fails with `expired` when no node has begun it by then', () => {
    const bench = testLedger()
    const id = take(bench, { ttl_seconds: 10 })
    wait(bench, 10 * SECOND - 1)
    expect(row(bench, id).state).toBe('waiting')
    wait(bench, 1)
    expect(showJob(row(bench, id))).toMatchObject({ state: 'failed', error: { code: 'expired' }, finished_at: '2026-01-02T03:04:15.000Z' })
    expect(row(bench, id).error_message).toContain('it waited 10 s')
    expect(given(bench)).toEqual([])
    expect(timersOf(bench, 'expire')).toEqual([])
  })

  it('counts from its eta', () => {
    const bench = testLedger()
    const id = take(bench, { eta: bench.context.now() + 60 * SECOND, ttl_seconds: 10 })
    wait(bench, 61 * SECOND)
    expect(row(bench, id).state).toBe('waiting')
    wait(bench, 9 * SECOND)
    expect(row(bench, id)).toMatchObject({ state: 'failed', error_code: 'expired' })
  })

  it('takes the offer back from a node that has not answered, and fences its late accept', () => {
    const bench = testLedger()
    const id = take(bench, { ttl_seconds: 3 })
    const [lease] = given(bench)
    wait(bench, 3 * SECOND)
    expect(row(bench, id).state).toBe('failed')
    expect(lease && commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))).toEqual(['fenced'])
  })

  it('runs to its end once it has begun, and is tried again after a loss', () => {
    const bench = testLedger()
    const id = take(bench, { ttl_seconds: 3 })
    hold(bench, true)
    expect(timersOf(bench, 'expire')).toEqual([])
    wait(bench, 5 * SECOND)
    expect(row(bench, id).state).toBe('running')
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'The node was lost.'))
    wait(bench, 31 * SECOND)
    expect(row(bench, id).state).toBe('waiting')
  })

  it('is cancelled, not expired, when that was asked for before', () => {
    const bench = testLedger()
    const id = take(bench, { ttl_seconds: 3 })
    hold(bench, false)
    commit(bench.context, (context) => cancel(context, row(bench, id), 'not wanted'))
    wait(bench, 3 * SECOND)
    expect(row(bench, id).state).toBe('leased')
    wait(bench, 12 * SECOND)
    expect(row(bench, id).state).toBe('cancelled')
  })

  it('expires also on a node that has taken it and has no slot for it: what the node wants with it then is fenced', () => {
    const bench = testLedger()
    const id = take(bench, { ttl_seconds: 3 })
    const lease = hold(bench, false)
    wait(bench, 3 * SECOND)
    expect(row(bench, id)).toMatchObject({ state: 'failed', error_code: 'expired', node: null })
    expect(commit(bench.context, (context) => start(context, HOLDER, [lease]))).toEqual(['fenced'])
    expect(commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'drain' }]))).toEqual(['fenced'])
    expect(
      commit(bench.context, (context) => resumeSession(context, HOLDER, [{ tenant: context.tenant, ...lease, running: false }])),
    ).toMatchObject([lease])
    expect(row(bench, id)).toMatchObject({ state: 'failed', tries: 0 })
  })
})

describe('tries', () => {
  it.each(['lost', 'overloaded'] as const)('of a job that is %s are as many as it has, with a pause between them', (of) => {
    const bench = testLedger()
    const id = take(bench, { max_tries: 3 })
    for (let n = 1; n < 3; n++) {
      expect(failWith(bench, hold(bench, true), of)).toEqual(['ok'])
      expect(row(bench, id)).toMatchObject({ state: 'scheduled', tries: n })
      // The test's dice show the middle of 1 s, then of 2 s.
      expect(row(bench, id).due_at).toBe(bench.context.now() + Math.round((2 ** (n - 1) * SECOND * 128 * 257) / 65_535))
      wait(bench, 2 * SECOND)
    }
    failWith(bench, hold(bench, true), of, 'source_overloaded')
    expect(row(bench, id)).toMatchObject({ state: 'failed', tries: 3, error_code: 'source_overloaded', error_class: of })
    expect(row(bench, id).error_message).toBe('It went wrong. Tried 3 times.')
  })

  it('end with the first where there are no retries', () => {
    const bench = testLedger()
    const id = take(bench, { max_tries: 1 })
    failWith(bench, hold(bench, true), 'lost')
    expect(row(bench, id)).toMatchObject({ state: 'failed', error_message: 'It went wrong. Tried once.' })
  })

  it.each(['sql', 'arguments', 'schema', 'source', 'limit', 'budget', 'internal', 'cancelled'] as const)('of class %s are one', (of) => {
    const bench = testLedger()
    const id = take(bench)
    failWith(bench, hold(bench, true), of)
    expect(row(bench, id)).toMatchObject({ state: 'failed', tries: 1, error_class: of })
  })

  it('are not burnt by offers, hand-backs, a node without the job, nor an attempt that never began', () => {
    const bench = testLedger()
    const id = take(bench, { max_tries: 1 })
    // An offer that lapses.
    given(bench)
    wait(bench, 6 * SECOND)
    // A lease that is lost with its session before it began.
    hold(bench, false)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'The node was lost.'))
    // A shutdown in the middle of the run.
    for (let n = 0; n < 3; n++) {
      const lease = hold(bench, true)
      commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'drain' }]))
    }
    // The node comes back in its session and knows nothing of the job.
    hold(bench, true)
    commit(bench.context, (context) => resumeSession(context, HOLDER, []))
    expect(row(bench, id)).toMatchObject({ state: 'waiting', tries: 0 })
    expect(row(bench, id).attempt).toBe(6)
  })

  it('are not burnt by a zombie that reports for an attempt that is over', () => {
    const bench = testLedger()
    const id = take(bench)
    const zombie = hold(bench, true)
    commit(bench.context, (context) => handBack(context, HOLDER, [{ ...zombie, reason: 'drain' }]))
    const [lease] = given(bench, OTHER)
    if (!lease) throw new Error('nothing was offered')
    commit(bench.context, (context) => accept(context, OTHER, [{ ...lease, start: true }]))
    expect(failWith(bench, zombie, 'lost')).toEqual(['fenced'])
    expect(commit(bench.context, (context) => start(context, HOLDER, [zombie]))).toEqual(['fenced'])
    expect(row(bench, id)).toMatchObject({ state: 'running', tries: 1 })
  })

  it('are not burnt by a fail-over: a ledger that was away itself gives the sessions their time anew', () => {
    const bench = testLedger()
    const id = take(bench)
    hold(bench, true)
    // Nobody could renew while the ledger was away; its alarm rings as soon as it is back.
    wait(bench, (SESSION_SECONDS + AWAY_SECONDS + 1) * SECOND)
    expect(row(bench, id)).toMatchObject({ state: 'running', tries: 1 })
    // A node that does not come back is lost after all.
    wait(bench, SESSION_SECONDS * SECOND)
    expect(row(bench, id).state).toBe('scheduled')
  })

  it('are burnt by a node that falls silent while the ledger listens', () => {
    const bench = testLedger()
    const id = take(bench)
    hold(bench, true)
    wait(bench, (SESSION_SECONDS + AWAY_SECONDS) * SECOND)
    expect(row(bench, id)).toMatchObject({ state: 'scheduled', tries: 1 })
  })
})

describe('lateness', () => {
  it('is nothing where nothing has fired', () => {
    const { context } = testLedger()
    expect(latenessOf(context).due).toEqual({ fired: 0, over_1s: 0, over_120s: 0, mean_ms: null, max_ms: null, max_at: null })
  })

  it('is what lies between the time a timer was set for and its firing', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 10 * SECOND
    take(bench, { eta })
    wait(bench, 10 * SECOND + 3)
    take(bench, { eta: bench.context.now() + SECOND })
    take(bench, { ttl_seconds: 1 })
    wait(bench, 122 * SECOND)
    expect(latenessOf(bench.context)).toMatchObject({
      due: {
        fired: 2,
        over_1s: 1,
        over_120s: 1,
        mean_ms: Math.round((3 + 121_000) / 2),
        max_ms: 121_000,
        max_at: '2026-01-02T03:06:17.003Z',
      },
      expire: { fired: 1, over_1s: 1, over_120s: 1, max_ms: 121_000 },
      schedule: { fired: 0 },
    })
    // One that is on time changes nothing of the worst.
    take(bench, { eta: bench.context.now() + SECOND })
    wait(bench, SECOND)
    expect(latenessOf(bench.context).due).toMatchObject({ fired: 3, over_1s: 1, max_ms: 121_000, max_at: '2026-01-02T03:06:17.003Z' })
  })
})

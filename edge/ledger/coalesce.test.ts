import { describe, expect, test } from 'vitest'
import { type JobId, QueueName } from '../contract/ids.ts'
import { QueueSettings } from '../contract/queues.ts'
import { cancel, cancelAnswered } from './cancel.ts'
import { shareOf } from './coalesce.ts'
import { commit } from './context.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, endSession, handBack, holds, offer } from './leases.ts'
import { CROWD_PER_TURN, MAX_FOLLOWERS } from './limits.ts'
import { publicationOutcome } from './publication.ts'
import { putQueue } from './queues.ts'
import { findResult, showJob } from './read.ts'
import { remove } from './remove.ts'
import { pointerTo } from './sharers.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>

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
/** The next offer of the lane is taken and begins. */
const run = (bench: Bench): { job: JobId; attempt: number } => {
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const lease = { job: offered.job, attempt: offered.attempt }
  commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))
  return lease
}
const finish = (bench: Bench, { job, attempt }: { job: JobId; attempt: number }): unknown =>
  commit(bench.context, (context) => complete(context, HOLDER, [completion(job, attempt)]))
const told = (bench: Bench, id: JobId): { seq: number; type: string; state: string }[] =>
  bench.context.store.all('SELECT seq, type, state FROM events WHERE job = ? ORDER BY seq', id)
const stop = (bench: Bench, id: JobId): unknown => commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
const published = (job: JobId, attempt: number) => ({ job, attempt, publication: 'published' as const, snapshot: '7', reason: null })

describe('identical jobs', () => {
  test('that wait or run become one execution, and end together with one result', () => {
    const bench = testLedger()
    const leader = take(bench)
    const early = take(bench)
    const lease = run(bench)
    expect(lease.job).toBe(leader)
    const late = take(bench)
    expect(commit(bench.context, (context) => offer(context, request(HOLDER, 10))).offers).toEqual([])
    expect(showJob(row(bench, late))).toMatchObject({ state: 'waiting', coalesced_with: leader, waiting_for: [leader] })
    finish(bench, lease)
    expect(states(bench, leader, early, late)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    expect(showJob(row(bench, late)).result).toEqual({ id: `r${leader}` })
    expect(told(bench, late).map(({ seq, state }) => [seq, state])).toEqual([
      [1, 'waiting'],
      [2, 'succeeded'],
    ])
    commit(bench.context, (context) => publicationOutcome(context, [published(leader, 1)]))
    expect(showJob(row(bench, late)).publication).toBe('published')
  })

  test('a thousand of them run once, also when one transaction cannot end them all', () => {
    const bench = testLedger()
    const ids = Array.from({ length: CROWD_PER_TURN + 5 }, () => take(bench))
    finish(bench, run(bench))
    bench.pass(1)
    fireTimers(bench.context)
    expect(new Set(states(bench, ...ids))).toEqual(new Set(['succeeded']))
    expect(bench.context.store.all('SELECT job FROM results')).toHaveLength(1)
  })

  test('fail together, with the reason', () => {
    const bench = testLedger()
    take(bench)
    const other = take(bench)
    const lease = run(bench)
    const failure = { code: 'bad_sql', message: 'no such table', class: 'sql' as const }
    commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure }]))
    expect(showJob(row(bench, other))).toMatchObject({ state: 'failed', error: { code: 'bad_sql', message: 'no such table' } })
  })

  test('are not those of other arguments, of `fresh`, of a later eta, or of one that is being cancelled', () => {
    const bench = testLedger()
    const leader = take(bench)
    const alone = (change: Partial<Submission>): unknown => shareOf(bench.context, submission({ sameness: 'same', ...change }))
    expect(alone({})).toMatchObject({ state: 'joined' })
    expect(alone({ sameness: 'other' })).not.toHaveProperty('state')
    expect(alone({ sameness: null })).toEqual({})
    expect(alone({ eta: bench.context.now() + 1_000 })).toEqual({})
    run(bench)
    stop(bench, leader)
    expect(row(bench, leader)).toMatchObject({ state: 'running', cancel_outcome: 'requested' })
    expect(alone({})).not.toHaveProperty('state')
  })

  test('do not wait for a job that was put off to a later time', () => {
    const bench = testLedger()
    take(bench, { eta: bench.context.now() + 60_000 })
    expect(row(bench, take(bench)).state).toBe('waiting')
  })

  test('wait for one that is to be tried again', () => {
    const bench = testLedger()
    const leader = take(bench)
    run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    expect(row(bench, leader).state).toBe('scheduled')
    expect(row(bench, take(bench))).toMatchObject({ state: 'joined', coalesced_with: leader })
  })

  test('share no execution that may not run as long as they may', () => {
    const bench = testLedger()
    const leader = take(bench, { max_runtime_seconds: 60 })
    expect(row(bench, take(bench)).state).toBe('waiting')
    expect(row(bench, take(bench, { max_runtime_seconds: 60 }))).toMatchObject({ state: 'joined', coalesced_with: leader })
  })

  test('do not wait for one in a paused queue while their own is served', () => {
    const bench = testLedger()
    const paused = QueueName.parse('paused')
    commit(bench.context, (context) => putQueue(context, paused, QueueSettings.parse({ paused: true })))
    const held = take(bench, { queue: paused })
    const leader = take(bench)
    expect(states(bench, held, leader)).toEqual(['waiting', 'waiting'])
    const third = take(bench)
    expect(row(bench, third)).toMatchObject({ state: 'joined', coalesced_with: held })
    finish(bench, run(bench))
    expect(states(bench, held, leader, third)).toEqual(['succeeded', 'succeeded', 'succeeded'])
    expect([held, leader, third].map((id) => row(bench, id).coalesced_with)).toEqual([leader, null, leader])
    expect(row(bench, take(bench, { queue: paused })).state).toBe('waiting')
  })

  test('go on with the tries that they have left, when the one that ran for them was lost once too often', () => {
    const bench = testLedger()
    const [leader, same, more, most] = [1, 1, 2, 3].map((max_tries) => take(bench, { max_tries })) as [JobId, JobId, JobId, JobId]
    const lost = (): void => {
      const failure = { code: 'node_lost', message: 'gone', class: 'lost' as const }
      const lease = run(bench)
      commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure }]))
    }
    lost()
    expect(states(bench, leader, same, more, most)).toEqual(['failed', 'failed', 'waiting', 'joined'])
    expect(row(bench, more).tries).toBe(1)
    lost()
    expect(states(bench, more, most)).toEqual(['failed', 'waiting'])
    lost()
    expect(row(bench, most)).toMatchObject({ state: 'failed', tries: 3, error_code: 'node_lost' })
  })

  test('are bounded: the next one leads another execution', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench)
    bench.context.store.run(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO jobs (id, task, args, queue, pool, family, run_date, state, publication, attempt, tries, seq, created_at, coalesced_with)
       SELECT 'x' || i, task, args, queue, pool, family, run_date, 'joined', 'none', 0, 0, 1, 0, ? FROM n, jobs WHERE id = ?`,
      MAX_FOLLOWERS - 1,
      leader,
      other,
    )
    expect(row(bench, take(bench)).state).toBe('waiting')
  })
})

describe('a watcher that leaves', () => {
  test('does not end the job of the others', () => {
    const bench = testLedger()
    const leader = take(bench)
    const other = take(bench)
    const lease = run(bench)
    stop(bench, other)
    expect(showJob(row(bench, other))).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed' } })
    expect(bench.take().filter(({ kind }) => kind === 'cancel')).toEqual([])
    finish(bench, lease)
    expect(states(bench, leader, other)).toEqual(['succeeded', 'cancelled'])
  })

  test('hands over to the next in line while nobody runs the job', () => {
    const bench = testLedger()
    const [leader, second, third] = [take(bench), take(bench), take(bench)]
    stop(bench, leader)
    expect(states(bench, leader, second, third)).toEqual(['cancelled', 'waiting', 'joined'])
    expect(row(bench, third).coalesced_with).toBe(second)
    const lease = run(bench)
    expect(lease.job).toBe(second)
    finish(bench, lease)
    expect(states(bench, second, third)).toEqual(['succeeded', 'succeeded'])
    expect(showJob(row(bench, third)).result).toEqual({ id: `r${second}` })
  })

  test('leaves a running query to the others, who get its result', () => {
    const bench = testLedger()
    const [leader, other] = [take(bench), take(bench)]
    const lease = run(bench)
    stop(bench, leader)
    expect(showJob(row(bench, leader))).toMatchObject({ state: 'cancelled', cancel: { outcome: 'not_confirmed' } })
    expect(holds(bench.context, HOLDER.session, leader, lease.attempt)).toBe(true)
    expect(bench.take().filter(({ kind }) => kind === 'cancel')).toEqual([])
    expect(finish(bench, lease)).toEqual(['ok'])
    expect(finish(bench, lease)).toEqual(['ok'])
    expect(showJob(row(bench, leader))).toMatchObject({ state: 'cancelled', result: null })
    expect(showJob(row(bench, other))).toMatchObject({ state: 'succeeded', result: { id: `r${leader}` } })
    expect(told(bench, leader).filter(({ type, state }) => type === 'state' && state === 'cancelled')).toHaveLength(1)
  })

  test('takes the query along when it is the last (I8)', () => {
    const bench = testLedger()
    const [leader, other] = [take(bench), take(bench)]
    const lease = run(bench)
    stop(bench, leader)
    bench.take()
    stop(bench, other)
    expect(bench.take().filter(({ kind }) => kind === 'cancel')).toMatchObject([{ lease: { job: leader } }])
    expect(showJob(row(bench, other)).cancel).toMatchObject({ outcome: 'sent' })
    commit(bench.context, (context) => cancelAnswered(context, HOLDER, { ...lease, outcome: 'confirmed', reason: null }))
    expect(states(bench, leader, other)).toEqual(['cancelled', 'cancelled'])
    expect(showJob(row(bench, other)).cancel).toMatchObject({ outcome: 'confirmed' })
    expect(showJob(row(bench, leader)).cancel).toMatchObject({ outcome: 'confirmed' })
  })

  test.each([
    [
      'gives it back',
      (bench: Bench, lease: { job: JobId; attempt: number }) => handBack(bench.context, HOLDER, [{ ...lease, reason: 'drain' }]),
    ],
    ['is lost', (bench: Bench) => endSession(bench.context, HOLDER.session, 'gone')],
    [
      'fails it',
      (bench: Bench, lease: { job: JobId; attempt: number }) =>
        fail(bench.context, HOLDER, [{ ...lease, failure: { code: 'x', message: 'x', class: 'internal' } }]),
    ],
  ])('lets the next in line run it anew when the node that carried it on %s', (_what, how) => {
    const bench = testLedger()
    const [leader, other] = [take(bench), take(bench)]
    const lease = run(bench)
    stop(bench, leader)
    commit(bench.context, () => how(bench, lease))
    expect(states(bench, leader, other)).toEqual(['cancelled', 'waiting'])
    finish(bench, run(bench))
    expect(states(bench, leader, other)).toEqual(['cancelled', 'succeeded'])
  })
})

describe('a result that several jobs point to', () => {
  const shared = (bench: Bench): [JobId, JobId] => {
    const ids: [JobId, JobId] = [take(bench), take(bench)]
    finish(bench, run(bench))
    commit(bench.context, (context) => publicationOutcome(context, [published(ids[0], 1)]))
    return ids
  }
  const withdrawals = (bench: Bench): unknown[] => bench.context.store.all(`SELECT job FROM outbox WHERE kind = 'withdraw'`)

  test('is withdrawn when the last of them is deleted', () => {
    const bench = testLedger()
    const [leader, other] = shared(bench)
    commit(bench.context, (context) => remove(context, row(bench, leader)))
    expect(withdrawals(bench)).toEqual([])
    expect(pointerTo(bench.context, leader)).toBe(other)
    expect(findResult(bench.context, leader)).toBeDefined()
    commit(bench.context, (context) => remove(context, row(bench, other)))
    expect(withdrawals(bench)).toEqual([{ job: leader }])
  })

  test('answers a job that asks for one not older than it is, and no other', () => {
    const bench = testLedger()
    const [leader] = shared(bench)
    bench.pass(60_000)
    expect(row(bench, take(bench)).state).toBe('waiting')
    const reused = take(bench, { reuse_seconds: 60 })
    expect(showJob(row(bench, reused))).toMatchObject({
      state: 'succeeded',
      publication: 'published',
      reused_from: leader,
      result: { id: `r${leader}` },
      rows: 1,
    })
    expect(row(bench, take(bench, { reuse_seconds: 59 })).state).toBe('joined')
  })

  test('lives as long as the longest of them', () => {
    const bench = testLedger()
    const short = take(bench, { retention_seconds: 60 })
    const long = take(bench, { retention_seconds: 600 })
    finish(bench, run(bench))
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(states(bench, short, long)).toEqual(['succeeded', 'succeeded'])
    expect(showJob(row(bench, short)).publication).toBe('pending')
    bench.pass(540_000)
    fireTimers(bench.context)
    expect([short, long].map((id) => showJob(row(bench, id)).publication)).toEqual(['expired', 'expired'])
    expect(withdrawals(bench)).toEqual([{ job: short }])
  })

  test('is taken by another without a look at all that point to it', () => {
    const bench = testLedger()
    const first = take(bench, { retention_seconds: 60 })
    finish(bench, run(bench))
    bench.pass(30_000)
    const { all } = bench.context.store
    const asked: string[] = []
    bench.context.store.all = (query, ...values) => {
      asked.push(query)
      return all(query, ...values)
    }
    const last = take(bench, { retention_seconds: 60, reuse_seconds: 60 })
    expect(row(bench, last).reused_from).toBe(first)
    // But for the one look whether too many have it already.
    expect(asked.filter((query) => /(reused_from|coalesced_with) = \?/.test(query) && !query.includes('OFFSET'))).toEqual([])
    bench.pass(30_000)
    fireTimers(bench.context)
    expect(showJob(row(bench, first)).publication).toBe('pending')
    bench.pass(30_000)
    fireTimers(bench.context)
    expect([first, last].map((id) => showJob(row(bench, id)).publication)).toEqual(['expired', 'expired'])
  })

  test('is kept for ever where one of them says nothing of a time', () => {
    const bench = testLedger()
    const short = take(bench, { retention_seconds: 60 })
    const ever = take(bench)
    finish(bench, run(bench))
    bench.pass(86_400_000)
    fireTimers(bench.context)
    expect(showJob(row(bench, short)).publication).toBe('pending')
    commit(bench.context, (context) => remove(context, row(bench, ever)))
    bench.pass(1)
    fireTimers(bench.context)
    expect(showJob(row(bench, short)).publication).toBe('expired')
  })
})

test('what a job wrote that its submitter had left goes with the last that reads it', () => {
  const bench = testLedger()
  const leader = take(bench)
  const other = take(bench)
  const lease = run(bench)
  stop(bench, leader)
  finish(bench, lease)
  bench.take()
  commit(bench.context, (context) => remove(context, row(bench, other)))
  expect(bench.take().flatMap((effect) => (effect.kind === 'purge' ? [effect.job] : []))).toContain(leader)
  expect(bench.context.store.all(`SELECT ref FROM timers WHERE kind = 'purge' AND ref = ?`, leader)).toHaveLength(1)
})

test('what a job wrote that had left answers others for as long as somebody shows it', () => {
  const bench = testLedger()
  const leader = take(bench)
  const other = take(bench)
  const lease = run(bench)
  stop(bench, leader)
  finish(bench, lease)
  const third = take(bench, { reuse_seconds: 60 })
  expect(row(bench, third)).toMatchObject({ state: 'succeeded', reused_from: leader, rows: 1 })
  const erase = (id: JobId): unknown => commit(bench.context, (context) => remove(context, row(bench, id)))
  erase(other)
  expect(row(bench, take(bench, { reuse_seconds: 60 })).reused_from).toBe(leader)
  for (const { id } of bench.context.store.all<{ id: JobId }>(`SELECT id FROM jobs WHERE state = 'succeeded' AND deleted_at IS NULL`))
    erase(id)
  // It is not out of its table yet, but on its way.
  expect(row(bench, leader).publication).toBe('pending')
  expect(row(bench, take(bench, { reuse_seconds: 60 })).state).toBe('waiting')
})

test('of several results the newest one is taken', () => {
  const bench = testLedger()
  take(bench)
  finish(bench, run(bench))
  bench.pass(1_000)
  const newest = take(bench)
  finish(bench, run(bench))
  bench.pass(1_000)
  expect(row(bench, take(bench, { reuse_seconds: 60 })).reused_from).toBe(newest)
})

describe('an execution that nobody wants any more', () => {
  /** The leader has cancelled while a node runs it for another. */
  const left = (bench: Bench, change: Partial<Submission> = {}) => {
    const leader = take(bench)
    const other = take(bench, change)
    const lease = run(bench)
    stop(bench, leader)
    return { leader, other, lease }
  }

  test('leaves no result when its completion overtakes the request to stop', () => {
    const bench = testLedger()
    const { leader, other, lease } = left(bench)
    stop(bench, other)
    expect(finish(bench, lease)).toEqual(['cancelled'])
    expect(row(bench, leader)).toMatchObject({ state: 'cancelled', publication: 'none' })
    expect(findResult(bench.context, leader)).toBeUndefined()
    expect(row(bench, other)).toMatchObject({ state: 'cancelled', cancel_outcome: 'confirmed' })
  })

  test('is told to stop also when the last one has expired', () => {
    const bench = testLedger()
    const { leader, other, lease } = left(bench, { ttl_seconds: 5 })
    bench.take()
    bench.pass(5_000)
    fireTimers(bench.context)
    expect(states(bench, leader, other)).toEqual(['carrying', 'failed'])
    expect(bench.take().filter(({ kind }) => kind === 'cancel')).toMatchObject([{ lease }])
  })

  test.each(['lost', 'sql', 'given back'] as const)('says what became of its query when the attempt ends by itself (%s)', (how) => {
    const bench = testLedger()
    const { leader, other, lease } = left(bench)
    stop(bench, other)
    commit(bench.context, (context) => {
      if (how === 'given back') handBack(context, HOLDER, [{ ...lease, reason: 'drain' }])
      else fail(context, HOLDER, [{ ...lease, failure: { code: 'x', message: 'broken', class: how } }])
    })
    const outcome = how === 'lost' ? 'not_confirmed' : 'confirmed'
    for (const id of [leader, other]) expect(row(bench, id)).toMatchObject({ state: 'cancelled', cancel_outcome: outcome })
  })
})

test('no look for those that share a result reads through the ledger', () => {
  const bench = testLedger()
  const plans: string[] = []
  const { all } = bench.context.store
  bench.context.store.all = (query, ...values) => {
    if (query.includes('jobs'))
      plans.push(...(all(`EXPLAIN QUERY PLAN ${query}`, ...values) as { detail: string }[]).map(({ detail }) => detail))
    return all(query, ...values)
  }
  const [leader, other] = [take(bench), take(bench)]
  finish(bench, run(bench))
  commit(bench.context, (context) => publicationOutcome(context, [published(leader, 1)]))
  take(bench, { reuse_seconds: 60 })
  const last = [take(bench), take(bench)] as const
  run(bench)
  for (const id of last) stop(bench, id)
  for (const id of [leader, other]) commit(bench.context, (context) => remove(context, row(bench, id)))
  expect(plans.length).toBeGreaterThan(10)
  expect(plans.filter((plan) => /^SCAN/.test(plan) && !/USING (COVERING )?INDEX/.test(plan))).toEqual([])
})

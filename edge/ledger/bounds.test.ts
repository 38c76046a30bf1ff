import { expect, it } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { accept, handBack, offer } from './leases.ts'
import { CANCEL_ANSWER_SECONDS, KEY_SECONDS, KEYS_PER_FIRING, MAX_ARGS_BYTES, MAX_LANES, OUTBOX_BATCH_BYTES } from './limits.ts'
import { listJobs } from './listing.ts'
import { handedOver, handover } from './publication.ts'
import { eventsAfter } from './read.ts'
import { COUNT_LIVE, countLive, type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>

const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const answer = commit(bench.context, (context) => submit(context, submission(change), 0))
  if (!answer.ok) throw new Error(answer.detail)
  return answer.job.id
}
const MEGABYTE = Array.from({ length: 20 }, () => 'x'.repeat(50_000))
const everything = { alias: null, task: null, state: null, before: null, limit: 500 } as const

it('cuts a list of jobs with large arguments into pages that can be sent, and leaves none out', () => {
  const bench = testLedger()
  const ids = Array.from({ length: 12 }, () => take(bench, { args: MEGABYTE }))
  const seen: string[] = []
  let before: string | null = null
  for (;;) {
    const { rows, next } = listJobs(bench.context, { ...everything, before })
    expect(JSON.stringify(rows).length).toBeLessThan(2 * MAX_ARGS_BYTES)
    seen.push(...rows.map(({ id }) => id))
    if (next === null) break
    before = next
  }
  expect(seen).toEqual([...ids].reverse())
})

it('offers as many jobs with large arguments as one answer can carry', () => {
  const bench = testLedger()
  const ids = Array.from({ length: 40 }, () => take(bench, { args: MEGABYTE }))
  const { offers } = commit(bench.context, (context) => offer(context, request(HOLDER, 40)))
  expect(JSON.stringify(offers).length).toBeLessThan(2 * MAX_ARGS_BYTES)
  expect(offers.map(({ job }) => job)).toEqual(ids.slice(0, offers.length))
})

it('keeps an idempotency key that found its job by the alias: repeated later, it runs nothing anew', () => {
  const bench = testLedger()
  const alias = 'nightly' as Submission['alias']
  const idempotency = { key: 'k', body: 'b' }
  const job = take(bench, { alias })
  expect(take(bench, { alias, idempotency })).toBe(job)
  const row = findJob(bench.context, job)
  if (!row) throw new Error('no such job')
  commit(bench.context, (context) => cancel(context, row, 'not needed'))
  expect(take(bench, { alias, idempotency })).toBe(job)
})

it('forgets idempotency keys after a day, also while new ones keep coming', () => {
  const bench = testLedger()
  for (let hour = 0; hour < 72; hour++) {
    take(bench, { idempotency: { key: `k${hour}`, body: 'b' } })
    bench.pass(3_600_000)
    fireTimers(bench.context)
  }
  const [kept] = bench.context.store.all<{ n: number }>('SELECT count(*) AS n FROM keys')
  expect(kept?.n).toBeLessThanOrEqual(KEY_SECONDS / 3_600 + 1)
})

it('forgets keys of a long rest by parts, one after the other', () => {
  const bench = testLedger()
  take(bench, { idempotency: { key: 'last', body: 'b' } })
  const { store } = bench.context
  store.run(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO keys (key, body, job, at) SELECT 'k' || i, '', '', ? FROM n`,
    KEYS_PER_FIRING + 1,
    bench.context.now(),
  )
  const left = (): unknown => store.all('SELECT count(*) AS n FROM keys')[0]
  // What a store answers tells whether something has changed, and not how much: some count rows of indexes too.
  const { run } = store
  store.run = (query, ...values) => 2 * run(query, ...values)
  bench.pass(KEY_SECONDS * 1_000)
  fireTimers(bench.context)
  expect(left()).toEqual({ n: 2 })
  fireTimers(bench.context)
  expect(left()).toEqual({ n: 0 })
  expect(store.all(`SELECT due FROM timers WHERE kind = 'keys'`)).toEqual([])
})

it('brings every event of a job, however many there are (I9)', () => {
  const bench = testLedger()
  const job = take(bench)
  for (let n = 0; n < 600; n++) {
    const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
    if (!offered) throw new Error('nothing was offered')
    const lease = { job, attempt: offered.attempt }
    commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: false }]))
    commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'busy' }]))
  }
  const events = eventsAfter(bench.context, job, 0)
  expect(events).toHaveLength(1_201)
  expect(events.every(({ seq }, index) => seq === index + 1)).toBe(true)
})

it('hands large results over in parts, so that one message can carry each part', () => {
  const bench = testLedger()
  const family = submission().family
  const jobs: JobId[] = []
  for (let n = 0; n < 30; n++) {
    take(bench)
    const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
    if (!offered) throw new Error('nothing was offered')
    const { job, attempt } = offered
    jobs.push(job)
    commit(bench.context, (context) => accept(context, HOLDER, [{ job, attempt, start: true }]))
    const large = completion(job, attempt)
    large.manifest = { ...large.manifest, engine: { ...large.manifest.engine, version: 'v'.repeat(1_500_000) } }
    expect(commit(bench.context, (context) => complete(context, HOLDER, [large]))).toEqual(['ok'])
  }
  const seen: JobId[] = []
  for (;;) {
    const { publish } = handover(bench.context, family)
    if (publish.length === 0) break
    expect(JSON.stringify(publish).length).toBeLessThan(2 * OUTBOX_BATCH_BYTES)
    const part = publish.map(({ manifest }) => manifest.job)
    seen.push(...part)
    commit(bench.context, (context) => handedOver(context, 'publish', part))
  }
  expect(seen).toEqual(jobs)
})

it('counts the jobs that have not ended, in whatever state, without looking at those that have', () => {
  const bench = testLedger()
  const [ended, waiting, held, scheduled] = [take(bench), take(bench), take(bench), take(bench)]
  const leased = commit(bench.context, (context) => offer(context, request(HOLDER, 4))).offers
  const leaseOf = (job: JobId) => ({ job, attempt: leased.find((one) => one.job === job)?.attempt ?? 0 })
  commit(bench.context, (context) =>
    accept(
      context,
      HOLDER,
      [ended, held, scheduled].map((job) => ({ ...leaseOf(job), start: true })),
    ),
  )
  commit(bench.context, (context) => handBack(context, HOLDER, [{ ...leaseOf(waiting), reason: 'busy' }]))
  commit(bench.context, (context) => complete(context, HOLDER, [completion(ended, leaseOf(ended).attempt)]))
  const failure = { code: 'gone', message: 'gone', class: 'lost' } as const
  commit(bench.context, (context) => fail(context, HOLDER, [{ ...leaseOf(scheduled), failure }]))
  expect([ended, waiting, held, scheduled].map((job) => findJob(bench.context, job)?.state)).toEqual([
    'succeeded',
    'waiting',
    'running',
    'scheduled',
  ])
  expect(countLive(bench.context)).toBe(3)
  const plan = bench.context.store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${COUNT_LIVE}`).map(({ detail }) => detail)
  expect(plan.filter((line) => line.includes('jobs') && !line.includes('INDEX'))).toEqual([])
})

it('counts no job whose submitter has left it, though a node runs it on for another: its end was told', () => {
  const bench = testLedger()
  const [leader] = [take(bench, { sameness: 'same' }), take(bench, { sameness: 'same' })]
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  commit(bench.context, (context) => accept(context, HOLDER, [{ job: leader, attempt: offered?.attempt ?? 0, start: true }]))
  const row = findJob(bench.context, leader)
  if (!row) throw new Error('no such job')
  commit(bench.context, (context) => cancel(context, row, 'not needed'))
  expect(row.state).toBe('carrying')
  expect(countLive(bench.context)).toBe(1)
})

it('asks a node that owes an answer to a cancel once more, when the job ends without it', () => {
  const bench = testLedger()
  const job = take(bench)
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  commit(bench.context, (context) => accept(context, HOLDER, [{ job, attempt: offered?.attempt ?? 0, start: true }]))
  const row = findJob(bench.context, job)
  if (!row) throw new Error('no such job')
  commit(bench.context, (context) => cancel(context, row, 'not needed'))
  bench.take()
  bench.pass(CANCEL_ANSWER_SECONDS * 1000)
  fireTimers(bench.context)
  expect(findJob(bench.context, job)).toMatchObject({ state: 'cancelled', cancel_outcome: 'not_confirmed' })
  expect(bench.take()).toContainEqual({ kind: 'cancel', ...HOLDER, lease: { tenant: 'acme', job, attempt: 1 }, reason: 'not needed' })
})

it('takes only so many queues of one tenant, and goes on with those there are', () => {
  const bench = testLedger()
  const queue = (n: number) => `q${n}` as Submission['queue']
  for (let n = 0; n < MAX_LANES; n++) take(bench, { queue: queue(n) })
  const more = commit(bench.context, (context) => submit(context, submission({ queue: queue(MAX_LANES) }), 0))
  expect(more).toMatchObject({ ok: false, code: 'invalid_body' })
  take(bench, { queue: queue(7) })
})

it('announces a lane anew when a job comes behind jobs that the node cannot run', () => {
  const bench = testLedger()
  take(bench, { task: 'elsewhere' as Submission['task'] })
  const [ready] = bench.take().flatMap((effect) => (effect.kind === 'ready' ? [effect.seq] : []))
  const ask = (seq: number): number => commit(bench.context, (context) => offer(context, { ...request(HOLDER), seq })).offers.length
  expect(ask(ready ?? 0)).toBe(0)
  bench.take()
  take(bench)
  const [again] = bench.take().flatMap((effect) => (effect.kind === 'ready' ? [effect.seq] : []))
  expect(again).toBe((ready ?? 0) + 1)
  // A dispatch by an older announcement says nothing about what the pool knows of the newer one.
  commit(bench.context, (context) => offer(context, request(HOLDER)))
  expect(ask(ready ?? 0)).toBe(0)
  take(bench)
  expect(bench.take().filter(({ kind }) => kind === 'ready')).toEqual([])
})

it('offers jobs until they fill the slots that are wanted, the last one also when it takes more', () => {
  const { context } = testLedger()
  for (const weight of [1, 3, 4, 1]) submit(context, submission({ weight }), 0)
  const first = offer(context, request(HOLDER, 5))
  expect(first.offers.map(({ weight }) => weight)).toEqual([1, 3, 4])
  expect(first.drained).toBeNull()
  expect(offer(context, request(HOLDER, 0)).offers).toEqual([])
  expect(offer(context, request(HOLDER, 1)).offers.map(({ weight }) => weight)).toEqual([1])
})

import { expect, test } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import { setTimer } from '../storage/timers.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { type Bench, completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { CROWD_PER_TURN } from './limits.ts'
import { recordPack } from './packs.ts'
import { publicationOutcome } from './publication.ts'
import { isTelling, tellSharers } from './sharers.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

/** More than two transactions tell. */
const CROWD = 2 * CROWD_PER_TURN + 10

const take = (bench: Bench, count: number, change: Partial<Submission> = {}): JobId[] =>
  commit(bench.context, (context) =>
    Array.from({ length: count }, () => {
      const submitted = submit(context, submission({ sameness: 'same', ...change }), 0)
      if (!submitted.ok) throw new Error(submitted.detail)
      return submitted.job.id
    }),
  )
const run = (bench: Bench): { job: JobId; attempt: number } => {
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const lease = { job: offered.job, attempt: offered.attempt }
  commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))
  return lease
}
const finish = (bench: Bench, { job, attempt }: { job: JobId; attempt: number }, small = true): unknown =>
  commit(bench.context, (context) => {
    const done = completion(job, attempt)
    return complete(context, HOLDER, [small ? done : { ...done, inline: null }])
  })
const publish = (bench: Bench, job: JobId, attempt: number): unknown =>
  commit(bench.context, (context) => publicationOutcome(context, [{ job, attempt, publication: 'published', snapshot: '7', reason: null }]))
const counted = (bench: Bench, where: string, ...values: string[]): number =>
  bench.context.store.all<{ n: number }>(`SELECT count(*) AS n FROM ${where}`, ...values)[0]?.n ?? 0
const published = (bench: Bench): number => counted(bench, `jobs WHERE publication = 'published'`)
const row = (bench: Bench, id: JobId | undefined): JobRow => {
  const found = findJob(bench.context, id ?? '')
  if (!found) throw new Error('no job')
  return found
}
/** Rows that one transaction writes of what it tells to others. */
const most = (bench: Bench, body: () => void): number => {
  const before = counted(bench, 'events')
  body()
  return counted(bench, 'events') - before
}
/** Fires timers one alarm at a time, and tells by how many events the database grew at most in one. */
const settleAll = (bench: Bench): number => {
  let largest = 0
  while (counted(bench, `timers WHERE kind IN ('tell', 'followers')`) > 0) {
    // A new life in between: nothing of a walk is in memory.
    bench.context.memory.forget()
    largest = Math.max(
      largest,
      most(bench, () => fireTimers(bench.context)),
    )
  }
  return largest
}

test('what becomes of a result is told to very many in parts, to each once and in order, over crashes (I9)', () => {
  const bench = testLedger()
  const [leader = '' as JobId] = take(bench, CROWD)
  const { attempt } = run(bench)
  expect(most(bench, () => finish(bench, { job: leader, attempt }, false))).toBeLessThanOrEqual(CROWD_PER_TURN + 1)
  // Publication and copy come before all of them have even ended.
  publish(bench, leader, attempt)
  commit(bench.context, (context) => recordPack(context, HOLDER, leader, attempt, { bytes: 9, sha256: 'c'.repeat(64) }))
  expect(published(bench)).toBeLessThan(CROWD)
  expect(isTelling(bench.context, leader)).toBe(true)
  // Ends, with what is told at once of publication and copy: three events each.
  expect(settleAll(bench)).toBeLessThanOrEqual(3 * CROWD_PER_TURN)
  expect(published(bench)).toBe(CROWD)
  expect(isTelling(bench.context, leader)).toBe(false)
  for (const type of ['publication', 'pack']) expect(counted(bench, `events WHERE type = ?`, type)).toBe(CROWD)
  expect(counted(bench, `(SELECT job FROM events GROUP BY job HAVING max(seq) <> count(*))`)).toBe(0)
  const [last] = bench.context.store.all<{ body: string }>(
    `SELECT body FROM events WHERE job = (SELECT max(id) FROM jobs) AND type = 'publication'`,
  )
  expect(JSON.parse(last?.body ?? '')).toEqual({ publication: 'published', snapshot: '7' })
})

test('an expiry reaches very many in parts, and nobody is told of what came before it any more', () => {
  const bench = testLedger()
  const [leader = '' as JobId, ...others] = take(bench, CROWD, { retention_seconds: 60 })
  const { attempt } = run(bench)
  finish(bench, { job: leader, attempt })
  settleAll(bench)
  publish(bench, leader, attempt)
  expect(published(bench)).toBe(CROWD_PER_TURN + 1)
  // The rest has not been told when the time is over.
  bench.pass(60_000)
  fireTimers(bench.context)
  settleAll(bench)
  expect(counted(bench, `jobs WHERE publication = 'expired'`)).toBe(CROWD)
  expect(counted(bench, `events WHERE type = 'publication' AND job = ?`, others.at(-1) ?? '')).toBe(1)
})

test('of many results that end together no more sharers are told in one transaction than of one', () => {
  const bench = testLedger()
  const leases = [1, 2, 3].map((n) => {
    take(bench, CROWD_PER_TURN, { sameness: `same ${n}` })
    return run(bench)
  })
  const items = leases.map(({ job, attempt }) => completion(job, attempt))
  expect(most(bench, () => commit(bench.context, (context) => complete(context, HOLDER, items)))).toBeLessThanOrEqual(CROWD_PER_TURN + 3)
  expect(settleAll(bench)).toBeLessThanOrEqual(CROWD_PER_TURN)
  const outcomes = leases.map((lease) => ({ ...lease, publication: 'published' as const, snapshot: null, reason: null }))
  expect(most(bench, () => commit(bench.context, (context) => publicationOutcome(context, outcomes)))).toBeLessThanOrEqual(
    CROWD_PER_TURN + 3,
  )
  expect(settleAll(bench)).toBeLessThanOrEqual(CROWD_PER_TURN)
  expect(published(bench)).toBe(3 * CROWD_PER_TURN)
})

test('of many results that expire together no more sharers are told in one transaction than of one', () => {
  const bench = testLedger()
  const leases = [1, 2, 3].map((n) => {
    take(bench, CROWD_PER_TURN, { sameness: `same ${n}`, retention_seconds: 3_600 })
    return run(bench)
  })
  for (const lease of leases) {
    finish(bench, lease)
    settleAll(bench)
    publish(bench, lease.job, lease.attempt)
    settleAll(bench)
  }
  bench.pass(3_600_000)
  const due = (): number => counted(bench, `timers WHERE kind IN ('retain', 'tell') AND due <= ?`, String(bench.context.now()))
  while (due() > 0) expect(most(bench, () => fireTimers(bench.context))).toBeLessThanOrEqual(CROWD_PER_TURN + 3)
  expect(counted(bench, `jobs WHERE publication = 'expired'`)).toBe(3 * CROWD_PER_TURN)
})

test('a crowd that loses its leader follows one heir, also when that takes several transactions', () => {
  const bench = testLedger()
  const [leader, heir, ...others] = take(bench, CROWD)
  commit(bench.context, (context) => cancel(context, row(bench, leader), 'enough'))
  expect(row(bench, heir).state).toBe('waiting')
  expect(counted(bench, `jobs WHERE state = 'joined' AND coalesced_with = ?`, heir ?? '')).toBe(CROWD_PER_TURN - 1)
  settleAll(bench)
  expect(counted(bench, `jobs WHERE state = 'joined' AND coalesced_with = ?`, heir ?? '')).toBe(others.length)
  expect(counted(bench, `jobs WHERE state = 'joined'`)).toBe(others.length)
})

test('whoever is told twice of the same hears it once', () => {
  const bench = testLedger()
  const [leader = '' as JobId, other] = take(bench, 2)
  const { attempt } = run(bench)
  finish(bench, { job: leader, attempt })
  publish(bench, leader, attempt)
  const { seq } = row(bench, other)
  commit(bench.context, (context) => tellSharers(context, leader, 'publication', 10))
  expect(row(bench, other).seq).toBe(seq)
})

test('whoever ends with a result of which all others have been told already hears of it with its end', () => {
  const bench = testLedger()
  const count = CROWD_PER_TURN + 5
  const [leader = '' as JobId] = take(bench, count)
  const { attempt } = run(bench)
  finish(bench, { job: leader, attempt }, false)
  setTimer(bench.context.store, 'followers', leader, bench.context.now() + 1_000)
  publish(bench, leader, attempt)
  commit(bench.context, (context) => recordPack(context, HOLDER, leader, attempt, { bytes: 9, sha256: 'c'.repeat(64) }))
  while (isTelling(bench.context, leader)) fireTimers(bench.context)
  expect(published(bench)).toBe(CROWD_PER_TURN + 1)
  bench.pass(1_000)
  fireTimers(bench.context)
  expect(published(bench)).toBe(count)
  for (const type of ['publication', 'pack']) expect(counted(bench, `events WHERE type = ?`, type)).toBe(count)
})

test('nobody is told of a copy that a small result never has, also when its rows have moved', () => {
  const bench = testLedger()
  const count = CROWD_PER_TURN + 5
  const [leader = '' as JobId] = take(bench, count)
  const { attempt } = run(bench)
  finish(bench, { job: leader, attempt })
  publish(bench, leader, attempt)
  // What `archiveResult` notes of a result whose rows were kept whole.
  bench.context.store.run('UPDATE results SET pack_bytes = 0, inline_rows = NULL WHERE job = ?', leader)
  settleAll(bench)
  expect(published(bench)).toBe(count)
  expect(counted(bench, `events WHERE type = 'pack'`)).toBe(0)
})

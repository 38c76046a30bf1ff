import { expect, it } from 'vitest'
import type { StreamFilter } from '../contract/events.ts'
import { type JobId, QueueName, TaskName } from '../contract/ids.ts'
import { commit } from './context.ts'
import { findGroupRow, groupBacklog, isOver, jobBacklog, resetFor, tenantPage } from './events.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, nodeTask, request, submission, testLedger } from './fixture.ts'
import { addEvent, findJob, type JobRow } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { PACK_SECONDS, STREAM_SCAN_ROWS } from './limits.ts'
import { eventNumbers, raiseEventsFloor } from './numbers.ts'
import { recordPack } from './packs.ts'
import { publicationOutcome } from './publication.ts'
import { type Submission, submit } from './submit.ts'

type Bench = ReturnType<typeof testLedger>
const everything: StreamFilter = { task: [], queue: [], tag: [], state: [] }

const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const answer = commit(bench.context, (context) => submit(context, submission(change), 0))
  if (!answer.ok) throw new Error(answer.detail)
  return answer.job.id
}
const rowOf = (bench: Bench, id: string): JobRow => {
  const row = findJob(bench.context, id)
  if (!row) throw new Error('no such job')
  return row
}
const begin = (bench: Bench): { job: JobId; attempt: number } => {
  const [offered] = commit(bench.context, (context) =>
    offer(context, request(HOLDER, 1, { daily: nodeTask('a'), other: nodeTask('b') })),
  ).offers
  if (!offered) throw new Error('nothing was offered')
  const { job, attempt } = offered
  commit(bench.context, (context) => accept(context, HOLDER, [{ job, attempt, start: true }]))
  return { job, attempt }
}
const succeed = (bench: Bench): { job: JobId; attempt: number } => {
  const lease = begin(bench)
  commit(bench.context, (context) => complete(context, HOLDER, [completion(lease.job, lease.attempt)]))
  return lease
}
const publish = (bench: Bench, job: JobId, attempt: number): void => {
  commit(bench.context, (context) => publicationOutcome(context, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
}

it.each([
  // after, oldest, last → reset?
  [0, 1, 4, false],
  [4, 1, 4, false],
  [5, 1, 4, true],
  [0, 3, 4, true],
  [2, 3, 4, false],
  [4, 5, 4, false],
  [3, 5, 4, true],
  [0, 1, 0, false],
])('a reader at %i, where %i to %i are kept', (after, oldest, last, reset) => {
  expect(resetFor(after, oldest, last)).toEqual(reset ? { oldest, last } : null)
})

it("numbers a tenant's events upwards over all jobs, and goes on in the next life, also when the newest were removed", () => {
  const bench = testLedger()
  take(bench)
  take(bench)
  succeed(bench)
  const { events } = tenantPage(bench.context, everything, 0)
  const numbers = events.map(({ n }) => n ?? 0)
  expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  const last = bench.context.numbers.last()
  expect(eventNumbers(bench.context.store).next()).toBe(last + 1)
  bench.context.store.run('DELETE FROM events')
  raiseEventsFloor(bench.context.store, last)
  expect(eventNumbers(bench.context.store).next()).toBe(last + 1)
})

it('resumes the stream of the tenant at any number', () => {
  const bench = testLedger()
  take(bench)
  take(bench, { task: TaskName.parse('other') })
  succeed(bench)
  const all = tenantPage(bench.context, everything, 0).events
  expect(all.length).toBe(5)
  for (const { n = 0 } of all) expect(tenantPage(bench.context, everything, n).events).toEqual(all.filter((event) => (event.n ?? 0) > n))
  expect(tenantPage(bench.context, everything, null)).toEqual({ reset: null, events: [], after: 5, more: false })
})

it('takes what fits any of the values of each name', () => {
  const bench = testLedger()
  const one = take(bench)
  const two = take(bench, { task: TaskName.parse('other'), queue: QueueName.parse('night') })
  bench.context.store.run(`UPDATE jobs SET tags = '["a","b"]' WHERE id = ?`, two)
  const jobs = (filter: Partial<StreamFilter>): string[] =>
    tenantPage(bench.context, { ...everything, ...filter }, 0).events.map(({ job }) => job)
  expect(jobs({})).toEqual([one, two])
  expect(jobs({ task: [TaskName.parse('other')] })).toEqual([two])
  expect(jobs({ task: [TaskName.parse('other'), TaskName.parse('daily')] })).toEqual([one, two])
  expect(jobs({ queue: [QueueName.parse('night')] })).toEqual([two])
  expect(jobs({ tag: ['b'] })).toEqual([two])
  expect(jobs({ tag: ['b', 'c'] })).toEqual([two])
  expect(jobs({ tag: ['c'] })).toEqual([])
  expect(jobs({ state: ['waiting'], task: [TaskName.parse('daily')] })).toEqual([one])
  expect(jobs({ state: ['running'] })).toEqual([])
})

it('looks at a bounded number of events at once, and says where to go on', () => {
  const bench = testLedger()
  const id = take(bench)
  commit(bench.context, (context) => {
    for (let count = 0; count < 2 * STREAM_SCAN_ROWS; count++) addEvent(context, rowOf(bench, id), 'cancel', { reason: 'again' })
  })
  const seen: number[] = []
  const sizes: number[] = []
  for (let after = 0; ; ) {
    const page = tenantPage(bench.context, everything, after)
    seen.push(...page.events.map(({ n }) => n ?? 0))
    sizes.push(page.events.length)
    after = page.after
    if (!page.more) break
  }
  expect(seen).toEqual(seen.map((_, index) => index + 1))
  expect(sizes).toEqual([STREAM_SCAN_ROWS, STREAM_SCAN_ROWS, 1])
  // What the filter leaves out was looked at all the same.
  expect(tenantPage(bench.context, { ...everything, task: [TaskName.parse('other')] }, 0)).toEqual({
    reset: null,
    events: [],
    after: STREAM_SCAN_ROWS,
    more: true,
  })
})

it('tells a reader who knows less than what is kept, or more than there ever was, to begin anew', () => {
  const bench = testLedger()
  const id = take(bench)
  take(bench)
  raiseEventsFloor(bench.context.store, 1)
  bench.context.store.run('DELETE FROM events WHERE n = 1')
  expect(tenantPage(bench.context, everything, 0)).toMatchObject({ reset: { oldest: 2, last: 2 }, events: [{ n: 2 }] })
  expect(tenantPage(bench.context, everything, 1).reset).toBeNull()
  expect(tenantPage(bench.context, everything, 2).reset).toBeNull()
  expect(tenantPage(bench.context, everything, 3)).toMatchObject({ reset: { oldest: 2, last: 2 }, events: [{ n: 2 }] })
  expect(jobBacklog(bench.context, rowOf(bench, id), 7, 'ended').reset).toEqual({ oldest: 2, last: 1 })
})

it('a stream lasts until the end, the publication or the pack, as was asked for', () => {
  const bench = testLedger()
  const id = take(bench)
  const over = (): boolean[] => (['ended', 'published', 'pack'] as const).map((until) => isOver(bench.context, rowOf(bench, id), until))
  expect(over()).toEqual([false, false, false])
  const lease = begin(bench)
  commit(bench.context, (context) => complete(context, HOLDER, [{ ...completion(lease.job, lease.attempt), inline: null }]))
  expect(over()).toEqual([true, false, false])
  publish(bench, lease.job, lease.attempt)
  expect(over()).toEqual([true, true, false])
  commit(bench.context, (context) => recordPack(context, HOLDER, lease.job, lease.attempt, { bytes: 5, sha256: 'c'.repeat(64) }))
  expect(over()).toEqual([true, true, true])
  expect(jobBacklog(bench.context, rowOf(bench, id), 4, 'pack').events).toMatchObject([
    { seq: 5, type: 'publication' },
    { seq: 6, type: 'pack', pack: { bytes: 5 } },
  ])
})

it('nobody waits for a pack that will not come', () => {
  const bench = testLedger()
  const [failed, small, large] = [take(bench), take(bench), take(bench)]
  const lease = begin(bench)
  const failure = { class: 'sql', code: 'sql_error', message: 'no' } as const
  commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure }]))
  const one = succeed(bench)
  publish(bench, one.job, one.attempt)
  const other = begin(bench)
  commit(bench.context, (context) => complete(context, HOLDER, [{ ...completion(other.job, other.attempt), inline: null }]))
  publish(bench, other.job, other.attempt)
  expect([failed, small, large].map((id) => isOver(bench.context, rowOf(bench, id), 'pack'))).toEqual([true, true, false])
  bench.pass(PACK_SECONDS * 1000)
  expect(isOver(bench.context, rowOf(bench, large), 'pack')).toBe(true)
})

it('reads the events of a group as they were written', () => {
  const { context } = testLedger()
  const id = 'g01kdyak3se2ztwde0000012345'
  context.store.run(`INSERT INTO groups (id, request, state, seq, created_at) VALUES (?, '', 'running', 2, 0)`, id)
  for (const [seq, body] of [
    [1, { type: 'group', state: 'running' }],
    [2, { type: 'step', state: 'running', step: 'a', step_state: 'succeeded' }],
  ] as const)
    context.store.run('INSERT INTO group_events (grp, seq, at, body) VALUES (?, ?, 0, ?)', id, seq, JSON.stringify(body))
  const row = findGroupRow(context, id)
  if (!row) throw new Error('no such group')
  expect(groupBacklog(context, row, 1)).toEqual({
    reset: null,
    events: [{ seq: 2, group: id, at: '1970-01-01T00:00:00.000Z', type: 'step', state: 'running', step: 'a', step_state: 'succeeded' }],
    after: 2,
    over: false,
  })
  expect(groupBacklog(context, row, 9).reset).toEqual({ oldest: 1, last: 2 })
  expect(groupBacklog(context, { ...row, finished_at: 5 }, 2)).toMatchObject({ events: [], over: true })
})

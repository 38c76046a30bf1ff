import { describe, expect, it } from 'vitest'
import type { Alias, JobId } from '../contract/ids.ts'
import type { Failure } from '../contract/node.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { countDead, findDead, listDead, retry } from './dead.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { insertJob } from './insert.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { MAX_LIVE_JOBS } from './limits.ts'
import { showJob } from './read.ts'
import { remove } from './remove.ts'
import { type Submission, submit } from './submit.ts'

type Bench = ReturnType<typeof testLedger>
const alias = 'friday' as Alias
const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const answer = commit(bench.context, (context) => submit(context, submission(change), 0))
  if (!answer.ok) throw new Error(answer.detail)
  return answer.job.id
}
const row = (bench: Bench, id: string): JobRow => {
  const found = findJob(bench.context, id)
  if (!found) throw new Error('no such job')
  return found
}
const hold = (bench: Bench): { job: JobId; attempt: number } => {
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const lease = { job: offered.job, attempt: offered.attempt }
  commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))
  return lease
}
const die = (bench: Bench, change: Partial<Submission> = {}, failure: Partial<Failure> = {}): JobId => {
  const id = take(bench, change)
  const lease = hold(bench)
  const all: Failure = { code: 'sql_error', message: 'no such table', class: 'sql', ...failure }
  commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure: all }]))
  return id
}
const again = (bench: Bench, id: JobId, live = 0, wanted: Submission = submission()) =>
  commit(bench.context, (context) => retry(context, id, wanted, live))
const listed = (bench: Bench, change = {}): string[] =>
  listDead(bench.context, { task: null, before: null, limit: 100, ...change }).items.map(({ id }) => id)

describe('dead letters', () => {
  it('are the failed jobs that nobody has run again, the newest first, each explained', () => {
    const bench = testLedger()
    const one = die(bench)
    const two = die(bench, {}, { code: 'source_overloaded', class: 'overloaded' })
    // Tried again by itself: not dead.
    expect(listed(bench)).toEqual([one])
    bench.context.store.run(`UPDATE jobs SET state = 'failed', error_class = 'overloaded' WHERE id = ?`, two)
    take(bench)
    const { items } = listDead(bench.context, { task: null, before: null, limit: 9 })
    expect(items.map(({ id, dead }) => [id, dead.class])).toEqual([
      [two, 'overloaded'],
      [one, 'sql'],
    ])
    expect(items[1]).toMatchObject({
      tries: 1,
      error: { code: 'sql_error', message: 'no such table' },
      links: { retry: `/v1/jobs/${one}/retry` },
    })
    expect(countDead(bench.context, 1)).toBe(1)
    expect(countDead(bench.context, 10)).toBe(2)
  })

  it('are listed by pages and by task, and go with a deletion', () => {
    const bench = testLedger()
    const ids = Array.from({ length: 5 }, () => die(bench)).reverse()
    const first = listDead(bench.context, { task: null, before: null, limit: 2 })
    const rest = listDead(bench.context, { task: null, before: first.next, limit: 3 })
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(ids)
    expect(rest.next).toBeNull()
    expect(listed(bench, { task: 'other' })).toEqual([])
    commit(bench.context, (context) => remove(context, row(bench, ids[0] ?? '')))
    expect(listed(bench)).toEqual(ids.slice(1))
  })
})

describe('running a dead job again', () => {
  it('makes a new job; the dead one stays as it is, and each names the other (I1)', () => {
    const bench = testLedger()
    const id = die(bench, { alias, args: [1], tags: ['x'] })
    const before = showJob(row(bench, id))
    bench.pass(60_000)
    const retried = again(bench, id, 0, submission({ args: [1], tags: ['x'] }))
    if (retried.found !== 'yes' || !retried.ok) throw new Error('refused')
    expect(retried.job).toMatchObject({ state: 'waiting', retried_from: id, alias, args: [1], tags: ['x'], tries: 0, attempt: 0 })
    const { links, ...rest } = before
    expect(showJob(row(bench, id))).toEqual({ ...rest, retried_as: retried.job.id, links: { self: links.self, events: links.events } })
    expect(listed(bench)).toEqual([])
    const lease = hold(bench)
    expect(lease.job).toBe(retried.job.id)
    commit(bench.context, (context) => complete(context, HOLDER, [completion(lease.job, lease.attempt)]))
    expect(row(bench, id).state).toBe('failed')
  })

  it('is refused for what lives, has succeeded, was run again, or belongs to a group', () => {
    const bench = testLedger()
    const refused = (id: JobId): string => {
      const answer = again(bench, id)
      return answer.found === 'yes' && !answer.ok ? `${answer.code}: ${answer.detail}` : 'taken'
    }
    const live = take(bench)
    expect(refused(live)).toContain('not_retryable: ')
    expect(refused(live)).toContain('has not ended')
    const { job, attempt } = hold(bench)
    commit(bench.context, (context) => complete(context, HOLDER, [completion(job, attempt)]))
    expect(refused(live)).toContain('has succeeded')
    const dead = die(bench)
    expect(refused(dead)).toBe('taken')
    expect(refused(dead)).toContain(`was run again already, as ${row(bench, dead).retried_as}`)
    hold(bench)
    const step = commit(bench.context, (context) => insertJob(context, submission(), { state: 'failed', grp: 'g1', step: 'a' }))
    expect(refused(step.id as JobId)).toContain('POST /v1/groups/g1/retry')
  })

  it('is possible for a cancelled job', () => {
    const bench = testLedger()
    const id = take(bench)
    commit(bench.context, (context) => cancel(context, row(bench, id), 'no'))
    expect(again(bench, id)).toMatchObject({ ok: true, job: { retried_from: id } })
  })

  it('leaves the alias with a job that has taken it meanwhile', () => {
    const bench = testLedger()
    const id = die(bench, { alias })
    take(bench, { alias, args: [2] })
    expect(again(bench, id)).toMatchObject({ ok: true, job: { alias: null } })
  })

  it('finds neither an unknown nor a deleted job, and respects the limit of live ones', () => {
    const bench = testLedger()
    expect(again(bench, '0'.repeat(26) as JobId)).toEqual({ found: 'no' })
    const id = die(bench)
    expect(again(bench, id, MAX_LIVE_JOBS)).toMatchObject({ found: 'yes', ok: false, code: 'too_many_jobs' })
    commit(bench.context, (context) => remove(context, row(bench, id)))
    expect(again(bench, id)).toEqual({ found: 'gone' })
  })

  it('asks for what the dead one asked for: its waiting time anew, its tries, but the limits of the task', () => {
    const bench = testLedger()
    const eta = bench.context.now() + 1_000
    const id = die(bench, {
      args: ['a'],
      tags: ['t'],
      priority: 3,
      ttl_seconds: 60,
      max_tries: 4,
      retention_seconds: 9,
      max_runtime_seconds: 5,
      fresh: true,
    })
    const scheduled = take(bench, { eta, ttl_seconds: 7 })
    expect(findDead(bench.context, id)).toEqual({
      found: 'yes',
      task: 'daily',
      refusal: null,
      as: null,
      body: { args: ['a'], queue: 'default', priority: 3, tags: ['t'], retries: 3, retention: 9, ttl: 60, fresh: true },
    })
    expect(findDead(bench.context, scheduled)).toMatchObject({ body: { ttl: 7 }, refusal: expect.stringContaining('has not ended') })
  })
})

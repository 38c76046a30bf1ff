import { beforeEach, expect, it, vi } from 'vitest'
import { Alias, type JobId, TaskName } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { clearTimer } from '../storage/timers.ts'
import { takeBatch } from './batch.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { tenantPage } from './events.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, nodeTask, request, submission, testLedger } from './fixture.ts'
import { Housekeeper } from './housekeeper.ts'
import { movable, trimEvents } from './housekeeping.ts'
import { JobDesk } from './job-desk.ts'
import { findJob, updateJob } from './jobs.ts'
import { accept, offer } from './leases.ts'
import {
  DEAD_LETTER_DAYS,
  EVENT_DAYS,
  KEPT_FINISHED_JOBS,
  MAX_FINISHED_JOBS,
  MAX_REUSABLE,
  MOVE_AFTER_SECONDS,
  PAGE_JOBS,
  PRESSED_STAY_SECONDS,
} from './limits.ts'
import { MovedJobs } from './moved.ts'
import { eventNumbers } from './numbers.ts'
import { publicationOutcome } from './publication.ts'
import { retain } from './retention.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

const faults: { at: string | null } = { at: null }
vi.mock('../fault.ts', () => ({
  fault: (_env: unknown, name: string) => (name === faults.at ? Promise.reject(new Error(`stopped at ${name}`)) : Promise.resolve()),
}))
beforeEach(() => {
  faults.at = null
})

/** Object storage, as far as pages use it. */
class Bucket {
  readonly objects = new Map<string, string>()
  reads = 0
  put(key: string, text: string): Promise<void> {
    this.objects.set(key, text)
    return Promise.resolve()
  }
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null> {
    this.reads++
    const text = this.objects.get(key)
    return Promise.resolve(text === undefined ? null : { arrayBuffer: () => Promise.resolve(new TextEncoder().encode(text).buffer) })
  }
  delete(keys: string[]): Promise<void> {
    for (const key of keys) this.objects.delete(key)
    return Promise.resolve()
  }
}

const bench = () => {
  const ledger = testLedger()
  const { context } = ledger
  let noise = 0
  context.random = (bytes) => new Uint8Array(bytes).map(() => noise++ % 256)
  const bucket = new Bucket()
  const make = () => {
    const moved = new MovedJobs(context, bucket as unknown as R2Bucket)
    const deps = { context, commit: <T>(body: (inner: typeof context) => T): T => commit(context, body), moved }
    return {
      keeper: new Housekeeper({ ...deps, env: { RESULTS: bucket } as unknown as Env }),
      desk: new JobDesk({ ...deps, bucket: bucket as unknown as R2Bucket, live: new Map(), untilEnded: () => Promise.resolve() }),
    }
  }
  let life = make()
  /** A job that has ended long ago: succeeded and published, unless told otherwise. */
  const end = (change: Partial<Submission> = {}, how: 'succeeded' | 'failed' | 'cancelled' | 'unpublished' = 'succeeded'): JobId => {
    const taken = commit(context, (inner) => submit(inner, submission(change), 0))
    if (!taken.ok) throw new Error(taken.detail)
    const { id } = taken.job
    if (how === 'cancelled') {
      commit(context, (inner) => cancel(inner, rowOf(id), 'no'))
      return id
    }
    const tasks = { daily: nodeTask('a'), other: nodeTask('b') }
    const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1, tasks))).offers
    if (!lease) throw new Error('nothing was offered')
    const { job, attempt } = lease
    commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
    if (how === 'failed') {
      const failure = { class: 'sql', code: 'sql_error', message: 'no' } as const
      commit(context, (inner) => fail(inner, HOLDER, [{ job, attempt, failure }]))
      return id
    }
    commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
    if (how === 'unpublished') return id
    commit(context, (inner) => publicationOutcome(inner, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
    // What `archiveResult` does for a small result.
    context.store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', id)
    clearTimer(context.store, 'purge', id)
    return id
  }
  const rowOf = (id: string) => {
    const row = findJob(context, id)
    if (!row) throw new Error(`${id} is not here`)
    return row
  }
  /** The housekeeping's bounds are far above what a test makes: as many jobs are counted besides as are kept. */
  const tidy = async (many = MAX_FINISHED_JOBS + 1): Promise<void> => {
    const task = { at: 'moving', from: '', left: many, dead: 0, pressed: true }
    Object.assign(life.keeper, { task })
    await life.keeper.step()
    while (life.keeper.task.at === 'moving') await life.keeper.step()
  }
  return {
    ...ledger,
    bucket,
    end,
    rowOf,
    tidy,
    old: () => ledger.pass(MOVE_AFTER_SECONDS * 1000),
    restart: () => {
      context.memory.forget()
      life = make()
    },
    get keeper() {
      return life.keeper
    },
    get desk() {
      return life.desk
    },
    here: (): string[] => context.store.all<{ id: string }>('SELECT id FROM jobs ORDER BY id').map(({ id }) => id),
    list: async (change: Partial<Parameters<JobDesk['list']>[0]> = {}): Promise<string[]> => {
      const ids: string[] = []
      for (let before: string | null = null; ; ) {
        const { items, next }: Awaited<ReturnType<JobDesk['list']>> = await life.desk.list({
          alias: null,
          task: null,
          state: null,
          before,
          limit: 3,
          ...change,
        })
        ids.push(...items.map(({ id }) => id))
        if (next === null) return ids
        before = next
      }
    },
  }
}
const everything = { task: [], queue: [], tag: [], state: [] }

it('moves old finished jobs into an object, and the same list, job, events and result come from there', async () => {
  const one = bench()
  const ids = Array.from({ length: 7 }, (_, index) => one.end({ task: TaskName.parse(index % 2 === 0 ? 'daily' : 'other') }))
  one.old()
  const fresh = one.end()
  const before = await one.list()
  const [first = ''] = ids
  const seen = async (id: string) => [await one.desk.job(id, 0), await one.desk.result(id)]
  const was = await seen(first)
  await one.tidy()
  expect(one.here()).toEqual([fresh])
  expect([...one.bucket.objects.keys()]).toEqual([expect.stringMatching(/^t\/acme\/_jobs\/[0-9a-z]{26}-[0-9a-f]{16}\.json$/)])
  expect(await seen(first)).toEqual(was)
  expect(await one.list()).toEqual(before)
  expect(await one.list({ task: 'other' })).toEqual(ids.filter((_, index) => index % 2 === 1).reverse())
  expect(await one.list({ state: 'failed' })).toEqual([])
  for (const table of ['events', 'results'])
    expect(one.context.store.all<{ job: string }>(`SELECT DISTINCT job FROM ${table}`).map(({ job }) => job)).toEqual([fresh])
})

it('keeps what is young, alive, unpublished, dead, or pointed to, until that is over', async () => {
  const one = bench()
  const { store } = one.context
  const live = commit(one.context, (context) => submit(context, submission({ task: TaskName.parse('never') }), 0))
  const [unpublished, dead, target, source, again] = [
    one.end({}, 'unpublished'),
    one.end({}, 'failed'),
    one.end(),
    one.end(),
    one.end({}, 'failed'),
  ]
  const purging = one.end()
  store.run(`INSERT INTO timers (kind, ref, due) VALUES ('purge', ?, 0)`, purging)
  const inGroup = one.end()
  store.run(`INSERT INTO groups (id, request, state, seq, created_at) VALUES ('g1', '', 'running', 0, 0)`)
  updateJob(one.context, one.rowOf(inGroup), { grp: 'g1', step: 'a' })
  const leaving = one.end()
  await one.desk.remove(leaving)
  store.run(`DELETE FROM timers WHERE kind = 'purge' AND ref = ?`, leaving)
  const free = one.end()
  one.old()
  const [watcher, reuser, retry] = [one.end(), one.end(), one.end()]
  updateJob(one.context, one.rowOf(watcher), { coalesced_with: target })
  updateJob(one.context, one.rowOf(reuser), { reused_from: source })
  updateJob(one.context, one.rowOf(again), { retried_as: retry })
  expect(movable(one.context, '', 1).ids).toEqual([free])
  // More dead letters than are kept: the oldest go like the others.
  expect(movable(one.context, '', 1_000_000).ids).toEqual([dead, free])
  one.old()
  expect(movable(one.context, '', 1).ids).toEqual([free, watcher, reuser, retry])
  await one.tidy()
  expect(one.here()).toContain(leaving)
  store.run('DELETE FROM outbox WHERE job = ?', leaving)
  store.run('UPDATE groups SET finished_at = 1')
  clearTimer(store, 'purge', purging)
  expect(movable(one.context, '', 1).ids).toEqual([target, source, again, purging, inGroup, leaving])
  one.pass(DEAD_LETTER_DAYS * 24 * 3600 * 1000)
  expect(movable(one.context, '', 1).ids).toContain(dead)
  expect(movable(one.context, '', 1).ids).not.toContain(unpublished)
  expect(live.ok && one.here().includes(live.job.id)).toBe(true)
})

it('jobs that end late go into the page in whose range they lie, and pages never overlap', async () => {
  const one = bench()
  const late = one.end({}, 'unpublished')
  const ids = [late, ...Array.from({ length: PAGE_JOBS + 20 }, () => one.end())]
  one.old()
  const all = [...ids].reverse()
  await one.tidy()
  expect(one.here()).toEqual([late])
  expect(await one.list({ limit: 100 })).toEqual(all)
  const middle = one.context.store.all<{ first: string }>('SELECT first FROM pages ORDER BY last')[0]?.first ?? ''
  await one.desk.recall(ids[5] ?? '')
  expect(await one.list({ limit: 100 })).toEqual(all)
  commit(one.context, (context) =>
    publicationOutcome(context, [{ job: late, attempt: 1, publication: 'published', snapshot: '1', reason: null }]),
  )
  one.context.store.run('UPDATE results SET inline_parquet = NULL')
  clearTimer(one.context.store, 'purge', late)
  one.old()
  await one.tidy()
  expect(one.here()).toEqual([])
  const pages = one.context.store.all<{ first: string; last: string; jobs: number }>('SELECT first, last, jobs FROM pages ORDER BY last')
  expect(pages.reduce((sum, { jobs }) => sum + jobs, 0)).toBe(ids.length)
  for (const [index, { first, last }] of pages.entries()) {
    expect(first <= last).toBe(true)
    expect(first > (pages[index - 1]?.last ?? '')).toBe(true)
  }
  expect(middle).not.toBe('')
  expect(await one.list({ limit: 100 })).toEqual(all)
  // Pages that were written anew have left nothing behind.
  expect(one.bucket.objects.size).toBe(pages.length)
  expect(one.context.store.all('SELECT key FROM litter')).toEqual([])
})

it.each(['ledger.page-announced', 'ledger.page-written', 'ledger.page-cut'])(
  'a stop at %s loses no job, and leaves no object behind',
  async (point) => {
    const one = bench()
    const ids = Array.from({ length: 5 }, () => one.end())
    one.old()
    const all = [...ids].reverse()
    faults.at = point
    vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    await one.tidy()
    expect(await one.list()).toEqual(all)
    faults.at = null
    one.restart()
    expect(await one.list()).toEqual(all)
    await one.tidy()
    await one.keeper.step()
    expect(one.here()).toEqual([])
    expect(await one.list()).toEqual(all)
    expect(one.bucket.objects.size).toBe(1)
    for (const id of ids) expect(await one.desk.job(id, 0)).toMatchObject({ found: 'yes', job: { state: 'succeeded' } })
  },
)

it('a job that changes while its page is written stays', async () => {
  const one = bench()
  const ids = Array.from({ length: 3 }, () => one.end())
  one.old()
  const put = one.bucket.put.bind(one.bucket)
  one.bucket.put = async (key, text) => {
    await put(key, text)
    if (key.includes('/_jobs/')) updateJob(one.context, one.rowOf(ids[1] ?? ''), { retried_as: 'somebody' })
  }
  await one.tidy()
  expect(one.here()).toEqual(ids)
  expect(one.context.store.all('SELECT key FROM pages')).toEqual([])
  one.bucket.put = put
  await one.tidy()
  expect(one.here()).toEqual([])
  expect(JSON.stringify([...one.bucket.objects.values()])).toContain('somebody')
})

it('a deleted job of a page is gone, from lists too, and stays so when its tombstone moves', async () => {
  const one = bench()
  const ids = Array.from({ length: 4 }, () => one.end())
  const [, second = ''] = ids
  one.old()
  await one.tidy()
  expect(await one.desk.remove(second)).toMatchObject({ found: 'yes', removed: true })
  const rest = ids.filter((id) => id !== second).reverse()
  const check = async (): Promise<void> => {
    expect(await one.desk.job(second, 0)).toEqual({ found: 'gone' })
    expect(await one.desk.result(second)).toEqual({ found: 'gone' })
    expect(await one.desk.remove(second)).toEqual({ found: 'gone' })
    expect(await one.list()).toEqual(rest)
  }
  await check()
  // The table has withdrawn the rows, and the objects are deleted.
  commit(one.context, (context) =>
    publicationOutcome(context, [{ job: second as JobId, attempt: 1, publication: 'withdrawn', snapshot: '2', reason: null }]),
  )
  one.context.store.run('DELETE FROM results')
  clearTimer(one.context.store, 'purge', second)
  one.old()
  await one.tidy()
  expect(one.here()).toEqual([])
  await check()
})

it('a result lives as long as the last job that points to it, also when those have moved', async () => {
  const one = bench()
  const [writer, ...others] = [one.end(), one.end(), one.end()]
  const [pointer = '', second = ''] = others
  const point = (id: string): void => {
    updateJob(one.context, one.rowOf(id), { coalesced_with: writer })
    one.context.store.run('DELETE FROM results WHERE job = ?', id)
  }
  for (const id of others) point(id)
  one.old()
  await one.tidy()
  await one.tidy()
  expect(one.here()).toEqual([])
  expect(await one.desk.result(pointer)).toMatchObject({ found: 'yes', manifest: expect.any(String) })
  const leaving = (): unknown[] => one.context.store.all('SELECT job, kind FROM outbox')
  await one.desk.remove(writer)
  expect(leaving()).toEqual([])
  expect(await one.desk.result(pointer)).toMatchObject({ found: 'yes', manifest: expect.any(String) })
  await one.desk.remove(second)
  expect(leaving()).toEqual([])
  await one.desk.remove(pointer)
  expect(leaving()).toEqual([{ job: writer, kind: 'withdraw' }])
})

it('a result that has moved expires when its time is over, with the jobs that point to it', async () => {
  const one = bench()
  const term = 10 * 24 * 3600
  const [writer, pointer] = [one.end({ retention_seconds: term }), one.end({ retention_seconds: term + 1 })]
  updateJob(one.context, one.rowOf(pointer), { coalesced_with: writer })
  commit(one.context, (context) => retain(context, one.rowOf(pointer)))
  one.old()
  await one.tidy()
  await one.tidy()
  expect(one.here()).toEqual([])
  one.pass(term * 1000)
  one.take()
  fireTimers(one.context)
  expect(one.take()).toContainEqual({ kind: 'recall', writer })
  await one.desk.expire(writer)
  // Those that share it, and have moved too, are brought back after it.
  expect(one.take()).toContainEqual({ kind: 'recall', writer })
  // Who asks for the result before it has been told hears the same.
  expect(await one.desk.result(pointer)).toMatchObject({ found: 'yes', job: { publication: 'expired' } })
  await one.desk.expire(writer)
  for (const id of [writer, pointer]) expect(await one.desk.job(id, 0)).toMatchObject({ found: 'yes', job: { publication: 'expired' } })
  expect(one.context.store.all('SELECT job, kind FROM outbox')).toEqual([{ job: writer, kind: 'withdraw' }])
  // Once it has been told it goes again for good: nobody calls it back.
  one.old()
  await one.tidy()
  expect(one.here()).toEqual([writer])
  expect(one.context.store.all('SELECT job FROM away')).toEqual([])
})

it('the newest result that still exists answers `reuse`, also when its job has moved', async () => {
  const one = bench()
  const same = { sameness: 'same' }
  const ask = (change: Partial<Submission> = {}) => {
    const taken = commit(one.context, (context) => submit(context, submission({ ...same, reuse_seconds: 3_600_000, ...change }), 0))
    if (!taken.ok) throw new Error(taken.detail)
    return taken.job
  }
  const oldest = one.end(same)
  one.pass(60_000)
  const [newest, fresh] = [one.end(same), one.end({ sameness: 'other', fresh: true })]
  one.old()
  await one.tidy()
  expect(one.here()).toEqual([])
  const [took, other] = [ask(), ask({ sameness: 'other' })]
  expect(took).toMatchObject({ state: 'succeeded', publication: 'published', reused_from: newest, rows: 1, engine: 'duckdb' })
  expect(other).toMatchObject({ state: 'succeeded', reused_from: fresh })
  expect(await one.desk.result(took.id)).toMatchObject({ found: 'yes', manifest: expect.any(String) })
  // One that is deleted answers nobody any more, and stays for those that it has answered.
  await one.desk.remove(newest)
  expect(ask().reused_from).toBe(oldest)
  expect(await one.desk.result(took.id)).toMatchObject({ found: 'yes', manifest: expect.any(String) })
  await one.desk.remove(took.id)
  expect(one.context.store.all('SELECT job, kind FROM outbox')).toEqual([{ job: newest, kind: 'withdraw' }])
  expect(ask({ reuse_seconds: 1 }).reused_from).toBeNull()
})

it('of results that have moved a bounded number is known to `reuse`', async () => {
  const one = bench()
  const known = (): unknown[] => one.context.store.all<{ job: string }>('SELECT job FROM reusable ORDER BY n').map(({ job }) => job)
  const [first, second] = [one.end({ sameness: 'a' }), one.end({ sameness: 'b' })]
  one.old()
  await one.tidy()
  expect(known()).toEqual([first, second])
  one.context.store.run('UPDATE reusable SET n = ? WHERE job = ?', MAX_REUSABLE, second)
  const third = one.end({ sameness: 'c' })
  one.old()
  await one.tidy()
  expect(known()).toEqual([second, third])
})

it('the key of a job that has moved still answers with that job', async () => {
  const one = bench()
  const key = { key: 'k', body: 'b' }
  const id = one.end({ idempotency: key })
  one.old()
  await one.tidy()
  const again = () => commit(one.context, (context) => submit(context, submission({ idempotency: key }), 0))
  expect(again()).toMatchObject({ ok: false, code: 'unavailable', moved: id })
  await one.desk.recall(id)
  expect(again()).toMatchObject({ ok: true, created: false, job: { id } })
})

it('a batch that is repeated is answered as it was, also where its jobs have moved, and with another body not at all', async () => {
  const one = bench()
  const jobs = (body: string, ...keys: string[]) => keys.map((key) => submission({ idempotency: { key, body } }))
  const take = (batch: Submission[]) =>
    takeBatch(
      one.context,
      batch,
      (items) => commit(one.context, (context) => items.map((item) => submit(context, item, 0))),
      (id) => one.desk.recall(id),
    )
  const id = one.end({ idempotency: { key: 'a', body: 'b' } })
  one.old()
  await one.tidy()
  expect(one.here()).toEqual([])
  const [first, second] = await take(jobs('b', 'a', 'z'))
  expect([first, second]).toMatchObject([
    { ok: true, created: false, job: { id } },
    { ok: true, job: { state: 'waiting' } },
  ])
  expect(await take(jobs('other', 'new', 'z'))).toMatchObject([{ code: 'idempotency_mismatch' }, { code: 'idempotency_mismatch' }])
  expect(one.here().length).toBe(2)
})

it('an alias is found in the pages without opening those that surely do not hold it', async () => {
  const one = bench()
  const named = one.end({ alias: Alias.parse('feb') })
  for (let count = 0; count < 4 * PAGE_JOBS; count++) one.end({}, 'cancelled')
  one.old()
  await one.tidy()
  expect(one.context.store.all('SELECT key FROM pages').length).toBeGreaterThan(3)
  one.restart()
  one.bucket.reads = 0
  expect(await one.list({ alias: 'feb' })).toEqual([named])
  expect(one.bucket.reads).toBe(1)
  expect(await one.desk.cancel(named, 'no')).toMatchObject({ found: 'yes', answer: 'ended' })
})

it('counts in bounded steps, moves what is too much and no more, and then rests', async () => {
  const one = bench()
  one.end()
  one.old()
  one.keeper.expect()
  await one.keeper.step()
  expect(one.here().length).toBe(1)
  expect(one.context.store.all<{ due: number }>(`SELECT due FROM timers WHERE kind = 'housekeeping'`)).toEqual([
    { due: expect.any(Number) },
  ])
  expect(KEPT_FINISHED_JOBS).toBeLessThan(MAX_FINISHED_JOBS)
  const ids = [...one.here(), one.end(), one.end()]
  one.old()
  await one.tidy(2)
  expect(one.here()).toEqual(ids.slice(2))
})

it('comes again before long when there are too many jobs that are still needed', async () => {
  const one = bench()
  one.end({}, 'unpublished')
  one.old()
  Object.assign(one.keeper, { task: { at: 'moving', from: '', left: 1, dead: 0, pressed: true } })
  await one.keeper.step()
  expect(one.context.store.all<{ due: number }>(`SELECT due FROM timers WHERE kind = 'housekeeping'`)).toEqual([
    { due: one.context.now() + PRESSED_STAY_SECONDS * 1000 },
  ])
})

it('readers of the tenant whose number is older than what has moved are told so, and numbers go on', async () => {
  const one = bench()
  one.end()
  one.old()
  const last = one.context.numbers.last()
  await one.tidy()
  expect(tenantPage(one.context, everything, 1)).toMatchObject({ reset: { oldest: last + 1, last }, events: [] })
  expect(tenantPage(one.context, everything, last).reset).toBeNull()
  expect(eventNumbers(one.context.store).next()).toBe(last + 1)
})

it('forgets old events of ended jobs, but for the last of each, and none of a job that lives', async () => {
  const one = bench()
  const live = commit(one.context, (context) => submit(context, submission({ task: TaskName.parse('never') }), 0))
  const ended = one.end()
  const failed = one.end({}, 'failed')
  const counts = () =>
    Object.fromEntries(
      one.context.store.all<{ job: string; n: number }>('SELECT job, count(*) AS n FROM events GROUP BY job').map(({ job, n }) => [job, n]),
    )
  const id = live.ok ? live.job.id : ''
  expect(counts()).toEqual({ [id]: 1, [ended]: 5, [failed]: 4 })
  expect(trimEvents(one.context)).toBe(one.context.now() + EVENT_DAYS * 24 * 3600 * 1000)
  expect(counts()).toEqual({ [id]: 1, [ended]: 5, [failed]: 4 })
  one.pass(EVENT_DAYS * 24 * 3600 * 1000)
  const young = one.end()
  expect(trimEvents(one.context)).not.toBeNull()
  expect(counts()).toEqual({ [id]: 1, [ended]: 1, [failed]: 1, [young]: 5 })
  expect(one.context.store.all('SELECT seq FROM events WHERE job = ?', ended)).toEqual([{ seq: 5 }])
  expect(tenantPage(one.context, everything, 0).reset).toMatchObject({ oldest: 11 })
})

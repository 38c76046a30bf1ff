import { describe, expect, it } from 'vitest'
import { plainTask } from '../contract/fixture.ts'
import type { JobId, PoolName } from '../contract/ids.ts'
import type { AnnouncedTask } from '../contract/tasks.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, nodeTask, POOL, QUEUE, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { listJobs } from './listing.ts'
import { showJob } from './read.ts'
import { type CurrentTasks, prepareRun } from './scheduled.ts'
import { createSchedule, findSchedule, removeSchedule, type ScheduleRow, type Wanted } from './schedules.ts'
import { fireTimers } from './timers.ts'
import { tasksDue } from './timetable.ts'

const MINUTE = 60_000
const catalogued = (change: Partial<AnnouncedTask> = {}): CataloguedTask => ({
  ...plainTask('daily', change),
  pools: [POOL as PoolName],
  available: true,
  notice: null,
  last_seen_at: '2026-01-01T00:00:00.000Z',
})
const now = (task: CataloguedTask | null): CurrentTasks => new Map([['daily', task]])

/** At 03:04:05, a schedule for every five minutes. */
const bench = (change: Partial<Omit<Wanted, 'task'>> = {}, task = catalogued()) => {
  const ledger = testLedger()
  const { context } = ledger
  const wanted = { cron: '*/5 * * * *', tz: 'UTC', missed: 'latest', overlap: 'skip', ...change } as const
  const prepared = prepareRun(['jobs:submit'], task, wanted)
  if (!prepared.ok) throw new Error(prepared.detail)
  const made = commit(context, (inner) =>
    createSchedule(inner, {
      task: task.name,
      source: 'api',
      wanted: { ...wanted, task: task.name },
      run: prepared.submission,
      rights: ['jobs:submit'],
    }),
  )
  if (!made.ok) throw new Error(made.detail)
  const { id } = made.schedule
  const schedule = (): ScheduleRow => {
    const row = findSchedule(context, id)
    if (!row) throw new Error('no schedule')
    return row
  }
  return {
    ...ledger,
    id,
    schedule,
    /** To the schedule's next time, which fires. */
    next: (current: CurrentTasks = new Map()): void => {
      ledger.pass((schedule().next_at ?? 0) - context.now())
      fireTimers(context, current)
    },
    /** All jobs, the first one first. */
    jobs: (): JobRow[] => listJobs(context, { alias: null, task: null, state: null, before: null, limit: 500 }).rows.reverse(),
  }
}
type Bench = ReturnType<typeof bench>
const begin = ({ context }: Bench): { job: JobId; attempt: number } => {
  const request = { ...HOLDER, pool: POOL, queue: QUEUE, tasks: { daily: nodeTask('0') }, want: 1, offer_seconds: 5 }
  const [offered] = commit(context, (inner) => offer(inner, request)).offers
  if (!offered) throw new Error('nothing was offered')
  const { job, attempt } = offered
  commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
  return { job, attempt }
}
const finish = (b: Bench, { job, attempt }: { job: JobId; attempt: number }): void => {
  expect(commit(b.context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))).toEqual(['ok'])
}

describe('a run of a schedule', () => {
  it('is a job that names its schedule and the time it was due, and its lane is announced', () => {
    const b = bench({ tags: ['nightly'], priority: 5, ttl: '10m', retries: 2 })
    b.take()
    b.next()
    const [job] = b.jobs()
    expect(job && showJob(job)).toMatchObject({
      task: 'daily',
      state: 'waiting',
      schedule: b.id,
      eta: '2026-01-02T03:05:00.000Z',
      expires_at: '2026-01-02T03:15:00.000Z',
      priority: 5,
      tags: ['nightly'],
      max_tries: 3,
    })
    expect(b.take().map(({ kind }) => kind)).toContain('ready')
    expect(b.schedule().last_job).toBe(job?.id)
  })

  it('neither joins another one nor takes an old result, unless the schedule says so', () => {
    const sameness = (change: Partial<Wanted>): unknown => {
      const prepared = prepareRun([], catalogued(), { cron: '@daily', tz: 'UTC', missed: 'skip', overlap: 'skip', ...change })
      return prepared.ok && [prepared.submission.fresh !== true, prepared.submission.reuse_seconds]
    }
    expect(sameness({})).toEqual([false, null])
    expect(sameness({ fresh: true })).toEqual([false, null])
    expect(sameness({ fresh: false })).toEqual([true, null])
    expect(sameness({ reuse: { max_age: '5m' } })).toEqual([true, 300])
  })

  it('runs the task as it is by then: other queue, other defaults', () => {
    const b = bench()
    const params: AnnouncedTask['params'] = [{ name: 'n', type: 'int', default: 7 }]
    b.next(now(catalogued({ queue: 'slow' as never, params, arity: 1 })))
    expect(b.jobs()).toMatchObject([{ queue: 'slow', args: '[7]' }])
  })

  it('is left out when its arguments do not fit the task any more, and comes again when they do', () => {
    const b = bench({ overlap: 'allow' })
    b.next(now(catalogued({ params: [{ name: 'n', type: 'int' }], arity: 1 })))
    expect(b.jobs()).toEqual([])
    expect(b.schedule().notice).toContain('needs a value for its parameter "n"')
    b.next(now(catalogued()))
    expect(b.jobs().length).toBe(1)
  })

  it('waits for a node where none has the task any more, or nobody could be asked', () => {
    const b = bench({ overlap: 'allow' })
    b.next(now(null))
    b.next()
    expect(b.jobs().map(({ state }) => state)).toEqual(['waiting', 'waiting'])
  })

  it('is made up for after a long absence by one run, and the ledger says how late it was', async () => {
    const b = bench()
    b.pass(60 * MINUTE)
    fireTimers(b.context)
    expect(b.jobs().length).toBe(1)
    expect(b.schedule()).toMatchObject({ skipped: 11 })
  })
})

describe('runs that wait for the one before', () => {
  it('are blocked, and released one by one, whatever becomes of the one before', () => {
    const b = bench({ overlap: 'queue' })
    b.next()
    const first = begin(b)
    b.next()
    b.next()
    expect(b.jobs().map(({ state }) => state)).toEqual(['running', 'blocked', 'blocked'])
    const [, second, third] = b.jobs()
    expect(second && showJob(second)).toMatchObject({ state: 'waiting', waiting_for: [b.id] })
    b.take()
    finish(b, first)
    expect(b.jobs().map(({ state }) => state)).toEqual(['succeeded', 'waiting', 'blocked'])
    expect(b.take().map(({ kind }) => kind)).toContain('ready')
    // One that is cancelled while it waits makes room for the next.
    expect(second && commit(b.context, (inner) => cancel(inner, findJob(inner, second.id) ?? second, 'no'))).toBe('cancelled')
    expect(third && findJob(b.context, third.id)?.state).toBe('waiting')
  })

  it('are answered by the one before where the schedule asks for a result that is not old', () => {
    const b = bench({ overlap: 'queue', reuse: { max_age: '1h' } })
    b.next()
    const first = begin(b)
    b.next()
    b.next()
    finish(b, first)
    expect(b.jobs().map(({ state, reused_from }) => [state, reused_from])).toEqual([
      ['succeeded', null],
      ['succeeded', first.job],
      ['succeeded', first.job],
    ])
  })

  it('are released also when the schedule has been deleted', () => {
    const b = bench({ overlap: 'queue' })
    b.next()
    const first = begin(b)
    b.next()
    commit(b.context, (inner) => removeSchedule(inner, b.id))
    finish(b, first)
    expect(b.jobs().map(({ state }) => state)).toEqual(['succeeded', 'waiting'])
  })

  it('do not hold up one another when the last one waits and the first is asked to stop', () => {
    const b = bench({ overlap: 'cancel' })
    b.next()
    b.next()
    expect(b.jobs().map(({ state }) => state)).toEqual(['cancelled', 'waiting'])
    begin(b)
    b.next()
    expect(b.jobs().map(({ state, cancel_at }) => [state, cancel_at !== null])).toEqual([
      ['cancelled', true],
      ['running', true],
      ['waiting', false],
    ])
  })
})

describe('tasks of schedules that are due', () => {
  it('are asked for once each, and only when something is due', async () => {
    const b = bench()
    const asked: string[][] = []
    const ask = (names: string[]) => {
      asked.push(names)
      return Promise.resolve(names.map(() => catalogued()))
    }
    expect((await tasksDue(b.context, ask)).size).toBe(0)
    expect(asked).toEqual([])
    b.pass(2 * MINUTE)
    expect([...(await tasksDue(b.context, ask)).keys()]).toEqual(['daily'])
    expect(asked).toEqual([['daily']])
  })

  it('are left as they were known when nobody answers', async () => {
    const b = bench()
    for (let n = 0; n < 50; n++) {
      const task = `daily${n}` as CataloguedTask['name']
      const wanted = { task, cron: '*/5 * * * *', tz: 'UTC', missed: 'skip', overlap: 'skip' } as const
      createSchedule(b.context, { task, source: 'api', wanted, run: submission({ task }), rights: [] })
    }
    b.pass(2 * MINUTE)
    let asked = 0
    const nobody = () => {
      asked += 1
      return Promise.reject(new Error('away'))
    }
    expect((await tasksDue(b.context, nobody)).size).toBe(0)
    // Each question may wait long for nothing: one is enough.
    expect(asked).toBe(1)
  })
})

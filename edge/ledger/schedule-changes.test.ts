import { describe, expect, it } from 'vitest'
import { TaskName } from '../contract/ids.ts'
import type { Schedule } from '../contract/schedules.ts'
import { dueTimers } from '../storage/timers.ts'
import { submission, testLedger } from './fixture.ts'
import { MAX_SCHEDULE_BYTES, SCHEDULES_PER_ALARM } from './limits.ts'
import {
  changeSchedule,
  createSchedule,
  findSchedule,
  listSchedules,
  type NewSchedule,
  type Scheduled,
  syncFileSchedules,
  type Wanted,
} from './schedules.ts'
import { fireTimers } from './timers.ts'

const task = TaskName.parse('daily')
const wanted = (change: Partial<Wanted> = {}, more: Partial<NewSchedule> = {}): NewSchedule => ({
  task,
  source: 'api',
  wanted: { task, cron: '@hourly', tz: 'UTC', missed: 'all', overlap: 'allow', ...change },
  run: submission({ task }),
  rights: [],
  ...more,
})
type Bench = ReturnType<typeof testLedger>
const done = (answer: Scheduled): Schedule => {
  if (!answer.ok) throw new Error(answer.detail)
  return answer.schedule
}
const pause = ({ context }: Bench, { id }: Schedule, paused: boolean): Schedule => done(changeSchedule(context, id, { to: null, paused }))
const jobs = ({ context }: Bench): number => context.store.all('SELECT id FROM jobs').length
const timers = ({ context }: Bench): string[] =>
  dueTimers(context.store, Number.MAX_SAFE_INTEGER, 100).flatMap(({ kind, ref }) => (kind === 'schedule' ? [ref] : []))

describe('a schedule that is paused', () => {
  it('is not due, and goes on from then without what it has missed', () => {
    const bench = testLedger()
    const made = done(createSchedule(bench.context, wanted()))
    expect(made).toMatchObject({ paused: false, next_at: '2026-01-02T04:00:00.000Z' })
    const paused = pause(bench, made, true)
    expect(paused).toEqual({ ...made, paused: true, next_at: null })
    expect(timers(bench)).toEqual([])
    bench.pass(10 * 3_600_000)
    fireTimers(bench.context)
    expect(jobs(bench)).toBe(0)
    expect(pause(bench, made, false)).toEqual({ ...made, next_at: '2026-01-02T14:00:00.000Z' })
    bench.pass(3_600_000)
    fireTimers(bench.context)
    expect(jobs(bench)).toBe(1)
    const row = findSchedule(bench.context, made.id)
    expect(row).toMatchObject({ skipped: 0, notice: null })
  })

  it('that is due already, with its timer still to fire, is not run', () => {
    const bench = testLedger()
    const made = done(createSchedule(bench.context, wanted()))
    bench.pass(3_600_000)
    pause(bench, made, true)
    fireTimers(bench.context)
    expect(jobs(bench)).toBe(0)
  })

  it('can be made so, and is the same schedule when it is sent again', () => {
    const bench = testLedger()
    const made = done(createSchedule(bench.context, wanted({}, { paused: true })))
    expect(made).toMatchObject({ paused: true, next_at: null })
    expect(createSchedule(bench.context, wanted())).toMatchObject({ created: false, schedule: { id: made.id, paused: true } })
    // Nothing has changed: it goes on being due when it was.
    const on = pause(bench, made, false)
    bench.pass(30 * 60_000)
    expect(pause(bench, made, false)).toEqual(on)
  })
})

describe('a schedule that is changed', () => {
  it('keeps its id and its past, and its next run unless its times have changed', () => {
    const bench = testLedger()
    const made = done(createSchedule(bench.context, wanted()))
    bench.pass(3_600_000)
    fireTimers(bench.context)
    const ran = done(changeSchedule(bench.context, made.id, { to: wanted({ overlap: 'queue', args: [1] }), paused: null }))
    expect(ran).toMatchObject({
      id: made.id,
      overlap: 'queue',
      args: [1],
      last_at: '2026-01-02T04:00:00.000Z',
      next_at: '2026-01-02T05:00:00.000Z',
    })
    bench.pass(3_600_000)
    // Due, and not run yet: it still is.
    expect(done(changeSchedule(bench.context, made.id, { to: wanted(), paused: null })).next_at).toBe('2026-01-02T05:00:00.000Z')
    const moved = done(changeSchedule(bench.context, made.id, { to: wanted({ cron: '0 6 * * *', tz: 'Europe/Berlin' }), paused: null }))
    expect(moved).toMatchObject({ last_job: ran.last_job, next_at: '2026-01-03T05:00:00.000Z' })
    expect(timers(bench)).toEqual([made.id])
  })

  it('stays paused, or not, unless that is said', () => {
    const bench = testLedger()
    const made = done(createSchedule(bench.context, wanted()))
    pause(bench, made, true)
    const change = { to: wanted({ cron: '@daily' }), paused: null }
    expect(done(changeSchedule(bench.context, made.id, change))).toMatchObject({ cron: '@daily', paused: true, next_at: null })
    expect(done(changeSchedule(bench.context, made.id, { ...change, paused: false })).next_at).toBe('2026-01-03T00:00:00.000Z')
  })

  it('is refused when it is not there, or says too much', () => {
    const { context } = testLedger()
    expect(changeSchedule(context, 's1', { to: null, paused: true })).toMatchObject({ ok: false, code: 'not_found' })
    const made = done(createSchedule(context, wanted()))
    const to = wanted({ args: ['x'.repeat(MAX_SCHEDULE_BYTES)] })
    expect(changeSchedule(context, made.id, { to, paused: true })).toMatchObject({ ok: false, code: 'invalid_schedule' })
    expect(findSchedule(context, made.id)?.paused).toBe(0)
  })
})

describe('a schedule of a file', () => {
  it('can be paused, which stays when the file is read again or changes, and nothing else', () => {
    const bench = testLedger()
    const file = (change: Partial<Wanted> = {}) => wanted(change, { source: 'file' })
    const read = (): Schedule[] => listSchedules(bench.context, { task: null, before: null, limit: 9 }).items
    syncFileSchedules(bench.context, [file()])
    const [made] = read()
    if (!made) throw new Error('no schedule')
    expect(changeSchedule(bench.context, made.id, { to: wanted(), paused: true })).toMatchObject({ ok: false, code: 'schedule_of_file' })
    pause(bench, made, true)
    for (const change of [{}, { cron: '@daily' }]) {
      syncFileSchedules(bench.context, [file(change)])
      expect(read()).toEqual([{ ...made, ...change, paused: true, next_at: null }])
    }
    expect(pause(bench, made, false)).toMatchObject({ cron: '@daily', next_at: '2026-01-03T00:00:00.000Z' })
  })
})

it('many schedules that are due after a long rest are run by parts, all of them, in order', () => {
  const bench = testLedger()
  const made = Array.from({ length: SCHEDULES_PER_ALARM + 5 }, (_, n) =>
    done(createSchedule(bench.context, wanted({ missed: 'latest', args: [n] }))),
  )
  bench.pass(7 * 24 * 3_600_000)
  fireTimers(bench.context)
  expect(jobs(bench)).toBe(SCHEDULES_PER_ALARM)
  fireTimers(bench.context)
  expect(jobs(bench)).toBe(made.length)
  fireTimers(bench.context)
  expect(jobs(bench)).toBe(made.length)
  expect(findSchedule(bench.context, made[0]?.id ?? '')).toMatchObject({
    skipped: 167,
    notice: expect.stringMatching(/^167 runs were missed/),
  })
})

it('a schedule says when more runs were missed than are counted', () => {
  const bench = testLedger()
  const made = done(createSchedule(bench.context, wanted({ missed: 'latest', cron: '* * * * *' })))
  bench.pass(24 * 3_600_000)
  fireTimers(bench.context)
  expect(findSchedule(bench.context, made.id)?.notice).toMatch(/^More than 499 runs were missed/)
})

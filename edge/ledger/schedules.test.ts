import { describe, expect, it } from 'vitest'
import { TaskName } from '../contract/ids.ts'
import { dueTimers } from '../storage/timers.ts'
import { submission, testLedger } from './fixture.ts'
import { MAX_SCHEDULES } from './limits.ts'
import {
  createSchedule,
  findSchedule,
  listSchedules,
  type NewSchedule,
  removeSchedule,
  syncFileSchedules,
  type Wanted,
} from './schedules.ts'

const named = (task: string, change: Partial<Wanted> = {}, source: NewSchedule['source'] = 'api'): NewSchedule => ({
  task: TaskName.parse(task),
  source,
  wanted: { task: TaskName.parse(task), cron: '@daily', tz: 'UTC', missed: 'latest', overlap: 'skip', ...change },
  run: submission({ task: TaskName.parse(task) }),
  rights: [],
})
const file = (task: string, change: Partial<Wanted> = {}): NewSchedule => named(task, change, 'file')
type Bench = ReturnType<typeof testLedger>
const create = ({ context }: Bench, schedule: NewSchedule) => {
  const made = createSchedule(context, schedule)
  if (!made.ok) throw new Error(made.detail)
  return made
}
const tasksOf = ({ context }: Bench): string[] =>
  listSchedules(context, { task: null, before: null, limit: 500 }).items.map(({ task, source }) => `${task} ${source}`)
const timersOf = ({ context }: Bench): number => dueTimers(context.store, Number.MAX_SAFE_INTEGER, 10_000).length

describe('schedules of the API', () => {
  it('show when they are due next, and where to look', () => {
    const { schedule, created } = create(testLedger(), named('daily', { tz: 'Europe/Berlin', args: [1], tags: ['a'] }))
    expect(created).toBe(true)
    expect(schedule).toMatchObject({
      task: 'daily',
      source: 'api',
      cron: '@daily',
      tz: 'Europe/Berlin',
      missed: 'latest',
      overlap: 'skip',
      args: [1],
      tags: ['a'],
      next_at: '2026-01-02T23:00:00.000Z',
      last_at: null,
      last_job: null,
      skipped: 0,
      notice: null,
      created_at: '2026-01-02T03:04:05.000Z',
    })
    expect(schedule.links).toEqual({ self: `/v1/schedules/${schedule.id}`, task: '/v1/tasks/daily' })
  })

  it('are kept once when the same is asked for twice', () => {
    const bench = testLedger()
    const one = create(bench, named('daily'))
    bench.pass(1_000)
    expect(create(bench, named('daily'))).toMatchObject({ created: false, schedule: { id: one.schedule.id } })
    expect(create(bench, named('daily', { overlap: 'queue' })).created).toBe(true)
    expect(tasksOf(bench).length).toBe(2)
  })

  it('are listed by pages, the newest first, also of one task', () => {
    const bench = testLedger()
    const ids = ['a', 'b', 'c', 'd', 'a'].map((task, n) => create(bench, named(task, { args: [n] })).schedule.id).reverse()
    const first = listSchedules(bench.context, { task: null, before: null, limit: 2 })
    const second = listSchedules(bench.context, { task: null, before: first.next, limit: 2 })
    const third = listSchedules(bench.context, { task: null, before: second.next, limit: 2 })
    expect([first, second, third].flatMap(({ items }) => items.map(({ id }) => id))).toEqual(ids)
    expect(third.next).toBeNull()
    expect(listSchedules(bench.context, { task: 'a', before: null, limit: 9 }).items.length).toBe(2)
  })

  it('end with their timer when they are deleted', () => {
    const bench = testLedger()
    const { schedule } = create(bench, named('daily'))
    removeSchedule(bench.context, schedule.id)
    expect(findSchedule(bench.context, schedule.id)).toBeUndefined()
    expect(timersOf(bench)).toBe(0)
  })

  it('are bounded in number and size', () => {
    const bench = testLedger()
    for (let n = 0; n < MAX_SCHEDULES; n++) create(bench, named(`t${n}`))
    expect(createSchedule(bench.context, named('more'))).toMatchObject({ ok: false, code: 'limit_reached' })
    // What is there already is answered all the same.
    expect(createSchedule(bench.context, named('t7'))).toMatchObject({ ok: true, created: false })
    expect(createSchedule(testLedger().context, named('daily', { args: ['x'.repeat(65_536)] }))).toMatchObject({
      ok: false,
      code: 'invalid_schedule',
    })
  })
})

describe('schedules of files', () => {
  it('come and go with the lines of the tasks', () => {
    const bench = testLedger()
    create(bench, named('a'))
    syncFileSchedules(bench.context, [file('a'), file('b')])
    expect(tasksOf(bench).sort()).toEqual(['a api', 'a file', 'b file'])
    syncFileSchedules(bench.context, [file('b'), file('c')])
    expect(tasksOf(bench).sort()).toEqual(['a api', 'b file', 'c file'])
    syncFileSchedules(bench.context, [])
    expect(tasksOf(bench)).toEqual(['a api'])
    expect(timersOf(bench)).toBe(1)
  })

  it('stay what they are when the same list comes again', () => {
    const bench = testLedger()
    syncFileSchedules(bench.context, [file('a')])
    const [before] = listSchedules(bench.context, { task: 'a', before: null, limit: 1 }).items
    bench.pass(40 * 3_600_000)
    syncFileSchedules(bench.context, [file('a')])
    // Also when its time has passed and the run is still to come.
    expect(listSchedules(bench.context, { task: 'a', before: null, limit: 1 }).items).toEqual([before])
  })

  it('keep their id when the line changes, and their next run where its times do not', () => {
    const bench = testLedger()
    syncFileSchedules(bench.context, [file('a')])
    const [before] = listSchedules(bench.context, { task: 'a', before: null, limit: 1 }).items
    // Its run of midnight is still to come, late as it is.
    bench.pass(40 * 3_600_000)
    syncFileSchedules(bench.context, [file('a', { overlap: 'queue' })])
    expect(listSchedules(bench.context, { task: 'a', before: null, limit: 1 }).items).toEqual([{ ...before, overlap: 'queue' }])
    syncFileSchedules(bench.context, [file('a', { cron: '@hourly' })])
    expect(listSchedules(bench.context, { task: 'a', before: null, limit: 1 }).items).toMatchObject([
      { id: before?.id, cron: '@hourly', overlap: 'skip', next_at: '2026-01-03T20:00:00.000Z' },
    ])
    expect(timersOf(bench)).toBe(1)
  })

  it('beyond the bound are named', () => {
    const bench = testLedger()
    const many = Array.from({ length: MAX_SCHEDULES + 2 }, (_, n) => file(`t${n}`))
    expect(syncFileSchedules(bench.context, many)).toEqual({ kept: MAX_SCHEDULES, left: [`t${MAX_SCHEDULES}`, `t${MAX_SCHEDULES + 1}`] })
    expect(syncFileSchedules(bench.context, many).kept).toBe(MAX_SCHEDULES)
  })
})

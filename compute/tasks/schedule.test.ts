import { describe, expect, test } from 'bun:test'
import { announcement } from './catalogue.ts'
import { parseTasks } from './parse.ts'
import { formatProblem } from './problem.ts'
import { readSchedule } from './schedule.ts'

const parse = (content: string) => parseTasks('/reports/a.sql', content, [])

describe('a schedule line', () => {
  test.each([
    ['0 6 * * 1-5', { cron: '0 6 * * 1-5', tz: 'UTC', missed: 'latest', overlap: 'skip' }],
    ['0 6 * * mon-fri Europe/Berlin', { cron: '0 6 * * mon-fri', tz: 'Europe/Berlin', missed: 'latest', overlap: 'skip' }],
    ['@daily Asia/Kolkata missed=all overlap=queue', { cron: '@daily', tz: 'Asia/Kolkata', missed: 'all', overlap: 'queue' }],
    ['@hourly overlap=cancel', { cron: '@hourly', tz: 'UTC', missed: 'latest', overlap: 'cancel' }],
    ['5 0 * jan,dec sun  missed=skip   CET', { cron: '5 0 * jan,dec sun', tz: 'CET', missed: 'skip', overlap: 'skip' }],
  ])('%s', (text, value) => {
    expect(readSchedule(text)).toEqual({ ok: true, value })
  })

  test.each([
    ['0 25 * * *', 'hour: "25" is not within 0 to 23'],
    ['0 6 * * Europe/Berlin', '"0 6 * *" has 4 fields'],
    ['@daily Europe/Berlim', '"Europe/Berlim" is not an IANA time zone'],
    ['@daily CET UTC', '"UTC": a time zone stands there already'],
    ['@daily missed=never', 'missed: "never" is not one of skip, latest, all'],
    ['@daily missed=all missed=all', 'missed stands there already'],
    ['@daily overlaps=skip', '"overlaps=skip" says nothing here'],
    ['0 0 6 * * 1 ', '"1" is not an IANA time zone'],
    ['daily', '"daily" has 1 fields'],
  ])('refuses %j and says why', (text, words) => {
    const read = readSchedule(text)
    expect(read.ok ? 'taken' : read.detail).toContain(words)
  })
})

describe('a task announces', () => {
  test('its weight, retries, schedule, and that identical jobs are not joined', () => {
    const { tasks, problems } = parse('-- name: a\n-- weight: 4\n-- retries: 0\n-- coalesce: off\n-- schedule: @daily missed=all\nSELECT 1')
    expect(problems).toEqual([])
    expect(tasks.map(announcement)).toMatchObject([
      { weight: 4, retries: 0, coalesce: false, schedule: { cron: '@daily', tz: 'UTC', missed: 'all', overlap: 'skip' } },
    ])
  })

  test('none of them where no line says so', () => {
    const [task] = parse('-- name: a\nSELECT 1').tasks.map(announcement)
    for (const field of ['weight', 'retries', 'coalesce', 'schedule']) expect(task).not.toHaveProperty(field)
  })

  test.each([
    ['weight: 0', 'weight: "0" is not a number of slots; write a whole number from 1 to 1000'],
    ['weight: 1001', 'from 1 to 1000'],
    ['retries: 101', 'retries: "101" is not a number of retries; write a whole number from 0 to 100'],
    ['retries: -1', 'from 0 to 100'],
    ['coalesce: maybe', 'coalesce: "maybe" is not one of on, off'],
    ['schedule: 61 * * * *', 'schedule: minute: "61" is not within 0 to 59'],
  ])('and is refused for "-- %s"', (line, words) => {
    const { tasks, problems } = parse(`-- name: a\n-- ${line}\nSELECT 1`)
    expect(tasks).toEqual([])
    expect(problems.map(formatProblem).join()).toContain(words)
  })

  test('a schedule that cannot start anything by itself, with a warning', () => {
    const warned = (content: string): string[] => parse(content).tasks.flatMap((task) => task.warnings)
    expect(warned('-- name: a\n-- schedule: @daily\n-- param: x int\nSELECT $1')[0]).toContain('parameter "x" has no default')
    expect(warned('-- name: a\n-- schedule: @daily\nSELECT $1')[0]).toContain('its placeholders have no "-- param:" lines')
    expect(warned('-- name: a\n-- schedule: @daily\n-- param: x int = 5\nSELECT $1')).toEqual([])
  })
})

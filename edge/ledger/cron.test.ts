import { Cron } from 'croner'
import { describe, expect, it, vi } from 'vitest'
import { dueTimes, MAX_COUNTED, nextFire } from './cron.ts'

const at = (text: string): number => Date.parse(text)
const runs = (cron: string, tz: string, after: string, count: number): string[] => {
  const found: string[] = []
  let from: number | null = at(after)
  while (found.length < count && from !== null) {
    from = nextFire(cron, tz, from)
    if (from !== null) found.push(new Date(from).toISOString().slice(0, 16))
  }
  return found
}

describe('the next time', () => {
  it('lies strictly after the instant', () => {
    expect(runs('0 * * * *', 'UTC', '2026-01-01T00:00:00.000Z', 1)).toEqual(['2026-01-01T01:00'])
    expect(runs('0 * * * *', 'UTC', '2025-12-31T23:59:59.999Z', 1)).toEqual(['2026-01-01T00:00'])
    expect(runs('0 * * * *', 'UTC', '2026-01-01T00:00:00.001Z', 1)).toEqual(['2026-01-01T01:00'])
  })

  it('is that of the zone', () => {
    expect(runs('0 6 * * 1-5', 'Asia/Kolkata', '2026-01-01T00:00:00Z', 3)).toEqual([
      '2026-01-01T00:30',
      '2026-01-02T00:30',
      '2026-01-05T00:30',
    ])
  })

  it('knows leap years, last days, last and n-th weekdays', () => {
    expect(runs('0 0 29 2 *', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual(['2028-02-29T00:00', '2032-02-29T00:00'])
    expect(runs('0 0 L * *', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual(['2026-01-31T00:00', '2026-02-28T00:00'])
    expect(runs('0 0 * * 5L', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual(['2026-01-30T00:00', '2026-02-27T00:00'])
    expect(runs('0 0 * * 1#2', 'UTC', '2026-01-01T00:00:00Z', 2)).toEqual(['2026-01-12T00:00', '2026-02-09T00:00'])
    expect(runs('0 0 1 * mon', 'UTC', '2026-01-01T00:00:00Z', 3)).toEqual(['2026-01-05T00:00', '2026-01-12T00:00', '2026-01-19T00:00'])
  })

  it('is null for what is no schedule', () => {
    expect(nextFire('61 * * * *', 'UTC', 0)).toBeNull()
  })
})

// Berlin: 2026-03-29 02:00 becomes 03:00 (01:00 UTC), 2026-10-25 03:00 becomes 02:00 (01:00 UTC).
describe('where clocks are put forward', () => {
  it('a named time that is missing is due once, at the moment of the change', () => {
    expect(runs('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ])
    expect(runs('0,30 2,14 * * *', 'Europe/Berlin', '2026-03-28T14:00:00Z', 4)).toEqual([
      '2026-03-29T01:00',
      '2026-03-29T12:00',
      '2026-03-29T12:30',
      '2026-03-30T00:00',
    ])
  })

  it('steps leave the gap out, and every hour stays every hour', () => {
    expect(runs('*/30 2 * * *', 'Europe/Berlin', '2026-03-28T01:30:00Z', 2)).toEqual(['2026-03-30T00:00', '2026-03-30T00:30'])
    expect(runs('15 * * * *', 'Europe/Berlin', '2026-03-28T23:30:00Z', 3)).toEqual([
      '2026-03-29T00:15',
      '2026-03-29T01:15',
      '2026-03-29T02:15',
    ])
  })
})

describe('where clocks are put back', () => {
  it('a named time is due once, the first time it comes', () => {
    expect(runs('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:00:00Z', 3)).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ])
    expect(runs('0,30 2,14 * * *', 'Europe/Berlin', '2026-10-24T22:00:00Z', 4)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T00:30',
      '2026-10-25T13:00',
      '2026-10-25T13:30',
    ])
  })

  it('steps and every hour go on through both hours', () => {
    expect(runs('*/30 2 * * *', 'Europe/Berlin', '2026-10-24T22:00:00Z', 5)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T00:30',
      '2026-10-25T01:00',
      '2026-10-25T01:30',
      '2026-10-26T01:00',
    ])
    expect(runs('15 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3)).toEqual([
      '2026-10-25T00:15',
      '2026-10-25T01:15',
      '2026-10-25T02:15',
    ])
  })

  it('half hours of difference count too', () => {
    // Lord Howe: 2026-04-05 02:00 becomes 01:30 (15:00 UTC the day before).
    expect(runs('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00:00Z', 2)).toEqual(['2026-04-04T14:45', '2026-04-05T15:15'])
  })
})

it('names each minute that a clock of the zone shows, and no other, for a schedule with a step', () => {
  for (const [tz, from] of [
    ['Europe/Berlin', '2026-03-28T20:00:00Z'],
    ['Europe/Berlin', '2026-10-24T20:00:00Z'],
    ['America/Sao_Paulo', '2018-11-03T20:00:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T10:00:00Z'],
    ['Pacific/Apia', '2011-12-29T20:00:00Z'],
  ] as const) {
    const clock = new Intl.DateTimeFormat('en-GB', { timeZone: tz, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
    const wanted: string[] = []
    for (let minute = at(from) + 60_000; minute <= at(from) + 30 * 3_600_000; minute += 60_000) {
      const [hour, past] = clock.format(minute).split(':').map(Number)
      if (hour !== undefined && hour % 2 === 0 && past !== undefined && past % 20 === 0)
        wanted.push(new Date(minute).toISOString().slice(0, 16))
    }
    expect(runs('*/20 */2 * * *', tz, from, wanted.length), tz).toEqual(wanted)
  }
})

describe('times that have passed', () => {
  it('are counted, and the newest are told in order', () => {
    const first = at('2026-01-01T00:00:00Z')
    expect(dueTimes('*/10 * * * *', 'UTC', first, first + 3_599_999, 100)).toEqual({
      newest: [0, 10, 20, 30, 40, 50].map((minute) => first + minute * 60_000),
      count: 6,
    })
    expect(dueTimes('*/10 * * * *', 'UTC', first, first + 3_600_000, 2)).toEqual({
      newest: [first + 3_000_000, first + 3_600_000],
      count: 7,
    })
    expect(dueTimes('*/10 * * * *', 'UTC', first, first - 1, 2)).toEqual({ newest: [], count: 0 })
  })

  it.each([
    ['* * * * *', '2026-06-01T00:00:30Z', '2026-06-01T00:00:00Z'],
    // A burst of a month that has long been over: the newest of it are found without going through it.
    ['* * * 1 *', '2026-02-15T00:00:00Z', '2026-01-31T23:59:00Z'],
  ])('of a year of %j only the newest are looked at', (cron, now, last) => {
    const due = dueTimes(cron, 'UTC', at('2025-01-01T00:00:00Z'), at(now), 100)
    expect(due.count).toBe(MAX_COUNTED)
    expect(due.newest.length).toBe(100)
    expect(due.newest.at(-1)).toBe(at(last))
    expect(due.newest[0]).toBe(at(last) - 99 * 60_000)
  })

  it.each(['* * * * *', '*/7 * * * *', '0 * * * *', '0 0-5 * * mon'])('of years of %j cost little to go through', (cron) => {
    const next = vi.spyOn(Cron.prototype, 'nextRun')
    const first = at('2016-01-01T00:00:00Z')
    expect(dueTimes(cron, 'UTC', first, at('2026-06-02T00:00:30Z'), 100).newest.length).toBe(100)
    // So many are counted, and few looks find where the newest begin: many such schedules may be due in one alarm.
    expect(next.mock.calls.length).toBeLessThan(MAX_COUNTED + 1_000)
    next.mockRestore()
  })
})

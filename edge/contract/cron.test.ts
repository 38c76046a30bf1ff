import { describe, expect, it } from 'vitest'
import { isTimeZone, readCron } from './cron.ts'

const pattern = (text: string): string | null => {
  const read = readCron(text)
  return read.ok ? read.pattern : null
}
const refusal = (text: string): string => {
  const read = readCron(text)
  return read.ok ? `taken as ${read.pattern}` : read.detail
}

describe("a schedule's times", () => {
  it.each([
    ['0 6 * * 1-5', '0 6 * * 1-5'],
    [' */15   8-18 * * * ', '*/15 8-18 * * *'],
    ['0,30 0 1,15 * *', '0,30 0 1,15 * *'],
    ['5 4 * jan-mar,DEC mon', '5 4 * 1-3,12 1'],
    ['0 0 * * sat-sun', '0 0 * * 6-7'],
    ['0 0 * * 7L', '0 0 * * 0L'],
    ['0 0 * * friL', '0 0 * * 5L'],
    ['0 0 * * mon#2,3#1', '0 0 * * 1#2,3#1'],
    ['0 0 L,15 * *', '0 0 L,15 * *'],
    ['10-50/20 1-1/5 * * *', '10-50/20 1 * * *'],
    ['@Daily', '0 0 * * *'],
    ['0 0 29 2 *', '0 0 29 2 *'],
    ['0 0 30 2 mon', '0 0 30 2 1'],
    ['00 007 * * *', '0 7 * * *'],
  ])('takes %j', (text, wanted) => {
    expect(pattern(text)).toBe(wanted)
  })

  it('keeps what was written, with single blanks', () => {
    expect(readCron(' 0  6 * *   MON-fri ')).toMatchObject({ ok: true, text: '0 6 * * MON-fri' })
  })

  it.each([
    ['60 * * * *', 'minute: "60"'],
    ['* 24 * * *', 'hour: "24"'],
    ['* * 0 * *', 'day of month: "0"'],
    ['* * * 13 *', 'month: "13"'],
    ['* * * * 8', 'day of week: "8"'],
    ['* * * foo *', 'month: "foo"'],
    ['*/0 * * * *', 'minute: "*/0"'],
    ['*/61 * * * *', 'minute: "*/61"'],
    ['5/15 * * * *', 'minute: "5/15" has a step but no range'],
    ['9-5 * * * *', 'minute: "9-5" runs backwards'],
    ['1,,2 * * * *', 'minute: "" is empty'],
    ['1-2-3 * * * *', 'minute: "1-2-3"'],
    ['* * 15W * *', 'day of month: "15W"'],
    ['* * L-3 * *', 'day of month: "L-3"'],
    ['* * ? * *', 'day of month: "?"'],
    ['* * * * +1', 'day of week: "+1"'],
    ['* * * * 1#6', 'day of week: "1#6"'],
    ['* L * * *', 'hour: "L"'],
    ['-1 * * * *', 'minute: "-1"'],
    ['1e1 * * * *', 'minute: "1e1"'],
    ['0 0 31 feb,apr *', 'day of month: "31" never comes in month feb,apr'],
    ['* * * * * *', 'there are no seconds'],
    ['0 6 * *', 'has 4 fields'],
    ['', 'has 0 fields'],
    ['@reboot', '"@reboot" is not one of @hourly'],
    ['@daily 5', '"@daily 5" is not one of'],
  ])('refuses %j and names the field', (text, words) => {
    expect(refusal(text)).toContain(words)
  })

  it('quotes a long value only in part', () => {
    expect(refusal(`${'9'.repeat(150)} * * * *`).length).toBeLessThan(200)
  })
})

describe('time zones', () => {
  it('are names of the IANA database', () => {
    for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+3', 'CET'])
      expect(isTimeZone(name), name).toBe(true)
    for (const name of ['Mars/Base', '+02:00', '', 'Europe/Berlin ', 'x'.repeat(65)]) expect(isTimeZone(name), name).toBe(false)
  })
})

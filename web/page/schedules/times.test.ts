import { describe, expect, it } from 'vitest'
import { nextTimes } from './times.ts'

const AFTER = new Date('2026-03-27T12:00:00Z')
const texts = (cron: string, tz: string): string[] | string => {
  const found = nextTimes(cron, tz, AFTER, 3)
  return found.ok ? found.times.map((time) => time.toISOString()) : found.detail
}

describe('the next times of a schedule', () => {
  it('are those of its zone, across the change of clocks', () => {
    expect(texts('30 6 * * *', 'Europe/Berlin')).toEqual([
      '2026-03-28T05:30:00.000Z',
      '2026-03-29T04:30:00.000Z',
      '2026-03-30T04:30:00.000Z',
    ])
    expect(texts('@weekly', 'UTC')).toEqual(['2026-03-29T00:00:00.000Z', '2026-04-05T00:00:00.000Z', '2026-04-12T00:00:00.000Z'])
  })

  it('say what is wrong with a line or a zone', () => {
    expect(texts('61 * * * *', 'UTC')).toContain('61')
    expect(texts('0 6 * * *', 'Mars/Olympus')).toContain('Mars/Olympus')
    expect(texts('0 0 30 2 *', 'UTC')).toEqual(expect.any(String))
  })
})

import { Cron } from 'croner'
import { readCron } from '../../../edge/contract/cron.ts'

/** The next times of a schedule, or why it has none. The edge computes them the same way, with the same library. */
export const nextTimes = (
  cron: string,
  tz: string,
  after: Date,
  howMany: number,
): { ok: true; times: Date[] } | { ok: false; detail: string } => {
  const read = readCron(cron)
  if (!read.ok) return { ok: false, detail: read.detail }
  try {
    const times = new Cron(read.pattern, { mode: '5-part', timezone: tz, fixedTimeRule: 'no-wildcard' }).nextRuns(howMany, after)
    return times.length > 0 ? { ok: true, times } : { ok: false, detail: 'There is no such time.' }
  } catch {
    return { ok: false, detail: `There is no time zone "${tz}".` }
  }
}

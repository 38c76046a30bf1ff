import { Cron } from 'croner'
import { readCron } from '../contract/cron.ts'

/**
 * When a schedule is due: croner computes, and nothing of its timers is used (it sets some only where it is given a
 * function).
 *
 * Where clocks are put forward, a time that names its minutes and hours (no `*`, no step) and falls into the hour that is
 * missing is due once, at the moment of the change; with `*` or a step what falls into the gap is left out. Where clocks
 * are put back, a named time is due once, the first time it comes; `*` and steps go on through both hours.
 */
const known = new Map<string, Cron>()
/** Schedules of one tenant, and a little more; the oldest makes room. */
const MAX_KNOWN = 1_000

const cronOf = (pattern: string, tz: string): Cron => {
  const key = `${tz}\n${pattern}`
  let cron = known.get(key)
  if (!cron) {
    const [oldest] = known.keys()
    if (known.size >= MAX_KNOWN && oldest !== undefined) known.delete(oldest)
    cron = new Cron(pattern, { mode: '5-part', timezone: tz, fixedTimeRule: 'no-wildcard' })
    known.set(key, cron)
  }
  return cron
}

/** Milliseconds since 1970 of the first time after `after` (never that instant itself); null: never again, or not a schedule. */
export const nextFire = (cron: string, tz: string, after: number): number | null => {
  const read = readCron(cron)
  if (!read.ok) return null
  return cronOf(read.pattern, tz).nextRun(new Date(after))?.getTime() ?? null
}

/** So many times are looked at one by one (0.05 ms each, and many schedules may be due at once); of more than these only the newest are told. */
export const MAX_COUNTED = 500

export interface Due {
  /** The newest ones in order, at most `keep`. */
  newest: number[]
  /** How many there were, at least: at most `MAX_COUNTED` are counted. */
  count: number
}

/** The times from `first` (which is one) up to `now`. Bounded work, however long ago `first` was. */
export const dueTimes = (cron: string, tz: string, first: number, now: number, keep: number): Due => {
  /** At most `most` + 1 of them. */
  const upTo = (from: number | null, most: number): number[] => {
    const times: number[] = []
    for (let at = from; at !== null && at <= now && times.length <= most; at = nextFire(cron, tz, at)) times.push(at)
    return times
  }
  const all = upTo(first, MAX_COUNTED)
  if (all.length <= MAX_COUNTED) return { newest: all.slice(-keep), count: all.length }
  // Too many to go through: looks for a place to begin from which there are enough and few. Between `many` and `few` lies one,
  // because two times are a minute apart at least.
  let many = first - 1
  let few = now
  // Most come in even steps: a window before `now` that doubles is there sooner than halving the years between, and each look
  // costs as many times as it finds.
  for (let window = 2 * keep * 60_000; ; window *= 2) {
    const from = Math.max(Math.floor((many + few) / 2), now - window)
    const times = upTo(nextFire(cron, tz, from), 3 * keep)
    if (times.length > 3 * keep) many = from
    else if (times.length < keep) few = from
    else return { newest: times.slice(-keep), count: MAX_COUNTED }
  }
}

import type { LedgerFigures } from '../contract/ledger.ts'
import type { Schedule } from '../contract/schedules.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { first } from '../storage/store.ts'
import { nextDue } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { countDead } from './dead.ts'
import { latenessOf } from './lateness.ts'
import { TIMERS_PER_ALARM } from './limits.ts'
import type { CurrentTasks } from './scheduled.ts'
import { findSchedule, removeSchedule, showSchedule } from './schedules.ts'
import { countLive } from './submit.ts'

/** The Directory, for this tenant: tasks by their names, in the same order. */
export type TasksNamed = (names: string[]) => Promise<(CataloguedTask | null)[]>

/** As the API shows it. */
export const shownSchedule = (context: LedgerContext, id: string): Schedule | null => {
  const row = findSchedule(context, id)
  return row ? showSchedule(row) : null
}

/** A schedule is a line of the database or it is not: a file's line goes when the file says so. */
export type ScheduleRemoved = { found: 'no' } | { found: 'yes'; removed: boolean; schedule: Schedule }

export const dropSchedule = (context: LedgerContext, id: string): ScheduleRemoved => {
  const row = findSchedule(context, id)
  if (!row) return { found: 'no' }
  if (row.source === 'api') removeSchedule(context, id)
  return { found: 'yes', removed: row.source === 'api', schedule: showSchedule(row) }
}

/** Names asked for at once: a task's columns may have a megabyte. */
const TASKS_AT_ONCE = 20

/**
 * The tasks of schedules that are due, as they are now. What cannot be asked is left out: a run is submitted as its task was
 * known last, rather than late.
 */
export const tasksDue = async (context: LedgerContext, ask: TasksNamed): Promise<CurrentTasks> => {
  const names = context.store
    .all<{ task: string }>(
      `SELECT DISTINCT task FROM schedules WHERE id IN (SELECT ref FROM timers WHERE kind = 'schedule' AND due <= ? LIMIT ?)`,
      context.now(),
      TIMERS_PER_ALARM,
    )
    .map(({ task }) => task)
  const current = new Map<string, CataloguedTask | null>()
  for (let at = 0; at < names.length; at += TASKS_AT_ONCE) {
    const some = names.slice(at, at + TASKS_AT_ONCE)
    try {
      const tasks = await ask(some)
      for (const [index, name] of some.entries()) current.set(name, tasks[index] ?? null)
    } catch (reason) {
      console.warn(`tasks of schedules could not be looked up; they run as they were: ${String(reason)}`)
      break
    }
  }
  return current
}

/** Dead jobs are counted up to here. */
const MAX_COUNTED_DEAD = 10_000

export const figuresOf = (context: LedgerContext): LedgerFigures => {
  const due = nextDue(context.store)
  return {
    live_jobs: countLive(context),
    dead_jobs: countDead(context, MAX_COUNTED_DEAD),
    schedules: first<{ n: number }>(context.store, 'SELECT count(*) AS n FROM schedules')?.n ?? 0,
    next_timer_at: due === null ? null : new Date(due).toISOString(),
    lateness: latenessOf(context),
  }
}

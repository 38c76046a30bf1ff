import type { ScheduleId } from '../contract/ids.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import type { Scope } from '../identity/scopes.ts'
import { cancel } from './cancel.ts'
import { mayBegin } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { insertJob } from './insert.ts'
import { findJob } from './jobs.ts'
import { type Prepared, prepareSubmission } from './prepare.ts'
import { fireSchedule, type LiveRun, nextQueued, type RunTools } from './runs.ts'
import { keptOf, type Wanted } from './schedules.ts'
import { admit, countLive, submit } from './submit.ts'

/** Tasks as they are now, of those that were asked for; null: no node has it any more. */
export type CurrentTasks = ReadonlyMap<string, CataloguedTask | null>

/**
 * What each run of a schedule submits. A run is asked for because its time has come: it neither joins one that waits nor takes
 * an older result, unless the schedule says so.
 */
export const prepareRun = (rights: readonly Scope[], task: CataloguedTask, wanted: Omit<Wanted, 'task'>): Prepared => {
  const { cron: _cron, tz: _tz, missed: _missed, overlap: _overlap, ...options } = wanted
  return prepareSubmission({ scopes: [...rights] }, task, { ...options, fresh: options.fresh ?? options.reuse === undefined }, null)
}

const liveRuns = ({ store }: LedgerContext, schedule: string): LiveRun[] =>
  store.all<LiveRun>(
    'SELECT id, state FROM jobs INDEXED BY jobs_runs WHERE schedule = ? AND schedule IS NOT NULL AND finished_at IS NULL ORDER BY id',
    schedule,
  )

const runTools = (context: LedgerContext, current: CurrentTasks): RunTools => {
  let live: number | null = null
  return {
    renew: (row, run) => {
      const task = current.get(row.task)
      // Nobody could be asked, or no node has it now: the job waits for one, and fails where the task has changed by then.
      if (!task) return { ok: true, run }
      const { said, rights } = keptOf(row)
      const prepared = prepareRun(rights, task, said)
      return prepared.ok ? { ok: true, run: prepared.submission } : prepared
    },
    submit: (run, { schedule, due, behind }) => {
      live ??= countLive(context)
      const wanted = { ...run, eta: due, schedule: schedule as ScheduleId }
      if (behind !== null) {
        const refused = admit(context, wanted, live)
        if (refused) return refused
        live += 1
        return { ok: true, job: insertJob(context, wanted, { state: 'blocked' }).id }
      }
      const submitted = submit(context, wanted, live)
      if (!submitted.ok) return submitted
      live += 1
      return { ok: true, job: submitted.job.id }
    },
    cancel: (job, reason) => {
      const row = findJob(context, job)
      if (row) cancel(context, row, reason)
    },
    live: (schedule) => liveRuns(context, schedule),
  }
}

export const scheduleDue = (context: LedgerContext, id: string, current: CurrentTasks): void =>
  fireSchedule(context, id, runTools(context, current))

/** A run of this schedule has ended: the first of those that wait for it may have a slot now. */
export const releaseRun = (context: LedgerContext, schedule: string): void => {
  const next = nextQueued(liveRuns(context, schedule))
  const row = next === null ? undefined : findJob(context, next)
  // Like any other run: where the schedule asks for an older result, the one before has just written one.
  if (row?.state === 'blocked') mayBegin(context, row, 'release', row, {})
}

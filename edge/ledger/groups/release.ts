import type { JobError } from '../../contract/jobs.ts'
import type { Argument } from '../../contract/tasks.ts'
import { setTimer } from '../../storage/timers.ts'
import { samenessOf } from '../binding.ts'
import { mayBegin } from '../coalesce.ts'
import type { LedgerContext } from '../context.ts'
import { findJob, type JobRow, move } from '../jobs.ts'
import { laneCount } from '../lanes.ts'
import { MAX_LANES } from '../limits.ts'
import type { StepRun } from './plan.ts'
import { carriedBy, type GroupStep, type LoadedGroup, updateStep } from './rows.ts'
import { fillIn } from './values.ts'

/** By which jobs this one may be joined, now that its arguments are known; null: by none. */
const sharedBy = (job: JobRow, args: Argument[], run: StepRun | undefined): string | null =>
  run?.shared && job.submitted_hash !== null
    ? samenessOf({ hash: job.submitted_hash, args, db: job.db, hint: job.engine_hint, rights: run.rights })
    : null

/**
 * The step's job may run from now on, with what its parents bring; it fails where that is not to be had. Like any job that is
 * submitted now it may join an identical one, or have its result already.
 */
export const release = (context: LedgerContext, group: LoadedGroup, step: GroupStep): void => {
  const job = step.row.job === null ? undefined : findJob(context, step.row.job)
  updateStep(context, step.row, { phase: 'live' })
  if (job?.state !== 'blocked') return
  const fail = (error: JobError): void => {
    move(context, job, 'fail', { error_code: error.code, error_message: error.message }, { error })
  }
  const { references, run } = step.plan
  const filled = fillIn(JSON.parse(job.args) as Argument[], references, (from) => carriedBy(group.steps.get(from)))
  if (!filled.ok) {
    fail(filled.error)
    return
  }
  if (laneCount(context, job.pool, job.queue) >= MAX_LANES) {
    fail({ code: 'limit_reached', message: `This tenant uses ${MAX_LANES} queues already; "${job.queue}" would be one more.` })
    return
  }
  const sameness = sharedBy(job, filled.args, run)
  const change: Partial<JobRow> = { sameness, ...(references.length > 0 ? { args: JSON.stringify(filled.args) } : {}) }
  // It begins to wait now: that is what its time to live is about.
  if (run?.ttl_seconds != null) change.expires_at = context.now() + run.ttl_seconds * 1000
  mayBegin(context, job, 'release', { ...job, sameness, reuse_seconds: run?.reuse_seconds, eta: null }, change)
  if (job.finished_at === null && job.expires_at !== null) setTimer(context.store, 'expire', job.id, job.expires_at)
}

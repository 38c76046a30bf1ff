import { isTerminal, type JobError } from '../../contract/jobs.ts'
import type { UnsignedManifest } from '../../contract/manifests.ts'
import { clearTimer, setTimer } from '../../storage/timers.ts'
import { writerOf } from '../coalesce.ts'
import type { LedgerContext } from '../context.ts'
import { findJob, type JobRow } from '../jobs.ts'
import { REPEAT_LAST_MS } from '../limits.ts'
import { findResult } from '../read.ts'
import { SHOWN } from '../states.ts'
import { changeStep, findGroup, findStep, type GroupRow, type GroupStep, ofStepRef, stepRef, updateStep } from './rows.ts'
import { carry, type FirstRow } from './values.ts'

/** Whether the job's result stands in its table; null while that is open. */
const publishedOf = (row: JobRow): 'ok' | 'bad' | null => {
  switch (row.publication) {
    case 'none':
    case 'pending':
      return null
    case 'published':
      return 'ok'
    default:
      return 'bad'
  }
}

/** What a manifest and the rows kept beside it say of the first row. */
export const firstRowOf = (manifest: string, rows: string | null): FirstRow => {
  // Written by `complete` from checked values.
  const { columns, rows: count, first_rows } = JSON.parse(manifest) as UnsignedManifest
  const kept = rows === null ? first_rows : (JSON.parse(rows) as UnsignedManifest['first_rows'])
  return { columns, rows: count, row: kept[0] ?? null }
}

/** Copies what other steps take of the first row; from object storage later, where the result has moved there already. */
const carryRow = (context: LedgerContext, { row, plan }: GroupStep, job: JobRow): void => {
  if (plan.wanted.length === 0) return
  const kept = findResult(context, writerOf(job))
  if (kept?.archived != null && kept.manifest === null) {
    const ref = stepRef(row.grp, row.name)
    setTimer(context.store, 'carry', ref, context.now())
    return
  }
  const found = kept?.manifest == null ? null : firstRowOf(kept.manifest, kept.inline_rows)
  updateStep(context, row, { carried: JSON.stringify(carry(row.name, found, plan.wanted)) })
}

const errorOf = ({ row }: GroupStep, job: JobRow): JobError => {
  if (job.state === 'failed' && job.error_code !== null) return { code: job.error_code, message: job.error_message ?? '' }
  // Why the group stopped it was written when it was asked to stop.
  if (row.error_code !== null) return { code: row.error_code, message: row.error_message ?? '' }
  return { code: 'cancelled', message: `The job ${job.id} was cancelled.` }
}

/** Takes over what became of a step's job. Answers whether the group may have to go on. */
const syncStep = (context: LedgerContext, group: GroupRow, step: GroupStep, job: JobRow): boolean => {
  const { row, plan } = step
  if (row.phase === 'ended') {
    if (row.outcome !== 'ok' || !plan.awaited || row.published !== null) return false
    const published = publishedOf(job)
    if (published === null) return false
    updateStep(context, row, { published })
    return true
  }
  if (job.state === 'blocked') return false
  const state = SHOWN[job.state]
  if (!isTerminal(state)) {
    changeStep(context, group, step, { phase: 'live', state })
    return false
  }
  const ok = job.state === 'succeeded'
  if (ok) carryRow(context, step, job)
  const error = ok ? null : errorOf(step, job)
  changeStep(context, group, step, {
    phase: 'ended',
    state,
    outcome: ok ? 'ok' : 'bad',
    published: ok && plan.awaited ? publishedOf(job) : null,
    error_code: error?.code ?? null,
    error_message: error?.message ?? null,
  })
  return true
}

/** The steps that a job belongs to (of its group, and of groups that took it over) follow it. Answers the groups that may go on. */
export const syncJob = (context: LedgerContext, id: string): string[] => {
  const job = findJob(context, id)
  if (!job) return []
  const groups: string[] = []
  for (const { grp, name } of context.store.all<{ grp: string; name: string }>('SELECT grp, name FROM steps WHERE job = ?', id)) {
    const group = findGroup(context, grp)
    const step = findStep(context, grp, name)
    if (group && step && group.finished_at === null && syncStep(context, group, step, job)) groups.push(grp)
  }
  return groups
}

/** Asks for the values of a first row, again and again until they are there. */
export const carryDue = (context: LedgerContext, ref: string): void => {
  setTimer(context.store, 'carry', ref, context.now() + REPEAT_LAST_MS)
  context.emit({ kind: 'carry', ...ofStepRef(ref) })
}

/** A result that had moved to object storage was read there (`found`), or is not there any more (null). */
export const carryArchived = (context: LedgerContext, group: string, name: string, found: FirstRow | null): void => {
  const step = findStep(context, group, name)
  clearTimer(context.store, 'carry', stepRef(group, name))
  if (!step || step.row.carried !== null) return
  const carried = carry(name, found, step.plan.wanted)
  updateStep(context, step.row, { carried: JSON.stringify(carried) })
}

/** The job of whose result a step's values are still to be read from object storage; null when nothing is to be done. */
export const awaitsCarrying = (context: LedgerContext, group: string, name: string): { archived: string | null } | null => {
  const step = findStep(context, group, name)
  const job = step?.row.job == null ? undefined : findJob(context, step.row.job)
  if (!step || !job || step.row.carried !== null) return null
  return { archived: findResult(context, writerOf(job))?.archived ?? null }
}

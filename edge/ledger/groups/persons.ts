import type { Fault } from '../../contract/problems.ts'
import { clearTimer } from '../../storage/timers.ts'
import type { LedgerContext } from '../context.ts'
import { findJob } from '../jobs.ts'
import { remove } from '../remove.ts'
import { advance } from './advance.ts'
import { changeStep, findGroup, findStep, type GroupRow, isLive, ofStepRef, stepRef, stepsOf, updateGroup } from './rows.ts'

/** What people (and clocks) do to groups. Each runs inside a transaction of the caller. */

export type GroupFound = { found: 'yes'; row: GroupRow } | { found: 'gone' } | { found: 'no' }

/** A group by id; a deleted one is `gone` to its own tenant. */
export const lookUpGroup = (context: LedgerContext, id: string): GroupFound => {
  const row = findGroup(context, id)
  if (!row) return { found: 'no' }
  return row.deleted_at === null ? { found: 'yes', row } : { found: 'gone' }
}

export type Verdict = { ok: true } | ({ ok: false } & Fault)
const refused = (code: Fault['code'], detail: string): Verdict => ({ ok: false, code, detail })

export type Decision = 'approve' | 'reject'

/** A person decides a step. The same word of the same person again is as good as once. */
export const decideStep = (context: LedgerContext, group: GroupRow, name: string, decision: Decision, subject: string): Verdict => {
  const step = findStep(context, group.id, name)
  if (!step) return refused('not_found', `The group ${group.id} has no step "${name}".`)
  const { approval } = step.plan
  if (!approval) return refused('not_awaiting_approval', `The step "${name}" runs a task: nobody decides it.`)
  if (approval.by && !approval.by.includes(subject))
    return refused('not_an_approver', `The step "${name}" is decided by ${approval.by.join(', ')}, not by "${subject}".`)
  // Its time is over, or the group's: whoever comes before the timer comes too late all the same. What was due first counts.
  const ends = step.row.deadline_at ?? Number.POSITIVE_INFINITY
  const groupEnds = group.deadline_at ?? Number.POSITIVE_INFINITY
  if (step.row.state === 'approval' && Math.min(ends, groupEnds) <= context.now()) {
    if (ends <= groupEnds) approvalDue(context, stepRef(group.id, name))
    else groupDue(context, group.id)
    return refused('not_awaiting_approval', `The time to decide the step "${name}" is over. GET /v1/groups/${group.id} tells what counts.`)
  }
  if (step.row.state !== 'approval') {
    if (step.row.decided_by === subject && step.row.outcome === (decision === 'approve' ? 'ok' : 'bad')) return { ok: true }
    return refused(
      'not_awaiting_approval',
      step.row.phase === 'idle'
        ? `The step "${name}" is not to be decided yet: it waits for ${step.plan.needs.map((need) => `"${need}"`).join(', ')}.`
        : `The step "${name}" ${step.row.state === 'cancelled' ? 'was' : 'has'} ${step.row.state} already.`,
    )
  }
  settleApproval(context, group, name, decision, subject)
  return { ok: true }
}

const settleApproval = (context: LedgerContext, group: GroupRow, name: string, decision: Decision, subject: string | null): void => {
  const step = findStep(context, group.id, name)
  if (step?.row.state !== 'approval') return
  clearTimer(context.store, 'approval', stepRef(group.id, name))
  const who = subject === null ? 'Nobody decided in time, so the default counts.' : `Decided by ${subject}.`
  changeStep(
    context,
    group,
    step,
    {
      phase: 'ended',
      decided_by: subject,
      ...(decision === 'approve'
        ? { state: 'succeeded', outcome: 'ok', published: 'ok' }
        : { state: 'failed', outcome: 'bad', error_code: subject === null ? 'approval_timeout' : 'rejected', error_message: who }),
    },
    who,
  )
  advance(context, group.id)
}

/** Nobody has decided in time. */
export const approvalDue = (context: LedgerContext, ref: string): void => {
  clearTimer(context.store, 'approval', ref)
  const { group, step } = ofStepRef(ref)
  const row = findGroup(context, group)
  const approval = findStep(context, group, step)?.plan.approval
  if (row && approval && isLive(row)) settleApproval(context, row, step, approval.default, null)
}

/** Ends what is left of a group. */
const stopGroup = (context: LedgerContext, row: GroupRow, stop: 'cancel' | 'deadline'): void => {
  updateGroup(context, row, { stop })
  clearTimer(context.store, 'group', row.id)
  advance(context, row.id)
}

/** Somebody asks to cancel. What succeeded is undone; who asks twice is told the same. */
export const cancelGroup = (context: LedgerContext, row: GroupRow): Verdict => {
  if (!isLive(row))
    return refused(
      'group_finished',
      `The group ${row.id} ${row.state === 'cancelled' ? 'was' : 'has'} ${row.state} already: there is nothing to cancel.`,
    )
  if (row.stop !== null) return { ok: true }
  if (row.state === 'compensating')
    return refused('group_finished', `The group ${row.id} has failed and is being undone. A compensation is cancelled as a job of its own.`)
  stopGroup(context, row, 'cancel')
  return { ok: true }
}

/** The group has not ended by its deadline, or what undoes it by its own. */
export const groupDue = (context: LedgerContext, id: string): void => {
  clearTimer(context.store, 'group', id)
  const row = findGroup(context, id)
  if (row?.state === 'running' && row.stop === null) stopGroup(context, row, 'deadline')
  else if (row?.state === 'compensating') advance(context, id)
}

/** What needs an ended group: one that runs can be made to end. */
const unfinished = ({ id, state }: GroupRow): Verdict =>
  refused(
    'group_not_finished',
    `The group ${id} is ${state}. ${state === 'running' ? 'Cancel it first, or wait' : 'Wait'} until it has ended.`,
  )

/** A finished group goes with its jobs; what another group has taken over stays with that. */
export const removeGroup = (context: LedgerContext, row: GroupRow): Verdict => {
  if (isLive(row)) return unfinished(row)
  for (const { row: step } of stepsOf(context, row.id)) {
    if (step.job === null) continue
    const shared = context.store.all('SELECT 1 FROM steps WHERE job = ? AND grp <> ? LIMIT 1', step.job, row.id)
    const job = findJob(context, step.job)
    if (shared.length === 0 && job && job.finished_at !== null && job.deleted_at === null) remove(context, job)
  }
  context.store.run('DELETE FROM steps WHERE grp = ?', row.id)
  context.store.run('DELETE FROM group_events WHERE grp = ?', row.id)
  updateGroup(context, row, { deleted_at: context.now() })
  return { ok: true }
}

/** What may be run again: a group that ended otherwise than well, once. */
export const retryFault = (row: GroupRow): Verdict => {
  if (isLive(row)) return unfinished(row)
  if (row.state === 'succeeded') return refused('not_retryable', `The group ${row.id} has succeeded: there is nothing to run again.`)
  if (row.retried_as !== null) return refused('not_retryable', `The group ${row.id} was run again as ${row.retried_as}: retry that one.`)
  return { ok: true }
}

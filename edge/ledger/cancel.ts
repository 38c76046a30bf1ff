import type { JobId } from '../contract/ids.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import { followers, isAbandoned, settleFollowers } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { addEvent, findJob, isHolder, type JobRow, move, updateJob } from './jobs.ts'
import { type Holder, type LeaseVerdict, stopHeld, verdictFor } from './leases.ts'
import { CANCEL_ANSWER_SECONDS } from './limits.ts'

export type CancelAnswer = 'cancelled' | 'asked' | 'ended'

const LOST = 'the node of an earlier attempt was lost, and its query may still run'

/** Somebody asks to cancel. What nobody holds ends at once; what a node holds ends when the node has said what became of the query. */
export const cancel = (context: LedgerContext, row: JobRow, reason: string): CancelAnswer => {
  if (row.cancel_at !== null) return row.finished_at === null ? 'asked' : 'ended'
  const now = context.now()
  if (row.state === 'joined') return leaveLeader(context, row, reason)
  const others = row.state === 'leased' || row.state === 'running' ? followers(context, row.id) : 0
  if (others > 0) {
    const goesOn = `its query goes on for ${others === 1 ? 'a job that shares' : `${others} jobs that share`} it`
    move(
      context,
      row,
      'leave',
      { cancel_at: now, cancel_outcome: 'not_confirmed', cancel_reason: goesOn },
      { cancel: 'not_confirmed', reason },
    )
    return 'cancelled'
  }
  // I8: tries are burnt by attempts that began and were lost with their node, which never said what became of the query.
  const outcome = row.tries > 0 ? 'not_confirmed' : 'confirmed'
  const why =
    row.tries > 0
      ? `the job was waiting to be tried again; ${LOST}`
      : row.state === 'offered'
        ? 'the job had not begun; the offer to a node is void'
        : 'the job had not begun'
  const holder = row.state === 'offered' ? {} : { node: null, session: null }
  const verdict = move(
    context,
    row,
    'cancel',
    { ...holder, offer_by: null, due_at: null, cancel_at: now, cancel_outcome: outcome, cancel_reason: why },
    { cancel: outcome, reason },
  )
  if (verdict === 'moved') return 'cancelled'
  if (verdict === 'refused' || row.node === null || row.session === null) return 'ended'
  updateJob(context, row, { cancel_at: now, cancel_outcome: 'requested', cancel_reason: reason })
  addEvent(context, row, 'cancel', { cancel: 'requested', reason })
  setTimer(context.store, 'cancel', row.id, now + CANCEL_ANSWER_SECONDS * 1000)
  emitCancel(context, row, reason)
  return 'asked'
}

/** One of several watchers goes. The last one that goes takes the query with it, when nobody else wants it either (I8). */
const leaveLeader = (context: LedgerContext, row: JobRow, reason: string): CancelAnswer => {
  // I8: it may have led the execution before, and have lost its node.
  const isLost = row.tries > 0
  const outcome = isLost ? 'not_confirmed' : 'confirmed'
  const why = isLost ? `the job shared the query of another one; ${LOST}` : 'the job had no query of its own'
  const change = { cancel_at: context.now(), cancel_outcome: outcome, cancel_reason: why }
  if (move(context, row, 'cancel', change, { cancel: outcome, reason }) !== 'moved') return 'ended'
  if (stopAbandoned(context, row, reason) && !isLost)
    updateJob(context, row, {
      cancel_outcome: 'sent',
      cancel_reason: 'the query that it shared, and that nobody wants any more, was told to stop',
    })
  return 'cancelled'
}

/** A job has left the one that it had joined, which is told to stop when that was the last to want it. */
export const stopAbandoned = (context: LedgerContext, row: JobRow, reason: string): boolean => {
  // Those that followed it follow its leader, before anybody asks who does.
  settleFollowers(context, row.id)
  const leader = row.coalesced_with === null ? undefined : findJob(context, row.coalesced_with)
  if (!leader || !isAbandoned(context, leader)) return false
  updateJob(context, leader, { cancel_outcome: 'requested' })
  setTimer(context.store, 'cancel', leader.id, context.now() + CANCEL_ANSWER_SECONDS * 1000)
  emitCancel(context, leader, reason)
  return true
}

const emitCancel = (context: LedgerContext, row: JobRow, reason: string): void => {
  if (row.node === null || row.session === null) return
  context.emit({
    kind: 'cancel',
    node: row.node as Holder['node'],
    session: row.session as Holder['session'],
    lease: { tenant: context.tenant, job: row.id as JobId, attempt: row.attempt },
    reason,
  })
}

const isOver = (row: JobRow): boolean => row.finished_at !== null && row.state !== 'carrying'

/** The link has passed the request on to the node's socket. */
export const cancelSent = (context: LedgerContext, job: string, attempt: number): void => {
  const row = findJob(context, job)
  if (!row || row.attempt !== attempt || row.cancel_outcome !== 'requested' || isOver(row)) return
  updateJob(context, row, { cancel_outcome: 'sent' })
  // What its submitter sees of it has ended, and so have the streams that tell of it.
  if (row.state !== 'carrying') addEvent(context, row, 'cancel', { cancel: 'sent' })
}

/** The node says what became of the query. */
export const cancelAnswered = (
  context: LedgerContext,
  holder: Holder,
  item: { job: JobId; attempt: number; outcome: string; reason: string | null },
): LeaseVerdict => {
  const row = findJob(context, item.job)
  if (!isHolder(row, item.attempt, holder.session) || row.cancel_at === null) return verdictFor(row)
  if (row.state === 'cancelled') return 'ok'
  return stopHeld(context, row, item.outcome === 'confirmed' ? 'confirmed' : 'not_confirmed', item.reason)
}

/** Nobody answered in time: the job ends, and says so. A later word of the node is fenced by the state. */
export const cancelOverdue = (context: LedgerContext, id: string): void => {
  clearTimer(context.store, 'cancel', id)
  const row = findJob(context, id)
  if (!row || row.cancel_at === null || isOver(row)) return
  // Once more, for a request that never reached the node: nobody else would tell it to stop.
  emitCancel(context, row, row.cancel_reason ?? '')
  stopHeld(context, row, 'not_confirmed', `the node did not say within ${CANCEL_ANSWER_SECONDS} s what became of the query`)
}

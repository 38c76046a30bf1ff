import { clearTimer, setTimer } from '../storage/timers.ts'
import { stopAbandoned } from './cancel.ts'
import type { LedgerContext } from './context.ts'
import { findJob, move } from './jobs.ts'

/**
 * A job's `ttl` is over: it fails with `expired`. One that has begun has no such timer any more (jobs.ts): it may be lost and
 * wait to be tried again, which is no waiting for its turn. One that a node has taken waits there for a slot, and expires: the
 * node's word that it begins comes too late.
 */
export const expireJob = (context: LedgerContext, id: string): void => {
  const now = context.now()
  const row = findJob(context, id)
  // One that is being cancelled ends by that.
  if (!row || row.finished_at !== null || row.expires_at === null || row.cancel_at !== null) {
    clearTimer(context.store, 'expire', id)
    return
  }
  if (row.expires_at > now) {
    setTimer(context.store, 'expire', id, row.expires_at)
    return
  }
  const waited = Math.round((now - Math.max(row.created_at, row.eta ?? 0)) / 1000)
  const error = { code: 'expired', message: `No node has begun the job within its ttl: it waited ${waited} s.` }
  const freed = { node: null, session: null, offer_by: null, due_at: null }
  if (move(context, row, 'expire', { ...freed, error_code: error.code, error_message: error.message }, { error }) === 'moved')
    stopAbandoned(context, row, 'the last job that shared it has expired')
}

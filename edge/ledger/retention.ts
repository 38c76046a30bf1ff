import { JobId } from '../contract/ids.ts'
import type { PublicationState } from '../contract/jobs.ts'
import { clearTimer, setTimer, setTimerBy } from '../storage/timers.ts'
import { writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { holdsId, pageAt } from './housekeeping.ts'
import { addEvent, findJob, type JobRow } from './jobs.ts'
import { CROWD_PER_TURN, REPEAT_LAST_MS } from './limits.ts'
import { enqueuePublication } from './publication.ts'
import { keptUntil, tellSharers } from './sharers.ts'
import { PUBLICATION_TABLE } from './states.ts'

/**
 * A job that points to a result has ended, or gone. The timer by which the result expires rings for the first whose term is
 * over, and then finds the last: so a job that comes looks at none of the others, which may be very many.
 */
export const retain = (context: LedgerContext, row: JobRow): void => {
  const writer = writerOf(row)
  const now = context.now()
  if (row.deleted_at !== null) setTimer(context.store, 'retain', writer, now)
  // One that is kept for ever has no timer; where it came after others with a term, theirs rings and finds this one.
  else if (row.retention_seconds !== null)
    setTimerBy(context.store, 'retain', writer, (row.finished_at ?? now) + row.retention_seconds * 1000)
}

/**
 * The result's time is over: it leaves its table by a withdrawal, and its objects are deleted. Its jobs stay, as `expired`. At
 * most `most` of them are told at once; answers how many were looked at.
 */
export const expireResult = (context: LedgerContext, id: string, most = CROWD_PER_TURN): number => {
  clearTimer(context.store, 'retain', id)
  const until = keptUntil(context, id)
  // At least so long, whatever jobs that have moved say besides.
  if (until != null && until > context.now()) {
    setTimer(context.store, 'retain', id, until)
    return 0
  }
  // What changes must be here: whoever brings it back asks again.
  if (until !== null && !findJob(context, id) && holdsId(pageAt(context, id), id)) {
    setTimer(context.store, 'retain', id, context.now() + REPEAT_LAST_MS)
    context.emit({ kind: 'recall', writer: JobId.parse(id) })
    return 0
  }
  const writer = findJob(context, id)
  if (!writer || until == null) return 0
  const next = PUBLICATION_TABLE[writer.publication as PublicationState].expired
  if (next === 'ignored') return 0
  addEvent(context, writer, 'publication', { publication: next }, { publication: next })
  const told = tellSharers(context, id, 'publication', most)
  enqueuePublication(context, writer, 'withdraw')
  setTimer(context.store, 'purge', id, context.now())
  context.emit({ kind: 'purge', job: JobId.parse(id) })
  return told
}

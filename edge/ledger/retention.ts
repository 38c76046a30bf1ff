import { JobId } from '../contract/ids.ts'
import type { PublicationState } from '../contract/jobs.ts'
import { clearTimer, setTimer, setTimerBy } from '../storage/timers.ts'
import { keptUntil, sharers, writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { awayFrom, holdsId, pageAt } from './housekeeping.ts'
import { addEvent, findJob, type JobRow } from './jobs.ts'
import { REPEAT_LAST_MS } from './limits.ts'
import { enqueuePublication } from './publication.ts'
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

/** The result's time is over: it leaves its table by a withdrawal, and its objects are deleted. Its jobs stay, as `expired`. */
export const expireResult = (context: LedgerContext, id: string): void => {
  clearTimer(context.store, 'retain', id)
  const until = keptUntil(context, id)
  // At least so long, whatever jobs that have moved say besides.
  if (until != null && until > context.now()) {
    setTimer(context.store, 'retain', id, until)
    return
  }
  // What changes must be here: whoever brings it back asks again.
  if (until !== null && (awayFrom(context, id).length > 0 || (!findJob(context, id) && holdsId(pageAt(context, id), id)))) {
    setTimer(context.store, 'retain', id, context.now() + REPEAT_LAST_MS)
    context.emit({ kind: 'recall', writer: JobId.parse(id) })
    return
  }
  const writer = findJob(context, id)
  if (!writer || until == null) return
  for (const row of [writer, ...sharers(context, id)]) expirePublication(context, row)
  enqueuePublication(context, writer, 'withdraw')
  setTimer(context.store, 'purge', id, context.now())
  context.emit({ kind: 'purge', job: JobId.parse(id) })
}

const expirePublication = (context: LedgerContext, row: JobRow): void => {
  const next = PUBLICATION_TABLE[row.publication as PublicationState].expired
  if (next !== 'ignored') addEvent(context, row, 'publication', { publication: next }, { publication: next })
}

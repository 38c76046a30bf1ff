import { JobId } from '../contract/ids.ts'
import type { PublicationState } from '../contract/jobs.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import { pointers, sharers, writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { awayFrom, holdsId, pageAt } from './housekeeping.ts'
import { addEvent, findJob, type JobRow } from './jobs.ts'
import { REPEAT_LAST_MS } from './limits.ts'
import { enqueuePublication } from './publication.ts'
import { PUBLICATION_TABLE } from './states.ts'

/** A result lives as long as the longest job that points to it: ms, null for ever, undefined where none is left. */
const keptUntil = (context: LedgerContext, writer: string): number | null | undefined => {
  let until: number | undefined
  for (const { finished_at, retention_seconds } of pointers(context, writer)) {
    if (retention_seconds === null) return null
    until = Math.max(until ?? 0, finished_at + retention_seconds * 1000)
  }
  return until
}

/** A job that points to a result has ended, or gone: sets the timer by which the result expires. */
export const retain = (context: LedgerContext, row: JobRow): void => {
  const writer = writerOf(row)
  // One that is kept for ever has no timer; where it came after others with a term, theirs rings and finds this one.
  if (row.retention_seconds === null && row.deleted_at === null) return
  const until = keptUntil(context, writer)
  if (until != null) setTimer(context.store, 'retain', writer, until)
}

/** The result's time is over: it leaves its table by a withdrawal, and its objects are deleted. Its jobs stay, as `expired`. */
export const expireResult = (context: LedgerContext, id: string): void => {
  clearTimer(context.store, 'retain', id)
  const until = keptUntil(context, id)
  // What changes must be here: whoever brings it back asks again.
  if (until !== null && (awayFrom(context, id).length > 0 || (!findJob(context, id) && holdsId(pageAt(context, id), id)))) {
    setTimer(context.store, 'retain', id, context.now() + REPEAT_LAST_MS)
    context.emit({ kind: 'recall', writer: JobId.parse(id) })
    return
  }
  const writer = findJob(context, id)
  if (!writer || until == null) return
  if (until > context.now()) {
    setTimer(context.store, 'retain', id, until)
    return
  }
  for (const row of [writer, ...sharers(context, id)]) expirePublication(context, row)
  enqueuePublication(context, writer, 'withdraw')
  setTimer(context.store, 'purge', id, context.now())
  context.emit({ kind: 'purge', job: JobId.parse(id) })
}

const expirePublication = (context: LedgerContext, row: JobRow): void => {
  const next = PUBLICATION_TABLE[row.publication as PublicationState].expired
  if (next !== 'ignored') addEvent(context, row, 'publication', { publication: next }, { publication: next })
}

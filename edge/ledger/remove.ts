import { JobId } from '../contract/ids.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import { isPointedTo, writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { findJob, type JobRow, updateJob } from './jobs.ts'
import { enqueuePublication } from './publication.ts'
import { retain } from './retention.ts'

/**
 * A finished job is deleted: a tombstone here. When no other job points to its result, that is withdrawn from its table, and
 * its objects are purged.
 */
export const remove = (context: LedgerContext, row: JobRow): void => {
  updateJob(context, row, { deleted_at: context.now() })
  purge(context, row.id)
  const writer = row.state === 'succeeded' ? findJob(context, writerOf(row)) : row
  if (!writer) return
  if (isPointedTo(context, writer.id)) {
    retain(context, row)
    return
  }
  if (writer.publication === 'pending' || writer.publication === 'published' || writer.publication === 'rejected')
    enqueuePublication(context, writer, 'withdraw')
  context.store.run('DELETE FROM slices WHERE result = ?', `r${writer.id}`)
  clearTimer(context.store, 'retain', writer.id)
  if (writer !== row) purge(context, writer.id)
}

const purge = (context: LedgerContext, id: string): void => {
  setTimer(context.store, 'purge', id, context.now())
  context.emit({ kind: 'purge', job: JobId.parse(id) })
}

/** No job points to what this one wrote, and it is deleted, was cancelled, or has outlived its time: its objects may go. */
export const isUnwanted = (context: LedgerContext, writer: JobRow): boolean =>
  writer.publication === 'expired' || ((writer.deleted_at !== null || writer.state === 'cancelled') && !isPointedTo(context, writer.id))

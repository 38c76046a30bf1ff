import { first } from '../storage/store.ts'
import type { FinishedResult } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import type { JobRow } from './jobs.ts'
import { MAX_REUSABLE } from './limits.ts'

/** What `reuse` must know of results whose jobs have moved to object storage: a row each, with what a job says of its result. */

/** A job moves. Rows are numbered in that order, so that the oldest are those with the lowest numbers. */
export const noteReusable = ({ store }: LedgerContext, row: JobRow): void => {
  const writes = row.state === 'succeeded' && row.coalesced_with === null && row.reused_from === null
  if (!writes || row.sameness === null || row.deleted_at !== null || row.publication !== 'published') return
  store.run(
    'INSERT INTO reusable (job, sameness, finished_at, rows, bytes, engine) VALUES (?, ?, ?, ?, ?, ?)',
    row.id,
    row.sameness,
    row.finished_at,
    row.rows,
    row.bytes,
    row.engine,
  )
  store.run('DELETE FROM reusable WHERE n <= (SELECT max(n) FROM reusable) - ?', MAX_REUSABLE)
}

/** A job is back: what its own row says counts. */
export const forgetReusable = ({ store }: LedgerContext, row: JobRow): void => {
  if (row.sameness !== null)
    store.run('DELETE FROM reusable WHERE sameness = ? AND finished_at = ? AND job = ?', row.sameness, row.finished_at, row.id)
}

export const movedResult = ({ store }: LedgerContext, sameness: string, since: number): FinishedResult | undefined =>
  first<FinishedResult>(
    store,
    `SELECT job AS id, 'published' AS publication, rows, bytes, engine, finished_at FROM reusable
     WHERE sameness = ? AND finished_at >= ? ORDER BY finished_at DESC LIMIT 1`,
    sameness,
    since,
  )

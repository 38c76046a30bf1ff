import type { LedgerContext } from './context.ts'
import { addEvent, findJob } from './jobs.ts'
import type { Holder } from './leases.ts'
import { PACK_SECONDS } from './limits.ts'

/** The winning attempt may bring the browser's copy for 15 minutes after completion, once. */
export const mayPack = (context: LedgerContext, holder: Pick<Holder, 'session'>, job: string, attempt: number): boolean => {
  const row = findJob(context, job)
  return (
    row !== undefined &&
    row.state === 'succeeded' &&
    row.attempt === attempt &&
    row.session === holder.session &&
    row.deleted_at === null &&
    (row.finished_at ?? 0) > context.now() - PACK_SECONDS * 1000
  )
}

/** Written once: a second record, even of the same attempt, is refused. */
export const recordPack = (
  context: LedgerContext,
  holder: Holder,
  job: string,
  attempt: number,
  pack: { bytes: number; sha256: string },
): boolean => {
  if (!mayPack(context, holder, job, attempt)) return false
  const changed = context.store.run(
    'UPDATE results SET pack_bytes = ?, pack_sha256 = ? WHERE job = ? AND pack_bytes IS NULL',
    pack.bytes,
    pack.sha256,
    job,
  )
  if (changed === 0) return false
  const row = findJob(context, job)
  if (row) addEvent(context, row, 'pack', { pack: { bytes: pack.bytes } })
  return true
}

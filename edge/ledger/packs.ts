import { first } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { addEvent, findJob, isHolder } from './jobs.ts'
import type { Holder } from './leases.ts'
import { CROWD_PER_TURN, PACK_SECONDS } from './limits.ts'
import { findResult } from './read.ts'
import { isUnwanted } from './remove.ts'
import { tellSharers } from './sharers.ts'

export interface PackRecord {
  bytes: number
  sha256: string
}

/** The attempt that won, speaking for itself, of a result that somebody may still read: its job may be cancelled or deleted. */
const isWinner = (context: LedgerContext, holder: Pick<Holder, 'session'>, job: string, attempt: number): boolean => {
  const row = findJob(context, job)
  return isHolder(row, attempt, holder.session) && findResult(context, job) !== undefined && !isUnwanted(context, row)
}

const packOf = ({ store }: LedgerContext, job: string): PackRecord | null => {
  const row = first<{ pack_bytes: number | null; pack_sha256: string | null }>(
    store,
    'SELECT pack_bytes, pack_sha256 FROM results WHERE job = ?',
    job,
  )
  return row && row.pack_bytes !== null && row.pack_sha256 !== null ? { bytes: row.pack_bytes, sha256: row.pack_sha256 } : null
}

/**
 * The winning attempt may bring the browser's copy for 15 minutes after completion, once: as soon as one is recorded
 * nothing more is granted, uploaded or put together under its name.
 */
export const mayPack = (context: LedgerContext, holder: Pick<Holder, 'session'>, job: string, attempt: number): boolean =>
  isWinner(context, holder, job, attempt) &&
  (findJob(context, job)?.finished_at ?? 0) > context.now() - PACK_SECONDS * 1000 &&
  packOf(context, job) === null

/** Whether this attempt has brought exactly this pack before. */
export const hasPack = (
  context: LedgerContext,
  holder: Pick<Holder, 'session'>,
  job: string,
  attempt: number,
  pack: PackRecord,
): boolean => {
  const known = isWinner(context, holder, job, attempt) ? packOf(context, job) : null
  return known?.bytes === pack.bytes && known.sha256 === pack.sha256
}

/** Written once: a second record, even of the same attempt, is refused. */
export const recordPack = (context: LedgerContext, holder: Holder, job: string, attempt: number, pack: PackRecord): boolean => {
  if (!mayPack(context, holder, job, attempt)) return false
  const changed = context.store.run('UPDATE results SET pack_bytes = ?, pack_sha256 = ? WHERE job = ?', pack.bytes, pack.sha256, job)
  if (changed === 0) return false
  const row = findJob(context, job)
  if (row) addEvent(context, row, 'pack', { pack: { bytes: pack.bytes } })
  tellSharers(context, job, 'pack', CROWD_PER_TURN)
  return true
}

import { Family, JobId } from '../contract/ids.ts'
import type { PublicationState } from '../contract/jobs.ts'
import type { UnsignedManifest } from '../contract/manifests.ts'
import { first } from '../storage/store.ts'
import { setTimer } from '../storage/timers.ts'
import { type LedgerContext, moveOneTimer, setOneTimer } from './context.ts'
import { addEvent, findJob, type JobRow } from './jobs.ts'
import { CROWD_PER_TURN, OUTBOX_BATCH, OUTBOX_BATCH_BYTES, OUTBOX_STALE_SECONDS, REPEAT_FIRST_MS, REPEAT_LAST_MS } from './limits.ts'
import { findResult } from './read.ts'
import { tellSharers } from './sharers.ts'
import { PUBLICATION_TABLE } from './states.ts'

/** Puts a result on its way to its table, or a withdrawal; the later one replaces the earlier. */
export const enqueuePublication = (context: LedgerContext, row: JobRow, kind: 'publish' | 'withdraw'): void => {
  context.store.run(
    `INSERT INTO outbox (job, family, kind, accepted, at) VALUES (?, ?, ?, 0, ?)
     ON CONFLICT (job) DO UPDATE SET kind = excluded.kind, accepted = 0, at = excluded.at`,
    row.id,
    row.family,
    kind,
    context.now(),
  )
  setOneTimer(context, 'outbox', context.now() + REPEAT_FIRST_MS)
  context.emit({ kind: 'outbox', family: Family.parse(row.family) })
}

export interface Handover {
  publish: { manifest: UnsignedManifest; inline_parquet: Uint8Array | null }[]
  withdraw: JobId[]
}

/** What the table has not yet accepted, oldest first. */
export const handover = (context: LedgerContext, family: Family): Handover => {
  const rows = context.store.all<{ job: string; kind: string }>(
    'SELECT job, kind FROM outbox WHERE family = ? AND accepted = 0 ORDER BY job LIMIT ?',
    family,
    OUTBOX_BATCH,
  )
  const answer: Handover = { publish: [], withdraw: [] }
  let size = 0
  for (const { job, kind } of rows) {
    if (kind === 'withdraw') {
      answer.withdraw.push(JobId.parse(job))
      continue
    }
    const result = findResult(context, job)
    if (!result?.manifest) continue
    size += result.manifest.length + (result.inline_parquet?.length ?? 0)
    if (answer.publish.length > 0 && size > OUTBOX_BATCH_BYTES) break
    // Written by `complete` from a validated value: reading it back needs no second validation.
    const manifest = JSON.parse(result.manifest) as UnsignedManifest
    if (result.inline_rows !== null) manifest.first_rows = []
    answer.publish.push({ manifest, inline_parquet: result.inline_parquet })
  }
  return answer
}

/** The table has these written down; what it will become is told later. */
export const handedOver = (context: LedgerContext, kind: 'publish' | 'withdraw', jobs: JobId[]): void => {
  for (const job of jobs) context.store.run('UPDATE outbox SET accepted = 1 WHERE job = ? AND kind = ?', job, kind)
}

/** A new life of the ledger: whoever had accepted results may have died with the last one, and sleeps until it is asked. */
export const handOverAgain = (context: LedgerContext): void => {
  context.store.run('UPDATE outbox SET accepted = 0 WHERE accepted = 1')
  if (first(context.store, 'SELECT 1 AS waits FROM outbox LIMIT 1')) moveOneTimer(context, 'outbox', context.now())
}

/** Families with something not yet accepted, or accepted long ago without an outcome (then it is handed over again). */
export const overdueFamilies = (context: LedgerContext): Family[] => {
  const stale = context.now() - OUTBOX_STALE_SECONDS * 1000
  context.store.run('UPDATE outbox SET accepted = 0, at = ? WHERE accepted = 1 AND at < ?', context.now(), stale)
  const left = first<{ n: number }>(context.store, 'SELECT count(*) AS n FROM outbox')?.n ?? 0
  moveOneTimer(context, 'outbox', left === 0 ? null : context.now() + Math.min(REPEAT_LAST_MS, REPEAT_FIRST_MS * 5))
  return context.store
    .all<{ family: string }>('SELECT DISTINCT family FROM outbox WHERE accepted = 0')
    .map(({ family }) => Family.parse(family))
}

export interface Outcome {
  job: JobId
  attempt: number
  publication: 'published' | 'rejected' | 'withdrawn'
  snapshot: string | null
  reason: string | null
}

/** What the table made of results. Always acknowledged: the table repeats until it is, and a second time changes nothing. */
export const publicationOutcome = (context: LedgerContext, items: Outcome[]): JobId[] => {
  let left = CROWD_PER_TURN
  for (const item of items) {
    const row = findJob(context, item.job)
    if (!row) continue
    const next = PUBLICATION_TABLE[row.publication as PublicationState][item.publication]
    const waiting = first<{ kind: string }>(context.store, 'SELECT kind FROM outbox WHERE job = ?', item.job)
    // A withdrawal under way is not answered by the news that the result was published before.
    if (waiting && (waiting.kind === 'publish' || item.publication === 'withdrawn'))
      context.store.run('DELETE FROM outbox WHERE job = ?', item.job)
    if (next === 'ignored') continue
    const body = {
      publication: next,
      ...(item.snapshot !== null ? { snapshot: item.snapshot } : {}),
      ...(item.reason !== null ? { reason: item.reason } : {}),
    }
    addEvent(context, row, 'publication', body, { publication: next })
    left -= tellSharers(context, row.id, 'publication', left)
    if (next !== 'published' && next !== 'rejected') continue
    setTimer(context.store, 'purge', item.job, context.now() + REPEAT_LAST_MS)
    context.emit({ kind: 'purge', job: item.job })
  }
  return items.map(({ job }) => job)
}

import type { JobEvent } from '../contract/events.ts'
import { JobId } from '../contract/ids.ts'
import type { PublicationState } from '../contract/jobs.ts'
import { first } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { addEvent, findJob, findJobs, type JobRow } from './jobs.ts'
import { REPEAT_LAST_MS } from './limits.ts'
import { PUBLICATION_TABLE } from './states.ts'

/** Who points to a result, for how long it is kept for them, and how they hear what becomes of it. */

const succeeded = (column: string): string =>
  `SELECT id, finished_at, retention_seconds FROM jobs WHERE ${column} = ? AND state = 'succeeded' AND deleted_at IS NULL`

/** Jobs, not deleted, that point to the result which one wrote, itself among them; those that have moved to object storage too. */
const POINTERS = `${['id', 'coalesced_with', 'reused_from'].map(succeeded).join(' UNION ALL ')}
  UNION ALL SELECT job AS id, finished_at, retention_seconds FROM away WHERE writer = ?`
const four = (writer: string): string[] => [writer, writer, writer, writer]

/** Any of the jobs that point to a result. They may be very many: the first that is found. */
export const pointerTo = (context: LedgerContext, writer: string): JobId | undefined =>
  first<{ id: JobId }>(context.store, `SELECT id FROM (${POINTERS}) LIMIT 1`, ...four(writer))?.id

/** A result lives as long as the longest job that points to it: ms, null for ever, undefined where none is left. */
export const keptUntil = (context: LedgerContext, writer: string): number | null | undefined => {
  const found = first<{ jobs: number; until: number | null; ever: number | null }>(
    context.store,
    `SELECT count(*) AS jobs, max(finished_at + retention_seconds * 1000) AS until, max(retention_seconds IS NULL) AS ever FROM (${POINTERS})`,
    ...four(writer),
  )
  if (!found || found.jobs === 0) return undefined
  return found.ever === 1 ? null : found.until
}

/** What those that share a result hear of: its publication with all that follows, and the browser's copy. */
export type Told = 'publication' | 'pack'

/** A walk over those that share a result: whose it is, of what they are told, and the last that was. */
const walk = (writer: string, what: Told, after: string): string => `${writer}/${what}/${after}`

/** As its writer says it; nothing where the job knows already. */
const tell = (context: LedgerContext, row: JobRow, what: Told, writer: JobRow): void => {
  if (what === 'pack') {
    const pack = first<{ bytes: number | null }>(context.store, 'SELECT pack_bytes AS bytes FROM results WHERE job = ?', writer.id)
    // 0: it never had one, and its rows have moved.
    if (pack?.bytes) addEvent(context, row, 'pack', { pack: { bytes: pack.bytes } })
    return
  }
  // Columns hold what the table below put there.
  const now = writer.publication as PublicationState
  if (now === 'none' || now === 'pending' || PUBLICATION_TABLE[row.publication as PublicationState][now] !== now) return
  const said = first<{ body: string }>(
    context.store,
    `SELECT body FROM events WHERE job = ? AND type = 'publication' ORDER BY seq DESC LIMIT 1`,
    writer.id,
  )
  // Written by the ledger from a typed value.
  const body = said ? (JSON.parse(said.body) as Pick<JobEvent, 'publication'>) : {}
  addEvent(context, row, 'publication', { ...body, publication: now }, { publication: now })
}

/**
 * Tells those that share a result what has become of it, `most` of them at once, in the order of their ids; the timer `tell`
 * goes on with the rest. Where a walk stands is the name of its timer, which moves with the events that it writes: so each is
 * told once, wherever a crash breaks it off. Answers how many were looked at.
 */
export const tellSharers = (context: LedgerContext, writer: string, what: Told, most: number, after = ''): number => {
  const { store } = context
  const now = context.now()
  if (most <= 0) {
    setTimer(store, 'tell', walk(writer, what, after), now)
    return 0
  }
  const ids = store
    .all<{ id: string }>(
      `SELECT id FROM jobs INDEXED BY jobs_coalesced WHERE coalesced_with = ? AND id > ?
       UNION ALL SELECT id FROM jobs INDEXED BY jobs_reused WHERE reused_from = ? AND id > ? ORDER BY id LIMIT ?`,
      writer,
      after,
      writer,
      after,
      most,
    )
    .map(({ id }) => id)
  if (ids.length === 0 && after === '' && what === 'pack') return 0
  const from = findJob(context, writer)
  if (from) for (const row of findJobs(context, ids)) if (isSharer(row)) tell(context, row, what, from)
  const last = ids.length === most ? ids.at(-1) : undefined
  if (last !== undefined) setTimer(store, 'tell', walk(writer, what, last), now)
  else if (from?.publication === 'expired' && what === 'publication') callBack(context, writer)
  return ids.length
}

const isSharer = (row: JobRow): boolean => row.state === 'succeeded' && row.deleted_at === null

/** After all ids: those that share a result and have moved to object storage come last. */
const MOVED = '~'

/** Those that have moved come back in parts, to be told; asked for again until they are here. */
const callBack = (context: LedgerContext, writer: string): void => {
  if (first(context.store, 'SELECT job FROM away WHERE writer = ? LIMIT 1', writer) === undefined) return
  setTimer(context.store, 'tell', walk(writer, 'publication', MOVED), context.now() + REPEAT_LAST_MS)
  context.emit({ kind: 'recall', writer: JobId.parse(writer) })
}

/** Some of them are here again. */
export const tellReturned = (context: LedgerContext, writer: string, ids: readonly string[]): void => {
  const from = findJob(context, writer)
  if (from) for (const row of findJobs(context, [...ids])) if (isSharer(row)) tell(context, row, 'publication', from)
  setTimer(context.store, 'tell', walk(writer, 'publication', MOVED), context.now())
}

/** The timer `tell`: the next part of a walk. */
export const goOnTelling = (context: LedgerContext, ref: string, most: number): number => {
  clearTimer(context.store, 'tell', ref)
  const [writer = '', what, after = ''] = ref.split('/')
  return tellSharers(context, writer, what === 'pack' ? 'pack' : 'publication', most, after)
}

/** One that has just come to share a result hears what the others know; not of a copy of which a walk is about to tell it. */
export const catchUp = (context: LedgerContext, row: JobRow, writer: JobRow): void => {
  tell(context, row, 'publication', writer)
  const under = walk(writer.id, 'pack', '')
  const ahead = first<{ ref: string }>(
    context.store,
    `SELECT ref FROM timers WHERE kind = 'tell' AND ref >= ? AND ref < ?`,
    under,
    `${under}${MOVED}`,
  )
  if (!ahead || ahead.ref >= `${under}${row.id}`) tell(context, row, 'pack', writer)
}

/** Whether what becomes of a job's result is on its way to those that share it. */
export const isTelling = (context: LedgerContext, writer: string): boolean =>
  first(context.store, `SELECT ref FROM timers WHERE kind = 'tell' AND ref >= ? AND ref < ?`, `${writer}/`, `${writer}0`) !== undefined

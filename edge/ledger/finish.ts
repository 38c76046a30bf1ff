import { Family, type JobId, resultOf, Sha256, TaskName } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import type { InlineResult, Manifest, NodeManifest } from '../contract/manifests.ts'
import { firstRowsOf } from '../contract/manifests.ts'
import type { Failure } from '../contract/node.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { addEvent, findJob, isHolder, type JobRow, move, updateJob } from './jobs.ts'
import { type Holder, type LeaseVerdict, lose, stopHeld } from './leases.ts'
import { CANCEL_ANSWER_SECONDS } from './limits.ts'
import { enqueuePublication } from './publication.ts'
import { isRetried } from './retries.ts'

export interface Completion {
  job: JobId
  attempt: number
  manifest: NodeManifest
  /** The small result whole: bytes of its Parquet file and all rows. */
  inline: { parquet: Uint8Array; rows: InlineResult['rows'] } | null
}

const verdictFor = (row: JobRow | undefined): LeaseVerdict => (row?.state === 'cancelled' ? 'cancelled' : 'fenced')

/** The edge's manifest: what the node says, the keys that the edge chose, and the signature over all of it. */
const manifestOf = (context: LedgerContext, row: JobRow, completion: Completion): Manifest => {
  const { manifest: node } = completion
  const job = completion.job
  const family = Family.parse(row.family)
  const unsigned: Omit<Manifest, 'signature'> = {
    version: 1,
    result: resultOf(job),
    job,
    tenant: context.tenant,
    task: TaskName.parse(row.task),
    task_hash: Sha256.parse(row.task_hash),
    family,
    attempt: row.attempt,
    run_date: row.run_date,
    columns: node.schema.columns,
    added: node.schema.added,
    schema_id: node.schema.id,
    rows: node.rows,
    bytes: node.files.reduce((sum, file) => sum + file.bytes, 0),
    files: node.files.map((file) => ({ ...file, key: dataKey(context.tenant, family, job, row.attempt, file.n) })),
    inline: completion.inline !== null,
    first_rows: completion.inline ? firstRowsOf(completion.inline.rows) : node.first_rows,
    engine: node.engine,
    source: node.source,
    seconds: node.seconds,
    created_at: new Date(context.now()).toISOString(),
  }
  return context.sign(unsigned)
}

/**
 * Ends attempts with their results. I2: only the holder of the current attempt, in its session, gets `ok`; the same
 * completion sent twice is `ok` twice and changes nothing the second time. From the commit on the result is readable.
 */
export const complete = (context: LedgerContext, holder: Holder, items: Completion[]): LeaseVerdict[] =>
  items.map((completion) => {
    const row = findJob(context, completion.job)
    if (!isHolder(row, completion.attempt, holder.session)) return verdictFor(row)
    if (row.state === 'succeeded') return 'ok'
    const manifest = manifestOf(context, row, completion)
    const late = row.cancel_at !== null
    const verdict = move(
      context,
      row,
      'complete',
      {
        publication: 'pending',
        rows: manifest.rows,
        bytes: manifest.bytes,
        engine: manifest.engine.name,
        ...(late ? { cancel_outcome: 'too_late', cancel_reason: 'the result was complete before the engine stopped' } : {}),
      },
      { attempt: row.attempt, publication: 'pending', rows: manifest.rows, ...(late ? { cancel: 'too_late' as const } : {}) },
    )
    if (verdict !== 'moved') return verdictFor(row)
    if (late) clearTimer(context.store, 'cancel', row.id)
    context.store.run(
      'INSERT INTO results (job, manifest, inline_rows, inline_parquet) VALUES (?, ?, ?, ?)',
      row.id,
      // The first rows of a small result are its rows: kept once.
      JSON.stringify(completion.inline ? { ...manifest, first_rows: [] } : manifest),
      completion.inline ? JSON.stringify(completion.inline.rows) : null,
      completion.inline ? completion.inline.parquet : null,
    )
    enqueuePublication(context, row, 'publish')
    return 'ok'
  })

/** Ends attempts with a failure: what was lost or overloaded is tried again, everything else ends the job. */
export const fail = (context: LedgerContext, holder: Holder, items: { job: JobId; attempt: number; failure: Failure }[]): LeaseVerdict[] =>
  items.map(({ job, attempt, failure }) => {
    const row = findJob(context, job)
    if (!isHolder(row, attempt, holder.session)) return verdictFor(row)
    if (row.state === 'failed') return 'ok'
    if (row.state !== 'offered' && row.state !== 'leased' && row.state !== 'running') return verdictFor(row)
    if (failure.class === 'cancelled' && row.cancel_at !== null) return stopHeld(context, row, 'not_confirmed', failure.message)
    if (isRetried(failure.class)) {
      lose(context, row, failure)
      return 'ok'
    }
    const error = { code: failure.code, message: failure.message }
    const late = row.cancel_at !== null
    const verdict = move(
      context,
      row,
      'fail',
      {
        error_code: error.code,
        error_message: error.message,
        error_class: failure.class,
        ...(late ? { cancel_outcome: 'too_late', cancel_reason: 'the attempt had failed before the engine stopped' } : {}),
      },
      { error, attempt: row.attempt },
    )
    if (late) clearTimer(context.store, 'cancel', row.id)
    return verdict === 'moved' ? 'ok' : verdictFor(row)
  })

export type CancelAnswer = 'cancelled' | 'asked' | 'ended'

/** Somebody asks to cancel. What nobody holds ends at once; what a node holds ends when the node has said what became of the query. */
export const cancel = (context: LedgerContext, row: JobRow, reason: string): CancelAnswer => {
  if (row.cancel_at !== null) return row.finished_at === null ? 'asked' : 'ended'
  const now = context.now()
  // I8: tries are burnt by attempts that began and were lost with their node, which never said what became of the query.
  const outcome = row.tries > 0 ? 'not_confirmed' : 'confirmed'
  const why =
    row.tries > 0
      ? 'the job was waiting to be tried again; the node of an earlier attempt was lost, and its query may still run'
      : row.state === 'offered'
        ? 'the job had not begun; the offer to a node is void'
        : 'the job had not begun'
  const holder = row.state === 'offered' ? {} : { node: null, session: null }
  const verdict = move(
    context,
    row,
    'cancel',
    { ...holder, offer_by: null, due_at: null, cancel_at: now, cancel_outcome: outcome, cancel_reason: why },
    { cancel: outcome, reason },
  )
  if (verdict === 'moved') return 'cancelled'
  if (verdict === 'refused' || row.node === null || row.session === null) return 'ended'
  updateJob(context, row, { cancel_at: now, cancel_outcome: 'requested', cancel_reason: reason })
  addEvent(context, row, 'cancel', { cancel: 'requested', reason })
  setTimer(context.store, 'cancel', row.id, now + CANCEL_ANSWER_SECONDS * 1000)
  emitCancel(context, row, reason)
  return 'asked'
}

const emitCancel = (context: LedgerContext, row: JobRow, reason: string): void => {
  if (row.node === null || row.session === null) return
  context.emit({
    kind: 'cancel',
    node: row.node as Holder['node'],
    session: row.session as Holder['session'],
    lease: { tenant: context.tenant, job: row.id as JobId, attempt: row.attempt },
    reason,
  })
}

/** The link has passed the request on to the node's socket. */
export const cancelSent = (context: LedgerContext, job: string, attempt: number): void => {
  const row = findJob(context, job)
  if (!row || row.attempt !== attempt || row.cancel_outcome !== 'requested' || row.finished_at !== null) return
  updateJob(context, row, { cancel_outcome: 'sent' })
  addEvent(context, row, 'cancel', { cancel: 'sent' })
}

/** The node says what became of the query. */
export const cancelAnswered = (
  context: LedgerContext,
  holder: Holder,
  item: { job: JobId; attempt: number; outcome: string; reason: string | null },
): LeaseVerdict => {
  const row = findJob(context, item.job)
  if (!isHolder(row, item.attempt, holder.session) || row.cancel_at === null) return verdictFor(row)
  if (row.state === 'cancelled') return 'ok'
  return stopHeld(context, row, item.outcome === 'confirmed' ? 'confirmed' : 'not_confirmed', item.reason)
}

/** Nobody answered in time: the job ends, and says so. A later word of the node is fenced by the state. */
export const cancelOverdue = (context: LedgerContext, id: string): void => {
  clearTimer(context.store, 'cancel', id)
  const row = findJob(context, id)
  if (!row || row.cancel_at === null || row.finished_at !== null) return
  // Once more, for a request that never reached the node: nobody else would tell it to stop.
  emitCancel(context, row, row.cancel_reason ?? '')
  stopHeld(context, row, 'not_confirmed', `the node did not say within ${CANCEL_ANSWER_SECONDS} s what became of the query`)
}

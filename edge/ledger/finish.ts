import { Family, type JobId, resultOf, Sha256, TaskName } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import type { InlineResult, NodeManifest, UnsignedManifest } from '../contract/manifests.ts'
import { firstRowsOf } from '../contract/manifests.ts'
import type { Failure } from '../contract/node.ts'
import { first } from '../storage/store.ts'
import { clearTimer } from '../storage/timers.ts'
import { isAbandoned } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { findJob, isHolder, type JobRow, move } from './jobs.ts'
import { type Holder, type LeaseVerdict, lose, stopHeld, verdictFor } from './leases.ts'
import { enqueuePublication } from './publication.ts'
import { isRetried } from './retries.ts'
import { isHeld } from './states.ts'

export interface Completion {
  job: JobId
  attempt: number
  manifest: NodeManifest
  /** The small result whole: bytes of its Parquet file and all rows. */
  inline: { parquet: Uint8Array; rows: InlineResult['rows'] } | null
}

/** A job that its submitter had left, and whose result is there for those that had joined it. */
const isCarried = (context: LedgerContext, row: JobRow): boolean =>
  row.state === 'cancelled' && first(context.store, 'SELECT job FROM results WHERE job = ?', row.id) !== undefined

/** The edge's manifest: what the node says, and the keys that the edge chose. It is signed where it is handed out. */
const manifestOf = (context: LedgerContext, row: JobRow, completion: Completion): UnsignedManifest => {
  const { manifest: node } = completion
  const job = completion.job
  const family = Family.parse(row.family)
  return {
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
}

/**
 * Ends attempts with their results. I2: only the holder of the current attempt, in its session, gets `ok`; the same
 * completion sent twice is `ok` twice and changes nothing the second time. From the commit on the result is readable.
 */
export const complete = (context: LedgerContext, holder: Holder, items: Completion[]): LeaseVerdict[] =>
  items.map((completion) => {
    const row = findJob(context, completion.job)
    if (!isHolder(row, completion.attempt, holder.session)) return verdictFor(row)
    if (row.state === 'succeeded' || isCarried(context, row)) return 'ok'
    if (isAbandoned(context, row)) {
      // All whom it ran for have cancelled: a result that nobody points to is not kept, and not published.
      stopHeld(context, row, 'confirmed', 'the query had ended before the engine was told to stop')
      return 'cancelled'
    }
    const manifest = manifestOf(context, row, completion)
    const late = row.cancel_at !== null && row.state !== 'carrying'
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
    if (row.cancel_at !== null) clearTimer(context.store, 'cancel', row.id)
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
    if (!isHeld(row.state)) return verdictFor(row)
    if (failure.class === 'cancelled' && row.cancel_at !== null) return stopHeld(context, row, 'not_confirmed', failure.message)
    if (isRetried(failure.class)) {
      lose(context, row, failure)
      return 'ok'
    }
    if (row.state === 'carrying') {
      // Its own end is told already; those that joined it try for themselves, and fail alike where it lies in the report.
      if (isAbandoned(context, row)) stopHeld(context, row, 'confirmed', 'the query had failed before the engine was told to stop')
      else move(context, row, 'fail', {})
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

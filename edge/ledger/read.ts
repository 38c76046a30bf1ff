import type { JobEvent } from '../contract/events.ts'
import { type GroupId, JobId, resultOf, type ScheduleId, type StepName } from '../contract/ids.ts'
import { type Job, Job as JobSchema, type JobState } from '../contract/jobs.ts'
import { first } from '../storage/store.ts'
import { writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { findJob, type JobRow } from './jobs.ts'
import { MAX_ARGS_BYTES } from './limits.ts'
import { triesOf } from './retries.ts'
import { SHOWN } from './states.ts'

const instant = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

/** What is known of a running attempt beside the database: last value only, lost at a restart, which is harmless. */
export interface Liveness {
  phase: Job['phase']
  engine: string | null
  progress: Job['progress']
}

/** A joined job waits for the one it joined, a run of a schedule for the run before; of a step `awaitedBy` tells (groups/awaits.ts). */
const waitsFor = ({ state, coalesced_with, schedule }: JobRow): string[] =>
  state === 'joined' && coalesced_with !== null ? [coalesced_with] : state === 'blocked' && schedule !== null ? [schedule] : []

/** A row as the API shows it. */
export const showJob = (row: JobRow, live: Liveness | null = null): Job => {
  const state: JobState = SHOWN[row.state]
  const id = JobId.parse(row.id)
  const self = `/v1/jobs/${id}`
  const succeeded = row.state === 'succeeded'
  const links: Record<string, string> = { self, events: `${self}/events` }
  if (row.finished_at === null) links.cancel = `${self}/cancel`
  if (row.state === 'failed' && row.retried_as === null && row.grp === null) links.retry = `${self}/retry`
  if (succeeded) {
    links.result = `${self}/result`
    links.slice = `${self}/slice`
  }
  // Columns were checked when they went in; the casts name their brands again.
  return {
    id,
    alias: row.alias as Job['alias'],
    task: row.task as Job['task'],
    state,
    publication: row.publication as Job['publication'],
    queue: row.queue as Job['queue'],
    attempt: row.attempt,
    tries: row.tries,
    progress: state === 'running' ? (live?.progress ?? null) : null,
    rows: row.rows,
    bytes: row.bytes,
    created_at: instant(row.created_at) ?? '',
    started_at: instant(row.started_at),
    finished_at: instant(row.finished_at),
    phase: state === 'running' ? (live?.phase ?? 'planning') : null,
    engine: row.engine ?? live?.engine ?? null,
    error: row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    cancel:
      row.cancel_at === null
        ? null
        : {
            requested_at: instant(row.cancel_at) ?? '',
            outcome: JobSchema.shape.cancel.unwrap().shape.outcome.parse(row.cancel_outcome),
            reason: row.cancel_reason,
          },
    result: succeeded ? { id: resultOf(writerOf(row)) } : null,
    seq: row.seq,
    // Too many to be kept here (archive.ts): only who asks for the job itself is shown them.
    args: row.args === '' ? [] : (JSON.parse(row.args) as Job['args']),
    ...(row.args === '' ? { args_omitted: true } : {}),
    run_date: row.run_date,
    links,
    priority: row.priority,
    tags: row.tags === '[]' ? [] : (JSON.parse(row.tags) as string[]),
    eta: instant(row.eta),
    expires_at: instant(row.expires_at),
    max_tries: row.max_tries ?? triesOf(null),
    max_runtime_seconds: row.max_runtime_seconds,
    coalesced_with: row.coalesced_with as JobId | null,
    reused_from: row.reused_from as JobId | null,
    retried_from: row.retried_from as JobId | null,
    retried_as: row.retried_as as JobId | null,
    waiting_for: waitsFor(row),
    group: row.grp === null || row.step === null ? null : { id: row.grp as GroupId, step: row.step as StepName },
    schedule: row.schedule as ScheduleId | null,
    retention_seconds: row.retention_seconds,
  }
}

/** How many of these, from the first on, stay within the bytes of arguments that one message carries; at least one. */
export const fitting = (jobs: readonly { size: number }[]): number => {
  let bytes = 0
  const over = jobs.findIndex(({ size }, index) => {
    bytes += size
    return index > 0 && bytes > MAX_ARGS_BYTES
  })
  return over < 0 ? jobs.length : over
}

/** Events after number `after`, in order, all of them: what was left out here, a reader's stream would never bring (I9). */
export const eventsAfter = (context: LedgerContext, job: string, after: number): JobEvent[] =>
  context.store
    .all<{ seq: number; type: JobEvent['type']; state: JobState; at: number; body: string; n: number | null }>(
      'SELECT seq, type, state, at, body, n FROM events WHERE job = ? AND seq > ? ORDER BY seq',
      job,
      after,
    )
    .map(({ seq, type, state, at, body, n }) => ({
      seq,
      job: JobId.parse(job),
      type,
      state,
      at: new Date(at).toISOString(),
      ...JSON.parse(body),
      ...(n === null ? {} : { n }),
    }))

export interface ResultRow {
  job: string
  manifest: string | null
  inline_rows: string | null
  inline_parquet: Uint8Array | null
  archived: string | null
  pack_bytes: number | null
  pack_sha256: string | null
}

export const findResult = (context: LedgerContext, job: string): ResultRow | undefined =>
  first<ResultRow>(context.store, 'SELECT * FROM results WHERE job = ?', job)

export type Found = { found: 'yes'; row: JobRow } | { found: 'gone' } | { found: 'no' }

/** A job by id; a deleted one is `gone` to its own tenant. Another tenant's id is simply not in this ledger (I6). */
export const lookUp = (context: LedgerContext, id: string): Found => {
  const row = findJob(context, id)
  if (!row) return { found: 'no' }
  return row.deleted_at === null ? { found: 'yes', row } : { found: 'gone' }
}

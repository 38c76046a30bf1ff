import type { SqlValue } from '../storage/store.ts'
import { setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { type JobRow, writeEvents } from './jobs.ts'
import { stands } from './lane-rules.ts'
import { laneReady } from './lanes.ts'
import { isEnded } from './states.ts'
import type { Submission } from './submit.ts'

/** What a row has where nobody says otherwise: the table's own defaults. */
const PLAIN = {
  alias: null,
  db: null,
  engine_hint: null,
  max_runtime_seconds: null,
  node: null,
  session: null,
  offer_by: null,
  task_hash: null,
  started_at: null,
  finished_at: null,
  due_at: null,
  engine: null,
  rows: null,
  bytes: null,
  error_code: null,
  error_message: null,
  error_class: null,
  cancel_at: null,
  cancel_outcome: null,
  cancel_reason: null,
  deleted_at: null,
  priority: 0,
  weight: 1,
  eta: null,
  expires_at: null,
  max_tries: null,
  retention_seconds: null,
  tags: '[]',
  submitted_hash: null,
  signature: null,
  sameness: null,
  coalesced_with: null,
  reused_from: null,
  retried_from: null,
  retried_as: null,
  grp: null,
  step: null,
  schedule: null,
  fresh: 0,
  reuse_seconds: null,
} as const satisfies Partial<JobRow>

const inserts = new Map<string, string>()
const insertQuery = (columns: string[]): string => {
  const name = columns.join()
  let query = inserts.get(name)
  if (!query) {
    query = `INSERT INTO jobs (${name}) VALUES (${columns.map(() => '?').join()})`
    inserts.set(name, query)
  }
  return query
}

/**
 * Inserts a job with event 1, in the transaction of the caller, which has checked what there is to check. Without a state it
 * waits, or with an `eta` that is still to come is scheduled; `expires_at` counts from then. `change` says what else the row
 * has: a group's step, the schedule that started it, the job that it runs again.
 */
export const insertJob = (context: LedgerContext, wanted: Submission, change: Partial<JobRow> = {}): JobRow => {
  const now = context.now()
  const eta = wanted.eta ?? null
  const later = eta !== null && eta > now
  const asked: Partial<JobRow> = {}
  if (later) Object.assign(asked, { state: 'scheduled', due_at: eta })
  if (eta !== null) asked.eta = eta
  if (wanted.priority) asked.priority = wanted.priority
  if (wanted.weight && wanted.weight !== 1) asked.weight = wanted.weight
  if (wanted.max_tries != null) asked.max_tries = wanted.max_tries
  if (wanted.retention_seconds != null) asked.retention_seconds = wanted.retention_seconds
  if (wanted.tags && wanted.tags.length > 0) asked.tags = JSON.stringify(wanted.tags)
  if (wanted.submitted_hash != null) asked.submitted_hash = wanted.submitted_hash
  if (wanted.signature != null) asked.signature = wanted.signature
  if (wanted.schedule != null) asked.schedule = wanted.schedule
  if (wanted.sameness != null) asked.sameness = wanted.sameness
  if (wanted.fresh) asked.fresh = 1
  if (wanted.reuse_seconds != null) asked.reuse_seconds = wanted.reuse_seconds
  if (wanted.ttl_seconds != null) asked.expires_at = (later ? eta : now) + wanted.ttl_seconds * 1000
  const written = {
    id: context.newJobId(),
    alias: wanted.alias,
    task: wanted.task,
    args: JSON.stringify(wanted.args),
    queue: wanted.queue,
    pool: wanted.pool,
    db: wanted.db,
    engine_hint: wanted.engine_hint,
    family: wanted.family,
    run_date: new Date(now).toISOString().slice(0, 10),
    max_runtime_seconds: wanted.max_runtime_seconds,
    state: 'waiting' as const,
    publication: 'none',
    attempt: 0,
    tries: 0,
    seq: 1,
    created_at: now,
    ...asked,
    ...change,
  }
  const row: JobRow = { ...PLAIN, ...written }
  context.store.run(insertQuery(Object.keys(written)), ...(Object.values(written) as SqlValue[]))
  context.memory.keep(row)
  stands(context, row.queue, null, row.state)
  writeEvents(context, row, [{ seq: 1, type: 'state', state: row.state, body: {} }])
  if (row.expires_at !== null && row.finished_at === null) setTimer(context.store, 'expire', row.id, row.expires_at)
  if (row.state === 'scheduled' && row.due_at !== null) setTimer(context.store, 'due', row.id, row.due_at)
  if (isEnded(row.state)) context.memory.ended.add(row.id)
  if (row.state === 'waiting') laneReady(context, row.pool, row.queue)
  return row
}

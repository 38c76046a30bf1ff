import type { JobEvent } from '../contract/events.ts'
import { JobId } from '../contract/ids.ts'
import type { JobState } from '../contract/jobs.ts'
import { first, type SqlValue } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { type InnerState, isEnded, JOB_TABLE, type JobInput, SHOWN, type Verdict } from './states.ts'

/** A row of `jobs`. */
export interface JobRow {
  id: string
  alias: string | null
  task: string
  args: string
  queue: string
  pool: string
  db: string | null
  engine_hint: string | null
  family: string
  run_date: string
  max_runtime_seconds: number | null
  state: InnerState
  publication: string
  attempt: number
  tries: number
  seq: number
  node: string | null
  session: string | null
  offer_by: number | null
  task_hash: string | null
  created_at: number
  started_at: number | null
  finished_at: number | null
  due_at: number | null
  engine: string | null
  rows: number | null
  bytes: number | null
  error_code: string | null
  error_message: string | null
  cancel_at: number | null
  cancel_outcome: string | null
  cancel_reason: string | null
  deleted_at: number | null
  priority: number
  /** Slots that it takes on a node. */
  weight: number
  eta: number | null
  expires_at: number | null
  max_tries: number | null
  retention_seconds: number | null
  tags: string
  submitted_hash: string | null
  signature: string | null
  sameness: string | null
  coalesced_with: string | null
  reused_from: string | null
  retried_from: string | null
  retried_as: string | null
  grp: string | null
  step: string | null
  schedule: string | null
}

export const findJob = (context: LedgerContext, id: string): JobRow | undefined =>
  first<JobRow>(context.store, 'SELECT * FROM jobs WHERE id = ?', id)

const updates = new Map<string, string>()
const updateQuery = (columns: string[]): string => {
  const name = columns.join()
  let query = updates.get(name)
  if (!query) {
    query = `UPDATE jobs SET ${columns.map((column) => `${column} = ?`).join(', ')} WHERE id = ?`
    updates.set(name, query)
  }
  return query
}

/** Writes the changed columns, and into the row at hand. */
export const updateJob = (context: LedgerContext, row: JobRow, change: Partial<JobRow>): void => {
  const columns = Object.keys(change)
  context.store.run(updateQuery(columns), ...(Object.values(change) as SqlValue[]), row.id)
  Object.assign(row, change)
}

type EventBody = Omit<JobEvent, 'seq' | 'job' | 'type' | 'state' | 'at'>

/** I9: the number is the row's counter plus one, in the transaction that made the change, which may change more of the row. */
export const addEvent = (
  context: LedgerContext,
  row: JobRow,
  type: JobEvent['type'],
  body: EventBody,
  change: Partial<JobRow> = {},
): void => {
  const at = context.now()
  updateJob(context, row, { ...change, seq: row.seq + 1 })
  const state: JobState = SHOWN[row.state]
  context.store.run(
    'INSERT INTO events (job, seq, type, state, at, body) VALUES (?, ?, ?, ?, ?, ?)',
    row.id,
    row.seq,
    type,
    state,
    at,
    JSON.stringify(body),
  )
  const event: JobEvent = { seq: row.seq, job: JobId.parse(row.id), type, state, at: new Date(at).toISOString(), ...body }
  context.emit({ kind: 'events', job: event.job, events: [event], ended: type === 'state' && isEnded(row.state) })
}

/**
 * Applies one input to a job by the table. Writes the row and, where the state shown outside changes, the event.
 * Answers the verdict when the table holds no transition for it. I1 is here: ended states have no way out.
 */
export const move = (
  context: LedgerContext,
  row: JobRow,
  input: JobInput,
  change: Partial<JobRow>,
  body: EventBody = {},
): 'moved' | Verdict => {
  const next = JOB_TABLE[row.state][input]
  if (typeof next === 'string') return next
  const before = SHOWN[row.state]
  const after = SHOWN[next.to]
  const changed = { ...change, state: next.to, ...(isEnded(next.to) ? { finished_at: context.now() } : {}) }
  if (before === after) updateJob(context, row, changed)
  else addEvent(context, row, 'state', body, changed)
  return 'moved'
}

/** I2: only the current attempt, in the session that took it, may speak for a job. */
export const isHolder = (row: JobRow | undefined, attempt: number, session: string): row is JobRow =>
  row !== undefined && row.attempt === attempt && row.session === session

import type { JobEvent } from '../contract/events.ts'
import type { JobId } from '../contract/ids.ts'
import { isTerminal, type JobState } from '../contract/jobs.ts'
import { first, type SqlValue } from '../storage/store.ts'
import { clearTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { heldChanged, stands } from './lane-rules.ts'
import { type InnerState, isEnded, isHeld, JOB_TABLE, type JobInput, SHOWN, type Verdict } from './states.ts'

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
  /** Of the last attempt's failure; null where the edge decided. */
  error_class: string | null
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
  /** 1: its submitter wanted a run of its own. */
  fresh: number
  /** A finished result that was not older would have answered. */
  reuse_seconds: number | null
}

export const findJob = (context: LedgerContext, id: string): JobRow | undefined => {
  const known = context.memory.jobs.get(id)
  if (known) return known
  const row = first<JobRow>(context.store, 'SELECT * FROM jobs WHERE id = ?', id)
  if (row) context.memory.keep(row)
  return row
}

/** Rows that will be changed: the copy in memory where there is one, so that there are never two. */
export const adopt = (context: LedgerContext, rows: JobRow[]): JobRow[] =>
  rows.map((row) => {
    const known = context.memory.jobs.get(row.id)
    if (!known) context.memory.keep(row)
    return known ?? row
  })

/** Jobs by id, in the order asked for; one statement for all that memory does not hold. */
export const findJobs = (context: LedgerContext, ids: string[]): JobRow[] => {
  const missing = ids.filter((id) => !context.memory.jobs.has(id))
  const read = new Map<string, JobRow>()
  if (missing.length > 0)
    for (const row of context.store.all<JobRow>(
      'SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))',
      JSON.stringify(missing),
    )) {
      read.set(row.id, row)
      context.memory.keep(row)
    }
  return ids.flatMap((id) => context.memory.jobs.get(id) ?? read.get(id) ?? [])
}

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

export type EventBody = Omit<JobEvent, 'seq' | 'job' | 'type' | 'state' | 'at'>

export interface NewEvent {
  seq: number
  type: JobEvent['type']
  state: InnerState
  body: EventBody
}

const EVENT_COLUMNS = 7
const eventQueries: string[] = []
const eventQuery = (rows: number): string => {
  eventQueries[rows] ??= `INSERT INTO events (job, seq, type, state, at, body, n) VALUES ${Array(rows)
    .fill(`(${Array(EVENT_COLUMNS).fill('?').join()})`)
    .join()}`
  return eventQueries[rows] ?? ''
}

/** Writes events of a job, whose row counts them already, and lets them out. */
export const writeEvents = (context: LedgerContext, row: JobRow, list: readonly NewEvent[]): void => {
  if (list.length === 0) return
  const at = context.now()
  const values: SqlValue[] = []
  const events: JobEvent[] = []
  let ended = false
  for (const { seq, type, state, body } of list) {
    const n = context.numbers.next()
    const shown: JobState = SHOWN[state]
    values.push(row.id, seq, type, shown, at, JSON.stringify(body), n)
    // The row's id was checked when it was made.
    events.push({ seq, job: row.id as JobId, type, state: shown, at: new Date(at).toISOString(), ...body, n })
    ended ||= type === 'state' && isTerminal(shown)
  }
  context.store.run(eventQuery(list.length), ...values)
  if (row.grp !== null) context.memory.touched.add(row.id)
  if (row.schedule !== null && events.some(({ state }) => isTerminal(state))) context.memory.schedules.add(row.schedule)
  context.emit({ kind: 'events', job: row.id as JobId, events, ended })
}

/** I9: the number is the row's counter plus one, in the transaction that made the change, which may change more of the row. */
export const addEvent = (
  context: LedgerContext,
  row: JobRow,
  type: JobEvent['type'],
  body: EventBody,
  change: Partial<JobRow> = {},
): void => {
  updateJob(context, row, { ...change, seq: row.seq + 1 })
  writeEvents(context, row, [{ seq: row.seq, type, state: row.state, body }])
}

export interface Step {
  input: JobInput
  change: Partial<JobRow>
  body?: EventBody
}

/**
 * Applies inputs to a job by the table, one after the other. Writes the row once and, for each change of the state that is
 * shown outside, an event. Answers the verdict of the first input for which the table holds no transition (`ignored` ones
 * are passed over), with what came before it done. I1 is here: ended states have no way out.
 */
export const moves = (context: LedgerContext, row: JobRow, steps: Step[]): 'moved' | Verdict => {
  let { state, seq } = row
  let change: Partial<JobRow> = {}
  let verdict: 'moved' | Verdict = 'ignored'
  const events: NewEvent[] = []
  for (const { input, change: more, body = {} } of steps) {
    const next = JOB_TABLE[state][input]
    if (next === 'ignored') continue
    if (typeof next === 'string') {
      verdict = next
      break
    }
    verdict = 'moved'
    change = { ...change, ...more, state: next.to }
    if (SHOWN[state] !== SHOWN[next.to]) {
      seq += 1
      change.seq = seq
      if (isTerminal(SHOWN[next.to])) change.finished_at = context.now()
      events.push({ seq, type: 'state', state: next.to, body })
    }
    state = next.to
  }
  if (change.state !== undefined) {
    const before = row.state
    forgetTimers(context, row, state)
    updateJob(context, row, change)
    if (isEnded(state)) {
      context.memory.ended.add(row.id)
      // It stood for others, who have no place now.
      if (before === 'waiting' && row.coalesced_with !== null) context.memory.waiting.add(row.coalesced_with)
    } else if (state === 'waiting') context.memory.waiting.add(row.id)
    stands(context, row.queue, before, state)
    if (isHeld(before) !== isHeld(state)) heldChanged(context, row, isHeld(state))
  }
  writeEvents(context, row, events)
  return verdict
}

/** A job that begins or ends waits no longer: timers of its waiting would only ring for nothing, perhaps in a year. */
const forgetTimers = (context: LedgerContext, row: JobRow, to: InnerState): void => {
  if (row.due_at !== null && row.state === 'scheduled') clearTimer(context.store, 'due', row.id)
  if (row.expires_at !== null && row.started_at === null && (to === 'running' || isTerminal(SHOWN[to])))
    clearTimer(context.store, 'expire', row.id)
}

/** Applies one input. */
export const move = (
  context: LedgerContext,
  row: JobRow,
  input: JobInput,
  change: Partial<JobRow>,
  body: EventBody = {},
): 'moved' | Verdict => moves(context, row, [{ input, change, body }])

/** I2: only the current attempt, in the session that took it, may speak for a job. */
export const isHolder = (row: JobRow | undefined, attempt: number, session: string): row is JobRow =>
  row !== undefined && row.attempt === attempt && row.session === session

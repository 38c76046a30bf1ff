import type { JobEvent, ResetEvent, StreamFilter } from '../contract/events.ts'
import type { GroupEvent, GroupState } from '../contract/groups.ts'
import { GroupId, JobId, type QueueName, type TaskName } from '../contract/ids.ts'
import { isTerminal, type JobState } from '../contract/jobs.ts'
import { first } from '../storage/store.ts'
import { writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { findJob, type JobRow } from './jobs.ts'
import { PACK_SECONDS, STREAM_SCAN_ROWS } from './limits.ts'
import { eventsFloor } from './numbers.ts'
import { eventsAfter } from './read.ts'
import { SHOWN } from './states.ts'

/** When a job's stream ends: with the job, with its publication, or when the browser's copy is there (or will not come). */
export const UNTILS = ['ended', 'published', 'pack'] as const
export type Until = (typeof UNTILS)[number]

/** What a reader gets at once. `over`: nothing of interest will follow. */
export interface Backlog<Event> {
  reset: ResetEvent | null
  events: Event[]
  /** The number to go on after. */
  after: number
  over: boolean
}

/** A reader knows everything up to `after`; events from `oldest` to `last` are kept. Null: it can simply go on. */
export const resetFor = (after: number, oldest: number, last: number): ResetEvent | null =>
  after > last || after + 1 < oldest ? { oldest, last } : null

/** Nothing that the reader waits for can happen to this job any more. */
export const isOver = (context: LedgerContext, row: JobRow, until: Until): boolean => {
  if (!isTerminal(SHOWN[row.state])) return false
  if (until === 'ended' || row.state !== 'succeeded') return true
  if (row.publication === 'pending') return false
  if (until === 'published' || row.deleted_at !== null) return true
  // The copy is of the result, which another job may have written, perhaps long ago.
  const writer = findJob(context, writerOf(row)) ?? row
  if ((writer.finished_at ?? 0) + PACK_SECONDS * 1000 <= context.now()) return true
  // A small result, whose rows are kept whole, never has one: its size is 0 once those have moved.
  const query = 'SELECT 1 AS known FROM results WHERE job = ? AND (pack_bytes IS NOT NULL OR inline_rows IS NOT NULL)'
  return first(context.store, query, writer.id) !== undefined
}

/** A job's events after number `after`, or all that are kept when it cannot be continued. */
export const jobBacklog = (context: LedgerContext, row: JobRow, after: number, until: Until): Backlog<JobEvent> => {
  const oldest = first<{ seq: number | null }>(context.store, 'SELECT min(seq) AS seq FROM events WHERE job = ?', row.id)?.seq
  const reset = resetFor(after, oldest ?? row.seq + 1, row.seq)
  const events = eventsAfter(context, row.id, reset ? reset.oldest - 1 : after)
  return { reset, events, after: row.seq, over: isOver(context, row, until) }
}

export interface GroupRow {
  id: string
  state: GroupState
  seq: number
  finished_at: number | null
  deleted_at: number | null
}

export const findGroupRow = (context: LedgerContext, id: string): GroupRow | undefined =>
  first<GroupRow>(context.store, 'SELECT id, state, seq, finished_at, deleted_at FROM groups WHERE id = ?', id)

export const groupBacklog = (context: LedgerContext, row: GroupRow, after: number): Backlog<GroupEvent> => {
  const { store } = context
  const oldest = first<{ seq: number | null }>(store, 'SELECT min(seq) AS seq FROM group_events WHERE grp = ?', row.id)?.seq
  const reset = resetFor(after, oldest ?? row.seq + 1, row.seq)
  const events = store
    .all<{ seq: number; at: number; body: string }>(
      'SELECT seq, at, body FROM group_events WHERE grp = ? AND seq > ? ORDER BY seq',
      row.id,
      reset ? reset.oldest - 1 : after,
    )
    // The body was written by the ledger from a typed value.
    .map(({ seq, at, body }): GroupEvent => ({ ...JSON.parse(body), seq, group: GroupId.parse(row.id), at: new Date(at).toISOString() }))
  return { reset, events, after: row.seq, over: row.finished_at !== null }
}

/** What filters look at. */
export type JobWords = Pick<JobRow, 'task' | 'queue' | 'tags' | 'grp' | 'step'>

/** What the tenant's stream says of an event beside what the job's own stream does. */
export const ofTenant = (event: JobEvent, row: JobWords): JobEvent => ({
  ...event,
  task: row.task as TaskName,
  queue: row.queue as QueueName,
  tags: JSON.parse(row.tags) as string[],
  ...(row.grp !== null && row.step !== null ? { group: { id: row.grp, step: row.step } as NonNullable<JobEvent['group']> } : {}),
})

export const isWanted = (filter: StreamFilter, event: JobEvent): boolean =>
  (filter.state.length === 0 || filter.state.includes(event.state)) &&
  (filter.task.length === 0 || (event.task !== undefined && filter.task.includes(event.task))) &&
  (filter.queue.length === 0 || (event.queue !== undefined && filter.queue.includes(event.queue))) &&
  (filter.tag.length === 0 || filter.tag.some((tag) => event.tags?.includes(tag)))

export interface TenantPage {
  reset: ResetEvent | null
  events: JobEvent[]
  /** The number to go on after: everything up to it was looked at. */
  after: number
  /** More is kept beyond it. */
  more: boolean
}

/** The tenant's events after number `after` that fit the filter; looks at a bounded number of rows. Null: from now on. */
export const tenantPage = (context: LedgerContext, filter: StreamFilter, after: number | null): TenantPage => {
  const last = context.numbers.last()
  if (after === null) return { reset: null, events: [], after: last, more: false }
  const { store } = context
  const floor = eventsFloor(store)
  // Events at or below the floor may be there in part: a reader at the floor itself has missed nothing.
  const reset = after > last || after < floor ? { oldest: Math.min(floor + 1, last + 1), last } : null
  const from = reset ? reset.oldest - 1 : after
  const rows = store.all<{ n: number; job: string; seq: number; type: JobEvent['type']; state: JobState; at: number; body: string }>(
    'SELECT n, job, seq, type, state, at, body FROM events WHERE n > ? ORDER BY n LIMIT ?',
    from,
    STREAM_SCAN_ROWS + 1,
  )
  const more = rows.length > STREAM_SCAN_ROWS
  const seen = more ? rows.slice(0, STREAM_SCAN_ROWS) : rows
  const jobs = new Map(
    store
      .all<JobWords & { id: string }>(
        'SELECT id, task, queue, tags, grp, step FROM jobs WHERE id IN (SELECT value FROM json_each(?))',
        JSON.stringify([...new Set(seen.map(({ job }) => job))]),
      )
      .map((row) => [row.id, row]),
  )
  const events = seen.flatMap(({ n, job, seq, type, state, at, body }) => {
    const row = jobs.get(job)
    if (!row) return []
    const event: JobEvent = { seq, job: JobId.parse(job), type, state, at: new Date(at).toISOString(), ...JSON.parse(body), n }
    const whole = ofTenant(event, row)
    return isWanted(filter, whole) ? [whole] : []
  })
  return { reset, events, after: more ? (seen.at(-1)?.n ?? from) : last, more }
}

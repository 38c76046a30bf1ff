import type { JobId } from '../contract/ids.ts'
import { first } from '../storage/store.ts'
import { setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { adopt, findJob, type JobRow, move, updateJob } from './jobs.ts'
import { laneReady } from './lanes.ts'
import { FOLLOWERS_PER_TURN, MAX_FOLLOWERS, MAX_REUSERS } from './limits.ts'
import { mayRetry } from './retries.ts'
import { isEnded } from './states.ts'

/**
 * Identical jobs share one execution. The first of them, the leader, waits and runs like any job; those that come while it
 * has not ended are `joined` to it and end with it. `reuse` answers from a result that is there already.
 *
 * A leader whose submitter cancels hands its part over: to the next in line while nobody holds it, and while a node runs it
 * the execution goes on (`carrying`) for those that joined.
 */

/** The job that wrote the result which a job points to. */
export const writerOf = (row: Pick<JobRow, 'id' | 'coalesced_with' | 'reused_from'>): JobId =>
  (row.reused_from ?? row.coalesced_with ?? row.id) as JobId

export interface Wish {
  sameness?: string | null | undefined
  reuse_seconds?: number | null | undefined
  eta?: number | null | undefined
  max_runtime_seconds?: number | null | undefined
  queue?: string | null | undefined
}

/** What a new job's row says besides because of jobs like it: nothing, that it joins one, or that it has its result already. */
export const shareOf = (context: LedgerContext, wish: Wish): Partial<JobRow> => {
  const { sameness } = wish
  // Whoever asks for a later run does not want what runs now, and nobody who wants it now should wait for the later one.
  if (sameness == null || (wish.eta != null && wish.eta > context.now())) return {}
  const now = context.now()
  const found = wish.reuse_seconds == null ? undefined : finished(context, sameness, now - wish.reuse_seconds * 1000)
  if (found && !isCrowded(context, found.id))
    return { sameness, ...resultOfOther(found), state: 'succeeded', reused_from: found.id, finished_at: now }
  const leader = liveLeader(context, sameness, wish)
  if (leader === undefined || followers(context, leader) >= MAX_FOLLOWERS) return { sameness }
  leadersOf(context).add(leader)
  return { sameness, state: 'joined', coalesced_with: leader }
}

/** What becomes of a result is told to all that took it, at once: no more than so many may. */
const isCrowded = (context: LedgerContext, writer: string): boolean =>
  first(context.store, 'SELECT id FROM jobs INDEXED BY jobs_reused WHERE reused_from = ? LIMIT 1 OFFSET ?', writer, MAX_REUSERS - 1) !==
  undefined

/** What a job that did not run says of the result that it points to. */
const resultOfOther = (writer: JobRow): Partial<JobRow> => ({
  publication: writer.publication,
  rows: writer.rows,
  bytes: writer.bytes,
  engine: writer.engine,
})

const finished = (context: LedgerContext, sameness: string, since: number): JobRow | undefined =>
  first<JobRow>(
    context.store,
    `SELECT * FROM jobs INDEXED BY jobs_reusable WHERE sameness = ? AND finished_at >= ? AND state = 'succeeded' AND coalesced_with IS NULL
       AND reused_from IS NULL AND deleted_at IS NULL AND publication IN ('pending', 'published') ORDER BY finished_at DESC LIMIT 1`,
    sameness,
    since,
  )

/**
 * Nobody is to fail by the `max_runtime` of another, nor to run longer than it may: both must have the same. And nobody whose
 * own queue is served waits for one whose queue is paused.
 */
const liveLeader = (context: LedgerContext, sameness: string, { max_runtime_seconds = null, queue = null }: Wish): string | undefined =>
  first<{ id: string }>(
    context.store,
    `SELECT id FROM jobs INDEXED BY jobs_live_same WHERE sameness = ? AND finished_at IS NULL AND coalesced_with IS NULL
       AND max_runtime_seconds IS ? AND cancel_at IS NULL AND (state IN ('waiting', 'offered', 'leased', 'running') OR state = 'scheduled' AND tries > 0)
       AND (state NOT IN ('waiting', 'scheduled') OR queue = ? OR NOT EXISTS (SELECT 1 FROM queues WHERE name = jobs.queue AND paused = 1))
     ORDER BY id LIMIT 1`,
    sameness,
    max_runtime_seconds,
    queue,
  )?.id

const joined = (context: LedgerContext, leader: string, limit: number): JobRow[] =>
  adopt(
    context,
    context.store.all<JobRow>(
      `SELECT * FROM jobs INDEXED BY jobs_joined WHERE coalesced_with = ? AND state = 'joined' ORDER BY id LIMIT ?`,
      leader,
      limit,
    ),
  )

/** Jobs that others have joined, kept in memory: every job that ends is looked up here, and almost none is found. */
const leadersOf = (context: LedgerContext): Set<string> => {
  context.memory.leaders ??= new Set(
    context.store
      .all<{ leader: string }>(`SELECT DISTINCT coalesced_with AS leader FROM jobs INDEXED BY jobs_joined WHERE state = 'joined'`)
      .map(({ leader }) => leader),
  )
  return context.memory.leaders
}

/** How many wait for what this job does. */
export const followers = (context: LedgerContext, leader: string): number =>
  first<{ n: number }>(
    context.store,
    `SELECT count(*) AS n FROM jobs INDEXED BY jobs_joined WHERE coalesced_with = ? AND state = 'joined'`,
    leader,
  )?.n ?? 0

/**
 * A leader's attempt is over, in whatever way: those that joined it end with it, or one of them takes its place. Bounded
 * work; the timer `followers` does the rest. In the transaction that ended the leader, after its result was written.
 */
export const settleFollowers = (context: LedgerContext, id: string): void => {
  const leader = findJob(context, id)
  if (!leader || !isEnded(leader.state)) return
  const rows = joined(context, id, FOLLOWERS_PER_TURN)
  if (rows.length === 0) {
    leadersOf(context).delete(id)
    return
  }
  const carried = first(context.store, 'SELECT job FROM results WHERE job = ?', id) !== undefined
  if (leader.state === 'succeeded' || (leader.state === 'cancelled' && carried)) {
    for (const row of rows)
      move(context, row, 'share', resultOfOther(leader), { publication: 'pending', ...(leader.rows === null ? {} : { rows: leader.rows }) })
  } else if (leader.state === 'failed' && leader.error_code !== 'expired') {
    const error = { code: leader.error_code ?? 'failed', message: leader.error_message ?? '' }
    // Out of tries is the leader: another may have been given more of them, and goes on where it ended.
    const more = isLost(leader) ? rows.filter((row) => mayRetry(leader.tries, row.max_tries)) : []
    for (const row of rows.filter((one) => !more.includes(one)))
      move(
        context,
        row,
        'fail',
        { error_code: error.code, error_message: error.message, error_class: leader.error_class },
        { error, reason: `job ${id}, which ran for this one too, failed` },
      )
    if (more.length > 0) {
      promote(context, id, more, leader.tries)
      return
    }
  } else {
    promote(context, id, rows)
    return
  }
  if (rows.length === FOLLOWERS_PER_TURN) setTimer(context.store, 'followers', id, context.now())
}

/** Whether others have joined this job. */
export const leads = (context: LedgerContext, id: string): boolean => leadersOf(context).has(id)

/** Its node, connection or engine was lost or overloaded once too often. */
const isLost = ({ error_class }: JobRow): boolean => error_class === 'lost' || error_class === 'overloaded'

/** The oldest takes the leader's place and waits for a slot; the others join it. `tries`: so many have been lost already. */
const promote = (context: LedgerContext, leader: string, [next]: JobRow[], tries = 0): void => {
  if (!next) return
  if (move(context, next, 'release', { coalesced_with: null, tries }) !== 'moved') return
  // Also in memory, where rows are not read again.
  context.store.run(`UPDATE jobs SET coalesced_with = ? WHERE coalesced_with = ? AND state = 'joined'`, next.id, leader)
  for (const row of context.memory.jobs.values()) if (row.coalesced_with === leader && row.state === 'joined') row.coalesced_with = next.id
  leadersOf(context).add(next.id)
  leadersOf(context).delete(leader)
  laneReady(context, next.pool, next.queue)
}

/** Whether the execution of a job that its submitter has left is wanted by nobody any more. */
export const isAbandoned = (context: LedgerContext, leader: JobRow): boolean =>
  leader.state === 'carrying' && followers(context, leader.id) === 0

const succeeded = (column: string): string =>
  `SELECT id, finished_at, retention_seconds FROM jobs WHERE ${column} = ? AND state = 'succeeded' AND deleted_at IS NULL`

/** Jobs, not deleted, that point to the result which one wrote, itself among them; those that have moved to object storage too. */
const POINTERS = `${['id', 'coalesced_with', 'reused_from'].map(succeeded).join(' UNION ALL ')}
  UNION ALL SELECT job AS id, finished_at, retention_seconds FROM away WHERE writer = ?`
const four = (writer: string): string[] => [writer, writer, writer, writer]

/** Any of the jobs that point to a result. They may be very many: the first that is found. */
export const pointerTo = (context: LedgerContext, writer: string): JobId | undefined =>
  first<{ id: JobId }>(context.store, `SELECT id FROM (${POINTERS}) LIMIT 1`, ...four(writer))?.id

/** Whether any job, not deleted, points to what this one wrote, or will as soon as it has ended with it. */
export const isPointedTo = (context: LedgerContext, writer: string): boolean =>
  pointerTo(context, writer) !== undefined || followers(context, writer) > 0

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

/** The other jobs that show what becomes of this writer's result. */
export const sharers = (context: LedgerContext, writer: string): JobRow[] => {
  const where = (column: string): string => `SELECT * FROM jobs WHERE ${column} = ? AND state = 'succeeded' AND deleted_at IS NULL`
  return adopt(context, context.store.all<JobRow>(`${where('coalesced_with')} UNION ALL ${where('reused_from')}`, writer, writer))
}

/** The last that left an execution hears what became of its query. */
export const noteCancelled = (context: LedgerContext, writer: string, outcome: string, reason: string | null): void => {
  for (const row of adopt(
    context,
    context.store.all<JobRow>(`SELECT * FROM jobs WHERE coalesced_with = ? AND state = 'cancelled' AND cancel_outcome = 'sent'`, writer),
  ))
    updateJob(context, row, { cancel_outcome: outcome, cancel_reason: reason })
}

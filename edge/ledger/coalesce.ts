import type { JobId } from '../contract/ids.ts'
import { first } from '../storage/store.ts'
import { setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { adopt, findJob, type JobRow, move, updateJob } from './jobs.ts'
import { laneReady } from './lanes.ts'
import { CROWD_PER_TURN, MAX_FOLLOWERS, MAX_PLACES, MAX_REUSERS } from './limits.ts'
import { mayRetry } from './retries.ts'
import { movedResult } from './reusable.ts'
import { catchUp, pointerTo } from './sharers.ts'
import { isEnded } from './states.ts'

/**
 * Identical jobs share one execution. The first of them, the leader, waits and runs like any job; those that come while it
 * has not ended follow it (`coalesced_with`) and end with it. `reuse` answers from a result that is there already.
 *
 * Nobody waits longer than alone: while the leader waits, a follower with a better place than it (in another lane, or of a higher
 * priority in the same) stands in that, `waiting`; the others are `joined`. Whichever of them is offered first becomes the
 * leader, and all join it. One that joins so may have followers itself: they end with it.
 *
 * A leader whose submitter cancels hands its part over: to the next in line while nobody holds it, and while a node runs it
 * the execution goes on (`carrying`) for those that joined.
 */

/** The job that wrote the result which a job points to. */
export const writerOf = (row: Pick<JobRow, 'id' | 'coalesced_with' | 'reused_from'>): JobId =>
  (row.reused_from ?? row.coalesced_with ?? row.id) as JobId

type Place = Pick<JobRow, 'pool' | 'queue' | 'priority'>

export interface Wish extends Pick<JobRow, 'pool' | 'queue'> {
  priority?: number | undefined
  sameness?: string | null | undefined
  fresh?: boolean | number | undefined
  reuse_seconds?: number | null | undefined
  eta?: number | null | undefined
  max_runtime_seconds?: number | null | undefined
}

/** What a new job's row says besides because of jobs like it: nothing, that it follows one, or that it has its result already. */
export const shareOf = (context: LedgerContext, wish: Wish): Partial<JobRow> => {
  const { sameness } = wish
  const now = context.now()
  // Whoever asks for a later run does not want what runs now, and nobody who wants it now should wait for the later one.
  if (sameness == null || wish.fresh || (wish.eta != null && wish.eta > now)) return {}
  const found = wish.reuse_seconds == null ? undefined : finished(context, sameness, now - wish.reuse_seconds * 1000)
  if (found && !isCrowded(context, found.id))
    return { ...resultOfOther(found), state: 'succeeded', reused_from: found.id, finished_at: now }
  const leader = liveLeader(context, sameness, wish)
  if (!leader || followers(context, leader.id) >= MAX_FOLLOWERS) return {}
  leadersOf(context).add(leader.id)
  return { state: isBetter(context, { ...wish, priority: wish.priority ?? 0 }, leader) ? 'waiting' : 'joined', coalesced_with: leader.id }
}

/**
 * A job that was put off, or waited for its parents, may begin now: like one that is submitted now it waits for a slot, follows
 * an identical job, or has its result already.
 */
export const mayBegin = (context: LedgerContext, row: JobRow, input: 'due' | 'release', wish: Wish, change: Partial<JobRow>): void => {
  const { state, finished_at: _ended, ...shared } = shareOf(context, wish)
  if (state === 'succeeded') {
    const told = shared.publication === 'pending' ? ({ publication: 'pending' } as const) : {}
    move(context, row, 'share', { ...change, ...shared }, { ...told, ...(shared.rows == null ? {} : { rows: shared.rows }) })
  } else if (move(context, row, state === 'joined' ? 'join' : input, { ...change, ...shared }) === 'moved' && row.state === 'waiting')
    laneReady(context, row.pool, row.queue)
}

/** So many jobs may take one finished result: for how long it is kept, all of them are asked. */
const isCrowded = (context: LedgerContext, writer: string): boolean =>
  first(context.store, 'SELECT id FROM jobs INDEXED BY jobs_reused WHERE reused_from = ? LIMIT 1 OFFSET ?', writer, MAX_REUSERS - 1) !==
  undefined

/** What a job that did not run says of the result that it points to. */
const resultOfOther = ({ publication, rows, bytes, engine }: FinishedResult): Omit<FinishedResult, 'id' | 'finished_at'> => ({
  publication,
  rows,
  bytes,
  engine,
})

export type FinishedResult = Pick<JobRow, 'id' | 'publication' | 'rows' | 'bytes' | 'engine' | 'finished_at'>

/** How many results are looked at whose writers have left: those that nobody shows any more are about to be withdrawn. */
const LEFT = 10

/** The newest result that still exists: of a job here, of one that was cancelled while it ran for others, or of one that has moved. */
const finished = (context: LedgerContext, sameness: string, since: number): FinishedResult | undefined => {
  const here = first<FinishedResult>(
    context.store,
    `SELECT * FROM jobs INDEXED BY jobs_reusable WHERE sameness = ? AND finished_at >= ? AND state = 'succeeded' AND coalesced_with IS NULL
       AND reused_from IS NULL AND deleted_at IS NULL AND publication IN ('pending', 'published') ORDER BY finished_at DESC LIMIT 1`,
    sameness,
    since,
  )
  const left = context.store
    .all<FinishedResult>(
      `SELECT * FROM jobs INDEXED BY jobs_left WHERE sameness = ? AND sameness IS NOT NULL AND finished_at >= ?
         AND state = 'cancelled' AND deleted_at IS NULL AND coalesced_with IS NULL AND publication IN ('pending', 'published') ORDER BY finished_at DESC LIMIT ?`,
      sameness,
      since,
      LEFT,
    )
    .find(({ id }) => pointerTo(context, id) !== undefined)
  const found = [here, left, movedResult(context, sameness, since)].filter((one) => one !== undefined)
  return found.toSorted((one, other) => (other.finished_at ?? 0) - (one.finished_at ?? 0))[0]
}

/**
 * Nobody is to fail by the `max_runtime` of another, nor to run longer than it may: both must have the same. And what was asked
 * for not before an instant is not taken from an execution that began before. The newest: an older one may have no room.
 */
const liveLeader = (context: LedgerContext, sameness: string, { max_runtime_seconds = null, eta }: Wish): JobRow | undefined => {
  const found = first<{ id: string }>(
    context.store,
    `SELECT id FROM jobs INDEXED BY jobs_leading WHERE sameness = ? AND sameness IS NOT NULL AND finished_at IS NULL AND coalesced_with IS NULL
       AND fresh = 0 AND (due_at IS NULL OR eta IS NULL OR due_at > eta) AND max_runtime_seconds IS ? AND cancel_at IS NULL AND (started_at IS NULL OR started_at >= ?)
       AND (state IN ('waiting', 'offered', 'leased', 'running') OR state = 'scheduled' AND tries > 0) ORDER BY id DESC LIMIT 1`,
    sameness,
    max_runtime_seconds,
    eta ?? 0,
  )
  return found && findJob(context, found.id)
}

// ---- places ------------------------------------------------------------------------------------------------------------

/** Those that wait in a place of their own for what this job would do; few, and none while a node holds it. */
const standing = (context: LedgerContext, leader: string): JobRow[] =>
  adopt(
    context,
    context.store.all<JobRow>(
      `SELECT * FROM jobs INDEXED BY jobs_standing WHERE coalesced_with = ? AND state = 'waiting' ORDER BY id`,
      leader,
    ),
  )

const isBehind = (place: Place, { pool, queue, priority }: Place): boolean =>
  place.pool === pool && place.queue === queue && place.priority <= priority

/** Whether a slot may come to this place sooner than to any at which the execution waits. */
const isBetter = (context: LedgerContext, place: Place, leader: JobRow): boolean => {
  if (leader.state !== 'waiting') return false
  const places = [leader, ...standing(context, leader.id)]
  return places.length < MAX_PLACES && !places.some((other) => isBehind(place, other))
}

/** The leader waits again: of its followers, those stand up that have a better place. */
export const standUp = (context: LedgerContext, id: string): void => {
  const leader = findJob(context, id)
  if (leader?.state !== 'waiting' || leader.coalesced_with !== null || !leads(context, id)) return
  const places = [leader, ...standing(context, id)] as (Place & { id: string })[]
  const best = context.store.all<Place & { id: string }>(
    `SELECT pool, queue, priority, min(id) AS id FROM jobs INDEXED BY jobs_joined WHERE coalesced_with = ? AND state = 'joined'
     GROUP BY pool, queue, priority ORDER BY priority DESC, id`,
    id,
  )
  for (const place of best) {
    if (places.length >= MAX_PLACES) return
    if (places.some((other) => isBehind(place, other))) continue
    places.push(place)
    const row = findJob(context, place.id)
    if (row && move(context, row, 'release', {}) === 'moved') laneReady(context, row.pool, row.queue)
  }
}

/** A slot has come to this job: it runs for all that share its execution, who wait for it from now on. Answers whose places end. */
export const takeLead = (context: LedgerContext, row: JobRow): string[] => {
  const former = row.coalesced_with
  if (former === null && !leads(context, row.id)) return []
  const others = standing(context, former ?? row.id)
  const leader = former === null ? undefined : findJob(context, former)
  if (leader) others.push(leader)
  if (former !== null) updateJob(context, row, { coalesced_with: null })
  for (const other of others) if (other.id !== row.id) move(context, other, 'join', { coalesced_with: row.id })
  leadersOf(context).add(row.id)
  return others.map(({ id }) => id)
}

// ---- followers ---------------------------------------------------------------------------------------------------------

/** Those that follow a job, those that stand first. */
const following = (context: LedgerContext, leader: string, limit: number): JobRow[] => [
  ...standing(context, leader).slice(0, limit),
  ...adopt(
    context,
    context.store.all<JobRow>(
      `SELECT * FROM jobs INDEXED BY jobs_joined WHERE coalesced_with = ? AND state = 'joined' ORDER BY id LIMIT ?`,
      leader,
      limit,
    ),
  ),
]

/** Jobs that others follow, kept in memory: every job that is offered or ends is looked up here, and almost none is found. */
const leadersOf = (context: LedgerContext): Set<string> => {
  context.memory.leaders ??= new Set(
    context.store
      .all<{ leader: string }>(
        `SELECT DISTINCT coalesced_with AS leader FROM jobs INDEXED BY jobs_joined WHERE state = 'joined'
         UNION SELECT coalesced_with FROM jobs INDEXED BY jobs_standing WHERE state = 'waiting' AND coalesced_with IS NOT NULL`,
      )
      .map(({ leader }) => leader),
  )
  return context.memory.leaders
}

/** How many wait for what this job does, in no place of their own. */
export const followers = (context: LedgerContext, leader: string): number =>
  first<{ n: number }>(
    context.store,
    `SELECT count(*) AS n FROM jobs INDEXED BY jobs_joined WHERE coalesced_with = ? AND state = 'joined'`,
    leader,
  )?.n ?? 0

/** Whether others follow this job. */
export const leads = (context: LedgerContext, id: string): boolean => leadersOf(context).has(id)

/**
 * A leader has ended, in whatever way: those that follow it end with it, or one of them takes its place. At most `most` of
 * them; the timer `followers` does the rest. In the transaction that ended the leader, after its result was written. Answers
 * how many were looked at.
 */
export const settleFollowers = (context: LedgerContext, id: string, most = CROWD_PER_TURN): number => {
  const leader = findJob(context, id)
  if (!leader || !isEnded(leader.state) || !leads(context, id)) return 0
  if (most <= 0) {
    setTimer(context.store, 'followers', id, context.now())
    return 0
  }
  const found = following(context, id, most + 1)
  const rows = found.slice(0, most)
  const more = found.length > most
  if (more) setTimer(context.store, 'followers', id, context.now())
  else leadersOf(context).delete(id)
  if (rows.length === 0) return 0
  const writer = leader.state === 'succeeded' ? (findJob(context, writerOf(leader)) ?? leader) : leader
  if (leader.state === 'succeeded' || (leader.state === 'cancelled' && hasResult(context, id))) {
    for (const row of rows) {
      const result = { ...resultOfOther(writer), publication: 'pending', coalesced_with: writer.id }
      move(context, row, 'share', result, { publication: 'pending', ...(writer.rows === null ? {} : { rows: writer.rows }) })
      catchUp(context, row, writer)
    }
  } else if (leader.state === 'failed' && leader.error_code !== 'expired') failAll(context, leader, rows, more)
  else promote(context, leader, rows, more)
  return rows.length
}

const hasResult = (context: LedgerContext, id: string): boolean =>
  first(context.store, 'SELECT job FROM results WHERE job = ?', id) !== undefined

const failAll = (context: LedgerContext, leader: JobRow, rows: JobRow[], more: boolean): void => {
  const error = { code: leader.error_code ?? 'failed', message: leader.error_message ?? '' }
  // The one that ran may be a leader's leader.
  const ran = leader.coalesced_with === null ? undefined : findJob(context, leader.coalesced_with)
  const tries = Math.max(leader.tries, ran?.tries ?? 0)
  // Out of tries is the leader: another may have been given more of them, and goes on where it ended.
  const goOn = isLost(leader) ? rows.filter((row) => mayRetry(tries, row.max_tries)) : []
  for (const row of rows.filter((one) => !goOn.includes(one)))
    move(
      context,
      row,
      'fail',
      { error_code: error.code, error_message: error.message, error_class: leader.error_class },
      { error, reason: `job ${leader.id}, which ran for this one too, failed` },
    )
  if (goOn.length > 0) promote(context, leader, goOn, more, tries)
}

/** Its node, connection or engine was lost or overloaded once too often. */
const isLost = ({ error_class }: JobRow): boolean => error_class === 'lost' || error_class === 'overloaded'

/**
 * The first takes the leader's place and waits for a slot; the others follow it. Where the leader followed another itself, or an
 * earlier turn has found its heir, all follow that. `tries`: so many have been lost already.
 */
const promote = (context: LedgerContext, leader: JobRow, rows: JobRow[], more: boolean, tries = 0): void => {
  const known = leader.coalesced_with === null ? undefined : findJob(context, leader.coalesced_with)
  const heir = known && !isEnded(known.state) ? known : rows[0]
  if (!heir) return
  if (heir !== known) {
    // It may have lost more of its own, before another took the lead from it.
    const change = { coalesced_with: null, tries: Math.max(heir.tries, tries) }
    // One that stands is in its place already.
    if (heir.state === 'waiting') updateJob(context, heir, change)
    else {
      if (move(context, heir, 'release', change) !== 'moved') return
      laneReady(context, heir.pool, heir.queue)
    }
    // Of use to the next turn only.
    if (more) updateJob(context, leader, { coalesced_with: heir.id })
  }
  for (const row of rows) if (row !== heir) updateJob(context, row, { coalesced_with: heir.id })
  leadersOf(context).add(heir.id)
  context.memory.waiting.add(heir.id)
}

/** Whether any job, not deleted, points to what this one wrote, or will as soon as it has ended with it. */
export const isPointedTo = (context: LedgerContext, writer: string): boolean =>
  pointerTo(context, writer) !== undefined || followers(context, writer) > 0

/** Whether the execution of a job that its submitter has left is wanted by nobody any more. */
export const isAbandoned = (context: LedgerContext, leader: JobRow): boolean =>
  leader.state === 'carrying' && followers(context, leader.id) === 0

/** The last that left an execution hears what became of its query. */
export const noteCancelled = (context: LedgerContext, writer: string, outcome: string, reason: string | null): void => {
  for (const row of adopt(
    context,
    context.store.all<JobRow>(`SELECT * FROM jobs WHERE coalesced_with = ? AND state = 'cancelled' AND cancel_outcome = 'sent'`, writer),
  ))
    updateJob(context, row, { cancel_outcome: outcome, cancel_reason: reason })
}

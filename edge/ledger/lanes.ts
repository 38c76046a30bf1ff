import { PoolName, QueueName } from '../contract/ids.ts'
import { first } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { lanePart, openings } from './lane-rules.ts'
import { REPEAT_FIRST_MS, REPEAT_LAST_MS } from './limits.ts'
import type { Lane } from './memory.ts'

/** Announcement numbers set aside at once: one row is written for so many announcements. */
const NUMBERS = 1_000

const laneRef = (pool: string, queue: string): string => `${pool}/${queue}`

const someWaits = (context: LedgerContext, pool: string, queue: string): boolean =>
  first(context.store, `SELECT id FROM jobs WHERE state = 'waiting' AND pool = ? AND queue = ? LIMIT 1`, pool, queue) !== undefined

/**
 * A lane that is known. In a new life of the ledger it is as if nothing had been announced: numbers go on above those set
 * aside, and a lane in which jobs wait is announced anew, for the pool may never have heard of them.
 */
const findLane = (context: LedgerContext, pool: string, queue: string): Lane | undefined => {
  const ref = laneRef(pool, queue)
  const known = context.memory.lanes.get(ref)
  if (known) return known
  const row = first<{ seq: number }>(context.store, 'SELECT seq FROM lanes WHERE pool = ? AND queue = ?', pool, queue)
  if (!row) return undefined
  const lane: Lane = {
    pool,
    queue,
    seq: row.seq,
    ceiling: row.seq,
    announced: false,
    acked: 0,
    saidAt: 0,
    timed: false,
    empty: !someWaits(context, pool, queue),
  }
  context.memory.lanes.set(ref, lane)
  if (!lane.empty && openings(context, queue) > 0) announce(context, lane)
  return lane
}

/** How many lanes there are beside this one; 0 when it exists. They stay, for their numbers must go on rising. */
export const laneCount = (context: LedgerContext, pool: string, queue: string): number =>
  findLane(context, pool, queue) ? 0 : (first<{ n: number }>(context.store, 'SELECT count(*) AS n FROM lanes')?.n ?? 0)

const say = (context: LedgerContext, lane: Lane): void => {
  lane.saidAt = context.now()
  const { pool, queue, seq } = lane
  context.emit({ kind: 'ready', pool: PoolName.parse(pool), queue: QueueName.parse(queue), seq, ...lanePart(context, pool, queue) })
}

/** Sets numbers aside in the database, where a lane also has to stand to be found in the next life. */
const setAside = (context: LedgerContext, lane: Lane): void => {
  lane.ceiling = lane.seq + NUMBERS
  context.store.run(
    `INSERT INTO lanes (pool, queue, seq, announced, acked) VALUES (?, ?, ?, 0, 0)
     ON CONFLICT (pool, queue) DO UPDATE SET seq = excluded.seq`,
    lane.pool,
    lane.queue,
    lane.ceiling,
  )
}

const announce = (context: LedgerContext, lane: Lane): void => {
  lane.seq += 1
  lane.announced = true
  if (lane.seq > lane.ceiling) setAside(context, lane)
  // Left to ring by itself when the lane is drained before: set and cleared for every lone job it would cost two rows each.
  if (!lane.timed) {
    setTimer(context.store, 'lane', laneRef(lane.pool, lane.queue), context.now() + REPEAT_FIRST_MS)
    lane.timed = true
  }
  say(context, lane)
}

/**
 * A job waits in this lane: the pool must know. Says it once; while the lane is announced, further jobs cost nothing.
 * Every announcement has a number of its own, because `ready` and `drained` may overtake each other. A lane that is paused
 * or at its concurrency is announced when that ends.
 */
export const laneReady = (context: LedgerContext, pool: string, queue: string): void => {
  let lane = findLane(context, pool, queue)
  if (!lane) {
    lane = { pool, queue, seq: 0, ceiling: 0, announced: false, acked: 0, saidAt: 0, timed: false, empty: false }
    context.memory.lanes.set(laneRef(pool, queue), lane)
  }
  lane.empty = false
  if (lane.announced) return
  if (openings(context, queue) > 0) announce(context, lane)
  else if (lane.ceiling === 0) setAside(context, lane)
}

/** A slot of its concurrency is free, or it is not paused any more: said again, if jobs wait. */
export const reopenLane = (context: LedgerContext, pool: string, queue: string): void => {
  const lane = findLane(context, pool, queue)
  if (lane && !lane.empty && !lane.announced) announce(context, lane)
}

/**
 * The lane is to be served in another way: the pool hears of it by an announcement, also of a lane in which nothing waits
 * or may be given out, which the pool learns when it asks.
 */
export const announceAnew = (context: LedgerContext, pool: string, queue: string): void => {
  const lane = findLane(context, pool, queue)
  if (lane) announce(context, lane)
}

/** Jobs wait in the lane, and none may be given out: answers the number that the pool must see to forget it until then. */
export const laneClosed = (context: LedgerContext, pool: string, queue: string): number => {
  const lane = findLane(context, pool, queue)
  if (!lane) return 0
  lane.announced = false
  return lane.seq
}

/** All lanes that this ledger ever had: at the start of a life those in which jobs wait are announced. */
export const loadLanes = (context: LedgerContext): void => {
  for (const { pool, queue } of context.store.all<{ pool: string; queue: string }>('SELECT pool, queue FROM lanes'))
    findLane(context, pool, queue)
}

/** The pool has written down announcement `seq`. */
export const laneAcknowledged = (context: LedgerContext, pool: string, queue: string, seq: number): void => {
  const lane = context.memory.lanes.get(laneRef(pool, queue))
  if (lane) lane.acked = Math.max(lane.acked, seq)
}

/** The pool did not answer: the lane's timer may be far off, when it was set for an announcement that was heard. */
export const laneUnheard = (context: LedgerContext, pool: string, queue: string): void =>
  setTimer(context.store, 'lane', laneRef(pool, queue), context.now() + REPEAT_FIRST_MS)

/** True when it is known, without a look, that nothing waits in the lane. */
export const isEmptyLane = (context: LedgerContext, pool: string, queue: string): boolean => findLane(context, pool, queue)?.empty ?? false

/** The last waiting job of the lane was offered: answers the number that the pool must see to forget the lane. */
export const laneDrained = (context: LedgerContext, pool: string, queue: string): number => {
  const lane = findLane(context, pool, queue)
  if (!lane) return 0
  lane.announced = false
  lane.empty = true
  return lane.seq
}

/**
 * Jobs wait here, and a node that the pool sent by announcement `seq` can run none of them. The pool tries again in its
 * own time; but the next job must be announced anew, or it would wait for that time behind jobs that nobody can run.
 */
export const laneUnsuited = (context: LedgerContext, pool: string, queue: string, seq: number): void => {
  const lane = findLane(context, pool, queue)
  if (lane?.announced && lane.seq === seq) lane.announced = false
}

/**
 * Repeats an announcement: soon and often while the pool has not acknowledged it; and now and then while jobs wait, in
 * case the pool has lost what it acknowledged.
 */
export const repeatLane = (context: LedgerContext, ref: string): void => {
  const slash = ref.indexOf('/')
  const lane = findLane(context, ref.slice(0, slash), ref.slice(slash + 1))
  if (!lane?.announced) {
    if (lane) lane.timed = false
    clearTimer(context.store, 'lane', ref)
    return
  }
  lane.timed = true
  const now = context.now()
  const heard = lane.acked >= lane.seq
  const again = lane.saidAt + (heard ? REPEAT_LAST_MS : REPEAT_FIRST_MS)
  if (again > now) setTimer(context.store, 'lane', ref, again)
  else {
    setTimer(context.store, 'lane', ref, now + (heard ? REPEAT_LAST_MS : REPEAT_FIRST_MS * 4))
    say(context, lane)
  }
}

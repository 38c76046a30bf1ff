import { PoolName, QueueName } from '../contract/ids.ts'
import { first } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { REPEAT_FIRST_MS, REPEAT_LAST_MS } from './limits.ts'

interface LaneRow {
  pool: string
  queue: string
  seq: number
  announced: number
  acked: number
}

const laneRef = (pool: string, queue: string): string => `${pool}/${queue}`

const findLane = (context: LedgerContext, pool: string, queue: string): LaneRow | undefined =>
  first<LaneRow>(context.store, 'SELECT * FROM lanes WHERE pool = ? AND queue = ?', pool, queue)

/** How many lanes there are beside this one; 0 when it exists. They stay, for their numbers must go on rising. */
export const laneCount = (context: LedgerContext, pool: string, queue: string): number =>
  findLane(context, pool, queue) ? 0 : (first<{ n: number }>(context.store, 'SELECT count(*) AS n FROM lanes')?.n ?? 0)

/**
 * A job waits in this lane: the pool must know. Says it once; while the lane is announced, further jobs cost nothing.
 * Every announcement has a number of its own, because `ready` and `drained` may overtake each other.
 */
export const laneReady = (context: LedgerContext, pool: string, queue: string): void => {
  const lane = findLane(context, pool, queue)
  if (lane?.announced) return
  const seq = (lane?.seq ?? 0) + 1
  context.store.run(
    `INSERT INTO lanes (pool, queue, seq, announced, acked) VALUES (?, ?, ?, 1, 0)
     ON CONFLICT (pool, queue) DO UPDATE SET seq = excluded.seq, announced = 1`,
    pool,
    queue,
    seq,
  )
  setTimer(context.store, 'lane', laneRef(pool, queue), context.now() + REPEAT_FIRST_MS)
  context.emit({ kind: 'ready', pool: PoolName.parse(pool), queue: QueueName.parse(queue), seq })
}

/** The pool has written down announcement `seq`. */
export const laneAcknowledged = (context: LedgerContext, pool: string, queue: string, seq: number): void => {
  context.store.run('UPDATE lanes SET acked = max(acked, ?) WHERE pool = ? AND queue = ?', seq, pool, queue)
  const lane = findLane(context, pool, queue)
  if (lane && lane.acked >= lane.seq) clearTimer(context.store, 'lane', laneRef(pool, queue))
}

/** The last waiting job of the lane was offered: answers the number that the pool must see to forget the lane. */
export const laneDrained = (context: LedgerContext, pool: string, queue: string): number => {
  const lane = findLane(context, pool, queue)
  if (!lane) return 0
  if (lane.announced) {
    context.store.run('UPDATE lanes SET announced = 0, acked = seq WHERE pool = ? AND queue = ?', pool, queue)
    clearTimer(context.store, 'lane', laneRef(pool, queue))
  }
  return lane.seq
}

/**
 * Jobs wait here, and a node that the pool sent by announcement `seq` can run none of them. The pool tries again in its
 * own time; but the next job must be announced anew, or it would wait for that time behind jobs that nobody can run.
 */
export const laneUnsuited = (context: LedgerContext, pool: string, queue: string, seq: number): void => {
  const lane = findLane(context, pool, queue)
  if (!lane?.announced || lane.seq !== seq) return
  context.store.run('UPDATE lanes SET announced = 0, acked = seq WHERE pool = ? AND queue = ?', pool, queue)
  clearTimer(context.store, 'lane', laneRef(pool, queue))
}

/** Repeats an announcement that the pool has not acknowledged; the pause grows with the time it has been waiting. */
export const repeatLane = (context: LedgerContext, ref: string): void => {
  const slash = ref.indexOf('/')
  const lane = findLane(context, ref.slice(0, slash), ref.slice(slash + 1))
  if (!lane?.announced || lane.acked >= lane.seq) {
    clearTimer(context.store, 'lane', ref)
    return
  }
  setTimer(context.store, 'lane', ref, context.now() + Math.min(REPEAT_LAST_MS, REPEAT_FIRST_MS * 4))
  context.emit({ kind: 'ready', pool: PoolName.parse(lane.pool), queue: QueueName.parse(lane.queue), seq: lane.seq })
}

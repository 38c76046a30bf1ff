import type { PoolName } from '../contract/ids.ts'
import type { LedgerContext } from './context.ts'
import { findJobs, updateJob } from './jobs.ts'
import { laneCount, laneReady } from './lanes.ts'
import { MAX_LANES, STRANDED_AFTER_SECONDS, STRANDED_JOBS, STRANDED_TASKS } from './limits.ts'

/** The online pools of tasks, in the order of their names; an empty list where no node has the task now. */
export type PoolsOf = (names: string[]) => Promise<PoolName[][]>

interface Place {
  id: string
  pool: string
  queue: string
  task: string
}

/** Where the last look ended. In memory only: a new life begins at the front. */
export interface LookedAt {
  offset: number
}

/**
 * Jobs that have waited so long that their task's nodes may have left their pool: the next stretch of all waiting jobs, lane
 * by lane, so that however many wait each is looked at in its turn, and none costs more than its row.
 */
export const longWaiting = (context: LedgerContext, looked: LookedAt): Place[] => {
  const stretch = context.store.all<Place & { created_at: number }>(
    `SELECT id, pool, queue, task, created_at FROM jobs WHERE state = 'waiting' ORDER BY pool, queue, priority DESC, id LIMIT ? OFFSET ?`,
    STRANDED_JOBS,
    looked.offset,
  )
  const before = context.now() - STRANDED_AFTER_SECONDS * 1000
  const names = new Set<string>()
  const places: Place[] = []
  for (const [at, place] of stretch.entries()) {
    if (place.created_at > before) continue
    if (names.size === STRANDED_TASKS && !names.has(place.task)) {
      looked.offset += at
      return places
    }
    names.add(place.task)
    places.push(place)
  }
  looked.offset = stretch.length < STRANDED_JOBS ? 0 : looked.offset + STRANDED_JOBS
  return places
}

/** Moves jobs into the pool of their task where it has left theirs. Answers how many. */
export const moveStranded = (context: LedgerContext, places: readonly Place[], pools: ReadonlyMap<string, readonly PoolName[]>): number => {
  const stranded = places.filter(({ task, pool }) => {
    const now = pools.get(task) ?? []
    return now.length > 0 && !now.some((name) => name === pool)
  })
  let moved = 0
  for (const row of findJobs(
    context,
    stranded.map(({ id }) => id),
  )) {
    const [pool] = pools.get(row.task) ?? []
    // It may have been offered, cancelled or moved while the directory was asked.
    if (row.state !== 'waiting' || pool === undefined || laneCount(context, pool, row.queue) >= MAX_LANES) continue
    updateJob(context, row, { pool })
    laneReady(context, pool, row.queue)
    moved += 1
  }
  return moved
}

/** Asks the directory about what has waited long, and moves what must move. Bounded by `STRANDED_JOBS`; harmless when it fails. */
export const rescueStranded = async (
  context: LedgerContext,
  looked: LookedAt,
  ask: PoolsOf,
  commit: <T>(body: (inner: LedgerContext) => T) => T,
): Promise<number> => {
  const places = longWaiting(context, looked)
  const names = [...new Set(places.map(({ task }) => task))]
  if (names.length === 0) return 0
  const answers = await ask(names)
  const pools = new Map(names.map((name, at) => [name, answers[at] ?? []]))
  return commit((inner) => moveStranded(inner, places, pools))
}

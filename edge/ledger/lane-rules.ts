import type { LaneSettings, QueueSettings } from '../contract/queues.ts'
import { first } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import type { JobRow } from './jobs.ts'
import { type InnerState, isHeld } from './states.ts'

/** How many jobs of a queue wait for a slot, and how many nodes hold. */
export interface Standing {
  waiting: number
  held: number
}

/** How a queue is served, and what nodes hold of it; kept in memory (`LedgerMemory.queues`). */
export interface QueueRule {
  settings: QueueSettings
  /** Milliseconds since 1970; null: nobody has set it. */
  updatedAt: number | null
  /** What nodes hold of it, by pool; counted only where a concurrency or a reserve asks for it. */
  held: Map<string, { jobs: number; slots: number }> | null
}

export interface QueueRow {
  name: string
  priority: number
  concurrency: number | null
  paused: number
  weight: number
  reserve: number
  updated_at: number
}

export const DEFAULTS: QueueSettings = { priority: 0, concurrency: null, paused: false, weight: 1, reserve: 0 }
const UNSET: QueueRule = { settings: DEFAULTS, updatedAt: null, held: null }

/** The condition of the index, word for word: else SQLite would read every job. */
export const HELD = `state IN ('offered', 'leased', 'running', 'carrying')`

export const settingsOf = ({ priority, concurrency, paused, weight, reserve }: QueueRow): QueueSettings => ({
  priority,
  concurrency,
  paused: paused === 1,
  weight,
  reserve,
})

const countHeld = (context: LedgerContext, queue: string): NonNullable<QueueRule['held']> =>
  new Map(
    context.store
      .all<{ pool: string; jobs: number; slots: number }>(
        `SELECT pool, count(*) AS jobs, sum(weight) AS slots FROM jobs INDEXED BY jobs_held WHERE ${HELD} AND queue = ? GROUP BY pool`,
        queue,
      )
      .map(({ pool, jobs, slots }) => [pool, { jobs, slots }]),
  )

export const ruleOf = (context: LedgerContext, queue: string): QueueRule => {
  const known = context.memory.queues.get(queue)
  if (known) return known
  const row = first<QueueRow>(context.store, 'SELECT * FROM queues WHERE name = ?', queue)
  const rule = row ? readRule(context, row) : UNSET
  context.memory.queues.set(queue, rule)
  return rule
}

const readRule = (context: LedgerContext, row: QueueRow): QueueRule => ({
  settings: settingsOf(row),
  updatedAt: row.updated_at,
  held: row.concurrency !== null || row.reserve > 0 ? countHeld(context, row.name) : null,
})

/** How many jobs of the queue may be given out now. */
export const openings = (context: LedgerContext, queue: string): number => {
  const { settings, held } = ruleOf(context, queue)
  if (settings.paused) return 0
  if (settings.concurrency === null) return Number.POSITIVE_INFINITY
  let jobs = 0
  for (const one of held?.values() ?? []) jobs += one.jobs
  return Math.max(0, settings.concurrency - jobs)
}

/** What the pool must know of a lane; nothing where all is as it is by default. A paused queue keeps no slots free. */
export const lanePart = (context: LedgerContext, pool: string, queue: string): { settings?: LaneSettings; held?: number } => {
  const rule = ruleOf(context, queue)
  if (rule === UNSET) return {}
  const { priority, weight, paused } = rule.settings
  const reserve = paused ? 0 : rule.settings.reserve
  return { settings: { priority, weight, reserve }, ...(reserve > 0 ? { held: rule.held?.get(pool)?.slots ?? 0 } : {}) }
}

const NONE: Standing = { waiting: 0, held: 0 }
const placeOf = (state: InnerState | null): keyof Standing | null =>
  state === 'waiting' ? 'waiting' : state !== null && isHeld(state) ? 'held' : null

/** Counted once a life, by the indexes of what waits and is held, and kept by `stands` from then on: it may be 200,000 jobs. */
const standings = ({ memory, store }: LedgerContext): Map<string, Standing> => {
  if (memory.standing) return memory.standing
  const counted = new Map<string, Standing>()
  const count = (place: keyof Standing, from: string): void => {
    for (const { queue, n } of store.all<{ queue: string; n: number }>(`SELECT queue, count(*) AS n FROM jobs ${from} GROUP BY queue`))
      counted.set(queue, { ...(counted.get(queue) ?? NONE), [place]: n })
  }
  count('waiting', `INDEXED BY jobs_lane WHERE state = 'waiting'`)
  count('held', `INDEXED BY jobs_held WHERE ${HELD}`)
  memory.standing = counted
  return counted
}

export const standingOf = (context: LedgerContext, queue: string): Standing => standings(context).get(queue) ?? NONE

/** A job has come (`from` null) or has changed its state, which is written. */
export const stands = ({ memory: { standing } }: LedgerContext, queue: string, from: InnerState | null, to: InnerState): void => {
  if (!standing) return
  const [before, after] = [placeOf(from), placeOf(to)]
  if (before === after) return
  const now = { ...(standing.get(queue) ?? NONE) }
  if (before) now[before] -= 1
  if (after) now[after] += 1
  standing.set(queue, now)
}

/** A node holds a job that waited, or holds it no longer. Called by `moves` for every change of that kind, after it is written. */
export const heldChanged = (context: LedgerContext, row: JobRow, holds: boolean): void => {
  const known = context.memory.queues.get(row.queue)
  // Counted from the database, this very change is among what is counted.
  if (!known) {
    if (ruleOf(context, row.queue).held) context.memory.counted.add(row.queue)
    return
  }
  if (!known.held) return
  const sign = holds ? 1 : -1
  const count = known.held.get(row.pool) ?? { jobs: 0, slots: 0 }
  known.held.set(row.pool, { jobs: count.jobs + sign, slots: count.slots + sign * row.weight })
  context.memory.counted.add(row.queue)
}

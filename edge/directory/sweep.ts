import type { Store } from '../storage/store.ts'
import { dueTimers, setTimer } from '../storage/timers.ts'
import { noteSchedules } from './schedules.ts'

/** A node that was not seen for this long is forgotten, and with it the tasks that only it had. */
export const FORGET_NODE_SECONDS = 30 * 24 * 3600
export const PRUNE_EVERY_SECONDS = 24 * 3600
const MAX_NODES_PER_SWEEP = 100

/** `schedules` of a tenant are told by the object, which can reach its ledger. */
type TimerKind = 'prune' | 'schedules'

/** Runs what is due; bounded work, harmless when repeated. */
export const runTimers = (store: Store, now: number): void =>
  store.transaction(() => {
    for (const timer of dueTimers<TimerKind>(store, now, 10)) {
      if (timer.kind === 'prune') {
        prune(store, now)
        setTimer(store, 'prune', '', now + PRUNE_EVERY_SECONDS * 1_000)
      }
    }
  })

/** Sets the first pruning of a new Directory. */
export const armTimers = (store: Store, now: number): void => {
  if (store.all("SELECT 1 FROM timers WHERE kind = 'prune'").length === 0) setTimer(store, 'prune', '', now + PRUNE_EVERY_SECONDS * 1_000)
}

const prune = (store: Store, now: number): void => {
  const forgotten = store.all<{ node: string; tenants: string }>(
    'SELECT node, tenants FROM nodes WHERE online = 0 AND last_seen_at < ? ORDER BY last_seen_at LIMIT ?',
    now - FORGET_NODE_SECONDS * 1_000,
    MAX_NODES_PER_SWEEP,
  )
  for (const { node, tenants } of forgotten) {
    noteSchedules(store, now, JSON.parse(tenants) as string[])
    store.run('DELETE FROM announcements WHERE node = ?', node)
    store.run('DELETE FROM nodes WHERE node = ?', node)
  }
  store.run('DELETE FROM definitions WHERE NOT EXISTS (SELECT 1 FROM announcements WHERE definition = definitions.id)')
}

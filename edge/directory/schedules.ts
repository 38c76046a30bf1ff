import { PoolName, TenantId } from '../contract/ids.ts'
import { MissedPolicy, OverlapPolicy } from '../contract/schedules.ts'
import { AnnouncedTask } from '../contract/tasks.ts'
import { prepareRun } from '../ledger/scheduled.ts'
import type { NewSchedule } from '../ledger/schedules.ts'
import { first, type Store } from '../storage/store.ts'
import { clearTimer, dueTimers, setTimer } from '../storage/timers.ts'

/** A ledger that did not answer is told again after so long. */
export const TELL_AGAIN_MS = 30_000
/** Ledgers told at once. */
const LEDGERS_AT_ONCE = 20
const KIND = 'schedules'

/** Tenants that a node names; `*` names nobody: those turn a task's schedule on themselves. */
const named = (tenants: readonly string[]): string[] => tenants.filter((tenant) => tenant !== '*')

/** The lists of these tenants may have changed: their ledgers are told now, and again until they have heard. */
export const noteSchedules = (store: Store, now: number, tenants: readonly string[]): void => {
  for (const tenant of named(tenants)) setTimer(store, KIND, tenant, now)
}

export const dueTenants = (store: Store, now: number): TenantId[] =>
  dueTimers(store, now, LEDGERS_AT_ONCE + 10).flatMap(({ kind, ref }) => (kind === KIND ? [TenantId.parse(ref)] : []))

/** Not before so long again, unless the list changes meanwhile: that sets it anew. Answers when. */
export const tellLater = (store: Store, now: number, tenant: TenantId): number => {
  setTimer(store, KIND, tenant, now + TELL_AGAIN_MS)
  return now + TELL_AGAIN_MS
}

/** The ledger has heard what was true while its timer stood at `due`. */
export const told = (store: Store, tenant: TenantId, due: number): void => {
  const timer = first<{ due: number }>(store, 'SELECT due FROM timers WHERE kind = ? AND ref = ?', KIND, tenant)
  if (timer?.due === due) clearTimer(store, KIND, tenant)
}

/** A tenant without schedules whose ledger was never used need not be told, or every name in a token would make a ledger. */
export const mustTell = (store: Store, tenant: TenantId, list: readonly NewSchedule[]): boolean =>
  list.length > 0 || first(store, 'SELECT 1 FROM tenants WHERE tenant = ? AND ledger = 1', tenant) !== undefined

/**
 * What the files of nodes say whose tokens name this tenant: each task with a `schedule` line that can run with its defaults.
 * A connected node's word counts before that of one that is gone, then the newest.
 */
export const fileSchedules = (store: Store, tenant: TenantId): NewSchedule[] => {
  const rows = store.all<{ name: string; definition: number; cron: string | null; pool: string }>(
    `SELECT a.name, d.id AS definition, json_extract(d.body, '$.schedule.cron') AS cron, n.pool FROM announcements a JOIN nodes n ON n.node = a.node JOIN definitions d ON d.id = a.definition
     WHERE EXISTS (SELECT 1 FROM json_each(n.tenants) WHERE value = ?) ORDER BY a.name, n.online DESC, a.since DESC, a.node`,
    tenant,
  )
  const list: NewSchedule[] = []
  let last: string | null = null
  for (const { name, definition, cron: line, pool } of rows) {
    const winner = name !== last
    last = name
    if (!winner || line === null) continue
    const stored = first<{ body: string }>(store, 'SELECT body FROM definitions WHERE id = ?', definition)
    const task = stored && AnnouncedTask.parse(JSON.parse(stored.body))
    if (!task?.schedule) continue
    const { cron, tz } = task.schedule
    const missed = MissedPolicy.safeParse(task.schedule.missed)
    const overlap = OverlapPolicy.safeParse(task.schedule.overlap)
    const wanted = { cron, tz, missed: missed.data ?? 'latest', overlap: overlap.data ?? 'skip' } as const
    const catalogued = { ...task, sql: '', pools: [PoolName.parse(pool)], available: true, notice: null, last_seen_at: '' }
    const prepared = prepareRun([], catalogued, wanted)
    // Without a default for each parameter the line starts nothing; the node has warned of it.
    if (prepared.ok)
      list.push({ task: task.name, source: 'file', wanted: { ...wanted, task: task.name }, run: prepared.submission, rights: [] })
  }
  return list
}

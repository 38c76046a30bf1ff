import { PoolName, QueueName } from '../contract/ids.ts'
import type { Fault } from '../contract/problems.ts'
import type { Queue, QueueSettings } from '../contract/queues.ts'
import { first } from '../storage/store.ts'
import type { LedgerContext } from './context.ts'
import { DEFAULTS, openings, type QueueRow, ruleOf, settingsOf, standingOf } from './lane-rules.ts'
import { announceAnew, reopenLane } from './lanes.ts'
import { MAX_QUEUE_SETTINGS } from './limits.ts'

/** Queues that somebody has set or a job has used. */
const NAMES = 'SELECT name FROM queues UNION SELECT queue AS name FROM lanes'

const show = (context: LedgerContext, row: { name: string } & Partial<QueueRow>): Queue => ({
  name: QueueName.parse(row.name),
  ...(row.updated_at === undefined || row.updated_at === null ? DEFAULTS : settingsOf(row as QueueRow)),
  ...standingOf(context, row.name),
  updated_at: row.updated_at === undefined || row.updated_at === null ? null : new Date(row.updated_at).toISOString(),
})

/** Null: nobody has set it, and no job has ever been sent to it. */
export const showQueue = (context: LedgerContext, name: string): Queue | null => {
  const { store } = context
  const row = first<QueueRow>(store, 'SELECT * FROM queues WHERE name = ?', name)
  if (!row && !first(store, 'SELECT queue FROM lanes WHERE queue = ? LIMIT 1', name)) return null
  return show(context, row ?? { name })
}

/** By name, after a name. */
export const listQueues = (
  context: LedgerContext,
  query: { after: string | null; limit: number },
): { items: Queue[]; next: string | null } => {
  const { store } = context
  const rows = store.all<{ name: string } & Partial<QueueRow>>(
    `SELECT q.*, n.name FROM (${NAMES}) n LEFT JOIN queues q ON q.name = n.name WHERE n.name > ? ORDER BY n.name LIMIT ?`,
    query.after ?? '',
    query.limit + 1,
  )
  const items = rows.slice(0, query.limit).map((row) => show(context, row))
  return { items, next: rows.length > query.limit ? (items.at(-1)?.name ?? null) : null }
}

/** Sets a queue whole. Its lanes are announced anew, which tells the pools how to serve them from now on. */
export const putQueue = (
  context: LedgerContext,
  name: QueueName,
  settings: QueueSettings,
): { ok: true; queue: Queue } | ({ ok: false } & Fault) => {
  const { store } = context
  const isNew = !first(store, 'SELECT name FROM queues WHERE name = ?', name)
  if (isNew && (first<{ n: number }>(store, 'SELECT count(*) AS n FROM queues')?.n ?? 0) >= MAX_QUEUE_SETTINGS)
    return {
      ok: false,
      code: 'limit_reached',
      detail: `${MAX_QUEUE_SETTINGS} queues of this tenant have settings of their own; put one of them back by DELETE /v1/queues/{name} first.`,
    }
  store.run(
    `INSERT INTO queues (name, priority, concurrency, paused, weight, reserve, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET priority = excluded.priority, concurrency = excluded.concurrency, paused = excluded.paused,
       weight = excluded.weight, reserve = excluded.reserve, updated_at = excluded.updated_at`,
    name,
    settings.priority,
    settings.concurrency,
    settings.paused ? 1 : 0,
    settings.weight,
    settings.reserve,
    context.now(),
  )
  changed(context, name)
  const queue = showQueue(context, name)
  if (!queue) throw new Error(`the queue ${name} was written and is not there`)
  return { ok: true, queue }
}

/** Back to the defaults; false when nobody has set it. */
export const resetQueue = (context: LedgerContext, name: QueueName): boolean => {
  if (context.store.run('DELETE FROM queues WHERE name = ?', name) === 0) return false
  changed(context, name)
  return true
}

const poolsOf = (context: LedgerContext, queue: string): string[] =>
  context.store.all<{ pool: string }>('SELECT pool FROM lanes WHERE queue = ?', queue).map(({ pool }) => pool)

const changed = (context: LedgerContext, name: string): void => {
  context.memory.queues.delete(name)
  for (const pool of poolsOf(context, name)) announceAnew(context, pool, name)
}

/** The last thing in a transaction: where held jobs are counted, lanes below their concurrency open, and pools hear what is held. */
export const settleQueues = (context: LedgerContext): void => {
  const { counted } = context.memory
  if (counted.size === 0) return
  for (const name of counted) {
    const { settings, held } = ruleOf(context, name)
    const isOpen = settings.concurrency !== null && openings(context, name) > 0
    for (const pool of poolsOf(context, name)) {
      if (isOpen) reopenLane(context, pool, name)
      if (settings.reserve > 0 && !settings.paused)
        context.emit({
          kind: 'held',
          pool: PoolName.parse(pool),
          queue: QueueName.parse(name),
          held: held?.get(pool)?.slots ?? 0,
          at: context.now(),
        })
    }
  }
  counted.clear()
}

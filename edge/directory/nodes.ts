import { z } from 'zod'
import type { NodeId, PoolName, SessionId, TenantId } from '../contract/ids.ts'
import { first, type Store } from '../storage/store.ts'
import { noteSchedules } from './schedules.ts'

/** A node that is connected. `tenants` are those of its token: names, or `*`. */
export interface NodeSeen {
  node: NodeId
  session: SessionId
  pool: PoolName
  tenants: string[]
  slots: number
  /** Those it listens to; null: all. */
  queues?: string[] | null
  engines: string[]
  labels: Record<string, string>
}

/** A node as a tenant sees it. Which other tenants it serves is not that tenant's business. */
export interface NodeInfo {
  node: string
  pool: string
  slots: number
  queues: string[] | null
  engines: string[]
  labels: Record<string, string>
  online: boolean
  last_seen_at: string
}

/** SQL that is true where the node of row `n` serves the tenant bound to `?`. */
export const SERVES = "EXISTS (SELECT 1 FROM json_each(n.tenants) WHERE value = '*' OR value = ?)"

/** Enrols a node or renews it. The session named last is the current one: a new session ends the old one at once. */
export const nodeSeen = (store: Store, now: number, seen: NodeSeen): void => {
  const before = first<{ tenants: string }>(store, 'SELECT tenants FROM nodes WHERE node = ?', seen.node)?.tenants
  // A tenant that the node's new token does not name loses the schedules of its files.
  if (before !== undefined && before !== JSON.stringify(seen.tenants)) noteSchedules(store, now, JSON.parse(before) as string[])
  store.run(
    `INSERT INTO nodes (node, session, pool, tenants, slots, queues, engines, labels, online, generation, last_seen_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?)
     ON CONFLICT (node) DO UPDATE SET session = excluded.session, pool = excluded.pool, tenants = excluded.tenants, slots = excluded.slots, queues = excluded.queues,
       engines = excluded.engines, labels = excluded.labels, online = 1, last_seen_at = excluded.last_seen_at`,
    seen.node,
    seen.session,
    seen.pool,
    JSON.stringify(seen.tenants),
    seen.slots,
    seen.queues ? JSON.stringify(seen.queues) : null,
    JSON.stringify(seen.engines),
    JSON.stringify(seen.labels),
    now,
  )
}

/** The node's session is over. A message about a session that another one replaced changes nothing. */
export const nodeGone = (store: Store, gone: { node: NodeId; session: SessionId }): void => {
  store.run('UPDATE nodes SET online = 0 WHERE node = ? AND session = ?', gone.node, gone.session)
}

const Words = z.array(z.string())
const Labels = z.record(z.string(), z.string())

export const nodes = (store: Store, tenant: TenantId): NodeInfo[] =>
  store
    .all<{
      node: string
      pool: string
      slots: number
      queues: string | null
      engines: string
      labels: string
      online: number
      last_seen_at: number
    }>(`SELECT node, pool, slots, queues, engines, labels, online, last_seen_at FROM nodes n WHERE ${SERVES} ORDER BY node`, tenant)
    .map(({ queues, engines, labels, online, last_seen_at, ...row }) => ({
      ...row,
      queues: queues === null ? null : Words.parse(JSON.parse(queues)),
      engines: Words.parse(JSON.parse(engines)),
      labels: Labels.parse(JSON.parse(labels)),
      online: online === 1,
      last_seen_at: new Date(last_seen_at).toISOString(),
    }))

/** Whether a node ever came with this pool. */
export const hasPool = (store: Store, pool: PoolName): boolean =>
  first(store, 'SELECT 1 FROM nodes WHERE pool = ? LIMIT 1', pool) !== undefined

export const nodeRow = (store: Store, node: NodeId): { session: string; online: number; generation: number } | undefined =>
  first(store, 'SELECT session, online, generation FROM nodes WHERE node = ?', node)

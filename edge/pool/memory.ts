import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Store } from '../storage/store.ts'

/**
 * What a pool knows, in memory: every decision is taken here, and SQLite is only what a new life begins with. Written
 * down is as little as that needs, for each commit keeps somebody's job waiting for the disk:
 *
 * - A lane is on the disk whenever it is ready, with whatever number it had when it was written; lanes that come and go with
 *   a stream of small jobs are written once. A drained lane leaves the disk some time later (`FORGET_MS`), if it is still
 *   drained. A new life asks such a lane once too often at worst.
 * - A node is on the disk while it is joined, with at least as much room as it has. Too much does no harm: its link asks for
 *   no more than it knows of, and reports. Too little would be a slot that nobody gets.
 * - Shares are not on the disk: a new life begins with all tenants equal. Only differences count, a tenant that comes back
 *   has no claim on the past anyway, and what a restart forgives is a few slots.
 */
export interface PoolMemory {
  tenants: Map<TenantId, Tenant>
  /** The lanes with waiting jobs, as far as is known. */
  ready: Set<Lane>
  nodes: Map<NodeId, PoolNode>
  /** Counts the slots given, so that of equals the one served longest ago goes first. */
  turn: number
  /** When `fireTimers` has something to do, ms; null: nothing. */
  wakeAt: number | null
}

export interface Tenant {
  id: TenantId
  /** Virtual time: slots given so far, divided by its weight. */
  used: number
  /** The turn at which it was served last. */
  served: number
  lanes: Map<QueueName, Lane>
}

export interface Lane {
  tenant: Tenant
  queue: QueueName
  /** The highest announcement of the ledger that was heard of. */
  seq: number
  ready: boolean
  /** Since when it waits or is drained, ms. */
  since: number
  /** Its row on the disk says that it is ready. */
  saved: boolean
  /**
   * Null when `seq` is certain. A lane read from the disk may have been announced again since it was written: a late
   * `drained` of before could take away that wake-up, so only nodes that were asked in this life may say so.
   */
  asked: Set<NodeId> | null
  /** Nodes that had nothing for it lately, until when (ms): a hint against asking in circles. */
  unsuitable: Map<NodeId, number>
}

export interface PoolNode {
  node: NodeId
  session: SessionId
  /** How many more offers it can hold, as far as the pool knows. */
  free: number
  /** Null: every queue. */
  queues: QueueName[] | null
  /** `*` or names. */
  tenants: string[]
  /** Its room on the disk. */
  savedFree: number
}

/** Empty, or what a life before has left behind. */
export const loadPool = (store: Store): PoolMemory => {
  const memory: PoolMemory = { tenants: new Map(), ready: new Set(), nodes: new Map(), turn: 0, wakeAt: null }
  for (const row of store.all<{ tenant: TenantId; queue: QueueName; seq: number; since: number }>(
    'SELECT tenant, queue, seq, since FROM lanes WHERE ready = 1',
  )) {
    const lane = addLane(memory, row.tenant, row.queue)
    Object.assign(lane, { seq: row.seq, ready: true, since: row.since, saved: true, asked: new Set<NodeId>() })
    memory.ready.add(lane)
  }
  for (const row of store.all<{ node: NodeId; session: SessionId; free: number; queues: string | null; tenants: string }>(
    'SELECT node, session, free, queues, tenants FROM nodes',
  ))
    memory.nodes.set(row.node, {
      node: row.node,
      session: row.session,
      free: row.free,
      queues: row.queues === null ? null : (JSON.parse(row.queues) as QueueName[]),
      tenants: JSON.parse(row.tenants) as string[],
      savedFree: row.free,
    })
  return memory
}

export const findLane = (memory: PoolMemory, tenant: TenantId, queue: QueueName): Lane | undefined =>
  memory.tenants.get(tenant)?.lanes.get(queue)

export const addLane = (memory: PoolMemory, id: TenantId, queue: QueueName): Lane => {
  let tenant = memory.tenants.get(id)
  if (!tenant) {
    tenant = { id, used: 0, served: 0, lanes: new Map() }
    memory.tenants.set(id, tenant)
  }
  const lane: Lane = { tenant, queue, seq: 0, ready: false, since: 0, saved: false, asked: null, unsuitable: new Map() }
  tenant.lanes.set(queue, lane)
  return lane
}

/** Written before it is known in memory: what is not on the disk was not acknowledged. */
export const saveLane = (store: Store, tenant: TenantId, queue: QueueName, seq: number, since: number): void => {
  store.run(
    `INSERT INTO lanes (tenant, queue, seq, ready, since) VALUES (?, ?, ?, 1, ?)
     ON CONFLICT (tenant, queue) DO UPDATE SET seq = excluded.seq, ready = 1, since = excluded.since`,
    tenant,
    queue,
    seq,
    since,
  )
}

/** A lane that has been drained for a while goes, from the disk too; a tenant without lanes goes with its share. */
export const forgetLane = (memory: PoolMemory, store: Store, lane: Lane): void => {
  if (lane.saved) store.run('DELETE FROM lanes WHERE tenant = ? AND queue = ?', lane.tenant.id, lane.queue)
  lane.tenant.lanes.delete(lane.queue)
  if (lane.tenant.lanes.size === 0) memory.tenants.delete(lane.tenant.id)
}

const same = (a: readonly string[] | null, b: readonly string[] | null): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Writes a node down when the disk knows another session, other bounds, or less room. */
export const putNode = (memory: PoolMemory, store: Store, node: Omit<PoolNode, 'savedFree'>): void => {
  const known = memory.nodes.get(node.node)
  const isSaved =
    known?.session === node.session && known.savedFree >= node.free && same(known.queues, node.queues) && same(known.tenants, node.tenants)
  if (!isSaved)
    store.run(
      `INSERT INTO nodes (node, session, free, queues, tenants) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (node) DO UPDATE SET session = excluded.session, free = excluded.free, queues = excluded.queues, tenants = excluded.tenants`,
      node.node,
      node.session,
      node.free,
      node.queues ? JSON.stringify(node.queues) : null,
      JSON.stringify(node.tenants),
    )
  memory.nodes.set(node.node, { ...node, savedFree: isSaved ? known.savedFree : node.free })
}

export const removeNode = (memory: PoolMemory, store: Store, node: NodeId): void => {
  store.run('DELETE FROM nodes WHERE node = ?', node)
  memory.nodes.delete(node)
}

/** `fireTimers` has something to do at that time (ms). */
export const wakeAt = (memory: PoolMemory, at: number): void => {
  if (memory.wakeAt === null || at < memory.wakeAt) memory.wakeAt = at
}

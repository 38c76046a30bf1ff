import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { LaneSettings } from '../contract/queues.ts'
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
  /** The tenants of these. */
  waiting: Set<Tenant>
  /** The lanes for which others leave slots free, whether or not they have waiting jobs. */
  reserved: Set<Lane>
  nodes: Map<NodeId, PoolNode>
  /** Counts the slots given, so that of equals the one served longest ago goes first. */
  turn: number
  /** When `fireTimers` has something to do, ms; null: nothing. */
  wakeAt: number | null
}

export const PLAIN: LaneSettings = { priority: 0, weight: 1, reserve: 0 }

export interface Tenant {
  id: TenantId
  weight: number
  /** Virtual time: slots given so far, divided by its weight. */
  used: number
  /** The turn at which it was served last. */
  served: number
  /** It has not competed for slots since it began to wait. */
  isFresh: boolean
  lanes: Map<QueueName, Lane>
  /** Those of them that are ready. */
  ready: Set<Lane>
}

export interface Lane {
  tenant: Tenant
  queue: QueueName
  settings: LaneSettings
  /** As of the tenant, among the tenant's lanes of its priority. */
  used: number
  served: number
  isFresh: boolean
  /** Slots that its jobs take on nodes, by the ledger's last word; asked for only where it has a reserve. */
  held: number
  /** When that was counted, ms of the ledger's clock. */
  heldAt: number
  /** The highest announcement of the ledger that was heard of. */
  seq: number
  ready: boolean
  /** Since when it is drained, ms. */
  since: number
  /** What its row on the disk says, which is that it is ready; null: it has none. */
  saved: LaneSettings | null
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
  /** Slots' worth of offers that it can hold besides, as far as the pool knows. */
  free: number
  /** Slots of these that would begin at once; the rest waits on the node, ahead of its slots. Below zero: a heavy job owes some. */
  idle: number
  slots: number
  /** Until when (ms) offers may ride on its completions' answers without the pool being asked. */
  ridesUntil: number
  /** Null: every queue. */
  queues: QueueName[] | null
  /** `*` or names. */
  tenants: string[]
  /** Its room on the disk. */
  savedFree: number
}

/** Empty, or what a life before has left behind. `weightOf`: the weight of a tenant among tenants. */
export const loadPool = (store: Store, weightOf: (tenant: TenantId) => number): PoolMemory => {
  const memory: PoolMemory = {
    tenants: new Map(),
    ready: new Set(),
    waiting: new Set(),
    reserved: new Set(),
    nodes: new Map(),
    turn: 0,
    wakeAt: null,
  }
  for (const { tenant, queue, seq, since, ...settings } of store.all<
    { tenant: TenantId; queue: QueueName; seq: number; since: number } & LaneSettings
  >('SELECT tenant, queue, seq, since, priority, weight, reserve FROM lanes WHERE ready = 1')) {
    const lane = addLane(memory, tenant, queue, weightOf)
    Object.assign(lane, { seq, since, settings, saved: settings, asked: new Set<NodeId>() })
    setReady(memory, lane, true)
    if (settings.reserve > 0) memory.reserved.add(lane)
  }
  for (const row of store.all<{ node: NodeId; session: SessionId; free: number; slots: number; queues: string | null; tenants: string }>(
    'SELECT node, session, free, slots, queues, tenants FROM nodes',
  ))
    memory.nodes.set(row.node, {
      node: row.node,
      session: row.session,
      free: row.free,
      idle: Math.min(row.free, row.slots),
      slots: row.slots,
      ridesUntil: 0,
      queues: row.queues === null ? null : (JSON.parse(row.queues) as QueueName[]),
      tenants: JSON.parse(row.tenants) as string[],
      savedFree: row.free,
    })
  return memory
}

export const findLane = (memory: PoolMemory, tenant: TenantId, queue: QueueName): Lane | undefined =>
  memory.tenants.get(tenant)?.lanes.get(queue)

export const addLane = (memory: PoolMemory, id: TenantId, queue: QueueName, weightOf: (tenant: TenantId) => number): Lane => {
  let tenant = memory.tenants.get(id)
  if (!tenant) {
    tenant = { id, weight: weightOf(id), used: 0, served: 0, isFresh: true, lanes: new Map(), ready: new Set() }
    memory.tenants.set(id, tenant)
  }
  const lane: Lane = {
    tenant,
    queue,
    settings: PLAIN,
    used: 0,
    served: 0,
    isFresh: true,
    held: 0,
    heldAt: 0,
    seq: 0,
    ready: false,
    since: 0,
    saved: null,
    asked: null,
    unsuitable: new Map(),
  }
  tenant.lanes.set(queue, lane)
  return lane
}

export const setReady = (memory: PoolMemory, lane: Lane, isReady: boolean): void => {
  const { tenant } = lane
  lane.ready = isReady
  if (isReady) {
    memory.ready.add(lane)
    tenant.ready.add(lane)
    memory.waiting.add(tenant)
  } else {
    memory.ready.delete(lane)
    tenant.ready.delete(lane)
    lane.isFresh = true
    if (tenant.ready.size > 0) return
    memory.waiting.delete(tenant)
    tenant.isFresh = true
  }
}

const equal = (a: LaneSettings, b: LaneSettings): boolean => a.priority === b.priority && a.weight === b.weight && a.reserve === b.reserve

/** Unless the disk says so already. Written before it is known in memory: what is not on the disk was not acknowledged. */
export const saveLane = (
  store: Store,
  saved: LaneSettings | null,
  lane: { tenant: TenantId; queue: QueueName; seq: number; settings: LaneSettings },
  since: number,
): void => {
  const { priority, weight, reserve } = lane.settings
  if (saved !== null && equal(saved, lane.settings)) return
  store.run(
    `INSERT INTO lanes (tenant, queue, seq, ready, since, priority, weight, reserve) VALUES (?, ?, ?, 1, ?, ?, ?, ?)
     ON CONFLICT (tenant, queue) DO UPDATE SET seq = excluded.seq, ready = 1, since = excluded.since, priority = excluded.priority,
       weight = excluded.weight, reserve = excluded.reserve`,
    lane.tenant,
    lane.queue,
    lane.seq,
    since,
    priority,
    weight,
    reserve,
  )
}

/** A lane that has been drained for a while goes, from the disk too; a tenant without lanes goes with its share. */
export const forgetLane = (memory: PoolMemory, store: Store, lane: Lane): void => {
  if (lane.saved !== null) store.run('DELETE FROM lanes WHERE tenant = ? AND queue = ?', lane.tenant.id, lane.queue)
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
      `INSERT INTO nodes (node, session, free, slots, queues, tenants) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (node) DO UPDATE SET session = excluded.session, free = excluded.free, slots = excluded.slots,
         queues = excluded.queues, tenants = excluded.tenants`,
      node.node,
      node.session,
      node.free,
      node.slots,
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

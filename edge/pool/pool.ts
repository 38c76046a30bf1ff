import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Store } from '../storage/store.ts'
import { catchUp, choose, giveBack } from './choose.ts'
import { addLane, findLane, forgetLane, type Lane, type PoolMemory, putNode, removeNode, saveLane, wakeAt } from './memory.ts'

/** What the pool wants done outside. Losing one is harmless: lanes stay ready, nodes report their slots again. */
export type PoolEffect =
  /** Ask the node's link to fetch up to `count` offers of a lane, known by announcement `seq`. */
  {
    kind: 'dispatch'
    node: NodeId
    session: SessionId
    tenant: TenantId
    queue: QueueName
    seq: number
    count: number
    ride: boolean
  }

export interface PoolContext {
  /** Only what a new life begins with (memory.ts): nothing is read from it but by `loadPool`. */
  store: Store
  memory: PoolMemory
  now(): number
  emit(effect: PoolEffect): void
}

/** A lane that had nothing this node can run is not asked for it again for this long, unless it is announced anew. */
export const UNSUITABLE_MS = 2_000
/** A lane that has been drained for this long is forgotten. */
export const FORGET_MS = 30_000

/** A ledger has waiting jobs in a lane. Acknowledged by returning; an older announcement than the known one changes nothing. */
export const ready = (context: PoolContext, { tenant, queue, seq }: { tenant: TenantId; queue: QueueName; seq: number }): void => {
  const { memory, store } = context
  const known = findLane(memory, tenant, queue)
  if (known && known.seq > seq) return
  if (known?.seq === seq) {
    // `drained` of this very number may have overtaken its `ready`: the lane is empty already.
    if (known.ready) match(context)
    return
  }
  const now = context.now()
  if (!known?.saved) saveLane(store, tenant, queue, seq, now)
  const lane = known ?? addLane(memory, tenant, queue)
  lane.saved = true
  lane.seq = seq
  lane.unsuitable.clear()
  if (!lane.ready) {
    lane.since = now
    catchUp(memory, lane.tenant)
    lane.ready = true
    memory.ready.add(lane)
  }
  match(context)
}

const drained = (context: PoolContext, node: NodeId, { tenant, queue, seq }: LinkReport['drained'][number]): void => {
  const { memory } = context
  const lane = findLane(memory, tenant, queue) ?? addLane(memory, tenant, queue)
  if (lane.seq > seq || (lane.asked !== null && !lane.asked.has(node))) return
  lane.seq = seq
  lane.asked = null
  lane.ready = false
  lane.since = context.now()
  memory.ready.delete(lane)
  wakeAt(memory, lane.since + FORGET_MS)
}

export interface LinkReport {
  node: NodeId
  session: SessionId
  /** How many more offers the node can hold now. */
  free: number
  /** Lanes that turned out empty, with the number of the announcement they were empty at. */
  drained: { tenant: TenantId; queue: QueueName; seq: number }[]
  /** Lanes that have jobs, but none that this node can run: seen at announcement `seq`. */
  unsuitable: { tenant: TenantId; queue: QueueName; seq?: number | undefined }[]
  /** Slots that were given and found no job: not held against the tenant. */
  unused?: { tenant: TenantId; count: number }[]
}

/** A link says what its node can take and what became of the lanes it asked. A report of an old session changes no slots. */
export const report = (context: PoolContext, message: LinkReport): void => {
  const { memory, store } = context
  for (const lane of message.drained) drained(context, message.node, lane)
  for (const { tenant, queue, seq } of message.unsuitable) {
    const lane = findLane(memory, tenant, queue)
    // A lane that was announced anew meanwhile has a job that the link has not seen.
    if (lane && (seq === undefined || lane.seq <= seq)) pause(context, lane, message.node)
  }
  for (const { tenant, count } of message.unused ?? []) giveBack(memory.tenants.get(tenant), count)
  const node = memory.nodes.get(message.node)
  if (node?.session === message.session) putNode(memory, store, { ...node, free: message.free })
  match(context)
}

/** A node is connected, or says anew what it listens to. */
export const join = (
  context: PoolContext,
  node: { node: NodeId; session: SessionId; free: number; queues: QueueName[] | null; tenants: string[] },
): void => {
  putNode(context.memory, context.store, node)
  for (const lane of context.memory.ready) lane.unsuitable.delete(node.node)
  match(context)
}

export const leave = ({ memory, store }: PoolContext, node: NodeId, session: SessionId): void => {
  if (memory.nodes.get(node)?.session === session) removeNode(memory, store, node)
}

/** Gives free slots to ready lanes in fair order. What was given is taken off the node's slots at once; its link's next report corrects it. */
export const match = (context: PoolContext): void => {
  const { memory } = context
  const given = choose(memory, context.now())
  // Offers may ride on a completion's answer only while one lane waits alone: else each slot is chosen anew, or fairness is lost.
  const ride = memory.ready.size === 1
  for (const { node, lane, count } of given) {
    lane.asked?.add(node.node)
    const { seq, queue, tenant } = lane
    context.emit({ kind: 'dispatch', node: node.node, session: node.session, tenant: tenant.id, queue, seq, count, ride })
  }
}

/**
 * The link did not answer. Whether the dispatch has worked is not known, so its slots are given back: a number that is too
 * high is corrected by the link's next report, one that is too low by nobody until the link joins again. The pair pauses,
 * so that a link that is gone is not asked in circles.
 */
export const unreachable = (context: PoolContext, { node: name, session, tenant, queue, count }: PoolEffect): void => {
  const { memory } = context
  const node = memory.nodes.get(name)
  if (node?.session === session) node.free += count
  giveBack(memory.tenants.get(tenant), count)
  const lane = findLane(memory, tenant, queue)
  if (lane) pause(context, lane, name)
  match(context)
}

/** This lane is not tried on this node for a while. */
const pause = (context: PoolContext, lane: Lane, node: NodeId): void => {
  const until = context.now() + UNSUITABLE_MS
  lane.unsuitable.set(node, until)
  wakeAt(context.memory, until)
}

/** Pauses of unsuitable pairs are over; lanes that were drained some time ago are forgotten. Harmless when called too often. */
export const fireTimers = (context: PoolContext): void => {
  const { memory, store } = context
  const now = context.now()
  memory.wakeAt = null
  for (const { lanes } of memory.tenants.values())
    for (const lane of lanes.values()) {
      for (const [node, until] of lane.unsuitable)
        if (until <= now) lane.unsuitable.delete(node)
        else if (lane.ready) wakeAt(memory, until)
      if (lane.ready) continue
      if (lane.since + FORGET_MS <= now) forgetLane(memory, store, lane)
      else wakeAt(memory, lane.since + FORGET_MS)
    }
  match(context)
}

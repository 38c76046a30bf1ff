import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { LaneSettings } from '../contract/queues.ts'
import type { Store } from '../storage/store.ts'
import { choose, mayRide, serves } from './choose.ts'
import {
  addLane,
  findLane,
  forgetLane,
  type Lane,
  PLAIN,
  type PoolMemory,
  putNode,
  removeNode,
  saveLane,
  setReady,
  wakeAt,
} from './memory.ts'
import { isReserved, listens } from './reserve.ts'
import { charge } from './shares.ts'

/** What the pool wants done outside. Losing one is harmless: lanes stay ready, nodes report their slots again, rides end. */
export type PoolEffect =
  /** Ask the node's link to fetch offers of a lane, known by announcement `seq`, that take up to `count` slots. */
  | {
      kind: 'dispatch'
      node: NodeId
      session: SessionId
      tenant: TenantId
      queue: QueueName
      seq: number
      count: number
      ride: boolean
      /** Some lane has a reserve there: each idle slot counts. */
      strict: boolean
    }
  /** Another lane waits, too, or has a reserve: no offers are to ride on this node's completions any more. */
  | { kind: 'unride'; node: NodeId; session: SessionId; strict: boolean }
export type Dispatch = Extract<PoolEffect, { kind: 'dispatch' }>

export interface PoolContext {
  /** Only what a new life begins with (memory.ts): nothing is read from it but by `loadPool`. */
  store: Store
  memory: PoolMemory
  /** The weight of a tenant among tenants: above zero. */
  weightOf(tenant: TenantId): number
  now(): number
  emit(effect: PoolEffect): void
}

/** A lane that had nothing this node can run is not asked for it again for this long, unless it is announced anew. */
export const UNSUITABLE_MS = 2_000
/** A lane that has been drained for this long is forgotten. */
export const FORGET_MS = 30_000

/** A message about what a lane holds is overtaken by a later one by no more than this. */
const HELD_LATE_MS = 10_000
/** How long offers may ride before the pool is asked again, where nothing ends it before. */
export const RIDE_MS = 1_000

export interface Announcement {
  tenant: TenantId
  queue: QueueName
  seq: number
  /** Absent: as of a queue that nobody has set. */
  settings?: LaneSettings | undefined
  /** Where it has a reserve: slots that its jobs take on nodes. */
  held?: number | undefined
}

/**
 * A ledger has waiting jobs in a lane, or wants it served in another way. Acknowledged by returning; an older announcement
 * than the known one changes nothing.
 */
export const ready = (context: PoolContext, { tenant, queue, seq, settings = PLAIN, held: taken }: Announcement): void => {
  const { memory, store } = context
  const known = findLane(memory, tenant, queue)
  if (known && known.seq > seq) return
  const now = context.now()
  if (known && taken !== undefined) known.held = taken
  if (known?.seq === seq) {
    // `drained` of this very number may have overtaken its `ready`: the lane is empty already.
    if (known.ready) match(context)
    return
  }
  saveLane(store, known?.saved ?? null, { tenant, queue, seq, settings }, now)
  const lane = known ?? addLane(memory, tenant, queue, context.weightOf)
  lane.saved = settings
  lane.seq = seq
  lane.held = taken ?? lane.held
  lane.unsuitable.clear()
  // Of another priority it has other neighbours, among whom it has no claim.
  if (lane.settings.priority !== settings.priority) lane.isFresh = true
  lane.settings = settings
  if (settings.reserve > 0) reserve(context, lane)
  else memory.reserved.delete(lane)
  setReady(memory, lane, true)
  match(context)
}

/** From now on slots are kept for the lane: each link that could give one away must say exactly how many are idle. */
const reserve = ({ memory, emit }: PoolContext, lane: Lane): void => {
  if (memory.reserved.has(lane)) return
  memory.reserved.add(lane)
  for (const node of memory.nodes.values()) {
    if (!listens(node, lane)) continue
    node.ridesUntil = 0
    emit({ kind: 'unride', node: node.node, session: node.session, strict: true })
  }
}

/** How many slots the jobs of a lane with a reserve take now; `at`, for one message may overtake another. Memory only. */
export const held = (context: PoolContext, message: { tenant: TenantId; queue: QueueName; held: number; at: number }): void => {
  const lane = findLane(context.memory, message.tenant, message.queue)
  // A clock that was set back is no message of before.
  if (!lane || (lane.heldAt > message.at && lane.heldAt - message.at < HELD_LATE_MS)) return
  lane.heldAt = message.at
  lane.held = message.held
  match(context)
}

const drained = (context: PoolContext, node: NodeId, { tenant, queue, seq }: LinkReport['drained'][number]): void => {
  const { memory } = context
  const lane = findLane(memory, tenant, queue) ?? addLane(memory, tenant, queue, context.weightOf)
  if (lane.seq > seq || (lane.asked !== null && !lane.asked.has(node))) return
  lane.seq = seq
  lane.asked = null
  setReady(memory, lane, false)
  lane.since = context.now()
  wakeAt(memory, lane.since + FORGET_MS)
}

export interface LinkReport {
  node: NodeId
  session: SessionId
  /** Slots' worth of offers that the node can hold besides. */
  free: number
  /** Slots of these that would begin at once; as many as `free` when absent. */
  idle?: number | undefined
  /** Lanes that turned out empty, with the number of the announcement they were empty at. */
  drained: { tenant: TenantId; queue: QueueName; seq: number }[]
  /** Lanes that have jobs, but none that this node can run: seen at announcement `seq`. */
  unsuitable: { tenant: TenantId; queue: QueueName; seq?: number | undefined }[]
  /** Slots that were given and found no job: not held against the tenant. Below zero: heavy jobs took more than was given. */
  unused?: { tenant: TenantId; queue?: QueueName | undefined; count: number }[]
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
  for (const { tenant: id, queue, count } of message.unused ?? []) {
    const tenant = memory.tenants.get(id)
    if (tenant) charge(tenant, queue && tenant.lanes.get(queue), -count)
  }
  const node = memory.nodes.get(message.node)
  const { free, idle = free } = message
  if (node?.session === message.session) putNode(memory, store, { ...node, free, idle })
  match(context)
}

export interface Joining {
  node: NodeId
  session: SessionId
  free: number
  idle?: number | undefined
  slots?: number | undefined
  queues: QueueName[] | null
  tenants: string[]
}

/** A node is connected, or says anew what it listens to. */
export const join = (context: PoolContext, { free, idle = free, slots = Math.max(1, free), ...node }: Joining): void => {
  const { memory, store } = context
  putNode(memory, store, { ...node, free, idle, slots, ridesUntil: memory.nodes.get(node.node)?.ridesUntil ?? 0 })
  for (const lane of memory.ready) lane.unsuitable.delete(node.node)
  match(context)
}

export const leave = ({ memory, store }: PoolContext, node: NodeId, session: SessionId): void => {
  if (memory.nodes.get(node)?.session === session) removeNode(memory, store, node)
}

/** Gives free slots to ready lanes in fair order. What was given is taken off the node's slots at once; its link's next report corrects it. */
export const match = (context: PoolContext): void => {
  const { memory } = context
  const now = context.now()
  for (const { node, lane, count } of choose(memory, now)) {
    lane.asked?.add(node.node)
    const ride = mayRide(memory, node, lane, now)
    node.ridesUntil = ride ? now + RIDE_MS : 0
    const { seq, queue, tenant } = lane
    context.emit({
      kind: 'dispatch',
      node: node.node,
      session: node.session,
      tenant: tenant.id,
      queue,
      seq,
      count,
      ride,
      strict: isReserved(memory, node),
    })
  }
  endRides(context, now)
}

/** A node whose offers ride is not asked about: where another lane that it serves waits, or has a reserve, it must be told. */
const endRides = ({ memory, emit }: PoolContext, now: number): void => {
  const [first] = memory.ready
  if (first === undefined || (memory.ready.size === 1 && memory.reserved.size === 0)) return
  for (const node of memory.nodes.values()) {
    if (node.ridesUntil <= now) continue
    let alone: Lane | undefined
    for (const lane of memory.ready)
      if (serves(node, lane, now)) {
        alone = lane
        break
      }
    if (alone === undefined || mayRide(memory, node, alone, now)) continue
    node.ridesUntil = 0
    emit({ kind: 'unride', node: node.node, session: node.session, strict: false })
  }
}

/**
 * The link did not answer. Whether the dispatch has worked is not known, so its slots are given back: a number that is too
 * high is corrected by the link's next report, one that is too low by nobody until the link joins again. The pair pauses,
 * so that a link that is gone is not asked in circles.
 */
export const unreachable = (context: PoolContext, { node: name, session, tenant, queue, count }: Dispatch): void => {
  const { memory } = context
  const node = memory.nodes.get(name)
  if (node?.session === session) {
    node.free += count
    node.idle += count
  }
  const lane = findLane(memory, tenant, queue)
  if (lane) {
    charge(lane.tenant, lane, -count)
    pause(context, lane, name)
  }
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
      // A reserve holds for a lane without waiting jobs as well. (A new life asks it once, in vain.)
      if (lane.ready || lane.settings.reserve > 0) continue
      if (lane.since + FORGET_MS <= now) forgetLane(memory, store, lane)
      else wakeAt(memory, lane.since + FORGET_MS)
    }
  match(context)
}

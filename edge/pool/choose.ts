import type { Lane, PoolMemory, PoolNode, Tenant } from './memory.ts'
import { listens, type Room, roomBeside } from './reserve.ts'
import { laneBefore, levelAll, serve, tenantBefore } from './shares.ts'

export interface Given {
  node: PoolNode
  lane: Lane
  count: number
}

export const serves = (node: PoolNode, lane: Lane, now: number): boolean =>
  listens(node, lane) && (lane.unsuitable.get(node.node) ?? 0) <= now

const give = (memory: PoolMemory, node: PoolNode, lane: Lane, count: number): Given => {
  node.free -= count
  node.idle -= count
  serve(memory, lane, count)
  return { node, lane, count }
}

const firstOf = <T>(all: Iterable<T>, before: (a: T, b: T) => boolean): T | undefined => {
  let first: T | undefined
  for (const one of all) if (first === undefined || before(one, first)) first = one
  return first
}

const emptiest = (nodes: readonly PoolNode[], lane: Lane, now: number, room: Room): PoolNode | undefined => {
  let best: PoolNode | undefined
  for (const node of nodes) if (node.free > (best?.free ?? 0) && serves(node, lane, now) && room.of(node, lane) > 0) best = node
  return best
}

/**
 * The fair choice: one slot at a time goes to the tenant whose turn it is (shares.ts) and of whom some free node serves a
 * lane; among its lanes to the one with the highest priority, then to the one whose turn it is; among nodes to the emptiest.
 * With one lane only, it gets every slot at once. Takes the slots off the nodes and charges them.
 */
export const choose = (memory: PoolMemory, now: number): Given[] => {
  const nodes = [...memory.nodes.values()].filter((node) => node.free > 0)
  const [only] = nodes
  if (!only || memory.ready.size === 0) return []
  if (nodes.length === 1 && memory.ready.size === 1 && memory.reserved.size === 0) {
    const [lane] = memory.ready
    return lane && serves(only, lane, now) ? [give(memory, only, lane, only.free)] : []
  }
  // Lanes may be thousands (clients name queues), slots are few: what nobody can serve goes first, and the rest is not sorted.
  const open = new Map<Tenant, Set<Lane>>()
  for (const lane of memory.ready) {
    if (!nodes.some((node) => serves(node, lane, now))) continue
    const lanes = open.get(lane.tenant)
    if (lanes) lanes.add(lane)
    else open.set(lane.tenant, new Set([lane]))
  }
  levelAll(memory, open)
  const room = roomBeside(memory)
  const given = new Map<string, Given>()
  for (;;) {
    const tenant = firstOf(open.keys(), tenantBefore)
    const lanes = tenant && open.get(tenant)
    const lane = lanes && firstOf(lanes, laneBefore)
    if (!lane) break
    const node = emptiest(nodes, lane, now, room)
    if (!node) {
      lanes.delete(lane)
      if (lanes.size === 0) open.delete(tenant)
      continue
    }
    const part = give(memory, node, lane, open.size === 1 && lanes.size === 1 ? room.of(node, lane) : 1)
    room.gave(node)
    const key = `${node.node} ${tenant.id} ${lane.queue}`
    const known = given.get(key)
    if (known) known.count += part.count
    else given.set(key, part)
  }
  return [...given.values()]
}

/**
 * Offers may ride on a completion's answer only while the node serves one waiting lane alone, and none beside it that has a
 * reserve: else each slot is chosen anew, or fairness is lost. A lane with nothing for this node does not count.
 */
export const mayRide = (memory: PoolMemory, node: PoolNode, lane: Lane, now: number): boolean => {
  for (const other of memory.ready) if (other !== lane && serves(node, other, now)) return false
  for (const other of memory.reserved) if (other !== lane && listens(node, other)) return false
  return true
}

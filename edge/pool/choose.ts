import type { Lane, PoolMemory, PoolNode, Tenant } from './memory.ts'

export interface Given {
  node: PoolNode
  lane: Lane
  count: number
}

const serves = (node: PoolNode, lane: Lane, now: number): boolean =>
  (node.tenants.includes('*') || node.tenants.includes(lane.tenant.id)) &&
  (node.queues === null || node.queues.includes(lane.queue)) &&
  (lane.unsuitable.get(node.node) ?? 0) <= now

/** The least virtual time first; of equals, the one that was served longest ago. */
const tenantBefore = (a: Tenant, b: Tenant): boolean => (a.used - b.used || a.served - b.served) < 0
const laneBefore = (a: Lane, b: Lane): boolean => (a.since - b.since || (a.queue < b.queue ? -1 : 1)) < 0

const charge = (memory: PoolMemory, tenant: Tenant, count: number): void => {
  tenant.used += count
  memory.turn += 1
  tenant.served = memory.turn
}

const give = (memory: PoolMemory, node: PoolNode, lane: Lane, count: number): Given => {
  node.free -= count
  charge(memory, lane.tenant, count)
  return { node, lane, count }
}

/**
 * The fair choice: one slot at a time goes to the tenant with the least virtual time whose lane some free node serves
 * (start-time fair queueing); among a tenant's lanes the one that has waited longest; among nodes the emptiest. With one
 * lane only, it gets every slot at once. Takes the slots off the nodes and charges the tenants.
 */
export const choose = (memory: PoolMemory, now: number): Given[] => {
  const nodes = [...memory.nodes.values()].filter((node) => node.free > 0)
  const [only] = nodes
  if (!only || memory.ready.size === 0) return []
  if (nodes.length === 1 && memory.ready.size === 1) {
    const [lane] = memory.ready
    return lane && serves(only, lane, now) ? [give(memory, only, lane, only.free)] : []
  }
  // Lanes may be thousands (clients name queues), slots are few: what nobody can serve goes first, and the rest is not sorted.
  const open = new Set<Lane>()
  for (const lane of memory.ready) if (nodes.some((node) => serves(node, lane, now))) open.add(lane)
  const given = new Map<string, Given>()
  while (open.size > 0) {
    let lane: Lane | undefined
    for (const one of open)
      if (lane === undefined || (one.tenant === lane.tenant ? laneBefore(one, lane) : tenantBefore(one.tenant, lane.tenant))) lane = one
    if (lane === undefined) break
    const chosen = lane
    let node: PoolNode | undefined
    for (const one of nodes) if (one.free > 0 && one.free > (node?.free ?? 0) && serves(one, chosen, now)) node = one
    if (!node) {
      open.delete(chosen)
      continue
    }
    const part = give(memory, node, chosen, open.size === 1 ? node.free : 1)
    const key = `${node.node} ${chosen.tenant.id} ${chosen.queue}`
    const known = given.get(key)
    if (known) known.count += part.count
    else given.set(key, part)
  }
  return [...given.values()]
}

/**
 * Called when a lane begins to wait. A tenant that was away does not come back with a claim on the past: it starts at the least share of those that wait.
 * Where nobody waits it starts at the greatest, for what a tenant was given while it was alone took nothing from others.
 */
export const catchUp = (memory: PoolMemory, tenant: Tenant): void => {
  let least: number | null = null
  for (const { tenant: other } of memory.ready) {
    // It has been waiting already, and keeps its claim.
    if (other === tenant) return
    if (least === null || other.used < least) least = other.used
  }
  if (least === null) {
    least = 0
    for (const other of memory.tenants.values()) least = Math.max(least, other.used)
  }
  tenant.used = Math.max(tenant.used, least)
}

/** Takes back what a tenant was charged for slots that brought it nothing. */
export const giveBack = (tenant: Tenant | undefined, count: number): void => {
  if (tenant) tenant.used = Math.max(0, tenant.used - count)
}

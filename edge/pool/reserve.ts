import type { Lane, PoolMemory, PoolNode } from './memory.ts'

/** Whether the node would ever be asked for jobs of the lane. */
export const listens = (node: PoolNode, lane: Lane): boolean =>
  (node.queues === null || node.queues.includes(lane.queue)) && (node.tenants.includes('*') || node.tenants.includes(lane.tenant.id))

/** Whether slots of this node are kept for some lane. */
export const isReserved = (memory: PoolMemory, node: PoolNode): boolean => {
  for (const lane of memory.reserved) if (listens(node, lane)) return true
  return false
}

/** How many slots a node may still give to a lane, while the slots that are being given are taken off it one by one. */
export type Room = (node: PoolNode, lane: Lane) => number

/**
 * Slots that are kept free: a lane with a reserve can always have as many jobs on nodes as that, for the others leave idle
 * what it does not hold of it yet.
 *
 * Towards other tenants a tenant's reserves count up to its fair share of the slots that serve them: none can keep a pool for
 * itself that way. Towards its own lanes they count in full.
 *
 * With several reserves the slots of each and those of all of them together must suffice. (Three lanes and more whose nodes
 * overlap in part may get one slot less than they could; nobody is promised more by that.)
 */
export const roomBeside = (memory: PoolMemory): Room => {
  if (memory.reserved.size === 0) return (node) => node.free
  const nodes = [...memory.nodes.values()]
  const idleOf = (lanes: readonly Lane[]): number =>
    nodes.reduce((sum, node) => sum + (lanes.some((lane) => listens(node, lane)) ? Math.max(0, node.idle) : 0), 0)
  const towardsOthers = sharesOfReserves(memory, nodes)
  return (node, lane) => {
    const needs: { lane: Lane; need: number }[] = []
    for (const other of memory.reserved) {
      if (other === lane || !listens(node, other)) continue
      const reserve = other.tenant === lane.tenant ? other.settings.reserve : (towardsOthers.get(other) ?? 0)
      if (reserve > other.held) needs.push({ lane: other, need: reserve - other.held })
    }
    let room = node.free
    for (const one of needs) room = Math.min(room, idleOf([one.lane]) - one.need)
    if (needs.length > 1) room = Math.min(room, idleOf(needs.map((one) => one.lane)) - needs.reduce((sum, { need }) => sum + need, 0))
    return room
  }
}

const sharesOfReserves = (memory: PoolMemory, nodes: readonly PoolNode[]): Map<Lane, number> => {
  const tenants = new Set(memory.waiting)
  for (const { tenant } of memory.reserved) tenants.add(tenant)
  let weights = 0
  for (const { weight } of tenants) weights += weight
  const shares = new Map<Lane, number>()
  const spent = new Map<string, number>()
  for (const lane of memory.reserved) {
    const { tenant } = lane
    const slots = nodes.reduce((sum, node) => sum + (listens(node, lane) ? node.slots : 0), 0)
    const left = Math.floor((slots * tenant.weight) / weights) - (spent.get(tenant.id) ?? 0)
    const share = Math.max(0, Math.min(lane.settings.reserve, left))
    spent.set(tenant.id, (spent.get(tenant.id) ?? 0) + share)
    shares.set(lane, share)
  }
  return shares
}

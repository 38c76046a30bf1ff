import type { Lane, PoolMemory, PoolNode, Tenant } from './memory.ts'

/** Whether the node would ever be asked for jobs of the lane. */
export const listens = (node: PoolNode, lane: Lane): boolean =>
  (node.queues === null || node.queues.includes(lane.queue)) && (node.tenants.includes('*') || node.tenants.includes(lane.tenant.id))

/** Whether slots of this node are kept for some lane. */
export const isReserved = (memory: PoolMemory, node: PoolNode): boolean => {
  for (const lane of memory.reserved) if (listens(node, lane)) return true
  return false
}

/** How many slots nodes may still give to lanes, while the slots that are being given are taken off them one by one. */
export interface Room {
  of: (node: PoolNode, lane: Lane) => number
  /** Slots were taken off this node. */
  gave: (node: PoolNode) => void
}

/** Nodes that listen to the same lanes. There are few kinds, however many nodes. */
interface Kind {
  nodes: PoolNode[]
  slots: number
  idle: number
}

/** Reserved lanes to which the same kinds of nodes listen: their needs are one need. */
interface Class {
  kinds: ReadonlySet<Kind>
  /** Towards other tenants: of all, and of each tenant. */
  shared: number
  sharedOf: Map<Tenant, number>
  /** Towards the tenant's own lanes. */
  ownOf: Map<Tenant, number>
}

const idleOf = (nodes: readonly PoolNode[]): number => nodes.reduce((sum, { idle }) => sum + Math.max(0, idle), 0)

const add = <Key>(sums: Map<Key, number>, key: Key, count: number): void => void sums.set(key, (sums.get(key) ?? 0) + count)

const kindsOf = (nodes: Iterable<PoolNode>): { kinds: Kind[]; kindOf: Map<PoolNode, Kind> } => {
  const known = new Map<string, Kind>()
  const kindOf = new Map<PoolNode, Kind>()
  for (const node of nodes) {
    const key = JSON.stringify([node.queues, node.tenants])
    const kind = known.get(key) ?? { nodes: [], slots: 0, idle: 0 }
    known.set(key, kind)
    kind.nodes.push(node)
    kind.slots += node.slots
    kind.idle += Math.max(0, node.idle)
    kindOf.set(node, kind)
  }
  return { kinds: [...known.values()], kindOf }
}

/**
 * Slots that are kept free: a lane with a reserve can always have as many jobs on nodes as that, for the others leave idle
 * what it does not hold of it yet.
 *
 * Towards other tenants a tenant's reserves count up to its fair share of the slots that serve them: none can keep a pool for
 * itself that way. Towards its own lanes they count in full.
 *
 * With several reserves the slots of those that the same nodes serve and those of all of them together must suffice. (Three
 * and more whose nodes overlap in part may get one slot less than they could; nobody is promised more by that.)
 *
 * Lanes with a reserve may be thousands (clients name queues), and every report asks: what is asked for each slot and node
 * takes as long as there are classes of such lanes.
 */
export const roomBeside = (memory: PoolMemory): Room => {
  if (memory.reserved.size === 0) return { of: (node) => node.free, gave: () => undefined }
  const { kinds, kindOf } = kindsOf(memory.nodes.values())
  const shares = sharesOfReserves(memory, kinds)
  const classes = new Map<string, Class>()
  const needs = new Map<Lane, { of: Class; own: number; shared: number }>()
  for (const lane of memory.reserved) {
    const listening = kinds.flatMap(({ nodes: [node] }, index) => (node && listens(node, lane) ? [index] : []))
    const own = Math.max(0, lane.settings.reserve - lane.held)
    const shared = Math.max(0, (shares.get(lane) ?? 0) - lane.held)
    if (listening.length === 0 || own === 0) continue
    const key = listening.join()
    const known = classes.get(key) ?? {
      kinds: new Set(kinds.filter((_, index) => listening.includes(index))),
      shared: 0,
      sharedOf: new Map<Tenant, number>(),
      ownOf: new Map<Tenant, number>(),
    }
    classes.set(key, known)
    known.shared += shared
    add(known.sharedOf, lane.tenant, shared)
    add(known.ownOf, lane.tenant, own)
    needs.set(lane, { of: known, own, shared })
  }
  /** What a class asks of this lane: of the tenant's other lanes in full, of other tenants' their share. */
  const needOf = (one: Class, lane: Lane): number => {
    const itself = needs.get(lane)
    const own = (one.ownOf.get(lane.tenant) ?? 0) - (itself?.of === one ? itself.own : 0)
    return own + one.shared - (one.sharedOf.get(lane.tenant) ?? 0)
  }
  return {
    of: (node, lane) => {
      const kind = kindOf.get(node)
      let room = node.free
      let all = 0
      const together = new Set<Kind>()
      for (const one of classes.values()) {
        const need = kind && one.kinds.has(kind) ? needOf(one, lane) : 0
        if (need <= 0) continue
        let idle = 0
        for (const each of one.kinds) {
          idle += each.idle
          together.add(each)
        }
        room = Math.min(room, idle - need)
        all += need
      }
      let idle = 0
      for (const each of together) idle += each.idle
      return together.size > 0 ? Math.min(room, idle - all) : room
    },
    gave: (node) => {
      const kind = kindOf.get(node)
      if (kind) kind.idle = idleOf(kind.nodes)
    },
  }
}

const sharesOfReserves = (memory: PoolMemory, kinds: readonly Kind[]): Map<Lane, number> => {
  const tenants = new Set(memory.waiting)
  for (const { tenant } of memory.reserved) tenants.add(tenant)
  let weights = 0
  for (const { weight } of tenants) weights += weight
  const shares = new Map<Lane, number>()
  const spent = new Map<Tenant, number>()
  for (const lane of memory.reserved) {
    const { tenant } = lane
    const slots = kinds.reduce((sum, { nodes: [node], slots: theirs }) => sum + (node && listens(node, lane) ? theirs : 0), 0)
    const left = Math.floor((slots * tenant.weight) / weights) - (spent.get(tenant) ?? 0)
    const share = Math.max(0, Math.min(lane.settings.reserve, left))
    add(spent, tenant, share)
    shares.set(lane, share)
  }
  return shares
}

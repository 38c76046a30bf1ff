import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'

export interface LaneState {
  tenant: TenantId
  queue: QueueName
  /** The ledger's announcement that made it ready. */
  seq: number
  /** Since when it waits, ms. */
  since: number
  /** The tenant's virtual time: slots given so far, divided by its weight. */
  used: number
  weight: number
}

export interface NodeState {
  node: NodeId
  session: SessionId
  free: number
  /** Null: every queue. */
  queues: QueueName[] | null
  /** `*` or names. */
  tenants: string[]
}

export interface Given {
  node: NodeId
  session: SessionId
  tenant: TenantId
  queue: QueueName
  seq: number
  count: number
}

const serves = (node: NodeState, lane: LaneState): boolean =>
  (node.tenants.includes('*') || node.tenants.includes(lane.tenant)) && (node.queues === null || node.queues.includes(lane.queue))

/**
 * The fair choice, pure: one slot at a time goes to the tenant with the least virtual time whose lane some free node
 * serves (start-time fair queueing); among a tenant's lanes the one that has waited longest; among nodes the emptiest.
 * With one lane only, it gets every slot at once.
 */
export const choose = (
  lanes: LaneState[],
  nodes: NodeState[],
  fits: (lane: LaneState, node: NodeState) => boolean,
): { given: Given[]; used: Map<TenantId, number> } => {
  const free = new Map(nodes.map((node) => [node.node, node.free]))
  const used = new Map<TenantId, number>()
  for (const lane of lanes) used.set(lane.tenant, Math.max(lane.used, used.get(lane.tenant) ?? 0))
  const given = new Map<string, Given>()
  const before = (a: LaneState, b: LaneState): boolean =>
    ((used.get(a.tenant) ?? 0) - (used.get(b.tenant) ?? 0) || a.since - b.since || (a.queue < b.queue ? -1 : 1)) < 0
  // Lanes may be thousands (clients name queues), slots are few: what nobody can serve goes first, and the rest is not sorted.
  const open = new Set(lanes.filter((lane) => nodes.some((node) => node.free > 0 && serves(node, lane) && fits(lane, node))))
  let left = nodes.reduce((sum, node) => sum + Math.max(0, node.free), 0)
  while (left > 0) {
    let lane: LaneState | undefined
    for (const one of open) if (lane === undefined || before(one, lane)) lane = one
    if (lane === undefined) break
    const chosen = lane
    const node = nodes
      .filter((candidate) => (free.get(candidate.node) ?? 0) > 0 && serves(candidate, chosen) && fits(chosen, candidate))
      .sort((a, b) => (free.get(b.node) ?? 0) - (free.get(a.node) ?? 0))[0]
    if (!node) {
      open.delete(lane)
      continue
    }
    const count = open.size === 1 ? (free.get(node.node) ?? 0) : 1
    free.set(node.node, (free.get(node.node) ?? 0) - count)
    left -= count
    used.set(lane.tenant, (used.get(lane.tenant) ?? 0) + count / lane.weight)
    const key = `${node.node} ${lane.tenant} ${lane.queue}`
    const known = given.get(key)
    if (known) known.count += count
    else given.set(key, { node: node.node, session: node.session, tenant: lane.tenant, queue: lane.queue, seq: lane.seq, count })
  }
  return { given: [...given.values()], used }
}

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
  let open = [...lanes]
  while (open.length > 0) {
    open.sort((a, b) => (used.get(a.tenant) ?? 0) - (used.get(b.tenant) ?? 0) || a.since - b.since || (a.queue < b.queue ? -1 : 1))
    const [lane] = open
    if (!lane) break
    const node = nodes
      .filter((candidate) => (free.get(candidate.node) ?? 0) > 0 && serves(candidate, lane) && fits(lane, candidate))
      .sort((a, b) => (free.get(b.node) ?? 0) - (free.get(a.node) ?? 0))[0]
    if (!node) {
      open = open.filter((other) => other !== lane)
      continue
    }
    const count = open.length === 1 ? (free.get(node.node) ?? 0) : 1
    free.set(node.node, (free.get(node.node) ?? 0) - count)
    used.set(lane.tenant, (used.get(lane.tenant) ?? 0) + count / lane.weight)
    const key = `${node.node} ${lane.tenant} ${lane.queue}`
    const known = given.get(key)
    if (known) known.count += count
    else given.set(key, { node: node.node, session: node.session, tenant: lane.tenant, queue: lane.queue, seq: lane.seq, count })
  }
  return { given: [...given.values()], used }
}

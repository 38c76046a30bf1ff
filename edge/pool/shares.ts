import type { Lane, PoolMemory, Tenant } from './memory.ts'

/**
 * Weighted fair shares by virtual time (start-time fair queueing), twice: between tenants, and between a tenant's lanes of
 * one priority. Whoever has the least gets the next slot; of equals, whoever was served longest ago, so that who comes to a
 * full pool gets the next slot that frees.
 */
interface Sharer {
  used: number
  served: number
}

const sharesBefore = (a: Sharer, b: Sharer): boolean => (a.used - b.used || a.served - b.served) < 0

export const tenantBefore = (a: Tenant, b: Tenant): boolean => sharesBefore(a, b)

/** Among lanes of one tenant: the higher priority first, whatever the other has waited. */
export const laneBefore = (a: Lane, b: Lane): boolean =>
  a.settings.priority === b.settings.priority ? sharesBefore(a, b) : a.settings.priority > b.settings.priority

/** Charges `count` slots; below zero what was charged too much is given back. */
export const charge = (tenant: Tenant, lane: Lane | undefined, count: number): void => {
  tenant.used = Math.max(0, tenant.used + count / tenant.weight)
  if (lane) lane.used = Math.max(0, lane.used + count / lane.settings.weight)
}

/** Notes that slots were given now. */
export const serve = (memory: PoolMemory, lane: Lane, count: number): void => {
  memory.turn += 1
  lane.served = memory.turn
  lane.tenant.served = memory.turn
  charge(lane.tenant, lane, count)
}

/**
 * Called before a lane is added to those that wait. Whoever was away does not come back with a claim on the past: it starts
 * at the least share of those that wait. Where nobody waits it starts at the greatest, for what another was given while it
 * was alone took nothing from anybody. A tenant that has been waiting already is among those, and keeps its claim.
 */
export const catchUp = (memory: PoolMemory, lane: Lane): void => {
  const { tenant } = lane
  tenant.used = Math.max(tenant.used, least(memory.waiting) ?? greatest(memory.tenants.values()))
  const { priority } = lane.settings
  lane.used = Math.max(lane.used, least(tenant.ready, (other) => other.settings.priority === priority) ?? greatest(tenant.lanes.values()))
}

const least = <T extends Sharer>(all: Iterable<T>, counts: (one: T) => boolean = () => true): number | null => {
  let used: number | null = null
  for (const one of all) if ((used === null || one.used < used) && counts(one)) used = one.used
  return used
}

const greatest = (all: Iterable<Sharer>): number => {
  let used = 0
  for (const one of all) used = Math.max(used, one.used)
  return used
}

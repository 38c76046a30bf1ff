import type { Lane, PoolMemory, Tenant } from './memory.ts'

/**
 * Weighted fair shares by virtual time (start-time fair queueing), twice: between tenants, and between a tenant's lanes of
 * one priority. Whoever has the least gets the next slot; of equals, whoever was served longest ago, so that who comes to a
 * full pool gets the next slot that frees.
 */
interface Sharer {
  used: number
  served: number
  isFresh: boolean
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
 * Whoever has not competed for slots before has no claim on the past: it starts at the least share of those that have. Where
 * nobody has, all start level, for what one was given while it was alone took nothing from the others.
 *
 * Not competing is more than not waiting: a lane that no node listens to would else have less than all others for ever, and
 * whoever came later would start there, and be given slots until it had caught up with those that did compete.
 */
const level = (open: Iterable<Sharer>): void => {
  let least: number | null = null
  let greatest: number | null = null
  for (const { used, isFresh } of open)
    if (isFresh) greatest = Math.max(greatest ?? 0, used)
    else least = Math.min(least ?? used, used)
  if (greatest === null) return
  for (const one of open)
    if (one.isFresh) {
      one.used = Math.max(one.used, least ?? greatest)
      one.isFresh = false
    }
}

/** Before slots are given to the lanes that are open to them, by tenant; the others that wait do not compete this time. */
export const levelAll = (memory: PoolMemory, open: ReadonlyMap<Tenant, ReadonlySet<Lane>>): void => {
  for (const tenant of memory.waiting) {
    const lanes = open.get(tenant)
    if (!lanes) tenant.isFresh = true
    for (const lane of tenant.ready) if (!lanes?.has(lane)) lane.isFresh = true
  }
  level([...open.keys()])
  for (const lanes of open.values())
    for (const { isFresh, settings } of lanes)
      if (isFresh) level([...lanes].filter((other) => other.settings.priority === settings.priority))
}

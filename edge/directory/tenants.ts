import { Family, TenantId } from '../contract/ids.ts'
import { first, type Store } from '../storage/store.ts'

export interface TenantQuestion {
  issuer: string
  /** Value of the issuer's tenant claim. */
  claim: string
  /** Whether this issuer may name any tenant. */
  any: boolean
}

/**
 * The tenant that an issuer's claim stands for, or null. Where the issuer may name any tenant, a valid name becomes one at
 * its first use, and belongs to that issuer from then on: another issuer reaches it only by an entry in the table.
 */
export const tenantOf = (store: Store, now: number, { issuer, claim, any }: TenantQuestion): TenantId | null =>
  store.transaction(() => {
    const known = first<{ tenant: string; origin: string }>(
      store,
      'SELECT tenant, origin FROM issuer_claims WHERE issuer = ? AND claim = ?',
      issuer,
      claim,
    )
    // An issuer that lost the right to name tenants keeps only what somebody mapped.
    if (known) return any || known.origin === 'table' ? TenantId.parse(known.tenant) : null
    if (!any) return null
    const tenant = TenantId.safeParse(claim)
    if (!tenant.success) return null
    if (first(store, 'SELECT 1 FROM issuer_claims WHERE tenant = ? AND issuer <> ? LIMIT 1', tenant.data, issuer)) return null
    enter(store, now, issuer, claim, tenant.data, 'any')
    return tenant.data
  })

/** Maps a claim to a tenant, or moves it to another. */
export const mapTenant = (store: Store, now: number, entry: { issuer: string; claim: string; tenant: TenantId }): void =>
  store.transaction(() => enter(store, now, entry.issuer, entry.claim, entry.tenant, 'table'))

const enter = (store: Store, now: number, issuer: string, claim: string, tenant: TenantId, origin: 'any' | 'table'): void => {
  rememberTenant(store, now, tenant)
  store.run(
    `INSERT INTO issuer_claims (issuer, claim, tenant, origin, created_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (issuer, claim) DO UPDATE SET tenant = excluded.tenant, origin = excluded.origin`,
    issuer,
    claim,
    tenant,
    origin,
    now,
  )
}

export const rememberTenant = (store: Store, now: number, tenant: TenantId): void => {
  store.run('INSERT OR IGNORE INTO tenants (tenant, created_at) VALUES (?, ?)', tenant, now)
}

/** What exists and must be found again by a sweep: names of tenants, of ledgers (tenants), of tables (`tenant/family`). */
export interface Memory {
  tenant?: string
  ledger?: string
  table?: string | { tenant: string; family: string }
}

/** Idempotent. Throws on a name that is none. */
export const remember = (store: Store, now: number, memory: Memory): void =>
  store.transaction(() => {
    if (memory.tenant !== undefined) rememberTenant(store, now, TenantId.parse(memory.tenant))
    if (memory.ledger !== undefined) {
      const tenant = TenantId.parse(memory.ledger)
      rememberTenant(store, now, tenant)
      store.run('UPDATE tenants SET ledger = 1 WHERE tenant = ? AND ledger = 0', tenant)
    }
    if (memory.table !== undefined) {
      const { tenant, family } = typeof memory.table === 'string' ? split(memory.table) : memory.table
      const owner = TenantId.parse(tenant)
      rememberTenant(store, now, owner)
      store.run('INSERT OR IGNORE INTO families (tenant, family) VALUES (?, ?)', owner, Family.parse(family))
    }
  })

const split = (name: string): { tenant: string; family: string } => {
  const slash = name.indexOf('/')
  return { tenant: name.slice(0, Math.max(slash, 0)), family: name.slice(slash + 1) }
}

/** Every object that a sweep may have to poke. */
export interface Lists {
  tenants: string[]
  ledgers: string[]
  tables: { tenant: string; family: string }[]
  pools: string[]
  /** Links, one a node. */
  nodes: string[]
}

export const lists = (store: Store): Lists => {
  const tenants = store.all<{ tenant: string; ledger: number }>('SELECT tenant, ledger FROM tenants ORDER BY tenant')
  return {
    tenants: tenants.map(({ tenant }) => tenant),
    ledgers: tenants.filter(({ ledger }) => ledger === 1).map(({ tenant }) => tenant),
    tables: store.all<{ tenant: string; family: string }>('SELECT tenant, family FROM families ORDER BY tenant, family'),
    pools: store.all<{ pool: string }>('SELECT DISTINCT pool FROM nodes ORDER BY pool').map(({ pool }) => pool),
    nodes: store.all<{ node: string }>('SELECT node FROM nodes ORDER BY node').map(({ node }) => node),
  }
}

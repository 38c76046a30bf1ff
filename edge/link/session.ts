import type { NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { GRACE_SECONDS } from '../contract/node.ts'
import type { Holder } from '../ledger/leases.ts'
import { first, type SqlValue } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LinkContext } from './ports.ts'

/** What the node's token says: the bounds of everything this link does for it. */
export interface NodeBounds {
  name: NodeId
  pool: PoolName
  tenants: string[]
  tasks: string[]
}

export interface SessionRow {
  session: SessionId
  node: NodeId
  pool: PoolName
  tenants: string
  queues: string | null
  connected: number
  ride: number
}

/** A renewal a minute for each ledger that holds something of this session. */
export const RENEW_MS = 60_000

export const currentSession = (context: LinkContext): SessionRow | undefined => {
  const { cache } = context
  if (cache.session === undefined) cache.session = first<SessionRow>(context.store, 'SELECT * FROM session') ?? null
  return cache.session ?? undefined
}

/** The only way to write the session's row. */
export const changeSession = (context: LinkContext, query: string, ...values: SqlValue[]): void => {
  context.cache.session = undefined
  context.store.run(query, ...values)
}

export const holderOf = (row: SessionRow): Holder => ({ node: row.node, session: row.session })

export const queuesOf = (row: SessionRow): QueueName[] | null => (row.queues === null ? null : (JSON.parse(row.queues) as QueueName[]))

export const servesTenant = (row: SessionRow, tenant: string): boolean => {
  const tenants = JSON.parse(row.tenants) as string[]
  return tenants.includes('*') || tenants.includes(tenant)
}

export const rememberLedger = (context: LinkContext, tenant: TenantId): void => {
  if (context.cache.ledgers.has(tenant)) return
  context.store.run('INSERT OR IGNORE INTO ledgers (tenant) VALUES (?)', tenant)
  context.cache.ledgers.add(tenant)
}

const forgetLedger = (context: LinkContext, tenant: TenantId): void => {
  context.cache.ledgers.delete(tenant)
  context.store.run('DELETE FROM ledgers WHERE tenant = ?', tenant)
}

export const knownLedgers = (context: LinkContext): TenantId[] =>
  context.store.all<{ tenant: TenantId }>('SELECT tenant FROM ledgers').map(({ tenant }) => tenant)

/** So late no alarm rings while its object is there. */
const AWAY_MS = 3_000

/** A grace that ends late was none: this link was away itself (a fail-over), and the node could not come back to it. */
export const wasAway = (due: number, now: number): boolean => now - due > AWAY_MS

/** The socket is gone: the same session may come back within the grace; until then nothing is taken from it. */
export const socketLost = async (context: LinkContext): Promise<void> => {
  const row = currentSession(context)
  if (!row) return
  context.store.transaction(() => {
    changeSession(context, 'UPDATE session SET connected = 0')
    if (!first(context.store, `SELECT due FROM timers WHERE kind = 'grace'`))
      setTimer(context.store, 'grace', row.session, context.now() + GRACE_SECONDS * 1000)
  })
  await context.pool(row.pool).leave(row.node, row.session)
}

/**
 * The session is over for good: every ledger that it touched gives its work to others. Repeated until all have heard.
 * `returned` answers true when the node has come back in the same session meanwhile: then it is not over after all, and
 * nothing that its hello has written may be taken away. What a ledger has ended by then, it says in its answer to hello.
 */
export const endSession = async (
  context: LinkContext,
  row: SessionRow,
  reason: string,
  returned: () => boolean = () => false,
): Promise<void> => {
  for (const tenant of knownLedgers(context)) {
    await context.ledger(tenant).endSession(row.session, reason)
    if (returned()) return
    forgetLedger(context, tenant)
  }
  await context.directory.gone(row.node, row.session)
  if (returned()) return
  await context.pool(row.pool).leave(row.node, row.session)
  if (returned()) return
  context.store.transaction(() => {
    changeSession(context, 'DELETE FROM session WHERE session = ?', row.session)
    clearTimer(context.store, 'grace', row.session)
    clearTimer(context.store, 'renew', row.session)
  })
}

/** Tells the ledgers that the session lives; forgets those in which it holds nothing. One that does not answer keeps no other waiting. */
export const renew = async (context: LinkContext, row: SessionRow): Promise<void> => {
  const one = async (tenant: TenantId): Promise<void> => {
    if (!(await context.ledger(tenant).renew(holderOf(row)))) forgetLedger(context, tenant)
  }
  for (const outcome of await Promise.allSettled(knownLedgers(context).map(one)))
    if (outcome.status === 'rejected') console.warn(`a ledger did not take the renewal of ${row.node}: ${String(outcome.reason)}`)
}

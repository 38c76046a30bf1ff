import type { z } from 'zod'
import type { TenantId } from '../contract/ids.ts'
import {
  type Announce,
  GRACE_SECONDS,
  type Hello,
  type Lease,
  NODE_PROTOCOL_VERSION,
  OFFER_SECONDS,
  PING_SECONDS,
} from '../contract/node.ts'
import { signatureOf } from '../ledger/binding.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LinkMemory } from './offers.ts'
import type { LinkContext } from './ports.ts'
import {
  changeSession,
  currentSession,
  endSession,
  holderOf,
  type NodeBounds,
  RENEW_MS,
  rememberLedger,
  type SessionRow,
  servesTenant,
} from './session.ts'

/** A node begins, or comes back: the first message on every socket. */
export const hello = async (
  context: LinkContext,
  memory: LinkMemory,
  bounds: NodeBounds,
  message: z.infer<typeof Hello>,
): Promise<void> => {
  if (message.version !== NODE_PROTOCOL_VERSION) {
    context.hangUp(
      'unsupported_version',
      `this edge speaks node protocol ${NODE_PROTOCOL_VERSION}, the node ${message.version}: upgrade the older one`,
      false,
    )
    return
  }
  // A hello that had to wait may find that the node has said another one meanwhile: the later one counts.
  memory.hellos++
  const turn = memory.hellos
  // Names this hello among all of the session: a copy of the word that arrives late takes nothing away.
  const word = `${context.now()}-${turn}`
  const before = currentSession(context)
  // A new session of the same node ends the old one at once: the old process is gone, or about to be fenced.
  if (before && before.session !== message.session) {
    // From here on nothing is offered to it: what it never hears of would wait until the offer lapses.
    context.store.transaction(() => {
      changeSession(context, 'UPDATE session SET connected = 0')
      setTimer(context.store, 'grace', before.session, context.now() + GRACE_SECONDS * 1000)
    })
    await endSession(context, before, 'The node was started anew.')
    if (memory.hellos !== turn) return
  }
  context.store.transaction(() => {
    changeSession(
      context,
      `INSERT INTO session (one, session, node, pool, tenants, queues, connected, ride) VALUES (1, ?, ?, ?, ?, ?, 1, 0)
       ON CONFLICT (one) DO UPDATE SET session = excluded.session, node = excluded.node, pool = excluded.pool,
         tenants = excluded.tenants, queues = excluded.queues, connected = 1`,
      message.session,
      bounds.name,
      bounds.pool,
      JSON.stringify(bounds.tenants),
      message.queues ? JSON.stringify(message.queues) : null,
    )
    clearTimer(context.store, 'grace', message.session)
    setTimer(context.store, 'renew', message.session, context.now() + RENEW_MS)
  })
  memory.words++
  memory.free = 0
  memory.idle = 0
  memory.slots = message.slots
  memory.told = null
  memory.joined = false
  const row = currentSession(context)
  if (!row) return
  const fenced: Lease[] = []
  const holding = new Map<TenantId, typeof message.holding>()
  for (const { tenant } of context.store.all<{ tenant: TenantId }>('SELECT tenant FROM ledgers')) holding.set(tenant, [])
  for (const lease of message.holding) {
    const { tenant, job, attempt } = lease
    if (servesTenant(row, tenant)) holding.set(tenant, [...(holding.get(tenant) ?? []), lease])
    else fenced.push({ tenant, job, attempt })
  }
  for (const [tenant, leases] of holding) {
    rememberLedger(context, tenant)
    fenced.push(...(await context.ledger(tenant).resume(holderOf(row), leases, word)))
    if (memory.hellos !== turn) return
  }
  context.send({
    type: 'welcome',
    version: NODE_PROTOCOL_VERSION,
    node: row.node,
    session: row.session,
    pool: row.pool,
    tenants: bounds.tenants,
    ping_seconds: PING_SECONDS,
    offer_seconds: OFFER_SECONDS,
    fenced,
  })
  const { slots, queues, engines, labels } = message
  await context.directory.seen({
    node: row.node,
    session: row.session,
    pool: row.pool,
    tenants: bounds.tenants,
    slots,
    queues,
    engines,
    labels,
  })
}

const sinceOf = (memory: LinkMemory, { name, hash }: { name: string; hash: string }, now: number): number => {
  const before = memory.since.get(name)
  return before?.hash === hash ? before.since : now
}

export const announce = async (
  context: LinkContext,
  memory: LinkMemory,
  bounds: NodeBounds,
  row: SessionRow,
  message: z.infer<typeof Announce>,
  part: { first: boolean },
): Promise<void> => {
  const outcome = await context.directory.announce({
    node: row.node,
    session: row.session,
    pool: row.pool,
    tenants: bounds.tenants,
    patterns: bounds.tasks,
    tasks: message.tasks,
    first: part.first,
    last: message.last,
  })
  const refused = new Set(outcome.refused.map(({ task }) => task))
  context.store.transaction(() => {
    if (part.first) {
      // A definition that stays the same is not younger for being announced again.
      for (const { name, hash, since } of context.store.all<{ name: string; hash: string; since: number | null }>(
        'SELECT name, hash, since FROM tasks',
      ))
        memory.since.set(name, { hash, since: since ?? 0 })
      context.store.run('DELETE FROM tasks')
    }
    for (const task of message.tasks)
      if (!refused.has(task.name))
        context.store.run(
          'INSERT OR REPLACE INTO tasks (name, hash, columns, partition_by, signature, since) VALUES (?, ?, ?, ?, ?, ?)',
          task.name,
          task.hash,
          task.columns ? JSON.stringify(task.columns) : null,
          task.partition_by ? JSON.stringify(task.partition_by) : null,
          signatureOf(task),
          sinceOf(memory, task, context.now()),
        )
  })
  part.first = message.last
  if (message.last) memory.since.clear()
  memory.tasks = null
  memory.rows.clear()
  memory.schemas.clear()
  context.send({ type: 'announced', re: message.re, accepted: outcome.accepted, refused: outcome.refused })
}

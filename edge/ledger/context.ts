import type { JobEvent } from '../contract/events.ts'
import type { Family, JobId, NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Lease } from '../contract/node.ts'
import type { Store } from '../storage/store.ts'

/** What the ledger wants done outside. All of it can be derived again from the database, so losing one is harmless. */
export type LedgerEffect =
  | { kind: 'ready'; pool: PoolName; queue: QueueName; seq: number }
  | { kind: 'cancel'; node: NodeId; session: SessionId; lease: Lease; reason: string }
  | { kind: 'events'; job: JobId; events: JobEvent[]; ended: boolean }
  | { kind: 'outbox'; family: Family }
  | { kind: 'purge'; job: JobId }

/** Everything a ledger needs from outside. Pure code takes it as its first argument. */
export interface LedgerContext {
  store: Store
  tenant: TenantId
  /** Milliseconds since 1970. */
  now(): number
  random(bytes: number): Uint8Array
  /** HMAC of the edge over a text, base64url. */
  sign(text: string): string
  newJobId(): JobId
  emit(effect: LedgerEffect): void
}

/** Runs `body` as one transaction; its effects are let out only when it has committed. */
export const commit = <T>(context: LedgerContext, body: (inner: LedgerContext) => T): T => {
  const effects: LedgerEffect[] = []
  const answer = context.store.transaction(() => body({ ...context, emit: (effect) => effects.push(effect) }))
  for (const effect of effects) context.emit(effect)
  return answer
}

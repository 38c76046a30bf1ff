import type { JobEvent } from '../contract/events.ts'
import type { GroupEvent } from '../contract/groups.ts'
import type { Family, GroupId, JobId, NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Lease } from '../contract/node.ts'
import type { LaneSettings } from '../contract/queues.ts'
import type { Store } from '../storage/store.ts'
import { clearTimer, setTimer, setTimerBy } from '../storage/timers.ts'

import type { LedgerMemory } from './memory.ts'
import type { EventNumbers } from './numbers.ts'

/** What the ledger wants done outside. All of it can be derived again from the database, so losing one is harmless. */
export type LedgerEffect =
  | { kind: 'ready'; pool: PoolName; queue: QueueName; seq: number; settings?: LaneSettings; held?: number }
  /** How many slots the jobs of a queue with a reserve take in a pool. */
  | { kind: 'held'; pool: PoolName; queue: QueueName; held: number; at: number }
  | { kind: 'cancel'; node: NodeId; session: SessionId; lease: Lease; reason: string }
  | { kind: 'events'; job: JobId; events: JobEvent[]; ended: boolean }
  | { kind: 'group_events'; group: GroupId; events: GroupEvent[]; ended: boolean }
  /** The first row of a step's result lies in object storage, and other steps take values of it. */
  | { kind: 'carry'; group: string; step: string }
  | { kind: 'outbox'; family: Family }
  | { kind: 'purge'; job: JobId }
  | { kind: 'housekeeping' }
  | { kind: 'recall'; writer: JobId }

/** Everything a ledger needs from outside. Pure code takes it as its first argument. */
export interface LedgerContext {
  store: Store
  memory: LedgerMemory
  tenant: TenantId
  /** Milliseconds since 1970. */
  now(): number
  random(bytes: number): Uint8Array
  newJobId(): JobId
  /** Numbers of the tenant's stream. */
  numbers: EventNumbers
  emit(effect: LedgerEffect): void
  /** The last thing in every transaction: what follows from the changes that `memory` has noted. */
  settle(inner: LedgerContext): void
}

/** Runs `body` as one transaction; its effects are let out only when it has committed. */
export const commit = <T>(context: LedgerContext, body: (inner: LedgerContext) => T): T => {
  const effects: LedgerEffect[] = []
  context.memory.trim()
  let answer: T
  try {
    answer = context.store.transaction(() => {
      const inner: LedgerContext = { ...context, emit: (effect) => effects.push(effect) }
      const result = body(inner)
      context.settle(inner)
      return result
    })
  } catch (reason) {
    // What memory holds was perhaps changed together with rows that have been rolled back.
    context.memory.forget()
    throw reason
  }
  for (const effect of effects) context.emit(effect)
  return answer
}

/** Sets the one timer of a kind unless it is set: due for the oldest of what it looks after. */
export const setOneTimer = (context: LedgerContext, kind: string, due: number): void => {
  if (context.memory.timers.has(kind)) return
  setTimerBy(context.store, kind, '', due)
  context.memory.timers.add(kind)
}

/** Sets it anew, or with null clears it, when it has fired. */
export const moveOneTimer = (context: LedgerContext, kind: string, due: number | null): void => {
  if (due === null) {
    clearTimer(context.store, kind, '')
    context.memory.timers.delete(kind)
  } else {
    setTimer(context.store, kind, '', due)
    context.memory.timers.add(kind)
  }
}

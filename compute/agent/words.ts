import type { CancelOutcome } from '../../edge/contract/jobs.ts'
import type { Failure, Lease, Offer } from '../../edge/contract/node.ts'

/**
 * Stages of an attempt on this node:
 *   offered    not accepted yet: it waits a moment for a slot
 *   accepting  its acceptance is not answered yet; it must not run
 *   leased     ours, waits for a slot
 *   starting   its start is not answered yet; it must not run, for it may have been cancelled meanwhile
 *   running    an engine works on it, or its files are being uploaded
 *   reporting  its end is reported and not answered yet
 *   returning  it is handed back and that is not answered yet
 */
export type Stage = 'offered' | 'accepting' | 'leased' | 'starting' | 'running' | 'reporting' | 'returning'

export type AbortReason = 'cancel' | 'fence' | 'drain'

export type Effect =
  | { do: 'send'; text: string }
  /** Begin the attempt on the named source. */
  | { do: 'run'; offer: Offer; source: string }
  | { do: 'abort'; lease: Lease; reason: AbortReason }
  /** The attempt is over for this node: its files may go. `won` when its completion was accepted. */
  | { do: 'end'; lease: Lease; won: boolean }
  /** A part of the edge did not answer: call `again` with the number in a moment. */
  | { do: 'again'; re: number }
  | { do: 'log'; line: string }
  /** Draining is complete. */
  | { do: 'idle' }

/** How an attempt ended on this node. */
export type Outcome =
  /** `item` is the completion's item as JSON text. */
  | { kind: 'complete'; item: string }
  | { kind: 'fail'; failure: Failure }
  | { kind: 'cancelled'; outcome: CancelOutcome; reason: string | null }
  /** Stopped by a fence or a drain. */
  | { kind: 'stopped' }

export interface CoreSettings {
  slots: number
  /** Null when the node does not have this task with this hash. */
  task(offer: Offer): { concurrency: number | null } | null
  /** Names of sources that may run it, best first; `full` says which have no room. Null: none has room now. */
  place(offer: Offer, full: (source: string) => boolean): string | null
  /** How many statements a source may run at once. */
  maxActive(source: string): number
}

export const keyOf = (lease: Lease): string => `${lease.tenant}/${lease.job}/${lease.attempt}`
export const leaseOf = ({ tenant, job, attempt }: Lease): Lease => ({ tenant, job, attempt })

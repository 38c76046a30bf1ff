import type { Store } from './store.ts'
import { earliestSet, nextDue } from './timers.ts'

/** The one alarm of a Durable Object, kept at or before the first timer of its database. */
export class Alarm {
  readonly #storage: Pick<DurableObjectStorage, 'setAlarm'>
  readonly #store: Store
  /** What must outlive the call that armed it. */
  readonly #keep: (promise: Promise<void>) => void
  #at: number | null = null

  constructor(storage: Pick<DurableObjectStorage, 'setAlarm'>, store: Store, keep: (promise: Promise<void>) => void) {
    this.#storage = storage
    this.#store = store
    this.#keep = keep
  }

  /**
   * After timers may have been set: looks only at those that were set since the last call. A timer that was cleared leaves
   * the alarm too early, which costs one look and no more.
   */
  arm(): void {
    this.#set(earliestSet(this.#store))
  }

  /** At the start of a life, and when the alarm has rung: looks into the database. */
  rearm(): void {
    this.#at = null
    earliestSet(this.#store)
    this.#set(nextDue(this.#store))
  }

  #set(due: number | null): void {
    if (due === null || (this.#at !== null && this.#at <= due)) return
    this.#at = due
    this.#keep(this.#storage.setAlarm(due))
  }
}

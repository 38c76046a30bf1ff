import type { JobEvent } from '../contract/events.ts'
import { MAX_WAITERS } from './limits.ts'

interface Waiter {
  wants: (event: JobEvent) => boolean
  wake: (event: JobEvent | null) => void
}

/** Requests that wait for something to happen to a job, a group or the tenant. In memory only: one that is cut off asks again. */
export class Waiters {
  readonly #waiting = new Map<string, Set<Waiter>>()
  #count = 0

  get full(): boolean {
    return this.#count >= MAX_WAITERS
  }

  waits(key: string): boolean {
    return this.#waiting.has(key)
  }

  /** It has happened: who waits for it goes on, but for those who want other events. */
  tell(key: string, event: JobEvent | null = null): void {
    const waiting = this.#waiting.get(key)
    if (!waiting) return
    for (const waiter of waiting) {
      if (event !== null && !waiter.wants(event)) continue
      waiting.delete(waiter)
      waiter.wake(event)
    }
    if (waiting.size === 0) this.#waiting.delete(key)
  }

  /**
   * Resolves when it has happened, with the event that was told, or null when the time is over; at once when too many wait
   * already.
   */
  async until(key: string, wait_ms: number, wants: Waiter['wants'] = () => true): Promise<JobEvent | null> {
    if (this.full) return null
    this.#count++
    try {
      return await new Promise<JobEvent | null>((resolve) => {
        const waiting = this.#waiting.get(key) ?? new Set()
        this.#waiting.set(key, waiting)
        const timer = setTimeout(() => {
          waiting.delete(waiter)
          // Another set may stand there by now.
          if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
          resolve(null)
        }, wait_ms)
        const waiter: Waiter = {
          wants,
          wake: (event) => {
            clearTimeout(timer)
            resolve(event)
          },
        }
        waiting.add(waiter)
      })
    } finally {
      this.#count--
    }
  }
}

import { MAX_WAITERS } from './limits.ts'

/** Requests that wait for something to happen to a job, a group or the tenant. In memory only: one that is cut off asks again. */
export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>()
  #count = 0

  get full(): boolean {
    return this.#count >= MAX_WAITERS
  }

  /** It has happened: all who wait for it go on. */
  tell(key: string): void {
    const waiting = this.#waiting.get(key)
    if (!waiting) return
    this.#waiting.delete(key)
    for (const wake of waiting) wake()
  }

  /** Resolves when it has happened or the time is over; at once when too many wait already. */
  async until(key: string, wait_ms: number): Promise<void> {
    if (this.full) return
    this.#count++
    try {
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(key) ?? new Set()
        this.#waiting.set(key, waiting)
        const wake = (): void => {
          clearTimeout(timer)
          resolve()
        }
        const timer = setTimeout(() => {
          waiting.delete(wake)
          if (waiting.size === 0) this.#waiting.delete(key)
          resolve()
        }, wait_ms)
        waiting.add(wake)
      })
    } finally {
      this.#count--
    }
  }
}

/** Requests that may wait for a job's end in memory at once. */
const MAX_WAITERS = 5_000

/** Requests that wait for jobs to end. In memory only: a request that is cut off asks again. */
export class Waiters {
  readonly #waiting = new Map<string, Set<() => void>>()
  #count = 0

  /** The job has ended: all who wait for it go on. */
  tell(job: string): void {
    const waiting = this.#waiting.get(job)
    if (!waiting) return
    this.#waiting.delete(job)
    for (const wake of waiting) wake()
  }

  /** Resolves when the job has ended or the time is over; at once when too many wait already. */
  async untilEnded(job: string, wait_ms: number): Promise<void> {
    if (this.#count >= MAX_WAITERS) return
    this.#count++
    try {
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(job) ?? new Set()
        this.#waiting.set(job, waiting)
        const wake = (): void => {
          clearTimeout(timer)
          resolve()
        }
        const timer = setTimeout(() => {
          waiting.delete(wake)
          if (waiting.size === 0) this.#waiting.delete(job)
          resolve()
        }, wait_ms)
        waiting.add(wake)
      })
    } finally {
      this.#count--
    }
  }
}

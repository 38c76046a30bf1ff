/**
 * One connection is one queue: a statistic asked for before the page that a person looks at would keep the page waiting
 * (facts measured 12 s). So statements wait here by priority, and a statement of the lowest kind that runs already is
 * stopped for a better one and run again later.
 */
export type Priority = 'page' | 'view' | 'stats'

const RANK: Record<Priority, number> = { page: 0, view: 1, stats: 2 }

interface Item {
  rank: number
  order: number
  run: (signal: AbortSignal) => Promise<void>
  stop: AbortController | null
  stopped: boolean
}

export const aborted = (): DOMException => new DOMException('The request was cancelled', 'AbortError')
export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === 'AbortError'

export class StatementQueue {
  readonly #waiting: Item[] = []
  #running: Item | null = null
  #order = 0

  /**
   * Runs `work` when its turn comes. `work` gets a signal and must reject with an abort when it fires. Rejects with
   * `AbortError` when the caller's signal fires, also while waiting.
   */
  run<T>(priority: Priority, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(aborted())
      const item: Item = {
        rank: RANK[priority],
        order: this.#order++,
        stop: null,
        stopped: false,
        run: async (stop) => {
          try {
            const value = await work(stop)
            signal?.removeEventListener('abort', cancel)
            resolve(value)
          } catch (error) {
            // Stopped for something better: back to its old place in the queue.
            if (item.stopped && !signal?.aborted) {
              item.stopped = false
              this.#waiting.push(item)
              return
            }
            signal?.removeEventListener('abort', cancel)
            reject(signal?.aborted ? aborted() : error)
          }
        },
      }
      const cancel = (): void => {
        const at = this.#waiting.indexOf(item)
        if (at >= 0) {
          this.#waiting.splice(at, 1)
          reject(aborted())
        } else item.stop?.abort()
      }
      signal?.addEventListener('abort', cancel, { once: true })
      this.#waiting.push(item)
      const running = this.#running
      if (running !== null && running.rank === RANK.stats && item.rank < running.rank) {
        running.stopped = true
        running.stop?.abort()
      }
      this.#next()
    })
  }

  #next(): void {
    if (this.#running !== null) return
    this.#waiting.sort((a, b) => a.rank - b.rank || a.order - b.order)
    const item = this.#waiting.shift()
    if (item === undefined) return
    this.#running = item
    item.stop = new AbortController()
    void item.run(item.stop.signal).finally(() => {
      this.#running = null
      this.#next()
    })
  }
}

import type { Chance } from './chance.ts'
import type { Schedule } from './schedule.ts'
import type { Weather } from './weather.ts'

interface Stored {
  bytes: Uint8Array
  etag: string
}

/** Object storage in memory: it survives every crash; each request takes its time and may fail, before or after it worked. */
export class Bucket {
  readonly objects = new Map<string, Stored>()
  readonly #schedule: Schedule
  readonly #chance: Chance
  readonly #weather: () => Weather
  /** Whether whoever asked is still there. */
  #etag = 0

  constructor(schedule: Schedule, chance: Chance, weather: () => Weather) {
    this.#schedule = schedule
    this.#chance = chance
    this.#weather = weather
  }

  /** The bucket as one object sees it: answers to an object that is gone never arrive. */
  binding(alive: () => boolean): object {
    const request = <T>(work: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const fails = this.#chance.happens(this.#weather().bucketFails)
        const late = fails && this.#chance.happens(0.5)
        this.#schedule.after(this.#chance.between(1, 20), () => {
          // A request that was on its way when its process died may or may not have arrived.
          if (!alive() && this.#chance.happens(0.5)) return
          const answer = fails && !late ? undefined : work()
          this.#schedule.after(this.#chance.between(1, 5), () => {
            if (!alive()) return
            if (fails) reject(new Error('the bucket did not answer'))
            else resolve(answer as T)
          })
        })
      })
    const head = (key: string): { key: string; size: number; etag: string; httpEtag: string } | null => {
      const stored = this.objects.get(key)
      return stored ? { key, size: stored.bytes.length, etag: stored.etag, httpEtag: `"${stored.etag}"` } : null
    }
    return {
      head: (key: string) => request(() => head(key)),
      get: (key: string) =>
        request(() => {
          const stored = this.objects.get(key)
          const found = head(key)
          if (!stored || !found) return null
          return { ...found, arrayBuffer: () => Promise.resolve(stored.bytes.slice().buffer) }
        }),
      put: (key: string, value: Uint8Array | string, options?: { onlyIf?: { etagDoesNotMatch?: string } }) =>
        request(() => {
          if (options?.onlyIf?.etagDoesNotMatch === '*' && this.objects.has(key)) return null
          const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value
          this.objects.set(key, { bytes, etag: String(++this.#etag) })
          return head(key)
        }),
      delete: (keys: string | string[]) =>
        request(() => {
          for (const key of typeof keys === 'string' ? [keys] : keys) this.objects.delete(key)
        }),
      list: ({ prefix = '' }: { prefix?: string }) =>
        request(() => ({
          objects: [...this.objects.keys()].filter((key) => key.startsWith(prefix)).map((key) => ({ key })),
          truncated: false,
        })),
    }
  }
}

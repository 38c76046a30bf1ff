import type { Lease } from '../../edge/contract/node.ts'

/**
 * A lane is one kind of message that the node repeats until it is answered. One message is in flight, the rest gathers
 * behind it: its answer is the clock, so a lone report leaves at once and a burst travels together, without a timer.
 */

/** A message stays below this, but for a single item that is larger: the platform's sockets took 1 MiB for years. */
export const MAX_MESSAGE_BYTES = 900_000
/** The contract's bound is 500 for the smallest of the lists. */
export const MAX_ITEMS = 500

export interface Item {
  lease: Lease
  /** The item as JSON text, made once. */
  json: string
}

/** Of a lease and what is said of it. */
export const itemOf = (said: Lease & Record<string, unknown>): Item => ({
  lease: { tenant: said.tenant, job: said.job, attempt: said.attempt },
  json: JSON.stringify(said),
})

export interface Flight {
  re: number
  items: Item[]
  text: string
}

export interface Lane {
  readonly waiting: Item[]
  flight: Flight | null
}

export const lane = (): Lane => ({ waiting: [], flight: null })

/** Takes what fits into one message. */
export const takeBatch = (from: Lane): Item[] => {
  let bytes = 0
  let count = 0
  for (const item of from.waiting) {
    bytes += item.json.length
    if (count > 0 && (bytes > MAX_MESSAGE_BYTES || count >= MAX_ITEMS)) break
    count += 1
  }
  return from.waiting.splice(0, count)
}

export const isEmpty = (one: Lane): boolean => one.flight === null && one.waiting.length === 0

import type { Failure } from '../contract/node.ts'
import { BACKOFF_FIRST_MS, BACKOFF_LAST_MS, DEFAULT_RETRIES } from './limits.ts'

/**
 * Which failures are tried again. Nobody's fault but the moment's: the node, the connection or the session was lost, or the
 * engine had too much to do. All else would fail alike a second time, or was wanted.
 */
const RETRIED: Record<Failure['class'], boolean> = {
  lost: true,
  overloaded: true,
  sql: false,
  arguments: false,
  schema: false,
  source: false,
  limit: false,
  budget: false,
  cancelled: false,
  internal: false,
}

export const isRetried = (failure: Failure['class']): boolean => RETRIED[failure]

/** Tries of a job: the first, and its retries. */
export const triesOf = (retries: number | null | undefined): number => (retries ?? DEFAULT_RETRIES) + 1

/** `tries` attempts have begun and were not given back; `most` is the job's `max_tries`, null where nothing was said. */
export const mayRetry = (tries: number, most: number | null): boolean => tries < (most ?? triesOf(null))

/**
 * Milliseconds until the next attempt: full jitter, anything from nothing to a ceiling that doubles from 1 s to 30 s. Many
 * jobs that one event has thrown out come back spread over the whole pause (M. Brooker, "Exponential Backoff And Jitter").
 */
export const backoff = (tries: number, random: (bytes: number) => Uint8Array): number => {
  const ceiling = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** Math.max(0, tries - 1))
  const [high = 0, low = 0] = random(2)
  return Math.round((ceiling * (high * 256 + low)) / 65_535)
}

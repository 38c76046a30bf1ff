import type { Http } from './http.ts'
import { sseParser } from './sse.ts'
import { ApiError, isJobEvent, isProgressEvent, type JobEvent, type ProgressEvent } from './wire.ts'

export type Watched =
  | { type: 'event'; event: JobEvent }
  | { type: 'progress'; progress: ProgressEvent }
  /** The stream broke and will be taken up again after `seconds`, or runs again (`seconds` null). */
  | { type: 'connection'; seconds: number | null }

export interface WatchOptions {
  /** The last event already known: the stream begins behind it. */
  after?: number
  /** `published` follows the result into its table; otherwise the stream ends with the job. */
  until?: 'terminal' | 'published'
  signal?: AbortSignal
  /** Waits; a test's clock stands in here. */
  wait?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
}

/** A stream in which nothing came for so long, not even a heartbeat, is taken for dead. The edge's heartbeat is every 15 s. */
const SILENCE_MILLISECONDS = 45_000
const FIRST_WAIT_MILLISECONDS = 500
const LONGEST_WAIT_MILLISECONDS = 10_000

const TERMINAL = new Set(['succeeded', 'failed', 'cancelled'])
const SETTLED = new Set(['published', 'rejected', 'withdrawn', 'expired'])

const isLast = (event: JobEvent, until: 'terminal' | 'published'): boolean => {
  if (until === 'terminal') return TERMINAL.has(event.state)
  if (event.state === 'failed' || event.state === 'cancelled') return true
  return event.publication !== undefined && SETTLED.has(event.publication)
}

const sleep = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
  })

/**
 * Follows a job's events (`GET /v1/jobs/{id}/events`). Numbered events come once each and without gaps (I9), across any
 * number of broken connections: the stream is taken up with `Last-Event-ID`, and what comes twice is dropped. Ends after the
 * last event that `until` asks for, or when the signal aborts; throws `ApiError` where repeating would not help (4xx).
 */
export async function* watchJob(http: Http, job: string, options: WatchOptions = {}): AsyncGenerator<Watched, void, undefined> {
  const until = options.until ?? 'terminal'
  const wait = options.wait ?? sleep
  let seen = options.after ?? 0
  let pause = FIRST_WAIT_MILLISECONDS
  let broken = false
  while (!options.signal?.aborted) {
    const guard = new AbortController()
    const abort = (): void => guard.abort()
    options.signal?.addEventListener('abort', abort)
    let silence = setTimeout(abort, SILENCE_MILLISECONDS)
    const parser = sseParser(String(seen))
    let ended = false
    try {
      const response = await http.request(`/v1/jobs/${encodeURIComponent(job)}/events${until === 'published' ? '?until=published' : ''}`, {
        headers: { accept: 'text/event-stream', ...(seen > 0 ? { 'last-event-id': String(seen) } : {}) },
        signal: guard.signal,
        cache: 'no-store',
      })
      // Nothing more will come.
      if (response.status === 204) return
      if (broken) yield { type: 'connection', seconds: null }
      broken = false
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const chunk = await reader?.read()
        if (chunk === undefined || chunk.done) break
        clearTimeout(silence)
        silence = setTimeout(abort, SILENCE_MILLISECONDS)
        for (const message of parser.push(chunk.value)) {
          const body: unknown = JSON.parse(message.data)
          if (isJobEvent(body)) {
            if (body.seq <= seen) continue
            seen = body.seq
            pause = FIRST_WAIT_MILLISECONDS
            yield { type: 'event', event: body }
            if (isLast(body, until)) return
          } else if (isProgressEvent(body)) yield { type: 'progress', progress: body }
        }
      }
      ended = true
    } catch (error) {
      if (options.signal?.aborted) return
      // A 4xx stays a 4xx, but for "too many requests".
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) throw error
    } finally {
      clearTimeout(silence)
      options.signal?.removeEventListener('abort', abort)
      guard.abort()
    }
    broken = true
    // A server that ends the stream after nothing new would otherwise be asked again at once, for ever.
    const delay = ended && parser.retry !== null ? parser.retry : pause
    pause = Math.min(pause * 2, LONGEST_WAIT_MILLISECONDS)
    yield { type: 'connection', seconds: delay / 1000 }
    await wait(delay, options.signal)
  }
}

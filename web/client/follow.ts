import type { Http } from './http.ts'
import { type SseMessage, sseParser } from './sse.ts'
import { ApiError } from './wire.ts'

/** The stream broke and will be taken up again after `seconds`, or runs again (`seconds` null). */
export interface Connection {
  type: 'connection'
  seconds: number | null
}

export interface FollowOptions {
  signal?: AbortSignal | undefined
  /** Waits; a test's clock stands in here. */
  wait?: ((milliseconds: number, signal: AbortSignal | undefined) => Promise<void>) | undefined
}

/** A stream in which nothing came for so long, not even a heartbeat, is taken for dead. The edge's heartbeat is every 15 s. */
const SILENCE_MILLISECONDS = 45_000
const FIRST_WAIT_MILLISECONDS = 500
const LONGEST_WAIT_MILLISECONDS = 10_000

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
 * Reads an event stream of the edge across any number of broken connections: it is taken up with `Last-Event-ID: cursor()`,
 * so whoever reads moves that on with each numbered event, and drops what comes twice. Ends when the server says that nothing
 * more will come (204), or when the signal aborts; throws `ApiError` where repeating would not help (4xx).
 */
export async function* followStream(
  http: Http,
  path: string,
  cursor: () => number,
  options: FollowOptions = {},
): AsyncGenerator<{ type: 'message'; message: SseMessage } | Connection, void, undefined> {
  const wait = options.wait ?? sleep
  let pause = FIRST_WAIT_MILLISECONDS
  let broken = false
  while (!options.signal?.aborted) {
    const guard = new AbortController()
    const abort = (): void => guard.abort()
    options.signal?.addEventListener('abort', abort)
    let silence = setTimeout(abort, SILENCE_MILLISECONDS)
    const parser = sseParser(String(cursor()))
    let ended = false
    try {
      const response = await http.request(path, {
        headers: { accept: 'text/event-stream', ...(cursor() > 0 ? { 'last-event-id': String(cursor()) } : {}) },
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
          const before = cursor()
          yield { type: 'message', message }
          if (cursor() !== before) pause = FIRST_WAIT_MILLISECONDS
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

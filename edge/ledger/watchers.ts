import type { JobEvent, ProgressEvent } from '../contract/events.ts'
import { JobId } from '../contract/ids.ts'
import type { Liveness } from './read.ts'

/** What travels on a reader's socket. */
export type WatchMessage = { event: JobEvent } | { progress: ProgressEvent }

/** Readers of jobs, each on a hibernating socket tagged with its job: waiting keeps nothing awake. */
export class Watchers {
  readonly #state: DurableObjectState

  constructor(state: DurableObjectState) {
    this.#state = state
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  /** Accepts a reader. Backlog and registration happen in one turn, so nothing can fall between them (I9). */
  open(job: string, backlog: () => { events: JobEvent[]; live: Liveness | null }): Response {
    const [client, server] = Object.values(new WebSocketPair())
    if (!client || !server) throw new Error('a WebSocketPair has two ends')
    this.#state.acceptWebSocket(server, [job])
    const { events, live } = backlog()
    for (const event of events) server.send(JSON.stringify({ event } satisfies WatchMessage))
    if (live) server.send(JSON.stringify({ progress: progressOf(job, live) } satisfies WatchMessage))
    return new Response(null, { status: 101, webSocket: client })
  }

  events(job: string, events: JobEvent[]): void {
    const readers = this.#state.getWebSockets(job)
    if (readers.length === 0) return
    for (const event of events) this.#send(readers, { event })
  }

  progress(job: string, live: Liveness): void {
    const readers = this.#state.getWebSockets(job)
    if (readers.length > 0) this.#send(readers, { progress: progressOf(job, live) })
  }

  #send(readers: WebSocket[], message: WatchMessage): void {
    const text = JSON.stringify(message)
    for (const reader of readers) {
      try {
        reader.send(text)
      } catch {
        // Its client has gone; the close handler follows.
      }
    }
  }
}

const progressOf = (job: string, live: Liveness): ProgressEvent => ({
  job: JobId.parse(job),
  state: 'running',
  at: new Date().toISOString(),
  ...live,
})

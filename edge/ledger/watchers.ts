import type { JobEvent, ProgressEvent, ResetEvent, StreamFilter } from '../contract/events.ts'
import type { GroupEvent } from '../contract/groups.ts'
import { JobId } from '../contract/ids.ts'
import { isWanted, type TenantPage, type Until } from './events.ts'
import { MAX_WATCHERS } from './limits.ts'
import type { Liveness } from './read.ts'

/**
 * What travels on a reader's socket. `over`: the stream ends here. `more`: the reader asks for the next part of the
 * tenant's stream by a message of its own, when it has got rid of this one.
 */
export type WatchMessage =
  | { event: JobEvent | GroupEvent; over?: true }
  | { reset: ResetEvent }
  | { progress: ProgressEvent }
  | { more: number }

/** Who reads what, kept with the socket while the ledger sleeps. 2,048 bytes at most (platform). */
export type Audience =
  | { of: 'job'; id: string; until: Until }
  | { of: 'group'; id: string }
  /** `after`: how far the part that was sent reaches; null: it has everything, and hears what comes. */
  | { of: 'tenant'; filter: StreamFilter; after: number | null }

export const TENANT = 'tenant'
const keyOf = (audience: Audience): string => (audience.of === 'tenant' ? TENANT : audience.id)

/** Readers of jobs, groups and of the tenant's stream, each on a hibernating socket: waiting keeps nothing awake. */
export class Watchers {
  readonly #state: DurableObjectState
  /**
   * The sockets by what they read, made from the platform's at the first use in a life: a look here costs nothing where
   * nobody reads, while `getWebSockets(tag)` leaves JavaScript for every event.
   */
  #readers: Map<string, Map<WebSocket, Audience>> | null = null
  #count = 0

  constructor(state: DurableObjectState) {
    this.#state = state
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  #all(): Map<string, Map<WebSocket, Audience>> {
    if (this.#readers === null) {
      this.#readers = new Map()
      // Written by `open`, below.
      for (const socket of this.#state.getWebSockets()) this.#note(socket, socket.deserializeAttachment() as Audience)
    }
    return this.#readers
  }

  #note(socket: WebSocket, audience: Audience): void {
    const readers = this.#all()
    const key = keyOf(audience)
    const those = readers.get(key) ?? new Map<WebSocket, Audience>()
    readers.set(key, those)
    if (!those.has(socket)) this.#count++
    those.set(socket, audience)
    socket.serializeAttachment(audience)
  }

  /**
   * Accepts a reader. `begin` sends what there is already, in the same turn, so that nothing can fall between (I9).
   * 503 when there are too many readers.
   */
  open(audience: Audience, begin: (socket: WebSocket) => Audience): Response {
    this.#all()
    if (this.#count >= MAX_WATCHERS) return new Response(null, { status: 503 })
    const [client, server] = Object.values(new WebSocketPair())
    if (!client || !server) throw new Error('a WebSocketPair has two ends')
    this.#state.acceptWebSocket(server)
    this.#note(server, audience)
    this.#note(server, begin(server))
    return new Response(null, { status: 101, webSocket: client })
  }

  closed(socket: WebSocket): void {
    const audience = socket.deserializeAttachment() as Audience | null
    if (!audience) return
    const readers = this.#all()
    const those = readers.get(keyOf(audience))
    if (!those?.delete(socket)) return
    this.#count--
    if (those.size === 0) readers.delete(keyOf(audience))
  }

  /** The reader has got rid of what it was sent: the next part of the tenant's stream. */
  goOn(socket: WebSocket, page: (filter: StreamFilter, after: number) => TenantPage): void {
    const audience = this.#all().get(TENANT)?.get(socket)
    if (audience?.of !== 'tenant' || audience.after === null) return
    this.#note(socket, sendPage(socket, audience.filter, page(audience.filter, audience.after)))
  }

  watches(key: string): boolean {
    return this.#all().has(key)
  }

  /** `isOver`: whether a stream that lasts until then ends with the event. */
  job(id: string, event: JobEvent, isOver: (until: Until) => boolean): void {
    for (const [socket, audience] of this.#all().get(id) ?? [])
      if (audience.of === 'job') send(socket, { event, ...(isOver(audience.until) ? { over: true } : {}) })
  }

  progress(job: string, live: Liveness): void {
    const readers = this.#all().get(job)
    if (!readers) return
    const text = JSON.stringify({ progress: progressOf(job, live) } satisfies WatchMessage)
    for (const socket of readers.keys()) sendText(socket, text)
  }

  group(id: string, event: GroupEvent, over: boolean): void {
    for (const socket of this.#all().get(id)?.keys() ?? []) send(socket, { event, ...(over ? { over: true } : {}) })
  }

  /** `event` with what filters look at. Readers that are still behind find it when they go on. */
  tenant(event: JobEvent): void {
    const text = JSON.stringify({ event } satisfies WatchMessage)
    for (const [socket, audience] of this.#all().get(TENANT) ?? [])
      if (audience.of === 'tenant' && audience.after === null && isWanted(audience.filter, event)) sendText(socket, text)
  }
}

const sendText = (socket: WebSocket, text: string): void => {
  try {
    socket.send(text)
  } catch {
    // Its client has gone; the close handler follows.
  }
}

export const send = (socket: WebSocket, message: WatchMessage): void => sendText(socket, JSON.stringify(message))

/** Sends a part of the tenant's stream; answers how the reader stands then. */
export const sendPage = (socket: WebSocket, filter: StreamFilter, page: TenantPage): Audience => {
  if (page.reset) send(socket, { reset: page.reset })
  for (const event of page.events) send(socket, { event })
  if (page.more) send(socket, { more: page.after })
  return { of: 'tenant', filter, after: page.more ? page.after : null }
}

export const progressOf = (job: string, live: Liveness): ProgressEvent => ({
  job: JobId.parse(job),
  state: 'running',
  at: new Date().toISOString(),
  ...live,
})

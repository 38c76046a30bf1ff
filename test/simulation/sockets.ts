import type { Schedule } from './schedule.ts'

/** What a client does with its end. */
export interface ClientEnd {
  message(text: string): void
  closed(): void
}

/** What the edge is told of its end; the object behind it may have been evicted and is woken by it. */
export interface EdgeEnd {
  message(socket: EdgeSocket, text: string): void
  closed(socket: EdgeSocket): void
}

/**
 * One WebSocket between a client and an object. Frames of one direction keep their order; the connection can break, then
 * what is on its way is gone, and each end learns of it in its own time (or never, when its process is dead).
 */
export class EdgeSocket {
  readonly #schedule: Schedule
  readonly #latency: () => number
  #edge: EdgeEnd | null = null
  #client: ClientEnd | null = null
  readonly #early: string[] = []
  #toEdgeAt = 0
  #toClientAt = 0
  #attachment = 'null'
  #broken = false
  #edgeKnows = false
  #clientKnows = false
  #closing = false
  readonly #openedAt: number
  #silentSince: number | null = null
  tags: string[] = []

  constructor(schedule: Schedule, latency: () => number) {
    this.#schedule = schedule
    this.#latency = latency
    this.#openedAt = schedule.now
  }

  /** The edge's end, with the methods of a hibernatable `WebSocket`. */
  readonly server = {
    send: (text: string): void => {
      if (this.#closing || this.#edgeKnows) throw new Error('the socket is closing')
      this.#toClient(() => {
        if (this.#client) this.#client.message(text)
        else this.#early.push(text)
      })
    },
    close: (): void => {
      if (this.#closing || this.#edgeKnows) return
      this.#closing = true
      this.server.readyState = 2
      // Nobody answers on a dead connection: the platform gives up.
      if (this.#broken) this.#schedule.after(10_000, () => this.#edgeLearns())
      // The client answers the close; then the edge's close handler runs.
      this.#toClient(() => {
        if (this.#clientKnows) return
        this.#clientKnows = true
        this.#client?.closed()
        this.#toEdge(() => this.#edgeLearns())
      })
    },
    /** Open, or closing (RFC 6455's states as the platform numbers them). */
    readyState: 1,
    serializeAttachment: (value: unknown): void => {
      this.#attachment = JSON.stringify(value)
    },
    deserializeAttachment: (): unknown => JSON.parse(this.#attachment),
  }

  /** The client's end. */
  readonly client = {
    /** Frames that came before are kept until then, as a client's socket does. */
    attach: (client: ClientEnd): void => {
      this.#client = client
      for (const text of this.#early.splice(0)) client.message(text)
    },
    send: (text: string): void => this.#toEdge(() => this.#edge?.message(this, text)),
    close: (): void => {
      if (this.#clientKnows) return
      this.#clientKnows = true
      this.#toEdge(() => this.#edgeLearns())
    },
  }

  accept(edge: EdgeEnd, tags: string[]): void {
    this.#edge = edge
    this.tags = tags
  }

  get open(): boolean {
    return !this.#broken && !this.#clientKnows && !this.#closing
  }

  /** Milliseconds since the last ping that the platform answered, or null where there was none. Pings come every 10 s. */
  sincePing(): number | null {
    const age = this.#schedule.now - this.#openedAt
    const alive = this.#silentSince ?? this.#schedule.now
    const lived = alive - this.#openedAt
    return lived < 10_000 ? null : age - Math.floor(lived / 10_000) * 10_000
  }

  /** The connection breaks now; each end learns of it after its time, or not by itself (null). */
  breaks(edgeAfter: number | null, clientAfter: number | null): void {
    if (this.#broken) return
    this.#broken = true
    this.#silentSince ??= this.#schedule.now
    if (edgeAfter !== null) this.#schedule.after(edgeAfter, () => this.#edgeLearns())
    if (clientAfter !== null)
      this.#schedule.after(clientAfter, () => {
        if (this.#clientKnows) return
        this.#clientKnows = true
        this.#client?.closed()
      })
  }

  /** The edge's process is gone, and nobody there will ever be told. */
  forget(): void {
    this.#edgeKnows = true
  }

  #edgeLearns(): void {
    if (this.#edgeKnows) return
    this.#edgeKnows = true
    this.#edge?.closed(this)
  }

  #toClient(deliver: () => void): void {
    this.#toClientAt = Math.max(this.#toClientAt, this.#schedule.now + this.#latency())
    this.#schedule.after(this.#toClientAt - this.#schedule.now, () => {
      if (!this.#broken && !this.#clientKnows) deliver()
    })
  }

  #toEdge(deliver: () => void): void {
    this.#toEdgeAt = Math.max(this.#toEdgeAt, this.#schedule.now + this.#latency())
    this.#schedule.after(this.#toEdgeAt - this.#schedule.now, () => {
      if (!this.#broken && !this.#edgeKnows) deliver()
    })
  }
}

import { FromNode, type Offer, ToNode } from '../../edge/contract/node.ts'

type Message<Type extends FromNode['type']> = Extract<FromNode, { type: Type }>

/**
 * A tiny edge for tests of the agent: it speaks the node protocol over a real socket, takes uploads, and answers what the
 * test tells it to.
 */
export class TestEdge {
  readonly received: FromNode[] = []
  /** Bodies by path. */
  readonly uploads = new Map<string, Uint8Array>()
  /** What an upload is answered with; taken from the front, then 200. */
  readonly uploadAnswers: number[] = []
  readonly tokens: string[] = []
  #server: Bun.Server<undefined>
  #sockets = new Set<Bun.ServerWebSocket<undefined>>()
  #waiting: { matches: (message: FromNode) => boolean; give: (message: FromNode) => void }[] = []
  /** How far `next` has read. */
  #taken = new Set<FromNode>()
  /** Answers of its own to what every node says first. */
  fenced: { tenant: string; job: string; attempt: number }[] = []

  constructor() {
    this.#server = Bun.serve<undefined>({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request, server) => {
        const url = new URL(request.url)
        if (url.pathname === '/node/v1/link') {
          this.tokens.push(request.headers.get('authorization') ?? '')
          if (server.upgrade(request, { data: undefined, headers: { 'sec-websocket-protocol': 'scarab.node.v1' } })) return undefined
          return Response.json({ detail: 'refused' }, { status: 401 })
        }
        const status = this.uploadAnswers.shift() ?? 200
        const bytes = new Uint8Array(await request.arrayBuffer())
        if (status < 300) this.uploads.set(url.pathname, bytes)
        return Response.json({ detail: `answered ${status}` }, { status, headers: { etag: `"${url.pathname}"` } })
      },
      websocket: {
        open: (socket) => void this.#sockets.add(socket),
        close: (socket) => void this.#sockets.delete(socket),
        message: (socket, data) => {
          if (data === 'ping') {
            socket.send('pong')
            return
          }
          this.#take(FromNode.parse(JSON.parse(String(data))))
        },
      },
    })
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.#server.port}`)
  }

  #take(message: FromNode): void {
    this.received.push(message)
    if (message.type === 'hello')
      this.send({
        type: 'welcome',
        version: 1,
        node: message.name,
        session: message.session,
        pool: 'default',
        tenants: ['*'],
        ping_seconds: 10,
        offer_seconds: 5,
        fenced: this.fenced,
      })
    if (message.type === 'announce') this.send({ type: 'announced', re: message.re, accepted: message.tasks.length, refused: [] })
    const at = this.#waiting.findIndex(({ matches }) => matches(message))
    const [found] = at < 0 ? [] : this.#waiting.splice(at, 1)
    if (!found) return
    this.#taken.add(message)
    found.give(message)
  }

  /** Sends a message of the contract; a wrong one throws. */
  send(message: object): void {
    const text = JSON.stringify(ToNode.parse(message))
    for (const socket of this.#sockets) socket.send(text)
  }

  /** Any text at all. */
  sendRaw(text: string): void {
    for (const socket of this.#sockets) socket.send(text)
  }

  offer(...items: Offer[]): void {
    this.send({ type: 'offers', items })
  }

  /** Answers a message that changes jobs, with the same outcome for all its items. */
  ack(message: FromNode, outcome = 'ok', offers: Offer[] = []): void {
    if (!('re' in message)) throw new Error(`${message.type} has no number`)
    const items = 'items' in message ? message.items : [message]
    this.send({
      type: 'ack',
      re: message.re,
      items: items.map((item) => {
        const { tenant, job, attempt } = item as Message<'packed'>
        return { tenant, job, attempt, outcome, detail: null }
      }),
      offers,
    })
  }

  /** The next message of the type that no earlier call has returned. */
  async next<Type extends FromNode['type']>(type: Type): Promise<Message<Type>> {
    const known = this.received.find((message) => message.type === type && !this.#taken.has(message))
    if (known) {
      this.#taken.add(known)
      return known as Message<Type>
    }
    return new Promise((resolve) => {
      this.#waiting.push({ matches: (message) => message.type === type, give: (message) => resolve(message as Message<Type>) })
    })
  }

  /** Cuts every connection, as a restart of the edge does. */
  cut(): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  async close(): Promise<void> {
    await this.#server.stop(true)
  }
}

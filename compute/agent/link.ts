import { NODE_SUBPROTOCOL, PING_SECONDS, ToNode } from '../../edge/contract/node.ts'

/** Pauses between attempts to connect: the first is short, for an edge that is just starting; with jitter, so that many nodes do not come back at once. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000
/** A connection that was good for so long has shown that the edge takes what the node says. */
const STEADY_MS = 10_000
/** A socket silent for this many pings is dead. */
const SILENT_PINGS = 3
/** An upgrade that is not answered by then is given up. */
const CONNECT_SECONDS = 10

export interface LinkEvents {
  /** The socket is open: the text is `hello`. */
  hello(): string
  message(message: ToNode): void
  lost(): void
  /** The edge ended the link for good. */
  ended(reason: string): void
  log(line: string): void
}

export interface LinkOptions {
  edge: URL
  /** Read anew for every connection, because tokens are renewed in their file. */
  token(): Promise<string>
  events: LinkEvents
  random?: () => number
  /** A clock in milliseconds. */
  now?: () => number
  /** Runs something after a pause in milliseconds. */
  after?: (ms: number, run: () => void) => Timer
}

/** The node's one connection: it dials until it is closed, and answers for whether the edge is really there. */
export class Link {
  readonly #options: LinkOptions
  #socket: WebSocket | null = null
  #open = false
  #closed = false
  #pause = FIRST_PAUSE_MS
  /** The pause after the next `bye`: an edge that cannot take what is repeated to it ends one connection after the other. */
  #pauseAfterBye = FIRST_PAUSE_MS
  #welcomedAt = 0
  #timer: Timer | undefined
  #pings: Timer | undefined
  #silent = 0
  #lastWords = ''

  constructor(options: LinkOptions) {
    this.#options = options
  }

  start(): void {
    void this.#connect()
  }

  /** Dropped without a connection: whoever needs an answer repeats after `welcome`. */
  send(text: string): void {
    if (this.#open) this.#socket?.send(text)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    clearInterval(this.#pings)
    this.#socket?.close(1000, 'node ends')
  }

  async #connect(): Promise<void> {
    if (this.#closed) return
    const { edge, events } = this.#options
    const address = new URL('/node/v1/link', edge)
    address.protocol = edge.protocol === 'https:' ? 'wss:' : 'ws:'
    let token: string
    try {
      token = (await this.#options.token()).trim()
    } catch (fault) {
      this.#again(`the token file cannot be read: ${fault instanceof Error ? fault.message : String(fault)}`)
      return
    }
    // The socket may have been closed while the file was read.
    if (this.#closed) return
    const socket = new WebSocket(address, { headers: { authorization: `Bearer ${token}` }, protocols: [NODE_SUBPROTOCOL] })
    this.#socket = socket
    let over = false
    const end = (reason: string): void => {
      if (over) return
      over = true
      clearTimeout(connecting)
      clearInterval(this.#pings)
      if (this.#socket === socket) this.#socket = null
      const wasOpen = this.#open
      this.#open = false
      if (wasOpen) events.lost()
      if (!this.#closed) void this.#lostFor(wasOpen, reason, token)
    }
    const connecting = setTimeout(() => {
      end(`no answer within ${CONNECT_SECONDS} s`)
      socket.close()
    }, CONNECT_SECONDS * 1000)
    socket.addEventListener('open', () => {
      clearTimeout(connecting)
      this.#open = true
      this.#silent = 0
      this.#pings = setInterval(() => {
        this.#silent += 1
        if (this.#silent > SILENT_PINGS) {
          end('the edge has been silent')
          socket.close()
        } else socket.send('ping')
      }, PING_SECONDS * 1000)
      socket.send(events.hello())
    })
    socket.addEventListener('message', ({ data }) => {
      if (over) return
      this.#silent = 0
      if (data !== 'pong') this.#received(String(data))
    })
    socket.addEventListener('close', ({ code, reason }) => end(reason || `closed (${code})`))
    socket.addEventListener('error', () => end('no connection'))
  }

  #received(text: string): void {
    const { events } = this.#options
    let parsed: ReturnType<typeof ToNode.safeParse>
    try {
      parsed = ToNode.safeParse(JSON.parse(text))
    } catch {
      events.log('the edge sent something that is not JSON: ignored')
      return
    }
    if (!parsed.success) {
      events.log(`the edge sent a message that this node does not understand: ${parsed.error.issues[0]?.message ?? ''}; ignored`)
      return
    }
    const message = parsed.data
    const now = (this.#options.now ?? performance.now.bind(performance))()
    if (message.type === 'welcome') {
      this.#pause = FIRST_PAUSE_MS
      this.#welcomedAt = now
      this.#lastWords = ''
    }
    if (message.type === 'bye') {
      this.#say(`the edge ends the link: ${message.detail}`)
      if (!message.retry) {
        this.close()
        events.ended(message.detail)
        return
      }
      if (now - this.#welcomedAt >= STEADY_MS) this.#pauseAfterBye = FIRST_PAUSE_MS
      else this.#pauseAfterBye = Math.min(this.#pauseAfterBye * 2, LONGEST_PAUSE_MS)
      this.#pause = Math.max(this.#pause, this.#pauseAfterBye)
    }
    events.message(message)
  }

  /** A refused upgrade shows no reason to a WebSocket client; the same request without the upgrade does. */
  async #lostFor(wasOpen: boolean, reason: string, token: string): Promise<void> {
    let words = reason
    if (!wasOpen && this.#pause > 4 * FIRST_PAUSE_MS) {
      try {
        const answer = await fetch(new URL('/node/v1/link', this.#options.edge), {
          headers: { authorization: `Bearer ${token}` },
          redirect: 'error',
          signal: AbortSignal.timeout(CONNECT_SECONDS * 1000),
        })
        const body: unknown = await answer.json().catch(() => null)
        const detail = typeof body === 'object' && body !== null && 'detail' in body ? String(body.detail) : null
        if (answer.status === 401 || answer.status === 403)
          words = `the token in its file is refused: ${detail ?? `status ${answer.status}`}`
        // An edge tells its refusals as problems.
        else if (answer.status < 500 && detail === null)
          words = `what answers there (status ${answer.status}) is no edge of Scarab: check --edge`
      } catch {
        // Nobody there: the first reason stands.
      }
    }
    this.#again(words)
  }

  #again(reason: string): void {
    if (this.#closed) return
    // An edge that is just starting is no news.
    if (this.#pause > 8 * FIRST_PAUSE_MS) this.#say(`no link to ${this.#options.edge.origin}: ${reason}; dialling again`)
    const jitter = 0.5 + (this.#options.random ?? Math.random)() / 2
    const after = this.#options.after ?? ((ms, run) => setTimeout(run, ms))
    this.#timer = after(this.#pause * jitter, () => void this.#connect())
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
  }

  /** The same words once, not at every attempt. */
  #say(line: string): void {
    if (line === this.#lastWords) return
    this.#lastWords = line
    this.#options.events.log(line)
  }
}

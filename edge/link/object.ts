import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { FromNode, GRACE_SECONDS, type Lease, PING_SECONDS, type ToNode } from '../contract/node.ts'
import type { Env } from '../env.ts'
import { Alarm } from '../storage/alarm.ts'
import { migrate } from '../storage/migrate.ts'
import { objectStore } from '../storage/object-store.ts'
import { clearTimer, dueTimers, setTimer } from '../storage/timers.ts'
import { type Conversation, receive } from './messages.ts'
import { r2Objects } from './objects.ts'
import { dispatch, joinPool, type Kept, keep, type LinkMemory, newMemory, restore, unride } from './offers.ts'
import { type LedgerPort, type LinkContext, newCache, type PoolPort, type TablePort } from './ports.ts'
import { LINK_MIGRATIONS } from './schema.ts'
import { currentSession, endSession, type NodeBounds, RENEW_MS, renew, servesTenant, socketLost, wasAway } from './session.ts'
import { type SliceAsk, SliceDesk, type SliceFault, type SliceOutcome } from './slice-desk.ts'

/** What a socket carries through hibernation. */
interface Attachment {
  bounds: NodeBounds
  /** Set by hello. */
  session: SessionId | null
  /** The node's token ends then (ms); the node comes back with a fresh one. */
  expires_at: number
  /** When the socket was opened (ms): its silence counts from then, until the first ping. */
  since: number
  first: boolean
  /** What the link knows of the node's room, once it has said so. */
  kept?: Kept
}

const randomStart = (): number => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) * 2 ** 16 + 1

/** A message of a node is at most this long: a full batch of inline results, with room. */
const MAX_FRAME_BYTES = 24 * 1024 * 1024

/** One node's socket, session and offers in flight. Wires the pure functions of this folder. */
export class LinkObject extends DurableObject<Env> {
  readonly #context: LinkContext
  readonly #memory: LinkMemory = newMemory()
  readonly #desk = new SliceDesk({
    // I6: by the bounds of the token that the node has now.
    ask: (tenant, message) => {
      const row = currentSession(this.#context)
      return row !== undefined && servesTenant(row, tenant) && this.#send(message)
    },
    now: () => Date.now(),
    after: (ms, run) => {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    // Begins anywhere: after a crash a node may still answer a question of the life before, on its new socket, and that
    // answer must not be taken for another question's (I6).
    first: randomStart(),
  })
  readonly #alarm: Alarm

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const store = objectStore(state.storage)
    migrate(store, LINK_MIGRATIONS)
    this.#alarm = new Alarm(state.storage, store, (promise) => state.waitUntil(promise))
    this.#alarm.rearm()
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
    // The stubs have exactly the ports' methods; RPC wraps every return value in a promise, which the ports already say.
    this.#context = {
      store,
      cache: newCache(),
      now: () => Date.now(),
      ledger: (tenant) => stub(env.LEDGER, tenant, env) as unknown as LedgerPort,
      pool: (name) => stub(env.POOL, name, env) as unknown as PoolPort,
      table: (tenant, family) => stub(env.TABLE, `${tenant}/${family}`, env) as unknown as TablePort,
      directory: {
        announce: (input) => stub(env.DIRECTORY, 'directory', env).announce(input),
        seen: (node) => stub(env.DIRECTORY, 'directory', env).nodeSeen(node),
        gone: (node, session) => stub(env.DIRECTORY, 'directory', env).nodeGone({ node, session }),
      },
      objects: r2Objects(env),
      send: (message) => this.#send(message),
      hangUp: (code, detail, retry) => this.#hangUp(code, detail, retry),
    }
    // After an eviction the sockets are still there; after a crash they are not, and nobody told us.
    const row = currentSession(this.#context)
    if (row?.connected && state.getWebSockets().length === 0) {
      state.blockConcurrencyWhile(async () => {
        await socketLost(this.#context).catch(() => undefined)
        this.#alarm.arm()
      })
    }
    // Woken from hibernation: the socket has carried what was in memory.
    const kept = row && this.#socketOf(row.session)?.deserializeAttachment()?.kept
    if (kept) restore(this.#memory, kept)
  }

  /** The upgrade, already authorised by the Worker, which names the node's bounds. */
  override async fetch(request: Request): Promise<Response> {
    const bounds = JSON.parse(request.headers.get('x-scarab-bounds') ?? '') as NodeBounds & { expires_at: number }
    const [client, server] = Object.values(new WebSocketPair())
    if (!client || !server) throw new Error('a WebSocketPair has two ends')
    this.ctx.acceptWebSocket(server)
    const { name, pool, tenants, tasks, expires_at } = bounds
    server.serializeAttachment({
      bounds: { name, pool, tenants, tasks },
      session: null,
      expires_at,
      since: Date.now(),
      first: true,
    } satisfies Attachment)
    // The earliest end of all sockets counts, not that of the newest.
    this.#hangUpExpired(Date.now())
    this.#alarm.arm()
    return new Response(null, { status: 101, webSocket: client, headers: { 'sec-websocket-protocol': 'scarab.node.v1' } })
  }

  override async webSocketMessage(socket: WebSocket, text: string | ArrayBuffer): Promise<void> {
    if (typeof text !== 'string' || text.length > MAX_FRAME_BYTES) {
      socket.close(1009, 'frames are JSON texts of at most 24 MiB')
      return
    }
    const attachment = socket.deserializeAttachment() as Attachment
    const refuse = (code: string, detail: string, re: number | null = null): void =>
      socket.send(JSON.stringify({ type: 'refused', re, code, detail } satisfies ToNode))
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {
      return refuse('invalid_json', 'the frame is not JSON')
    }
    const parsed = FromNode.safeParse(json)
    if (!parsed.success) {
      const [issue] = parsed.error.issues
      const re = typeof json === 'object' && json !== null && 're' in json && typeof json.re === 'number' ? json.re : null
      return refuse('invalid_message', `${issue?.path.join('.') || 'type'}: ${issue?.message ?? 'not a message of protocol 1'}`, re)
    }
    const message = parsed.data
    const row = currentSession(this.#context)
    if (message.type === 'sliced') {
      // Only the session that was asked may answer: a socket that has said nothing yet has another token, perhaps.
      if (attachment.session === null || attachment.session !== row?.session) return
      this.#desk.answered(message.re, message.outcome)
      return
    }
    if (message.type === 'hello') {
      if (row && row.session !== message.session) this.#desk.sessionOver()
      attachment.session = message.session
      attachment.first = true
      socket.serializeAttachment(attachment)
      this.#saved = ''
      this.#found = { session: message.session, socket }
      for (const other of this.ctx.getWebSockets())
        if (other !== socket && (other.deserializeAttachment() as Attachment).session !== null)
          this.#bye(other, 'replaced', `another process connected as "${attachment.bounds.name}": give each node a token of its own`, false)
    } else if (row && attachment.session !== row.session) {
      return this.#bye(socket, 'replaced', 'another session of this node is current', false)
    }
    const conversation: Conversation = { bounds: attachment.bounds, part: { first: attachment.first } }
    try {
      // An answer is for whoever asked: the next process of this node counts its questions by the same numbers.
      const context = { ...this.#context, send: (answer: ToNode) => this.#send(answer, attachment.session) }
      await receive(context, this.#memory, conversation, message)
      if (message.type === 'announce') {
        const now = socket.deserializeAttachment() as Attachment
        socket.serializeAttachment({ ...now, first: conversation.part.first } satisfies Attachment)
      }
    } catch (reason) {
      // Another object did not answer. `refused` would count as an answer, and hello, accept or complete need a true one:
      // the node comes back, says what it holds, and repeats what it was not answered.
      console.warn(`message ${message.type} of ${attachment.bounds.name}: ${String(reason)}`)
      this.#bye(socket, 'unavailable', 'a part of the edge did not answer: come back and repeat the message', true)
    } finally {
      this.#save()
      this.#alarm.arm()
    }
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    try {
      // Or the node waits for its own timeout (RFC 6455, section 5.5.1); 1005 and 1006 are not to be sent (section 7.4.1).
      socket.close(code === 1005 || code === 1006 ? 1000 : code)
    } catch {
      // Closed from here already.
    }
    await this.#closed(socket)
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.#closed(socket)
  }

  async #closed(socket: WebSocket): Promise<void> {
    const { session } = socket.deserializeAttachment() as Attachment
    const row = currentSession(this.#context)
    const others = this.ctx
      .getWebSockets()
      .some((other) => other !== socket && (other.deserializeAttachment() as Attachment).session === session)
    if (row && session === row.session && !others) await socketLost(this.#context)
    this.#alarm.arm()
  }

  // ---- calls of other objects ------------------------------------------------------------------------------------

  async dispatch(given: {
    session: SessionId
    tenant: TenantId
    queue: QueueName
    seq: number
    count: number
    ride: boolean
    strict?: boolean
  }): Promise<void> {
    try {
      await dispatch(this.#context, this.#memory, given)
    } finally {
      this.#save()
    }
  }

  /** Offers do not ride on completions any more: the pool has more than one lane for this node. */
  async unride(given: { session: SessionId; strict: boolean }): Promise<void> {
    try {
      await unride(this.#context, this.#memory, given)
    } finally {
      this.#save()
    }
  }

  /** Passes a cancel on; false when the node is not connected in that session. */
  cancel({ session, lease, reason }: { session: SessionId; lease: Lease; reason: string }): boolean {
    const row = currentSession(this.#context)
    return row?.session === session && this.#send({ type: 'cancel', ...lease, reason })
  }

  /** Asks the node for a slice and waits for its answer. */
  slice(request: SliceAsk): Promise<SliceOutcome> {
    return this.#desk.ask(request)
  }

  /** Begins to make a derived object, once; answers the fault of a try that has failed. */
  derive(key: string, request: SliceAsk): SliceFault | null {
    return this.#desk.derive(key, request)
  }

  // ---- time ------------------------------------------------------------------------------------------------------

  override async alarm(): Promise<void> {
    const { store } = this.#context
    const now = Date.now()
    for (const { kind, ref, due } of dueTimers<'grace' | 'renew' | 'token'>(store, now, 10)) {
      const row = currentSession(this.#context)
      if (kind === 'token') {
        clearTimer(store, 'token', '')
        this.#hangUpExpired(now)
        // A timer of an earlier session; left alone it would ring without end.
      } else if (row?.session !== ref) clearTimer(store, kind, ref)
      else if (kind === 'grace' && wasAway(due, now)) setTimer(store, 'grace', row.session, now + GRACE_SECONDS * 1000)
      else if (kind === 'grace') {
        setTimer(store, 'grace', row.session, now + 5_000)
        if (row.connected) clearTimer(store, 'grace', row.session)
        else {
          const returned = (): boolean => currentSession(this.#context)?.connected === 1
          await endSession(this.#context, row, 'The connection to the node was lost.', returned)
          if (!returned()) this.#desk.sessionOver()
        }
      } else await this.#renew(now)
    }
    this.#alarm.rearm()
  }

  async #renew(now: number): Promise<void> {
    const row = currentSession(this.#context)
    if (!row) return
    setTimer(this.#context.store, 'renew', row.session, now + RENEW_MS)
    const sockets = this.ctx.getWebSockets()
    const silent = sockets.filter((socket) => {
      const at = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? (socket.deserializeAttachment() as Attachment).since
      return now - at > PING_SECONDS * 3 * 1000
    })
    for (const socket of silent) this.#bye(socket, 'silent', `no ping for ${PING_SECONDS * 3} s`, true)
    if (sockets.length === silent.length) {
      if (row.connected) await socketLost(this.#context)
      return
    }
    await renew(this.#context, row)
    // A report that was lost, or overtaken by an older one, is made good here.
    if (this.#memory.joined) await joinPool(this.#context, this.#memory, row)
  }

  #hangUpExpired(now: number): void {
    let next: number | null = null
    for (const socket of this.ctx.getWebSockets()) {
      const { expires_at } = socket.deserializeAttachment() as Attachment
      if (expires_at <= now) this.#bye(socket, 'token_expired', "the node's token has expired: come back with a fresh one", true)
      else next = next === null ? expires_at : Math.min(next, expires_at)
    }
    if (next !== null) setTimer(this.#context.store, 'token', '', next)
  }

  /** The cron's poke. */
  async sweep(): Promise<void> {
    await this.alarm()
  }

  // ---- the socket ------------------------------------------------------------------------------------------------

  /** The open socket of a session: an older one of the same session may still be closing. */
  #socketOf(session: SessionId): WebSocket | undefined {
    if (this.#found?.session === session && this.#found.socket.readyState === WebSocket.OPEN) return this.#found.socket
    const socket = this.ctx
      .getWebSockets()
      .find((one) => one.readyState === WebSocket.OPEN && (one.deserializeAttachment() as Attachment).session === session)
    this.#found = socket && { session, socket }
    return socket
  }

  /** What was found last: every message looks for it twice. */
  #found: { session: SessionId; socket: WebSocket } | undefined

  /** What the socket of the session carries already. */
  #saved = ''

  #save(): void {
    const row = currentSession(this.#context)
    if (!row) return
    const kept = keep(this.#memory)
    const saved = row.session + JSON.stringify(kept)
    if (saved === this.#saved) return
    const socket = this.#socketOf(row.session)
    if (!socket) return
    const attachment = socket.deserializeAttachment() as Attachment
    socket.serializeAttachment({ ...attachment, kept } satisfies Attachment)
    this.#saved = saved
  }

  /** To the current session's socket; with `session` only when that one is current. */
  #send(message: ToNode, session: SessionId | null = null): boolean {
    const row = currentSession(this.#context)
    if (session !== null && row?.session !== session) return false
    const socket = row && this.#socketOf(row.session)
    if (!socket) return false
    try {
      socket.send(JSON.stringify(message))
      return true
    } catch {
      // Closing: its close handler follows.
      return false
    }
  }

  #hangUp(code: string, detail: string, retry: boolean): void {
    for (const socket of this.ctx.getWebSockets()) this.#bye(socket, code, detail, retry)
  }

  #bye(socket: WebSocket, code: string, detail: string, retry: boolean): void {
    try {
      socket.send(JSON.stringify({ type: 'bye', code, detail, retry } satisfies ToNode))
      socket.close(1000, code)
    } catch {
      // Gone already.
    }
  }
}

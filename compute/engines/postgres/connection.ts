import type { Socket } from 'node:net'
import type { Address } from './dsn.ts'
import { isOverload } from './overload.ts'
import { md5Answer, type ScramStart, scramAnswer, scramStart, scramVerify } from './scram.ts'
import { ConnectionTrouble, openSocket, requestCancel } from './socket.ts'
import { cstringAt, FROM_SERVER, int32At, Outgoing, readError, type ServerError, textOf } from './wire.ts'

/** Takes what the server sends during one exchange. `bytes` is only valid during the call. */
export interface Receiver {
  /** The body of a DataRow: a 16-bit count, then for each cell a 32-bit length (-1: NULL) and its bytes. */
  row(bytes: Uint8Array, start: number, end: number): void
  /** Every other message but ReadyForQuery. */
  message(type: number, bytes: Uint8Array, start: number, end: number): void
}

/** Settings every value's text form depends on, and the reading-only default behind the explicit `BEGIN READ ONLY`. */
const SESSION_SETTINGS = [
  "set client_encoding = 'UTF8'",
  "set timezone = 'UTC'",
  "set datestyle = 'ISO, YMD'",
  "set intervalstyle = 'postgres'",
  'set standard_conforming_strings = on',
  "set bytea_output = 'hex'",
  'set extra_float_digits = 3',
  'set default_transaction_read_only = on',
].join(';')

/** What ParameterStatus must say for as long as the connection is used again. */
const PINNED: Record<string, RegExp> = {
  client_encoding: /^UTF8$/,
  TimeZone: /^UTC$/,
  DateStyle: /^ISO/,
  IntervalStyle: /^postgres$/,
  standard_conforming_strings: /^on$/,
  default_transaction_read_only: /^on$/,
}

/** The server's answer to a bad password or a missing database names both the user and the database: these do not. */
const REJECTIONS: Record<string, string> = {
  '28P01': 'the server rejects the user or the password',
  '28000': 'the server does not let this user in from here (pg_hba.conf)',
  '3D000': 'the database does not exist',
  '42501': 'the user may not connect to the database',
}
const OVERLOADS: Record<string, string> = {
  '53300': 'the server has as many connections as it allows; lower max_active on the nodes, or raise max_connections',
  '57P03': 'the server is starting, or recovering',
}
/** A message longer than this means that the other side does not speak the protocol; PostgreSQL's own limit is 1 GB. */
const MAX_MESSAGE_BYTES = 0x3fff_ffff + 1024

interface Exchange {
  receiver: Receiver
  readies: number
  resolve(): void
  reject(error: Error): void
}

/** One connection, one exchange at a time. */
export class Connection {
  readonly address: Address
  #socket: Socket
  #exchange: Exchange | null = null
  #closed: ConnectionTrouble | null = null
  /** Chunks of a message longer than what has arrived, and how many bytes it needs in all. */
  #parts: Uint8Array[] = []
  #partBytes = 0
  #needed = 0
  #paused = false
  #fatal: ServerError | null = null
  #secret = 0
  #started = false
  pid = 0
  version = ''
  /** Prepared statements of this connection: text to name. */
  readonly statements = new Map<string, string>()
  /** A session setting was changed by a statement: not to be used again. */
  tainted = false
  /** Called once when the connection is gone. */
  onClose: (() => void) | null = null

  private constructor(address: Address, socket: Socket) {
    this.address = address
    this.#socket = socket
    socket.on('data', (chunk: Uint8Array) => this.#feed(chunk))
    socket.on('error', () => this.#end())
    socket.on('close', () => this.#end())
  }

  static async open(address: Address, signal: AbortSignal): Promise<Connection> {
    const timeout = AbortSignal.timeout(address.connectTimeoutSeconds * 1000)
    const either = AbortSignal.any([signal, timeout])
    let connection: Connection | null = null
    const stop = () => connection?.destroy()
    try {
      connection = new Connection(address, await openSocket(address, either))
      either.addEventListener('abort', stop, { once: true })
      if (either.aborted) throw new ConnectionTrouble('aborted', 'stopped while connecting')
      await connection.#start()
      return connection
    } catch (error) {
      connection?.destroy()
      if (signal.aborted) throw new ConnectionTrouble('aborted', 'stopped while connecting')
      if (timeout.aborted) throw new ConnectionTrouble('unreachable', `the server did not answer within ${address.connectTimeoutSeconds} s`)
      throw error
    } finally {
      either.removeEventListener('abort', stop)
    }
  }

  get usable(): boolean {
    return this.#closed === null && !this.tainted && this.#exchange === null
  }

  get alive(): boolean {
    return this.#closed === null
  }

  async #start(): Promise<void> {
    const { user, database, applicationName } = this.address
    let failure: ConnectionTrouble | null = null
    let scram: ScramStart | null = null
    let signature = ''
    const give = (message: Outgoing) => this.#socket.write(message.finish())
    const fail = (trouble: ConnectionTrouble) => {
      failure ??= trouble
      this.destroy()
    }
    const authenticate = async (kind: number, body: Uint8Array): Promise<void> => {
      if (kind === 0) return
      const password = this.address.password
      if (kind === 12) {
        if (!scramVerify(signature, new TextDecoder().decode(body)))
          fail(new ConnectionTrouble('rejected', 'the server did not prove that it knows the password'))
        return
      }
      if (password === null) return fail(new ConnectionTrouble('rejected', 'the server asks for a password and the dsn has none'))
      if (kind === 3) give(new Outgoing().password(password))
      else if (kind === 5) give(new Outgoing().password(md5Answer(user, password, Buffer.from(body.subarray(0, 4)))))
      else if (kind === 10) {
        if (!new TextDecoder().decode(body).split('\0').includes('SCRAM-SHA-256'))
          return fail(new ConnectionTrouble('rejected', 'the server offers no way to sign in that is known here'))
        scram = scramStart()
        give(new Outgoing().saslInitial('SCRAM-SHA-256', scram.message))
      } else if (kind === 11 && scram) {
        const answer = await scramAnswer(scram, new TextDecoder().decode(body), password)
        if (!answer.ok) return fail(new ConnectionTrouble('rejected', answer.problem))
        signature = answer.serverSignature
        give(new Outgoing().saslResponse(answer.message))
      } else fail(new ConnectionTrouble('rejected', `the server asks for a way to sign in that is not known here (${kind})`))
    }
    const receiver: Receiver = {
      row: () => undefined,
      message: (type, bytes, start, end) => {
        if (type === FROM_SERVER.authentication) {
          authenticate(int32At(bytes, start), bytes.slice(start + 4, end)).catch(() =>
            fail(new ConnectionTrouble('rejected', 'signing in failed')),
          )
        } else if (type === FROM_SERVER.backendKey) {
          this.pid = int32At(bytes, start)
          this.#secret = int32At(bytes, start + 4)
        } else if (type === FROM_SERVER.error) {
          const { code } = readError(bytes, start, end)
          const known = REJECTIONS[code]
          const kind = isOverload(code) ? 'overloaded' : 'rejected'
          fail(new ConnectionTrouble(kind, known ?? OVERLOADS[code] ?? `the server refused the session (SQLSTATE ${code})`))
        }
      },
    }
    try {
      await this.exchange(
        new Outgoing().startup({ user, database, application_name: applicationName, client_encoding: 'UTF8' }),
        receiver,
        1,
      )
      await this.exchange(new Outgoing().simple(SESSION_SETTINGS), receiver, 1)
    } catch (error) {
      throw failure ?? (error instanceof ConnectionTrouble ? new ConnectionTrouble('unreachable', error.message) : error)
    }
    this.#started = true
  }

  /**
   * Writes all of `request` at once and hands every message to `receiver` until the server was ready `readies` times.
   * Rejects with ConnectionTrouble `lost` when the connection ends before that.
   */
  exchange(request: Outgoing, receiver: Receiver, readies: number): Promise<void> {
    if (this.#closed) return Promise.reject(this.#closed)
    if (this.#exchange) return Promise.reject(new Error('the connection is busy'))
    return new Promise<void>((resolve, reject) => {
      this.#exchange = { receiver, readies, resolve, reject }
      this.#socket.write(request.finish())
    })
  }

  /** Stops reading, until `resume` or the end of the exchange: whoever paused it has no say in the next one. */
  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket.resume()
  }

  cancel(signal: AbortSignal): Promise<void> {
    return requestCancel(this.address, this.pid, this.#secret, signal)
  }

  /** A polite end. */
  close(): void {
    if (this.#closed) return
    this.#socket.end(new Outgoing().begin('X').end().finish())
    this.#end()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#end()
  }

  #end(): void {
    if (this.#closed) return
    const why = this.#fatal
      ? `the server ended the connection (${this.#fatal.message}, SQLSTATE ${this.#fatal.code})`
      : 'the connection to the server was lost'
    this.#closed = new ConnectionTrouble('lost', why)
    const exchange = this.#exchange
    this.#exchange = null
    exchange?.reject(this.#closed)
    this.onClose?.()
  }

  #feed(chunk: Uint8Array): void {
    let bytes = chunk
    if (this.#needed > 0) {
      this.#parts.push(chunk)
      this.#partBytes += chunk.length
      if (this.#partBytes < this.#needed) return
      bytes = Buffer.concat(this.#parts, this.#partBytes)
      this.#parts = []
      this.#needed = 0
    }
    let at = 0
    const length = bytes.length
    while (length - at >= 5) {
      const size = int32At(bytes, at + 1)
      if (size < 4 || size > MAX_MESSAGE_BYTES) {
        this.destroy()
        return
      }
      const end = at + 1 + size
      if (end > length) break
      try {
        if (bytes[at] === FROM_SERVER.dataRow) this.#exchange?.receiver.row(bytes, at + 5, end)
        else this.#message(bytes[at] ?? 0, bytes, at + 5, end)
      } catch (error) {
        const exchange = this.#exchange
        this.#exchange = null
        this.destroy()
        exchange?.reject(error instanceof Error ? error : new Error(String(error)))
        return
      }
      if (this.#closed) return
      at = end
    }
    if (at === length) return
    // The chunk's memory belongs to the socket; what is left must be kept.
    this.#parts = [bytes.slice(at)]
    this.#partBytes = length - at
    this.#needed = this.#partBytes >= 5 ? int32At(bytes, at + 1) + 1 : 5
  }

  #message(type: number, bytes: Uint8Array, start: number, end: number): void {
    if (type === FROM_SERVER.ready) {
      const exchange = this.#exchange
      if (!exchange) return
      exchange.readies -= 1
      if (exchange.readies > 0) return
      this.#exchange = null
      if (this.#paused) this.resume()
      exchange.resolve()
      return
    }
    if (type === FROM_SERVER.parameterStatus) {
      const name = cstringAt(bytes, start)
      const value = textOf(bytes, name.next, end - 1)
      if (name.text === 'server_version') this.version = value
      // During the start the settings arrive one by one and are not ours yet.
      if (this.#started && PINNED[name.text]?.test(value) === false) this.tainted = true
      return
    }
    if (type === FROM_SERVER.notice || type === FROM_SERVER.notification) return
    if (type === FROM_SERVER.error) {
      const error = readError(bytes, start, end)
      if (error.severity === 'FATAL' || error.severity === 'PANIC') this.#fatal = error
    }
    this.#exchange?.receiver.message(type, bytes, start, end)
  }
}

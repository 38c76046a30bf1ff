import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  status: number
  body: Buffer
}

interface Waiting {
  resolve(answer: RawAnswer): void
  reject(reason: unknown): void
}

const HEAD_END = Buffer.from('\r\n\r\n')
const EMPTY = Buffer.alloc(0)

/**
 * One keep-alive connection that asks one thing at a time. Node's own clients cost several times more CPU a request than
 * the edge has for answering it, and on one machine that would be measured as the edge's.
 */
export class RawClient {
  readonly #socket: Socket
  readonly #head: string
  #rest: Buffer = EMPTY
  #waiting: Waiting | null = null

  private constructor(socket: Socket, head: string) {
    this.#socket = socket
    this.#head = head
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('error', (fault) => this.#fail(fault))
    socket.on('close', () => this.#fail(new Error('the edge closed the connection')))
  }

  static open(origin: string, token: string | null): Promise<RawClient> {
    const { hostname, port, host } = new URL(origin)
    const head = `Host: ${host}\r\n${token === null ? '' : `Authorization: Bearer ${token}\r\n`}`
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => resolve(new RawClient(socket, head)))
      socket.once('error', reject)
    })
  }

  /** `headers` are whole lines, each with its line end. */
  ask(method: string, path: string, headers = '', body = ''): Promise<RawAnswer> {
    if (this.#waiting) throw new Error('one request at a time')
    // The edge closes connections that are idle for some seconds.
    if (this.#socket.destroyed || this.#socket.readableEnded) return Promise.reject(new Error('the connection is closed'))
    const length =
      method === 'POST' || method === 'PUT' ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : ''
    this.#socket.write(`${method} ${path} HTTP/1.1\r\n${this.#head}${headers}${length}\r\n${body}`)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #fail(reason: unknown): void {
    this.#waiting?.reject(reason)
    this.#waiting = null
  }

  #read(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const end = this.#rest.indexOf(HEAD_END)
    if (end < 0) return
    const head = this.#rest.toString('latin1', 0, end)
    const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
    const from = end + HEAD_END.length
    const body = length === undefined ? chunked(this.#rest, from, head) : whole(this.#rest, from, Number(length))
    if (body === null) return
    this.#rest = EMPTY
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve({ status: Number(head.slice(9, 12)), body })
  }
}

const whole = (bytes: Buffer, from: number, length: number): Buffer | null =>
  bytes.length < from + length ? null : bytes.subarray(from, from + length)

/** RFC 9112, section 7.1; null while chunks are missing. */
const chunked = (bytes: Buffer, from: number, head: string): Buffer | null => {
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return EMPTY
  const parts: Buffer[] = []
  for (let at = from; ; ) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    const next = line + 2 + size + 2
    if (bytes.length < next) return null
    if (size === 0) return Buffer.concat(parts)
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = next
  }
}

/**
 * Messages of PostgreSQL's protocol 3.0 (documentation, chapter 54). Only what reading needs: no COPY at all, so that
 * no statement can reach a file or a program of the server through this client.
 */

const encoder = new TextEncoder()
// U+FEFF at the beginning of a text is a character like any other, and no mark that goes.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** First byte of a message from the server (section 54.7). */
export const FROM_SERVER = {
  authentication: 0x52,
  backendKey: 0x4b,
  bindComplete: 0x32,
  closeComplete: 0x33,
  commandComplete: 0x43,
  dataRow: 0x44,
  emptyQuery: 0x49,
  error: 0x45,
  noData: 0x6e,
  notice: 0x4e,
  notification: 0x41,
  parameterDescription: 0x74,
  parameterStatus: 0x53,
  parseComplete: 0x31,
  portalSuspended: 0x73,
  ready: 0x5a,
  rowDescription: 0x54,
} as const

/** A column of a result as RowDescription tells it. */
export interface Field {
  name: string
  oid: number
  /** Type modifier; -1 where there is none. For numeric: ((precision << 16) | scale) + 4. */
  modifier: number
}

/** What ErrorResponse says (section 54.8). */
export interface ServerError {
  severity: string
  /** SQLSTATE. */
  code: string
  message: string
  detail: string | null
  hint: string | null
  /** Character in the statement, from 1. */
  position: number | null
}

/** A growing buffer in which one write to the socket is put together. */
export class Outgoing {
  #bytes = new Uint8Array(512)
  #length = 0
  #start = 0

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
  #put32(at: number, value: number): void {
    this.#bytes[at] = value >> 24
    this.#bytes[at + 1] = value >> 16
    this.#bytes[at + 2] = value >> 8
    this.#bytes[at + 3] = value
  }
  /** Begins a message; `null` for the ones of the start, which have no type byte. */
  begin(type: string | null): this {
    this.#room(5)
    if (type !== null) {
      this.#bytes[this.#length] = type.charCodeAt(0)
      this.#length += 1
    }
    this.#start = this.#length
    this.#length += 4
    return this
  }
  end(): this {
    this.#put32(this.#start, this.#length - this.#start)
    return this
  }
  int16(value: number): this {
    this.#room(2)
    this.#bytes[this.#length] = value >> 8
    this.#bytes[this.#length + 1] = value
    this.#length += 2
    return this
  }
  int32(value: number): this {
    this.#room(4)
    this.#put32(this.#length, value)
    this.#length += 4
    return this
  }
  byte(value: number): this {
    this.#room(1)
    this.#bytes[this.#length] = value
    this.#length += 1
    return this
  }
  bytes(value: Uint8Array): this {
    this.#room(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
    return this
  }
  /** Text without an end mark. */
  text(value: string): this {
    this.#room(value.length * 3)
    this.#length += encoder.encodeInto(value, this.#bytes.subarray(this.#length)).written
    return this
  }
  /** Text that ends with a zero byte. */
  cstring(value: string): this {
    return this.text(value).byte(0)
  }

  startup(parameters: Record<string, string>): this {
    this.begin(null).int32(196_608)
    for (const [name, value] of Object.entries(parameters)) this.cstring(name).cstring(value)
    return this.byte(0).end()
  }
  sslRequest(): this {
    return this.begin(null).int32(80_877_103).end()
  }
  cancelRequest(pid: number, secret: number): this {
    return this.begin(null).int32(80_877_102).int32(pid).int32(secret).end()
  }
  password(value: string): this {
    return this.begin('p').cstring(value).end()
  }
  saslInitial(mechanism: string, response: string): this {
    const bytes = encoder.encode(response)
    return this.begin('p').cstring(mechanism).int32(bytes.length).bytes(bytes).end()
  }
  saslResponse(response: string): this {
    return this.begin('p').text(response).end()
  }
  simple(sql: string): this {
    return this.begin('Q').cstring(sql).end()
  }
  parse(name: string, sql: string, oids: readonly number[]): this {
    this.begin('P').cstring(name).cstring(sql).int16(oids.length)
    for (const oid of oids) this.int32(oid)
    return this.end()
  }
  describeStatement(name: string): this {
    return this.begin('D').byte(0x53).cstring(name).end()
  }
  closeStatement(name: string): this {
    return this.begin('C').byte(0x53).cstring(name).end()
  }
  /** Binds the unnamed portal; parameters and result columns as text. */
  bind(statement: string, args: readonly (string | null)[]): this {
    this.begin('B').cstring('').cstring(statement).int16(0).int16(args.length)
    for (const value of args) {
      if (value === null) this.int32(-1)
      else {
        const bytes = encoder.encode(value)
        this.int32(bytes.length).bytes(bytes)
      }
    }
    return this.int16(0).end()
  }
  /** Runs the unnamed portal to its end. Without a row limit: a limit would forbid the server a parallel plan. */
  execute(): this {
    return this.begin('E').cstring('').int32(0).end()
  }
  sync(): this {
    return this.begin('S').end()
  }
  terminate(): this {
    return this.begin('X').end()
  }
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }
}

export const int32At = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
export const int16At = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
export const textOf = (bytes: Uint8Array, start: number, end: number): string => decoder.decode(bytes.subarray(start, end))

/** Reads a zero-terminated text and says where the next one begins. */
export const cstringAt = (bytes: Uint8Array, at: number): { text: string; next: number } => {
  const end = bytes.indexOf(0, at)
  return { text: textOf(bytes, at, end), next: end + 1 }
}

export const readFields = (bytes: Uint8Array, start: number): Field[] => {
  const fields: Field[] = []
  let at = start + 2
  for (let left = int16At(bytes, start); left > 0; left -= 1) {
    const { text, next } = cstringAt(bytes, at)
    // Table (4), attribute (2), type (4), size (2), modifier (4), format (2).
    fields.push({ name: text, oid: int32At(bytes, next + 6) >>> 0, modifier: int32At(bytes, next + 12) })
    at = next + 18
  }
  return fields
}

export const readOids = (bytes: Uint8Array, start: number): number[] => {
  const oids: number[] = []
  const count = int16At(bytes, start)
  for (let i = 0; i < count; i += 1) oids.push(int32At(bytes, start + 2 + i * 4) >>> 0)
  return oids
}

export const readError = (bytes: Uint8Array, start: number, end: number): ServerError => {
  const fields = new Map<string, string>()
  for (let at = start; at < end && bytes[at] !== 0; ) {
    const { text, next } = cstringAt(bytes, at + 1)
    fields.set(String.fromCharCode(bytes[at] ?? 0), text)
    at = next
  }
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? 'unknown error',
    detail: fields.get('D') ?? null,
    hint: fields.get('H') ?? null,
    position: fields.has('P') ? Number(fields.get('P')) : null,
  }
}

/** The row count of a command tag such as "SELECT 42"; null for tags without one. */
export const tagRows = (tag: string): number | null => {
  const match = /^SELECT (\d+)$/.exec(tag)
  return match ? Number(match[1]) : null
}

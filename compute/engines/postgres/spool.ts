import { type FileHandle, open } from 'node:fs/promises'
import type { ColumnType } from '../../../edge/contract/columns.ts'
import { quoteName } from '../../duckdb/sql.ts'
import { sqlType } from '../../results/types.ts'
import type { ResultColumn } from './types.ts'
import { decodeText, readArray } from './values.ts'
import { int16At, int32At } from './wire.ts'

/**
 * Raw cells of the protocol to CSV for DuckDB: bytes are copied, no JavaScript value is made of a cell but where a type
 * needs it. NULL is an empty field, the empty text `""`; texts are always quoted.
 */

const SLAB_BYTES = 1024 * 1024
/** With this many slabs waiting for the disk the server is made to wait too. */
const MAX_WAITING_SLABS = 4
const SHOWN_CHARACTERS = 100

/** How a cell gets into the CSV. */
type Copy = 'plain' | 'decimal' | 'moment' | 'hex' | 'text' | 'booltext' | 'list'

const copyOf = ({ form, type, array }: ResultColumn): Copy => {
  if (array) return 'list'
  if (type === 'string') return form === 'bool' ? 'booltext' : 'text'
  if (type === 'binary') return 'hex'
  if (type === 'date' || type === 'timestamp' || type === 'timestamptz') return 'moment'
  return typeof type === 'string' && type.startsWith('decimal') ? 'decimal' : 'plain'
}

const wholeDigits = (type: ColumnType): number => {
  const [, precision, scale] = (typeof type === 'string' ? /^decimal\((\d+), ?(\d+)\)$/.exec(type) : null) ?? []
  return Number(precision) - Number(scale)
}

export interface SpoolColumn extends ResultColumn {
  copy: Copy
  /** Digits that a decimal has room for before the point. */
  whole: number
}

const COMMA = 0x2c
const QUOTE = 0x22
const NEWLINE = 0x0a
const encoder = new TextEncoder()
// U+FEFF at the beginning of a text is a character like any other, and no mark that goes.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** A value that its column has no room for. */
export interface Misfit {
  column: string
  type: ColumnType
  /** Shortened. */
  value: string
  why: string | null
}

export const misfitOf = (column: ResultColumn, text: string, why: string | null = null): Misfit => ({
  column: column.name,
  type: column.type,
  value: text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text,
  why,
})

export interface SpoolHooks {
  /** Stop and go on reading from the server. */
  pause(): void
  resume(): void
  misfit(misfit: Misfit): void
  /** So many bytes are in the file. */
  written?(bytes: number): void
}

export class CsvSpool {
  readonly path: string
  rows = 0
  /** Bytes in the file. */
  bytes = 0
  /** Bytes of the longest line, for the reader's buffers. */
  longestLine = 0
  /** A text with a line break was written. */
  multiline = false
  #columns: SpoolColumn[]
  #hooks: SpoolHooks
  #slab = new Uint8Array(SLAB_BYTES)
  #length = 0
  /** What the current row may still need without counting its lists. */
  #reserve = 0
  /** Bytes in slabs that went to the disk. */
  #flushed = 0
  #free: Uint8Array<ArrayBuffer>[] = []
  #waiting = 0
  #paused = false
  #handle: Promise<FileHandle>
  #tail: Promise<void>
  #failed: Error | null = null

  constructor(path: string, columns: readonly ResultColumn[], hooks: SpoolHooks) {
    this.path = path
    this.#columns = columns.map((column) => ({ ...column, copy: copyOf(column), whole: wholeDigits(column.type) }))
    this.#hooks = hooks
    this.#handle = open(path, 'wx', 0o600)
    this.#tail = this.#handle.then(() => undefined).catch((error: Error) => this.#fail(error))
  }

  #fail(error: Error): void {
    this.#failed ??= error
  }

  /** Takes the body of a DataRow. */
  row(bytes: Uint8Array, start: number, end: number): void {
    const columns = this.#columns
    const lineStart = this.#flushed + this.#length
    // Text can double by its quotes; every cell has a separator and two quotes.
    this.#reserve = (end - start) * 2 + columns.length * 3 + 1
    this.#ensure(this.#reserve)
    let at = start + 2
    const count = int16At(bytes, start)
    for (let n = 0; n < count; n += 1) {
      const column = columns[n]
      if (n > 0) this.#slab[this.#length++] = COMMA
      const length = int32At(bytes, at)
      at += 4
      if (length < 0 || !column) continue
      this.#cell(column, bytes, at, at + length)
      at += length
    }
    this.#slab[this.#length++] = NEWLINE
    this.rows += 1
    this.longestLine = Math.max(this.longestLine, this.#flushed + this.#length - lineStart)
  }

  #cell(column: SpoolColumn, bytes: Uint8Array, start: number, end: number): void {
    const out = this.#slab
    let o = this.#length
    switch (column.copy) {
      case 'plain':
        for (let i = start; i < end; i += 1) out[o++] = bytes[i] ?? 0
        break
      case 'decimal':
        if (!fitsDecimal(bytes, start, end, column.whole)) this.#misfit(column, bytes, start, end)
        for (let i = start; i < end; i += 1) out[o++] = bytes[i] ?? 0
        break
      case 'moment':
        // Four digits of a year and no "BC": the ordinary case, known by two bytes. Everything else is looked at closely.
        if (bytes[start + 4] !== 0x2d || bytes[end - 1] === 0x43) {
          const text = decoder.decode(bytes.subarray(start, end))
          if (!decodeText(text, column.form, column.type).ok) this.#misfit(column, bytes, start, end)
        }
        for (let i = start; i < end; i += 1) out[o++] = bytes[i] ?? 0
        break
      case 'hex':
        if (bytes[start] !== 0x5c || bytes[start + 1] !== 0x78) this.#misfit(column, bytes, start, end)
        // `\x` and the digits; quoted, because no bytes at all is not NULL.
        out[o++] = QUOTE
        for (let i = start + 2; i < end; i += 1) out[o++] = bytes[i] ?? 0
        out[o++] = QUOTE
        break
      case 'text':
        out[o++] = QUOTE
        for (let i = start; i < end; i += 1) {
          const byte = bytes[i] ?? 0
          out[o++] = byte
          if (byte === QUOTE) out[o++] = QUOTE
          else if (byte === NEWLINE) this.multiline = true
        }
        out[o++] = QUOTE
        break
      case 'booltext':
        this.#quoted(bytes[start] === 0x74 ? 'true' : 'false')
        return
      case 'list':
        this.#list(column, bytes, start, end)
        return
    }
    this.#length = o
  }

  #misfit(column: SpoolColumn, bytes: Uint8Array, start: number, end: number, why: string | null = null): void {
    this.#hooks.misfit(misfitOf(column, decoder.decode(bytes.subarray(start, end)), why))
  }

  /** A list becomes JSON whose elements are all strings, so that no number of it is read as a double. */
  #list(column: SpoolColumn, bytes: Uint8Array, start: number, end: number): void {
    const text = decoder.decode(bytes.subarray(start, end))
    const reading = readArray(text)
    if (!reading.ok) {
      this.#misfit(column, bytes, start, end, reading.why)
      return
    }
    const element = typeof column.type === 'object' && column.type.type === 'list' ? column.type.element : 'string'
    const items = reading.elements.map((item) => {
      if (item === null) return null
      if (!decodeText(item, column.form, element).ok) this.#misfit(column, encoder.encode(item), 0, Number.MAX_SAFE_INTEGER)
      if (column.form === 'bytea') return item.slice(2)
      return column.form === 'bool' ? String(item === 't') : item
    })
    this.#quoted(JSON.stringify(items))
  }

  #quoted(text: string): void {
    const bytes = encoder.encode(text.replaceAll('"', '""'))
    this.#ensure(bytes.length + 2 + this.#reserve)
    this.#slab[this.#length++] = QUOTE
    this.#slab.set(bytes, this.#length)
    this.#length += bytes.length
    this.#slab[this.#length++] = QUOTE
  }

  #ensure(bytes: number): void {
    if (this.#length + bytes <= this.#slab.length) return
    this.#flush()
    const size = Math.max(SLAB_BYTES, bytes)
    const free = this.#free.pop()
    this.#slab = free && free.length >= size ? free : new Uint8Array(size)
    this.#length = 0
  }

  #flush(): void {
    const slab = this.#slab
    const length = this.#length
    if (length === 0) return
    this.#flushed += length
    this.#waiting += 1
    if (this.#waiting >= MAX_WAITING_SLABS && !this.#paused) {
      this.#paused = true
      this.#hooks.pause()
    }
    this.#tail = this.#tail
      .then(async () => {
        const handle = await this.#handle
        for (let at = 0; at < length && !this.#failed; ) at += (await handle.write(slab, at, length - at)).bytesWritten
        if (this.#failed) return
        this.bytes += length
        this.#hooks.written?.(this.bytes)
      })
      .catch((error: Error) => this.#fail(error))
      .finally(() => {
        this.#waiting -= 1
        if (slab.length === SLAB_BYTES) this.#free.push(slab)
        if (this.#paused && this.#waiting < MAX_WAITING_SLABS / 2) {
          this.#paused = false
          this.#hooks.resume()
        }
      })
  }

  /** How DuckDB shall read the file, column by column (`SpoolSource`). */
  get source(): { name: string; duckdbType: string; expression?: string }[] {
    return this.#columns.map((column) => {
      const name = quoteName(column.name)
      if (column.copy === 'hex') return { name: column.name, duckdbType: 'VARCHAR', expression: `unhex(${name})` }
      if (column.copy !== 'list') return { name: column.name, duckdbType: sqlType(column.type) }
      const texts = `from_json(${name}, '["VARCHAR"]')`
      const expression =
        column.form === 'bytea' ? `list_transform(${texts}, lambda x: unhex(x))` : `CAST(${texts} AS ${sqlType(column.type)})`
      return { name: column.name, duckdbType: 'VARCHAR', expression }
    })
  }

  /** Writes what is left and closes. Rejects when the disk did. */
  async finish(): Promise<void> {
    this.#flush()
    this.#length = 0
    await this.#tail
    await this.#handle.then((handle) => handle.close()).catch((error: Error) => this.#fail(error))
    if (this.#failed) throw this.#failed
  }
}

/** Digits only, at most `whole` of them before the point (a lone zero does not count): "NaN" and "Infinity" do not fit. */
const fitsDecimal = (bytes: Uint8Array, start: number, end: number, whole: number): boolean => {
  let at = bytes[start] === 0x2d ? start + 1 : start
  while (at < end && bytes[at] === 0x30) at += 1
  const first = at
  while (at < end && (bytes[at] ?? 0) >= 0x30 && (bytes[at] ?? 0) <= 0x39) at += 1
  if (at - first > whole) return false
  return at === end || bytes[at] === 0x2e
}

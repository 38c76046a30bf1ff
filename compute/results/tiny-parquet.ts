import type { ColumnType } from '../../edge/contract/columns.ts'
import type { ColumnStats } from '../../edge/contract/manifests.ts'
import { boundText } from './stats.ts'
import { type TinyValue, tinyWire } from './tiny-values.ts'

/**
 * A Parquet writer for results of a few rows, where starting anything larger costs more than the result. One row group,
 * PLAIN pages without compression, the physical types that DuckDB's writer chooses, so that column chunks of both can
 * stand in one file. Format: github.com/apache/parquet-format, `parquet.thrift`, encoded by Thrift's compact protocol.
 */

export interface TinyColumn {
  /** Iceberg field id. */
  id: number
  name: string
  type: ColumnType
  values: readonly TinyValue[]
}

export interface TinyFile {
  bytes: Uint8Array
  /** Where row groups begin; empty for a file without rows. */
  splitOffsets: number[]
  stats: ColumnStats[]
}

const MAGIC = [0x50, 0x41, 0x52, 0x31]
/** A bound longer than this is left out of the footer: it would weigh more than the rows. */
const MAX_BOUND_BYTES = 256
const PHYSICAL = { boolean: 0, int32: 1, int64: 2, float: 4, double: 5, byteArray: 6, fixed: 7 } as const
const CONVERTED = { utf8: 0, decimal: 5, date: 6, timeMicros: 8, timestampMicros: 10 } as const

interface Layout {
  physical: number
  /** Bytes of a FIXED_LEN_BYTE_ARRAY. */
  length: number | null
  converted: number | null
  decimal: { precision: number; scale: number } | null
  /** Field number in the union LogicalType, and what stands inside. */
  logical: { field: number; adjustedToUtc?: boolean } | null
}

const plain = (physical: number): Layout => ({ physical, length: null, converted: null, decimal: null, logical: null })

const LAYOUTS: Record<string, Layout> = {
  boolean: plain(PHYSICAL.boolean),
  int: plain(PHYSICAL.int32),
  long: plain(PHYSICAL.int64),
  float: plain(PHYSICAL.float),
  double: plain(PHYSICAL.double),
  binary: plain(PHYSICAL.byteArray),
  string: { ...plain(PHYSICAL.byteArray), converted: CONVERTED.utf8, logical: { field: 1 } },
  date: { ...plain(PHYSICAL.int32), converted: CONVERTED.date, logical: { field: 6 } },
  time: { ...plain(PHYSICAL.int64), converted: CONVERTED.timeMicros, logical: { field: 7, adjustedToUtc: false } },
  // The old annotation means UTC, so a timestamp without zone carries only the new one.
  timestamp: { ...plain(PHYSICAL.int64), logical: { field: 8, adjustedToUtc: false } },
  timestamptz: { ...plain(PHYSICAL.int64), converted: CONVERTED.timestampMicros, logical: { field: 8, adjustedToUtc: true } },
  uuid: { ...plain(PHYSICAL.fixed), length: 16, logical: { field: 14 } },
}

const layoutOf = (type: ColumnType): Layout | null => {
  if (typeof type !== 'string') return null
  const known = LAYOUTS[type]
  if (known) return known
  const match = /^decimal\((\d+), ?(\d+)\)$/.exec(type)
  if (!match) return null
  const decimal = { precision: Number(match[1]), scale: Number(match[2]) }
  const annotated = { converted: CONVERTED.decimal, decimal, logical: { field: 5 } }
  if (decimal.precision <= 9) return { ...plain(PHYSICAL.int32), ...annotated }
  if (decimal.precision <= 18) return { ...plain(PHYSICAL.int64), ...annotated }
  return { ...plain(PHYSICAL.fixed), length: 16, ...annotated }
}

/** Whether columns of this type can be written here: everything but nested types. */
export const isTiny = (type: ColumnType): boolean => layoutOf(type) !== null

// ---- Thrift's compact protocol ----------------------------------------------------------------------------------------

const THRIFT = { true: 1, false: 2, i16: 4, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const

/** Bytes that grow; and the structures of the footer, field by field. */
class Writer {
  bytes = new Uint8Array(4096)
  view = new DataView(this.bytes.buffer)
  length = 0
  #last = 0
  #stack: number[] = []

  /** Empties it, so that the next small thing needs no new memory. */
  reset(): this {
    this.length = 0
    this.#last = 0
    this.#stack.length = 0
    return this
  }
  get content(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  room(count: number): number {
    const at = this.length
    if (at + count > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.bytes.length * 2, at + count))
      larger.set(this.bytes.subarray(0, at))
      this.bytes = larger
      this.view = new DataView(larger.buffer)
    }
    this.length += count
    return at
  }
  byte(value: number): void {
    const at = this.room(1)
    this.bytes[at] = value
  }
  raw(value: Uint8Array | readonly number[]): void {
    const at = this.room(value.length)
    this.bytes.set(value, at)
  }
  varint(value: number): void {
    let left = value
    while (left >= 0x80) {
      this.byte((left % 0x80) | 0x80)
      left = Math.floor(left / 0x80)
    }
    this.byte(left)
  }
  /** Zigzag: only sizes and counts come here, which are never negative. */
  #signed(value: number): void {
    this.varint(value * 2)
  }
  #field(id: number, type: number): void {
    const delta = id - this.#last
    if (delta > 0 && delta < 16) this.byte((delta << 4) | type)
    else {
      this.byte(type)
      this.#signed(id)
    }
    this.#last = id
  }
  i32(id: number, value: number): void {
    this.#field(id, THRIFT.i32)
    this.#signed(value)
  }
  i64(id: number, value: number): void {
    this.#field(id, THRIFT.i64)
    this.#signed(value)
  }
  bool(id: number, value: boolean): void {
    this.#field(id, value ? THRIFT.true : THRIFT.false)
  }
  binary(id: number, value: Uint8Array | string): void {
    this.#field(id, THRIFT.binary)
    this.item(value)
  }
  /** A text or bytes as an element of a list. */
  item(value: Uint8Array | string): void {
    const bytes = typeof value === 'string' ? encoder.encode(value) : value
    this.varint(bytes.length)
    this.raw(bytes)
  }
  struct(id: number, inside: () => void): void {
    this.#field(id, THRIFT.struct)
    this.element(inside)
  }
  /** A structure as an element of a list, or the outermost one. */
  element(inside: () => void): void {
    this.#stack.push(this.#last)
    this.#last = 0
    inside()
    this.byte(0)
    this.#last = this.#stack.pop() ?? 0
  }
  list(id: number, type: number, size: number): void {
    this.#field(id, THRIFT.list)
    if (size < 15) this.byte((size << 4) | type)
    else {
      this.byte(0xf0 | type)
      this.varint(size)
    }
  }
  i32Item(value: number): void {
    this.#signed(value)
  }
}

const encoder = new TextEncoder()

// ---- pages ------------------------------------------------------------------------------------------------------------

class UnexpectedValue extends Error {
  constructor(name: string, type: ColumnType, value: TinyValue) {
    super(`column "${name}" of type ${JSON.stringify(type)} got a ${typeof value}`)
    this.name = 'UnexpectedValue'
  }
}

/** Everything here is written in one go and nothing waits in between, so three writers serve all files. */
const whole = new Writer()
const pages = new Writer()
const bounds = new Writer()

/** Writes one value as PLAIN has it, but without the length in front of a BYTE_ARRAY: this is the form of bounds too. */
const putValue = (out: Writer, column: TinyColumn, { physical, length }: Layout, value: Exclude<TinyValue, null | boolean>): void => {
  if (physical === PHYSICAL.byteArray && typeof value === 'string') out.raw(encoder.encode(value))
  else if (physical === PHYSICAL.byteArray && value instanceof Uint8Array) out.raw(value)
  else if (physical === PHYSICAL.fixed && value instanceof Uint8Array && value.length === length) out.raw(value)
  else if (physical === PHYSICAL.fixed && typeof value === 'bigint') {
    // Sixteen bytes, big-endian two's complement.
    const at = out.room(16)
    out.view.setBigInt64(at, value >> 64n)
    out.view.setBigUint64(at + 8, BigInt.asUintN(64, value))
  } else if (physical === PHYSICAL.int32 && (typeof value === 'number' || typeof value === 'bigint')) {
    const at = out.room(4)
    out.view.setInt32(at, Number(value), true)
  } else if (physical === PHYSICAL.int64 && typeof value === 'bigint') {
    const at = out.room(8)
    out.view.setBigInt64(at, value, true)
  } else if (physical === PHYSICAL.float && typeof value === 'number') {
    const at = out.room(4)
    out.view.setFloat32(at, value, true)
  } else if (physical === PHYSICAL.double && typeof value === 'number') {
    const at = out.room(8)
    out.view.setFloat64(at, value, true)
  } else throw new UnexpectedValue(column.name, column.type, value)
}

/** Definition levels 0 and 1 as runs (RLE, bit width 1): `count << 1` and the level, under a length of four bytes. */
const writeLevels = (out: Writer, values: readonly TinyValue[]): void => {
  const lengthAt = out.room(4)
  const start = out.length
  for (let at = 0; at < values.length; ) {
    const isNull = values[at] === null
    let end = at + 1
    while (end < values.length && (values[end] === null) === isNull) end += 1
    out.varint((end - at) * 2)
    out.byte(isNull ? 0 : 1)
    at = end
  }
  out.view.setUint32(lengthAt, out.length - start, true)
}

const writeBooleans = (out: Writer, column: TinyColumn): void => {
  const present = column.values.filter((value) => value !== null)
  const at = out.room(Math.ceil(present.length / 8))
  out.bytes.fill(0, at, out.length)
  present.forEach((value, n) => {
    if (typeof value !== 'boolean') throw new UnexpectedValue(column.name, column.type, value)
    if (value) out.bytes[at + (n >> 3)] = (out.bytes[at + (n >> 3)] ?? 0) | (1 << (n & 7))
  })
}

interface Bounds {
  nulls: number
  nans: number
  min: TinyValue
  max: TinyValue
}

const less = (a: TinyValue, b: TinyValue, layout: Layout): boolean => {
  if (layout.physical === PHYSICAL.byteArray || a instanceof Uint8Array) {
    // Text is ordered by its bytes in UTF-8, which JavaScript's comparison by UTF-16 units is not.
    return Buffer.compare(bytesOf(a), bytesOf(b)) < 0
  }
  return a !== null && b !== null && (a < b || (a === b && Object.is(a, -0) && !Object.is(b, -0)))
}

const bytesOf = (value: TinyValue): Uint8Array => (value instanceof Uint8Array ? value : encoder.encode(String(value)))

const boundsOf = (column: TinyColumn, layout: Layout): Bounds => {
  const found: Bounds = { nulls: 0, nans: 0, min: null, max: null }
  for (const value of column.values) {
    if (value === null) found.nulls += 1
    else if (Number.isNaN(value)) found.nans += 1
    else {
      if (found.min === null || less(value, found.min, layout)) found.min = value
      if (found.max === null || less(found.max, value, layout)) found.max = value
    }
  }
  return found
}

interface Chunk {
  column: TinyColumn
  layout: Layout
  offset: number
  bytes: number
  bounds: Bounds
}

/** The content of a column's one page. */
const writePage = (column: TinyColumn, layout: Layout): Uint8Array => {
  const page = pages.reset()
  writeLevels(page, column.values)
  if (layout.physical === PHYSICAL.boolean) {
    writeBooleans(page, column)
    return page.content
  }
  for (const value of column.values) {
    if (value === null) continue
    if (typeof value === 'boolean') throw new UnexpectedValue(column.name, column.type, value)
    const lengthAt = layout.physical === PHYSICAL.byteArray ? page.room(4) : null
    putValue(page, column, layout, value)
    if (lengthAt !== null) page.view.setUint32(lengthAt, page.length - lengthAt - 4, true)
  }
  return page.content
}

const writeChunk = (out: Writer, column: TinyColumn, layout: Layout): Chunk => {
  const page = writePage(column, layout)
  const offset = out.length
  out.element(() => {
    // PageHeader: DATA_PAGE, both sizes, DataPageHeader { values, PLAIN, levels by RLE }.
    out.i32(1, 0)
    out.i32(2, page.length)
    out.i32(3, page.length)
    out.struct(5, () => {
      out.i32(1, column.values.length)
      out.i32(2, 0)
      out.i32(3, 3)
      out.i32(4, 3)
    })
  })
  out.raw(page)
  return { column, layout, offset, bytes: out.length - offset, bounds: boundsOf(column, layout) }
}

// ---- footer -----------------------------------------------------------------------------------------------------------

const writeLogicalType = (out: Writer, layout: Layout): void => {
  const { logical, decimal } = layout
  if (!logical) return
  out.struct(10, () =>
    out.struct(logical.field, () => {
      if (decimal) {
        out.i32(1, decimal.scale)
        out.i32(2, decimal.precision)
      }
      if (logical.adjustedToUtc !== undefined) {
        out.bool(1, logical.adjustedToUtc)
        // TimeUnit.MICROS, an empty structure.
        out.struct(2, () => out.struct(2, () => undefined))
      }
    }),
  )
}

const writeSchema = (out: Writer, columns: readonly { column: TinyColumn; layout: Layout }[]): void => {
  out.list(2, THRIFT.struct, columns.length + 1)
  out.element(() => {
    out.binary(4, 'schema')
    out.i32(5, columns.length)
  })
  for (const { column, layout } of columns) {
    out.element(() => {
      out.i32(1, layout.physical)
      if (layout.length !== null) out.i32(2, layout.length)
      // OPTIONAL: every report column may be NULL.
      out.i32(3, 1)
      out.binary(4, column.name)
      if (layout.converted !== null) out.i32(6, layout.converted)
      if (layout.decimal) {
        out.i32(7, layout.decimal.scale)
        out.i32(8, layout.decimal.precision)
      }
      out.i32(9, column.id)
      writeLogicalType(out, layout)
    })
  }
}

const writeBound = (out: Writer, id: number, column: TinyColumn, layout: Layout, value: TinyValue): void => {
  if (value === null) return
  bounds.reset()
  if (typeof value === 'boolean') bounds.byte(value ? 1 : 0)
  else putValue(bounds, column, layout, value)
  if (bounds.length <= MAX_BOUND_BYTES) out.binary(id, bounds.content)
}

const writeChunkMetadata = (out: Writer, chunk: Chunk): void => {
  const { column, layout } = chunk
  out.element(() => {
    out.i64(2, 0)
    out.struct(3, () => {
      out.i32(1, layout.physical)
      out.list(2, THRIFT.i32, 2)
      out.i32Item(0)
      out.i32Item(3)
      out.list(3, THRIFT.binary, 1)
      out.item(column.name)
      out.i32(4, 0)
      out.i64(5, column.values.length)
      out.i64(6, chunk.bytes)
      out.i64(7, chunk.bytes)
      out.i64(9, chunk.offset)
      out.struct(12, () => {
        out.i64(3, chunk.bounds.nulls)
        writeBound(out, 5, column, layout, chunk.bounds.max)
        writeBound(out, 6, column, layout, chunk.bounds.min)
      })
    })
  })
}

/** A bound as a wire value's text, long ones cut as those of larger results are. */
const wireBound = (type: ColumnType, value: TinyValue, upper: boolean): string | null => {
  if (value === null) return null
  if (type === 'string') return boundText(String(value), 'string', upper)
  if (type === 'binary' && value instanceof Uint8Array) return boundText(value.toHex(), 'binary', upper)
  return Object.is(value, -0) ? '-0' : String(tinyWire(type, value))
}

const statsOf = ({ column, bytes, bounds: of }: Chunk): ColumnStats => ({
  field: column.id,
  bytes,
  values: column.values.length,
  nulls: of.nulls,
  nans: of.nans,
  min: wireBound(column.type, of.min, false),
  max: wireBound(column.type, of.max, true),
})

/**
 * Writes `rows` rows. Every column must hold that many values and be of a type for which `isTiny` is true.
 *
 * @example tinyParquet([{ id: 4, name: 'n', type: 'long', values: [1n, null] }], 2).bytes.length
 */
export const tinyParquet = (columns: readonly TinyColumn[], rows: number): TinyFile => {
  const laidOut = columns.map((column) => {
    const layout = layoutOf(column.type)
    if (!layout || column.values.length !== rows) throw new Error(`column "${column.name}" cannot be written here`)
    return { column, layout }
  })
  const out = whole.reset()
  out.raw(MAGIC)
  const chunks = rows === 0 ? [] : laidOut.map(({ column, layout }) => writeChunk(out, column, layout))
  const end = out.length
  out.element(() => {
    // FileMetaData: version, schema, rows, row groups, created_by, column orders.
    out.i32(1, 1)
    writeSchema(out, laidOut)
    out.i64(3, rows)
    out.list(4, THRIFT.struct, rows === 0 ? 0 : 1)
    if (rows > 0) {
      out.element(() => {
        out.list(1, THRIFT.struct, chunks.length)
        for (const chunk of chunks) writeChunkMetadata(out, chunk)
        out.i64(2, end - MAGIC.length)
        out.i64(3, rows)
        out.i64(5, MAGIC.length)
        out.i64(6, end - MAGIC.length)
      })
    }
    // The form "name version x.y.z" keeps readers from taking the file for one of the old writers with wrong bounds.
    out.binary(6, 'scarab version 1.0.0')
    out.list(7, THRIFT.struct, laidOut.length)
    for (let n = 0; n < laidOut.length; n += 1) out.element(() => out.struct(1, () => undefined))
  })
  const footer = out.length - end
  const at = out.room(4)
  out.view.setUint32(at, footer, true)
  out.raw(MAGIC)
  return {
    bytes: out.bytes.slice(0, out.length),
    splitOffsets: rows === 0 ? [] : [MAGIC.length],
    stats: rows === 0 ? [] : chunks.map(statsOf),
  }
}

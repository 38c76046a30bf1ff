import { type Data, DataType, type Field, type RecordBatch } from 'apache-arrow'
import type { Cell, Column, ColumnType } from './wire.ts'

/*
 * Arrow's own getters round: timestamps become milliseconds in a double, decimals arrive unscaled. So the buffers are read
 * here, into the wire's forms (`WireValue` of the contract).
 */

const MICROS_PER_DAY = 86_400_000_000n
const UNITS_PER_SECOND = [1n, 1_000n, 1_000_000n, 1_000_000_000n]

const pad = (value: bigint | number, width: number): string => String(value).padStart(width, '0')

/** Days since 1970 → `YYYY-MM-DD` of the proleptic Gregorian calendar; years outside 1 to 9999 as ISO 8601's expanded form. */
export const dateText = (days: number): string => {
  if (days === 2_147_483_647) return 'Infinity'
  if (days === -2_147_483_647) return '-Infinity'
  // Days to civil, for which `Date` would stop at the year 275,760.
  const z = days + 719_468
  const era = Math.floor(z / 146_097)
  const doe = z - era * 146_097
  const yoe = Math.floor((doe - Math.floor(doe / 1_460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365)
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100))
  const mp = Math.floor((5 * doy + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0)
  const day = doy - Math.floor((153 * mp + 2) / 5) + 1
  const yearText = year < 0 ? `-${pad(-year, 6)}` : year < 1 || year > 9_999 ? `+${pad(year, 6)}` : pad(year, 4)
  return `${yearText}-${pad(month, 2)}-${pad(day, 2)}`
}

/** Microseconds since midnight → `HH:MM:SS.ffffff`. */
export const timeText = (micros: bigint): string => {
  const seconds = micros / 1_000_000n
  return `${pad(seconds / 3600n, 2)}:${pad((seconds / 60n) % 60n, 2)}:${pad(seconds % 60n, 2)}.${pad(micros % 1_000_000n, 6)}`
}

/** Microseconds since 1970 → ISO 8601 with six digits; DuckDB's infinities by name. */
export const timestampText = (micros: bigint, zoned: boolean): string => {
  if (micros === 2n ** 63n - 1n) return 'Infinity'
  if (micros === -(2n ** 63n - 1n)) return '-Infinity'
  let days = micros / MICROS_PER_DAY
  let rest = micros % MICROS_PER_DAY
  if (rest < 0n) {
    rest += MICROS_PER_DAY
    days -= 1n
  }
  return `${dateText(Number(days))}T${timeText(rest)}${zoned ? 'Z' : ''}`
}

/** Little-endian two's complement words → digits with the point at `scale`. */
export const decimalText = (words: Uint32Array, scale: number): string => {
  let value = 0n
  for (let i = words.length - 1; i >= 0; i--) value = (value << 32n) | BigInt(words[i] ?? 0)
  value = BigInt.asIntN(words.length * 32, value)
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const sign = value < 0n ? '-' : ''
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

const floatCell = (value: number): Cell => (Number.isFinite(value) ? value : String(value))

const base64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000))
  return btoa(text)
}

// U+FEFF at the beginning of a text is a character like any other, and no mark that goes.
const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true })

const toBigInt = (value: unknown): bigint => (typeof value === 'bigint' ? value : BigInt(typeof value === 'number' ? value : 0))
const toNumber = (value: unknown): number => Number(typeof value === 'bigint' || typeof value === 'number' ? value : 0)

type Reader = (index: number) => Cell

/** A function from a row's number in this batch to its cell. */
export const cellReader = (data: Data): Reader => {
  const read = validReader(data)
  return data.nullBitmap !== undefined && data.nullBitmap !== null && data.nullBitmap.length > 0
    ? (index) => (data.getValid(index) ? read(index) : null)
    : read
}

const micros = (value: unknown, unit: number): bigint => {
  const perSecond = UNITS_PER_SECOND[unit] ?? 1n
  const count = toBigInt(value)
  if (perSecond === 1_000_000n) return count
  return perSecond > 1_000_000n ? count / (perSecond / 1_000_000n) : count * (1_000_000n / perSecond)
}

/** Most text is ASCII: then one decoding serves all cells, and a cell is a stretch of it. */
const textReader = ({ values, valueOffsets, length }: Data, bytesAt: (index: number) => Uint8Array): Reader => {
  const begin = toNumber(valueOffsets[0])
  const end = toNumber(valueOffsets[length])
  const all = UTF8.decode(values.subarray(begin, end))
  return all.length === end - begin
    ? (index) => all.slice(toNumber(valueOffsets[index]) - begin, toNumber(valueOffsets[index + 1]) - begin)
    : (index) => UTF8.decode(bytesAt(index))
}

const MICROS_PER_DAY_NUMBER = 86_400_000_000

/** Rows that follow each other often share their day, and most moments fit a double exactly: BigInt is for the rest. */
const momentReader = (at: (index: number) => bigint, zoned: boolean): Reader => {
  let known = Number.NaN
  let date = ''
  return (index) => {
    const exact = at(index)
    const count = Number(exact)
    if (!Number.isSafeInteger(count)) return timestampText(exact, zoned)
    const days = Math.floor(count / MICROS_PER_DAY_NUMBER)
    if (days !== known) {
      known = days
      date = dateText(days)
    }
    const rest = count - days * MICROS_PER_DAY_NUMBER
    const seconds = Math.floor(rest / 1_000_000)
    const clock = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`
    return `${date}T${clock}.${pad(rest % 1_000_000, 6)}${zoned ? 'Z' : ''}`
  }
}

const validReader = (data: Data): Reader => {
  const { type, values, valueOffsets, children } = data
  const bytesAt = (index: number): Uint8Array => values.subarray(toNumber(valueOffsets[index]), toNumber(valueOffsets[index + 1]))
  if (DataType.isNull(type)) return () => null
  if (DataType.isBool(type)) return (index) => (((values[(index + data.offset) >> 3] ?? 0) >> ((index + data.offset) & 7)) & 1) === 1
  if (DataType.isInt(type)) {
    if (type.bitWidth === 64) return (index) => String(values[index])
    // DuckDB's UINTEGER is a long to us, and longs are text.
    return type.bitWidth === 32 && !type.isSigned ? (index) => String(values[index]) : (index) => toNumber(values[index])
  }
  if (DataType.isFloat(type)) return (index) => floatCell(toNumber(values[index]))
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return textReader(data, bytesAt)
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) return (index) => base64(bytesAt(index))
  if (DataType.isFixedSizeBinary(type)) return (index) => base64(values.subarray(index * type.byteWidth, (index + 1) * type.byteWidth))
  if (DataType.isDecimal(type)) {
    const words = type.bitWidth / 32
    return (index) => decimalText(values.subarray(index * words, (index + 1) * words), type.scale)
  }
  if (DataType.isDate(type)) {
    // Unit 0 is days, unit 1 milliseconds.
    return type.unit === 0
      ? (index) => dateText(toNumber(values[index]))
      : (index) => dateText(Math.floor(toNumber(values[index]) / 86_400_000))
  }
  if (DataType.isTime(type)) return (index) => timeText(micros(values[index], type.unit))
  if (DataType.isTimestamp(type)) {
    const zoned = type.timezone !== null && type.timezone !== undefined && type.timezone !== ''
    return momentReader((index) => micros(values[index], type.unit), zoned)
  }
  if (DataType.isDictionary(type)) {
    const chunks = data.dictionary?.data ?? []
    const readers = chunks.map((chunk) => ({ length: chunk.length, read: cellReader(chunk) }))
    return (index) => {
      let at = toNumber(values[index])
      for (const { length, read } of readers) {
        if (at < length) return read(at)
        at -= length
      }
      return null
    }
  }
  const child = children[0]
  if (DataType.isMap(type) && child !== undefined) {
    const [key, value] = child.children
    if (key !== undefined && value !== undefined) {
      const readKey = cellReader(key)
      const readValue = cellReader(value)
      return (index) => range(valueOffsets, index).map((at) => ({ key: readKey(at), value: readValue(at) }))
    }
  }
  if (DataType.isList(type) && child !== undefined) {
    const read = cellReader(child)
    return (index) => range(valueOffsets, index).map(read)
  }
  if (DataType.isFixedSizeList(type) && child !== undefined) {
    const read = cellReader(child)
    return (index) => Array.from({ length: type.listSize }, (_, at) => read(index * type.listSize + at))
  }
  if (DataType.isStruct(type)) {
    const readers = type.children.map((field, at) => ({ name: field.name, read: readerAt(children, at) }))
    return (index) => Object.fromEntries(readers.map(({ name, read }) => [name, read(index)]))
  }
  // Intervals, unions and whatever comes: SQL that casts to text shows them.
  return () => `(${type.toString()})`
}

const readerAt = (children: Data[], at: number): Reader => {
  const child = children[at]
  return child === undefined ? () => null : cellReader(child)
}

const range = (offsets: ArrayLike<unknown>, index: number): number[] => {
  const from = toNumber(offsets[index])
  return Array.from({ length: toNumber(offsets[index + 1]) - from }, (_, at) => from + at)
}

/** All rows of some batches as cells. */
export const rowsOf = (batches: RecordBatch[]): Cell[][] => {
  const rows: Cell[][] = []
  for (const batch of batches) {
    const readers = batch.data.children.map((child) => cellReader(child))
    for (let index = 0; index < batch.numRows; index++) rows.push(readers.map((read) => read(index)))
  }
  return rows
}

/** The Iceberg type that stands nearest to an Arrow field: exact for what Scarab keeps, text for what only SQL can make. */
export const columnOf = (field: Field): Column => ({ name: field.name, type: typeOf(field.type) })

const typeOf = (type: DataType): ColumnType => {
  if (DataType.isBool(type)) return 'boolean'
  if (DataType.isInt(type)) {
    if (type.bitWidth === 64) return type.isSigned ? 'long' : 'decimal(20,0)'
    return type.bitWidth === 32 && !type.isSigned ? 'long' : 'int'
  }
  if (DataType.isFloat(type)) return type.precision === 2 ? 'double' : 'float'
  if (DataType.isDecimal(type)) return `decimal(${type.precision},${type.scale})`
  if (DataType.isDate(type)) return 'date'
  if (DataType.isTime(type)) return 'time'
  if (DataType.isTimestamp(type))
    return type.timezone === null || type.timezone === undefined || type.timezone === '' ? 'timestamp' : 'timestamptz'
  if (DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isFixedSizeBinary(type)) return 'binary'
  const child = type.children?.[0]
  if (DataType.isMap(type)) {
    const [key, value] = child?.type.children ?? []
    if (key && value) return { type: 'map', key: typeOf(key.type), value: typeOf(value.type) }
  }
  if ((DataType.isList(type) || DataType.isFixedSizeList(type)) && child) return { type: 'list', element: typeOf(child.type) }
  if (DataType.isStruct(type)) return { type: 'struct', fields: type.children.map(columnOf) }
  return 'string'
}

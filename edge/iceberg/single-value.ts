import { decimalOf } from './schema.ts'

/**
 * Iceberg's single-value serialisation (spec, Appendix D) and partition values, from wire values as text
 * (`ColumnStats` of the contract). A text that is not exactly a value of its type gives null: no bound is
 * always right, a wrong bound makes readers skip rows.
 */

/** How a partition value is kept in a manifest: dates as days, times and timestamps as microseconds, decimals unscaled. */
export type PartitionValue = string | number | bigint | boolean | Uint8Array | null

const utf8 = new TextEncoder()

/** Days since 1970-01-01 in the proleptic Gregorian calendar. */
const daysFromCivil = (year: number, month: number, day: number): number => {
  const shifted = month <= 2 ? year - 1 : year
  const era = Math.floor(shifted / 400)
  const ofEra = shifted - era * 400
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 719_468
}

const DATE = /^(-?\d{4,6})-(\d\d)-(\d\d)$/
const parseDate = (text: string): number | null => {
  const match = DATE.exec(text)
  if (!match) return null
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const length = month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31
  return month < 1 || month > 12 || day < 1 || day > length ? null : daysFromCivil(year, month, day)
}

const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/
const parseTime = (text: string): bigint | null => {
  const match = TIME.exec(text)
  if (!match) return null
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3])]
  if (hours > 24 || minutes > 59 || seconds > 59) return null
  return BigInt((hours * 60 + minutes) * 60 + seconds) * 1_000_000n + BigInt((match[4] ?? '').padEnd(6, '0'))
}

const parseTimestamp = (text: string): bigint | null => {
  const at = text.search(/[T ]/)
  if (at < 0) return null
  const days = parseDate(text.slice(0, at))
  const micros = parseTime(text.slice(at + 1))
  return days === null || micros === null ? null : BigInt(days) * 86_400_000_000n + micros
}

const parseInteger = (text: string, bits: 32 | 64): bigint | null => {
  if (!/^-?\d{1,20}$/.test(text)) return null
  const value = BigInt(text)
  return BigInt.asIntN(bits, value) === value ? value : null
}

const parseFloating = (text: string): number | null => {
  if (text === 'Infinity' || text === '-Infinity') return text === 'Infinity' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : null
}

const parseDecimal = (text: string, precision: number, scale: number): bigint | null => {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text)
  if (!match) return null
  const fraction = match[3] ?? ''
  if (/[^0]/.test(fraction.slice(scale))) return null
  const digits = BigInt((match[2] ?? '') + fraction.slice(0, scale).padEnd(scale, '0'))
  return digits >= 10n ** BigInt(precision) ? null : match[1] === '-' ? -digits : digits
}

const parseUuid = (text: string): Uint8Array | null => {
  const digits = text.replaceAll('-', '')
  return /^[0-9a-fA-F]{32}$/.test(digits)
    ? Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16))
    : null
}

const parseBase64 = (text: string): Uint8Array | null => {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  } catch {
    return null
  }
}

/** The value of a partition field, or undefined where the text is not a value of the type. Null stays null. */
export const partitionValue = (type: string, text: string | null): PartitionValue | undefined => {
  if (text === null) return null
  const decimal = decimalOf(type)
  if (decimal) return parseDecimal(text, decimal.precision, decimal.scale) ?? undefined
  switch (type) {
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined
    case 'int': {
      const value = parseInteger(text, 32)
      return value === null ? undefined : Number(value)
    }
    case 'long':
      return parseInteger(text, 64) ?? undefined
    case 'float':
    case 'double':
      return parseFloating(text) ?? undefined
    case 'date':
      return parseDate(text) ?? undefined
    case 'time':
      return parseTime(text) ?? undefined
    case 'timestamp':
      return parseTimestamp(text) ?? undefined
    case 'timestamptz':
      return parseTimestamp(text.replace(/(Z|\+00(:00)?)$/, '')) ?? undefined
    case 'string':
      return text
    case 'uuid':
      return parseUuid(text) ?? undefined
    case 'binary':
      return parseBase64(text) ?? undefined
  }
  return undefined
}

/**
 * The value of a column in a file that is narrower than its column. Texts of a `float` are as short as tells floats apart:
 * read as a double such a text is another number, and a bound made of it would exclude the very value it stands for.
 */
export const promotedValue = (type: string, fileType: string, text: string | null): PartitionValue | undefined => {
  const value = partitionValue(type, text)
  return type === 'double' && fileType === 'float' && typeof value === 'number' ? Math.fround(value) : value
}

/** Two's complement, big-endian, as few bytes as hold it. */
const bigEndian = (value: bigint): Uint8Array => {
  let size = 1
  while (BigInt.asIntN(size * 8, value) !== value) size++
  return fixedBigEndian(value, size)
}

export const fixedBigEndian = (value: bigint, size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  for (let i = size - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn)
  return bytes
}

const littleEndian = (size: number, write: (view: DataView) => void): Uint8Array => {
  const bytes = new Uint8Array(size)
  write(new DataView(bytes.buffer))
  return bytes
}

/** Spec, Appendix D. Null where the value has no serialised form (null, NaN). */
export const serialise = (type: string, value: PartitionValue): Uint8Array | null => {
  if (value === null) return null
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0)
  if (typeof value === 'string') return utf8.encode(value)
  if (value instanceof Uint8Array) return value
  if (decimalOf(type)) return bigEndian(BigInt(value))
  if (type === 'float') return Number.isNaN(value) ? null : littleEndian(4, (view) => view.setFloat32(0, Number(value), true))
  if (type === 'double') return Number.isNaN(value) ? null : littleEndian(8, (view) => view.setFloat64(0, Number(value), true))
  if (type === 'int' || type === 'date') return littleEndian(4, (view) => view.setInt32(0, Number(value), true))
  return littleEndian(8, (view) => view.setBigInt64(0, BigInt(value), true))
}

/** How many code points (or bytes of binary) of a bound are kept; the default of the reference implementation. */
export const BOUND_LENGTH = 16

/** The least text above all texts that begin with these code points, or null when there is none. */
const incrementedText = (points: number[]): string | null => {
  for (let i = points.length - 1; i >= 0; i--) {
    const point = points[i] ?? 0
    // Surrogates are no characters: the next one after U+D7FF is U+E000.
    const next = point === 0xd7ff ? 0xe000 : point + 1
    if (next <= 0x10ffff) return String.fromCodePoint(...points.slice(0, i), next)
  }
  return null
}

const incrementedBytes = (bytes: Uint8Array): Uint8Array | null => {
  for (let i = bytes.length - 1; i >= 0; i--) {
    const byte = bytes[i] ?? 0
    if (byte < 0xff) {
      const next = bytes.slice(0, i + 1)
      next[i] = byte + 1
      return next
    }
  }
  return null
}

/**
 * A lower or upper bound for a manifest. Long texts and binaries are cut (the upper bound then moves up, or is left out),
 * unless `full`: ids share long prefixes, and a cut bound would not tell two jobs apart.
 */
export const bound = (type: string, text: string | null, end: 'lower' | 'upper', full = false): Uint8Array | null => {
  const value = partitionValue(type, text)
  return value === undefined ? null : boundOf(type, value, end, full)
}

/** The same for a value. */
export const boundOf = (type: string, exact: PartitionValue, end: 'lower' | 'upper', full = false): Uint8Array | null => {
  let value = exact
  if (value === null) return null
  // Zero counts as negative in a lower and as positive in an upper bound, since files do not tell which one they hold.
  if (value === 0 && (type === 'float' || type === 'double')) value = end === 'lower' ? -0 : 0
  if (!full && typeof value === 'string') {
    const points = Array.from(value, (letter) => letter.codePointAt(0) ?? 0)
    if (points.length > BOUND_LENGTH) {
      const cut = points.slice(0, BOUND_LENGTH)
      const text = end === 'lower' ? String.fromCodePoint(...cut) : incrementedText(cut)
      return text === null ? null : utf8.encode(text)
    }
  }
  if (!full && type === 'binary' && value instanceof Uint8Array && value.length > BOUND_LENGTH) {
    const cut = value.slice(0, BOUND_LENGTH)
    return end === 'lower' ? cut : incrementedBytes(cut)
  }
  return serialise(type, value)
}

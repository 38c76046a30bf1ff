import { PrimitiveType } from '../../edge/contract/columns.ts'
import { secondsOf } from '../../edge/contract/durations.ts'
import { Argument, Param, ParamType } from '../../edge/contract/tasks.ts'
import { didYouMean } from './nearest.ts'
import { quote } from './problem.ts'

/** A value that was read, or why not: the bad value and the remedy, in words. */
export type Read<T> = { ok: true; value: T } | { ok: false; detail: string }

const good = <T>(value: T): Read<T> => ({ ok: true, value })
const bad = <T>(detail: string): Read<T> => ({ ok: false, detail })

/**
 * `10m`, `30d`, `1h30m` → seconds. Units s, m, h, d, w, each at most once, larger before smaller.
 */
export const readDuration = (text: string): Read<number> => {
  const seconds = secondsOf(text)
  if (seconds !== null) return good(seconds)
  const remedy = 'write a whole number with a unit: 90s, 10m, 1h30m, 30d or 2w'
  if (!/^(\d+[smhdw])+$/.test(text)) return bad(`${quote(text)} is not a duration; ${remedy}`)
  const units = text.replaceAll(/\d/g, '')
  if (!/^w?d?h?m?s?$/.test(units)) return bad(`${quote(text)} names its units in the wrong order; ${remedy}`)
  return /[1-9]/.test(text)
    ? bad(`${quote(text)} is more than a hundred years; leave the line out for no limit`)
    : bad(`${quote(text)} is no time at all; the least is 1s`)
}

/** `50_000_000_000` → a number of bytes, at least 1. */
export const readBytes = (text: string): Read<number> => {
  const remedy = 'write a whole number of bytes, such as 50_000_000_000'
  if (!/^\d+(_\d+)*$/.test(text)) return bad(`${quote(text)} is not a number of bytes; ${remedy}`)
  const bytes = Number(text.replaceAll('_', ''))
  if (bytes < 1 || !Number.isSafeInteger(bytes)) return bad(`${quote(text)} is out of range; ${remedy}`)
  return good(bytes)
}

/** A comma list as DungBeetle reads it: trimmed, blanks dropped. Doubles are named once. */
export const readList = (text: string): Read<string[]> => {
  const items = [...new Set(text.split(',').map((item) => item.trim()))].filter((item) => item !== '')
  return items.length > 0 ? good(items) : bad(`${quote(text)} names nothing; write names separated by commas, or leave the line out`)
}

/** One of a few words; letters may be written in either case. */
export const readChoice = <T extends string>(text: string, choices: readonly T[]): Read<T> => {
  const choice = choices.find((name) => name === text.toLowerCase())
  if (choice !== undefined) return good(choice)
  return bad(`${quote(text)} is not one of ${choices.join(', ')}${didYouMean(text, choices)}`)
}

const unquote = (text: string): string | null => (/^'(?:[^']|'')*'$/.test(text) ? text.slice(1, -1).replaceAll("''", "'") : null)

const realDate = (text: string): boolean => {
  const match = /^(\d{4})-(\d\d)-(\d\d)/.exec(text)
  if (match === null) return false
  const [, year = '', month = '', day = ''] = match
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(`${year}-${month}-${day}`)
}

const CLOCK = '([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,6})?)?'
const TIMESTAMP = new RegExp(`^\\d{4}-\\d\\d-\\d\\d([ T]${CLOCK})?$`)
const TIMESTAMPTZ = new RegExp(`^\\d{4}-\\d\\d-\\d\\d[ T]${CLOCK} ?(Z|[+-]\\d\\d(:?\\d\\d)?)$`)
const inRange = (text: string, bits: bigint): boolean => {
  const value = BigInt(text.replace(/^\+/, ''))
  return value >= -(2n ** (bits - 1n)) && value < 2n ** (bits - 1n)
}

/** Each type's form of a default: what it must look like, and the argument it becomes. Digits are kept as text where a double would lose them. */
const DEFAULTS: Record<ParamType, { like: string; read: (text: string) => Argument | undefined }> = {
  text: { like: "'anything'", read: (text) => text },
  int: {
    like: '42, from -2147483648 to 2147483647',
    read: (text) => (/^[+-]?\d{1,10}$/.test(text) && inRange(text, 32n) ? Number(text) : undefined),
  },
  bigint: {
    like: '42, within 64 bits',
    read: (text) => (/^[+-]?\d{1,19}$/.test(text) && inRange(text, 64n) ? text.replace(/^\+/, '') : undefined),
  },
  double: {
    like: '0.5 or 1e-3',
    read: (text) => (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : undefined),
  },
  decimal: {
    like: '12.50, with at most 38 digits',
    read: (text) => (/^[+-]?(\d+(\.\d+)?|\.\d+)$/.test(text) && text.replace(/\D/g, '').length <= 38 ? text : undefined),
  },
  boolean: { like: 'true or false', read: (text) => (text === 'true' ? true : text === 'false' ? false : undefined) },
  date: { like: '2001-02-28', read: (text) => (/^\d{4}-\d\d-\d\d$/.test(text) && realDate(text) ? text : undefined) },
  timestamp: { like: '2001-02-28 12:30:00', read: (text) => (TIMESTAMP.test(text) && realDate(text) ? text : undefined) },
  timestamptz: { like: '2001-02-28T12:30:00Z', read: (text) => (TIMESTAMPTZ.test(text) && realDate(text) ? text : undefined) },
  uuid: {
    like: '123e4567-e89b-12d3-a456-426614174000',
    read: (text) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? text.toLowerCase() : undefined),
  },
}

/** Names that other systems give to our parameter types, for the remedy only. */
const PARAM_TYPE_ELSEWHERE: Record<string, ParamType> = {
  string: 'text',
  varchar: 'text',
  char: 'text',
  integer: 'int',
  int4: 'int',
  smallint: 'int',
  long: 'bigint',
  int8: 'bigint',
  float: 'double',
  real: 'double',
  number: 'decimal',
  numeric: 'decimal',
  bool: 'boolean',
  datetime: 'timestamp',
}

/**
 * `NAME TYPE [= default]`. A default stands bare or in single quotes (a quote inside doubled); bare `null` is NULL, which
 * makes the parameter one that may be left out.
 * @example readParam("since date = 2001-01-01") // { name: 'since', type: 'date', default: '2001-01-01' }
 */
export const readParam = (text: string): Read<Param> => {
  const remedy = 'write "-- param: NAME TYPE" or "-- param: NAME TYPE = default", such as "-- param: since date = 2001-01-01"'
  const match = /^(\S+)\s+([^\s=]+)\s*(?:=\s*(.*))?$/su.exec(text)
  if (match === null) return bad(`${quote(text)} is not a parameter; ${remedy}`)
  const [, name = '', typeText = '', defaultText] = match
  if (!Param.shape.name.safeParse(name).success) {
    return bad(`${quote(name)} cannot name a parameter; use letters, digits and "_", not beginning with a digit, at most 63`)
  }
  const type = ParamType.safeParse(typeText.toLowerCase())
  if (!type.success) {
    const elsewhere = PARAM_TYPE_ELSEWHERE[typeText.toLowerCase()]
    const hint = elsewhere === undefined ? didYouMean(typeText, ParamType.options) : `; did you mean "${elsewhere}"?`
    return bad(`parameter ${name}: ${quote(typeText)} is not one of ${ParamType.options.join(', ')}${hint}`)
  }
  if (defaultText === undefined) return good({ name, type: type.data })
  if (defaultText === '') return bad(`parameter ${name} has "=" without a default; write ${DEFAULTS[type.data].like} behind it, or null`)
  if (defaultText.toLowerCase() === 'null') return good({ name, type: type.data, default: null })
  const value = Argument.safeParse(DEFAULTS[type.data].read(unquote(defaultText) ?? defaultText))
  if (!value.success) {
    return bad(`parameter ${name}: the default ${quote(defaultText)} is not a ${type.data}; write it like ${DEFAULTS[type.data].like}`)
  }
  return good({ name, type: type.data, default: value.data })
}

/** Names that other systems give to Iceberg's types, for the remedy only. */
const COLUMN_TYPE_ELSEWHERE: Record<string, string> = {
  bool: 'boolean',
  integer: 'int',
  int4: 'int',
  bigint: 'long',
  int8: 'long',
  real: 'float',
  numeric: 'decimal(38,9)',
  decimal: 'decimal(38,9)',
  varchar: 'string',
  text: 'string',
  bytea: 'binary',
  blob: 'binary',
}

const readColumnType = (column: string, text: string): Read<string> => {
  const plain = text.toLowerCase().replace(/\s+/g, '')
  const type = PrimitiveType.safeParse(plain)
  const decimal = /^decimal\((\d+),(\d+)\)$/.exec(plain)
  if (!type.success) {
    const names = ['boolean', 'int', 'long', 'float', 'double', 'date', 'time', 'timestamp', 'timestamptz', 'string', 'uuid', 'binary']
    const elsewhere = COLUMN_TYPE_ELSEWHERE[plain]
    const hint = elsewhere === undefined ? didYouMean(plain, names) : `; did you mean "${elsewhere}"?`
    return bad(`column ${column}: ${quote(text)} is not one of ${names.join(', ')} and decimal(P,S) with P up to 38${hint}`)
  }
  if (decimal !== null && (Number(decimal[1]) < 1 || Number(decimal[2]) > Number(decimal[1]))) {
    return bad(`column ${column}: ${quote(text)} needs 1 to 38 digits, and no more of them behind the point than it has`)
  }
  return good(plain)
}

/**
 * `total=decimal(20,2), "a b"=string` → column name to Iceberg type, without blanks in it. A name with a comma, "=" or a
 * blank stands in double quotes (a quote inside doubled).
 */
export const readTypes = (text: string): Read<Record<string, string>> => {
  const remedy = 'write COLUMN=TYPE, separated by commas, such as total=decimal(20,2)'
  const types = new Map<string, string>()
  const entry = /\s*("(?:[^"]|"")+"|[^\s",=]+)\s*=\s*([A-Za-z_0-9]+\s*(?:\([^)]*\))?)\s*(,|$)/uy
  while (entry.lastIndex < text.length) {
    const from = entry.lastIndex
    const match = entry.exec(text)
    if (match === null) return bad(`${quote(text.slice(from).trim())} is not a column and its type; ${remedy}`)
    const [, quoted = '', typeText = ''] = match
    const column = quoted.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted
    const type = readColumnType(column, typeText.trim())
    if (!type.ok) return type
    if (types.has(column)) return bad(`column ${column} stands there twice; name it once`)
    types.set(column, type.value)
  }
  return types.size > 0 ? good(Object.fromEntries(types)) : bad(`${quote(text)} names no column; ${remedy}`)
}

import type { ColumnType } from './columns.ts'

/** A filter's value in its one canonical form: what is hashed, bound and compared. */
export type CanonicalValue = string | number | boolean

export type ValueResult = { ok: true; value: CanonicalValue } | { ok: false; message: string }

const INT_MIN = -2_147_483_648
const INT_MAX = 2_147_483_647
const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const TIME = /^(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?$/
const MOMENT = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|z|[+-]\d{2}(?::?\d{2})?)?)?$/
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

const good = (value: CanonicalValue): ValueResult => ({ ok: true, value })
const bad = (message: string): ValueResult => ({ ok: false, message })

export const decimalOf = (type: ColumnType): { precision: number; scale: number } | null => {
  const match = typeof type === 'string' ? /^decimal\((\d+), ?(\d+)\)$/.exec(type) : null
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : null
}

export const isNested = (type: ColumnType): boolean => typeof type !== 'string'
export const isNumeric = (type: ColumnType): boolean =>
  type === 'int' || type === 'long' || type === 'float' || type === 'double' || decimalOf(type) !== null

/** Digits without an exponent: `{digits: 125n, scale: 2}` for "1.25" and "125e-2"; null where the text is no decimal number. */
const exact = (text: string): { digits: bigint; scale: number } | null => {
  if (!NUMBER.test(text)) return null
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.replace(/^[+-]/, '').split('.')
  let digits = BigInt(`${whole}${fraction}` || '0')
  let scale = fraction.length - Number(exponent)
  while (scale > 0 && digits % 10n === 0n) {
    if (digits === 0n) scale = 0
    else {
      digits /= 10n
      scale -= 1
    }
  }
  // Beyond this no column type holds the value, and 10 ** n would only cost memory.
  if (scale < -400 || scale > 400) return null
  if (scale < 0) {
    digits *= 10n ** BigInt(-scale)
    scale = 0
  }
  return { digits: text.startsWith('-') ? -digits : digits, scale }
}

const decimalText = (digits: bigint, scale: number): string => {
  const sign = digits < 0n ? '-' : ''
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0')
  return scale === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`
}

const integer = (type: string, value: string | number, min: bigint, max: bigint): ValueResult => {
  const number = exact(String(value))
  if (number === null || number.scale > 0) return bad(`${JSON.stringify(value)} is not a whole number`)
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    return bad(`${value} has lost digits as a JSON number: send it as a string`)
  if (number.digits < min || number.digits > max) return bad(`${value} is outside the range of ${type} (${min} to ${max})`)
  return good(type === 'int' ? Number(number.digits) : number.digits.toString())
}

const decimal = (value: string | number, precision: number, scale: number): ValueResult => {
  const number = exact(String(value))
  if (number === null) return bad(`${JSON.stringify(value)} is not a decimal number`)
  if (number.scale > scale) return bad(`${value} has ${number.scale} decimal places, the column keeps ${scale}`)
  const digits = number.digits * 10n ** BigInt(scale - number.scale)
  if (digits >= 10n ** BigInt(precision) || digits <= -(10n ** BigInt(precision)))
    return bad(`${value} does not fit decimal(${precision},${scale})`)
  return good(decimalText(digits, scale))
}

const SPECIAL = new Map([
  ['nan', 'NaN'],
  ['infinity', 'Infinity'],
  ['inf', 'Infinity'],
  ['+infinity', 'Infinity'],
  ['-infinity', '-Infinity'],
  ['-inf', '-Infinity'],
])

const floating = (value: string | number, narrow: boolean): ValueResult => {
  const special = typeof value === 'string' ? SPECIAL.get(value.toLowerCase()) : undefined
  if (special !== undefined) return good(special)
  if (typeof value === 'string' && !NUMBER.test(value)) return bad(`${JSON.stringify(value)} is not a number`)
  const number = narrow ? Math.fround(Number(value)) : Number(value)
  if (!Number.isFinite(number)) return bad(`${value} is outside the range of ${narrow ? 'float' : 'double'}`)
  return good(number === 0 ? 0 : number)
}

const validDate = (text: string): boolean => {
  const match = DATE.exec(text)
  if (!match || match[1] === '0000') return false
  const day = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}

/** `HH:MM[:SS[.ffffff]]` with six digits of microseconds, or null. */
const fullTime = (text: string, endOfDay: boolean): string | null => {
  const match = TIME.exec(text)
  if (!match) return null
  const [, hours = '', minutes = '', seconds = '00', fraction = ''] = match
  if (/[1-9]/.test(fraction.slice(6))) return null
  const full = `${hours}:${minutes}:${seconds}.${fraction.slice(0, 6).padEnd(6, '0')}`
  if (full === '24:00:00.000000') return endOfDay ? full : null
  return Number(hours) < 24 && Number(minutes) < 60 && Number(seconds) < 60 ? full : null
}

const moment = (text: string, zoned: boolean): ValueResult => {
  const example = zoned ? '"2024-01-31T23:59:59.999999Z"' : '"2024-01-31T23:59:59.999999"'
  const wrong = bad(`${JSON.stringify(text)} is not a ${zoned ? 'timestamptz' : 'timestamp'} such as ${example}`)
  const match = MOMENT.exec(text)
  if (!match) return wrong
  const [, day = '', clock = '00:00', zone] = match
  const time = fullTime(clock, false)
  if (!validDate(day) || time === null) return wrong
  if (!zoned) return zone === undefined ? good(`${day}T${time}`) : bad(`${JSON.stringify(text)} names a zone, and the column has none`)
  const sign = zone?.startsWith('-') ? -1 : 1
  const digits = (zone ?? 'Z').replace(/[^\d]/g, '').padEnd(4, '0')
  const offset = sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2)))
  const [second = '', micros = ''] = `${day}T${time}`.split('.')
  const utc = new Date(Date.parse(`${second}Z`) - offset * 60_000).toISOString()
  if (!/^\d{4}-/.test(utc) || utc.startsWith('0000')) return wrong
  return good(`${utc.slice(0, 19)}.${micros}Z`)
}

const binary = (text: string): ValueResult => {
  if (!BASE64.test(text)) return bad(`${JSON.stringify(text.slice(0, 40))} is not base64`)
  return good(btoa(atob(text)))
}

/**
 * The canonical form of a filter's value for a column of `type`: int a number, long and decimal digits as text (decimals
 * with the column's scale), float and double a number or "NaN", "Infinity", "-Infinity", timestamps as on the wire. What the type
 * cannot hold exactly is refused with a sentence that names the value: nothing is rounded.
 */
export const canonicalValue = (type: ColumnType, value: string | number | boolean): ValueResult => {
  if (typeof type !== 'string') return bad('a nested value cannot be compared: use is_null, not_null, or sql')
  if (type === 'boolean') {
    if (typeof value === 'boolean') return good(value)
    if (value === 'true' || value === 'false') return good(value === 'true')
    return bad(`${JSON.stringify(value)} is not true or false`)
  }
  if (typeof value === 'boolean') return bad(`${value} is not a ${type}`)
  const scaled = decimalOf(type)
  if (scaled) return decimal(value, scaled.precision, scaled.scale)
  if (type === 'int') return integer(type, value, BigInt(INT_MIN), BigInt(INT_MAX))
  if (type === 'long') return integer(type, value, LONG_MIN, LONG_MAX)
  if (type === 'float' || type === 'double') return floating(value, type === 'float')
  if (typeof value === 'number') return bad(`${value} is a number, and the column is a ${type}: send a string`)
  if (type === 'string') return value.isWellFormed() ? good(value) : bad('the text has half a surrogate pair')
  if (type === 'date') return validDate(value) ? good(value) : bad(`${JSON.stringify(value)} is not a date such as "2024-01-31"`)
  if (type === 'time') {
    const time = fullTime(value, true)
    return time === null ? bad(`${JSON.stringify(value)} is not a time such as "23:59:59.999999"`) : good(time)
  }
  if (type === 'timestamp' || type === 'timestamptz') return moment(value, type === 'timestamptz')
  if (type === 'uuid') {
    if (!UUID.test(value)) return bad(`${JSON.stringify(value)} is not a uuid`)
    return good(
      value
        .toLowerCase()
        .replaceAll('-', '')
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    )
  }
  return binary(value)
}

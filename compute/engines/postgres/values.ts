import type { ColumnType } from '../../../edge/contract/columns.ts'
import type { TinyValue } from '../../results/tiny-values.ts'
import type { TextForm } from './types.ts'

/** A cell as it lies in a file, or why its value has no place there. */
export type Decoded = { ok: true; value: TinyValue } | { ok: false }

const MISFIT: Decoded = { ok: false }
const MICROSECONDS_A_DAY = 86_400_000_000n
const MAX_INT64 = 2n ** 63n - 1n
const is = (value: TinyValue): Decoded => ({ ok: true, value })

/** Days since 1970 of a civil date: Howard Hinnant's `days_from_civil`. */
const dayNumber = (year: number, month: number, day: number): number => {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yoe = y - era * 400
  const doy = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  return era * 146_097 + yoe * 365 + Math.floor(yoe / 4) - Math.floor(yoe / 100) + doy - 719_468
}

const DATE = /^(\d{4,7})-(\d\d)-(\d\d)$/
/** With `TimeZone = UTC` the zone is always +00. */
const TIMESTAMP = /^(\d{4,7})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/
const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/

const microseconds = (hours: string, minutes: string, seconds: string, fraction: string | undefined): number =>
  ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000_000 + Number((fraction ?? '').padEnd(6, '0'))

const date = (text: string): Decoded => {
  const [, year, month, day] = DATE.exec(text) ?? []
  return year && month && day ? is(dayNumber(Number(year), Number(month), Number(day))) : MISFIT
}

const timestamp = (text: string): Decoded => {
  const [, year, month, day, hours, minutes, seconds, fraction] = TIMESTAMP.exec(text) ?? []
  if (!year || !month || !day || !hours || !minutes || !seconds) return MISFIT
  const days = BigInt(dayNumber(Number(year), Number(month), Number(day)))
  const value = days * MICROSECONDS_A_DAY + BigInt(microseconds(hours, minutes, seconds, fraction))
  // PostgreSQL counts from 2000 and so reaches 30 years further than microseconds since 1970 do, whose last one DuckDB takes for infinity.
  return value < MAX_INT64 ? is(value) : MISFIT
}

const time = (text: string): Decoded => {
  const [, hours, minutes, seconds, fraction] = TIME.exec(text) ?? []
  return hours && minutes && seconds ? is(BigInt(microseconds(hours, minutes, seconds, fraction))) : MISFIT
}

const decimalParts = new Map<string, { scale: number; limit: bigint }>()

const partsOf = (type: string): { scale: number; limit: bigint } => {
  const found = decimalParts.get(type)
  if (found) return found
  const [, precision, scale] = /^decimal\((\d+), ?(\d+)\)$/.exec(type) ?? []
  const parts = { scale: Number(scale), limit: 10n ** BigInt(Number(precision)) }
  decimalParts.set(type, parts)
  return parts
}

/**
 * The unscaled value. Digits behind the scale are rounded half away from zero, as PostgreSQL's own cast to
 * numeric(p,s) does: `avg` gives up to 20 and more of them. Digits before the point that do not fit are a misfit.
 */
const decimal = (text: string, type: string): Decoded => {
  const { scale, limit } = partsOf(type)
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? []
  if (whole === undefined) return MISFIT
  let unscaled = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  if (fraction.length > scale && fraction.charCodeAt(scale) >= 0x35) unscaled += 1n
  if (unscaled >= limit) return MISFIT
  return is(sign ? -unscaled : unscaled)
}

/** The text of a value that is kept as a string: PostgreSQL's own, but for booleans, whose cast to text says true and false. */
const asText = (text: string, form: TextForm): string => (form === 'bool' ? (text === 't' ? 'true' : 'false') : text)

/** Reads the text form of a value that is not NULL. `ok` is false where the type has no room for it: NaN, infinities, years before 1, too many digits. */
export const decodeText = (text: string, form: TextForm, type: ColumnType): Decoded => {
  if (typeof type !== 'string') return MISFIT
  switch (type) {
    case 'string':
      return is(asText(text, form))
    case 'boolean':
      return is(text === 't')
    case 'int':
      return is(Number(text))
    case 'long':
      return is(BigInt(text))
    case 'float':
      return is(Math.fround(Number(text)))
    case 'double':
      return is(Number(text))
    case 'date':
      return date(text)
    case 'time':
      return time(text)
    case 'timestamp':
    case 'timestamptz':
      return timestamp(text)
    case 'uuid':
      return is(Uint8Array.fromHex(text.replaceAll('-', '')))
    case 'binary':
      return text.startsWith('\\x') ? is(Uint8Array.fromHex(text.slice(2))) : MISFIT
    default:
      return decimal(text, type)
  }
}

/** A cell of an array's text form: null is NULL. */
export type ArrayReading = { ok: true; elements: (string | null)[] } | { ok: false; why: string }

/**
 * Reads the text form of a one-dimensional array (documentation, section 8.15.6). More dimensions and other lower bounds
 * than 1 would be lost in a list, so they are refused. The delimiter is a comma for every element type that is kept.
 */
export const readArray = (text: string): ArrayReading => {
  if (text.startsWith('[')) return { ok: false, why: 'an array whose first index is not 1, which a list cannot keep' }
  if (text === '{}') return { ok: true, elements: [] }
  const elements: (string | null)[] = []
  let at = 1
  while (at < text.length) {
    if (text[at] === '{') return { ok: false, why: 'an array of several dimensions, which a list cannot keep' }
    let element = ''
    if (text[at] === '"') {
      at += 1
      const start = at
      while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
      element = text.slice(start, at).replace(/\\(.)/gs, '$1')
      at += 1
      elements.push(element)
    } else {
      const start = at
      while (at < text.length && text[at] !== ',' && text[at] !== '}') at += text[at] === '\\' ? 2 : 1
      const bare = text.slice(start, at)
      elements.push(bare === 'NULL' ? null : bare.replace(/\\(.)/gs, '$1'))
    }
    // Behind an element stands a comma or the closing brace.
    at += 1
  }
  return { ok: true, elements }
}

import { cellText } from '../client/csv.ts'
import type { Cell, ColumnType } from '../client/wire.ts'

/** How a cell is shown. `exact` is what a hover tells, where the text shows less. */
export interface Shown {
  text: string
  kind: 'value' | 'null' | 'empty'
  exact?: string
}

export const isNumber = (type: ColumnType): boolean =>
  type === 'int' || type === 'long' || type === 'float' || type === 'double' || (typeof type === 'string' && type.startsWith('decimal'))

/** Digits in groups of three, by text: a decimal of 38 digits never becomes a double. */
export const grouped = (digits: string): string => {
  const match = /^(-?)(\d+)(\.\d+)?$/.exec(digits)
  if (match === null) return digits
  const [, sign = '', whole = '', fraction = ''] = match
  return `${sign === '-' ? '−' : ''}${whole.replace(/\B(?=(\d{3})+$)/g, ',')}${fraction}`
}

/** Doubles are shown with at most this many digits behind the point; a hover has them all. */
export const MAX_FRACTION_DIGITS = 4

/** A column of times is shown to the second, to the millisecond or to the microsecond: whatever its rows need. */
const timeDigits = (cells: Cell[]): number => {
  let most = 0
  for (const cell of cells) {
    const fraction = /\.(\d{6})/.exec(String(cell))?.[1]
    if (fraction === undefined || fraction === '000000') continue
    if (!fraction.endsWith('000')) return 6
    most = 3
  }
  return most
}

const isTime = (type: ColumnType): boolean => type === 'time' || type === 'timestamp'

/** How many digits behind the point a column of doubles or times needs, judged by some of its rows: so that they stand in line. */
export const fractionDigits = (type: ColumnType, cells: Cell[]): number => {
  if (isTime(type)) return timeDigits(cells)
  let most = 0
  for (const cell of cells) {
    if (typeof cell !== 'number' || Number.isInteger(cell)) continue
    // 54.69999999999982 is 54.7 at this precision, and must not cost the whole column three zeros.
    const fraction = cell.toFixed(MAX_FRACTION_DIGITS).split('.')[1] ?? ''
    most = Math.max(most, fraction.replace(/0+$/, '').length)
  }
  return most
}

const zoned = new Intl.DateTimeFormat('sv-SE', {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
})

/** As wide as a digit, and as a point: what a shorter fraction leaves empty, so that the points of a column stand in line. */
const NO_DIGIT = '\u2007'
const NO_POINT = '\u2008'

/** 63 is shown as 63, 54.69999999999982 as 54.7; in a column of `digits` with blanks behind. */
const float = (value: number, digits: number): Shown => {
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e15 || size < 10 ** -MAX_FRACTION_DIGITS)) return { text: String(value).replace(/^-/, '−'), kind: 'value' }
  const [whole = '', zeros = ''] = value.toFixed(MAX_FRACTION_DIGITS).split('.')
  const fraction = zeros.replace(/0+$/, '')
  const text = fraction === '' ? whole : `${whole}.${fraction}`
  const blank = (fraction === '' && digits > 0 ? NO_POINT : '') + NO_DIGIT.repeat(Math.max(0, digits - fraction.length))
  return { text: grouped(text) + blank, kind: 'value', ...(Number(text) === value ? {} : { exact: String(value) }) }
}

/** `2024-01-02T03:04:05.000006` → `2024-01-02 03:04:05.000006`, with `digits` behind the point, or more where it has more. */
const momentText = (text: string, digits: number): string => {
  const [whole = '', fraction = ''] = text.replace('T', ' ').split('.')
  const needed = Math.max(digits, fraction.replace(/0+$/, '').length)
  return needed === 0 ? whole : `${whole}.${fraction.slice(0, needed)}`
}

/** `digits`: how many behind the point its column has (`fractionDigits`); 0 for a cell on its own. */
export const show = (cell: Cell, type: ColumnType, digits = 0): Shown => {
  if (cell === null) return { text: 'null', kind: 'null' }
  if (cell === '') return { text: '', kind: 'empty' }
  if (type === 'float' || type === 'double') return typeof cell === 'number' ? float(cell, digits) : { text: String(cell), kind: 'value' }
  if (isNumber(type)) return { text: grouped(String(cell)), kind: 'value' }
  if (isTime(type)) return { text: momentText(String(cell), digits), kind: 'value' }
  if (type === 'timestamptz') {
    const at = new Date(String(cell))
    return Number.isNaN(at.getTime())
      ? { text: String(cell), kind: 'value' }
      : { text: zoned.format(at), kind: 'value', exact: String(cell) }
  }
  const text = cellText(cell)
  // One row of the grid is one line.
  const line = text.replace(/[\r\n\t]+/g, ' ⏎ ')
  return { text: line.length > 400 ? `${line.slice(0, 400)}…` : line, kind: 'value', ...(line === text ? {} : { exact: text }) }
}

export const count = (value: number): string => grouped(String(value))

export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`

export const bytes = (value: number): string => {
  if (value < 1024) return `${value} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let size = value
  let unit = -1
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${units[unit] ?? ''}`
}

export const duration = (milliseconds: number): string => {
  if (milliseconds < 0) return '0 s'
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1_000
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' })

/** When something was, as one would say it; `exactTime` is for the hover. */
export const ago = (instant: string, now: number): string => {
  const at = Date.parse(instant)
  if (Number.isNaN(at)) return instant
  const past = now - at
  if (past < 5_000) return 'just now'
  if (past < 60_000) return `${Math.floor(past / 1_000)} s ago`
  if (past < 3_600_000) return `${Math.floor(past / 60_000)} min ago`
  if (new Date(now).toDateString() === new Date(at).toDateString()) return `today, ${clock.format(at)}`
  return `${day.format(at)}, ${clock.format(at)}`
}

/** When something will be: soon as a span, later as a time. */
export const until = (instant: string, now: number): string => {
  const at = Date.parse(instant)
  if (Number.isNaN(at)) return instant
  const ahead = at - now
  if (ahead <= 0) return 'now'
  if (ahead < 60_000) return `in ${Math.ceil(ahead / 1_000)} s`
  if (ahead < 3_600_000) return `in ${Math.ceil(ahead / 60_000)} min`
  if (new Date(now).toDateString() === new Date(at).toDateString()) return `at ${clock.format(at)}`
  return `on ${day.format(at)}, ${clock.format(at)}`
}

export const exactTime = (instant: string): string => {
  const at = Date.parse(instant)
  return Number.isNaN(at) ? instant : `${full.format(at)} (${instant})`
}

import type { ColumnType, WireValue } from '../contract/columns.ts'
import { decimalOf } from '../contract/slice-values.ts'

/** A wire value in a form that compares exactly as DuckDB compares the value itself. Never NULL. */
export type Key = string | number | bigint

/** Thrown where this code cannot be exact: the question goes to the engine. */
export class NeedsEngine extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'NeedsEngine'
  }
}

/** Years of four digits: their texts sort as their instants do. Others ("12024-…", "… (BC)", "infinity") do not. */
const TEXT_ORDERED = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}\.\d{6}Z?)?$/
const CLOCK = /^\d{2}:\d{2}:\d{2}\.\d{6}$/

const text = (value: WireValue, type: ColumnType, pattern?: RegExp): string => {
  if (typeof value !== 'string' || (pattern && !pattern.test(value))) throw new NeedsEngine(`${JSON.stringify(value)} as ${String(type)}`)
  return value
}

const scaled = (value: string, scale: number): bigint => {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value)
  if (!match || (match[3] ?? '').length > scale) throw new NeedsEngine(`${value} as a decimal`)
  const digits = BigInt(`${match[2]}${(match[3] ?? '').padEnd(scale, '0')}`)
  return match[1] === '-' ? -digits : digits
}

/** NaN equals itself and is the greatest (DuckDB's total order of floating numbers); −0 equals 0. */
const floating = (value: WireValue, narrow: boolean): number => {
  const number = typeof value === 'number' ? value : value === 'NaN' ? Number.NaN : value === 'Infinity' ? Infinity : -Infinity
  if (typeof value !== 'number' && value !== 'NaN' && value !== 'Infinity' && value !== '-Infinity')
    throw new NeedsEngine(`${JSON.stringify(value)} as a floating number`)
  const exact = narrow ? Math.fround(number) : number
  return exact === 0 ? 0 : exact
}

/** The key of a value that is not NULL. Nested values have none. */
export const keyOf = (type: ColumnType): ((value: WireValue) => Key) => {
  const scale = decimalOf(type)?.scale
  if (scale !== undefined) return (value) => scaled(text(value, type), scale)
  switch (type) {
    case 'boolean':
      return (value) => (value === true ? 1 : 0)
    case 'int':
      return (value) => {
        if (typeof value !== 'number') throw new NeedsEngine(`${JSON.stringify(value)} as an int`)
        return value
      }
    case 'long':
      return (value) => scaled(text(value, type), 0)
    case 'float':
      return (value) => floating(value, true)
    case 'double':
      return (value) => floating(value, false)
    case 'date':
    case 'timestamp':
    case 'timestamptz':
      return (value) => text(value, type, TEXT_ORDERED)
    case 'time':
      return (value) => text(value, type, CLOCK)
    case 'string':
    case 'uuid':
      return (value) => text(value, type)
    // One char a byte, so that comparing code units compares bytes.
    case 'binary':
      return (value) => atob(text(value, type))
    default:
      throw new NeedsEngine('a nested value has no order here')
  }
}

/** Code points in order, which is the order of UTF-8's bytes; UTF-16 would put U+1F600 before U+FFFD. */
const compareText = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x === y) continue
    const [left, right] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff]
    if (left !== right) return left ? 1 : -1
    return x - y
  }
  return a.length - b.length
}

export const compareKeys = (a: Key, b: Key): number => {
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'number' && typeof b === 'number' && (Number.isNaN(a) || Number.isNaN(b)))
    return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : -1
  return a < b ? -1 : a > b ? 1 : 0
}

import type { ColumnStats } from '../../edge/contract/manifests.ts'
import type { Cell } from '../duckdb/protocol.ts'
import type { Leaf } from './field-ids.ts'

/** Longer text and binary bounds are cut: the manifest must stay small, and Iceberg's writers keep 16 characters at most. */
const MAX_BOUND_UNITS = 64

/** What COPY … RETURN_STATS says about one file. */
export interface CopyStats {
  rows: number
  bytes: number
  /** Leaf path → name of a statistic → its text. */
  columns: Map<string, Map<string, string>>
}

const entries = (cell: Cell | undefined): [string, Cell][] => {
  if (!Array.isArray(cell)) return []
  return cell.flatMap((entry): [string, Cell][] =>
    entry !== null && typeof entry === 'object' && !Array.isArray(entry) && entry.value !== undefined
      ? [[String(entry.key), entry.value]]
      : [],
  )
}

/** The one row that COPY with RETURN_STATS answers: filename, count, file_size_bytes, footer_size_bytes, column_statistics, partition_keys. */
export const copyStats = (row: readonly Cell[]): CopyStats => ({
  rows: Number(row[1]),
  bytes: Number(row[2]),
  columns: new Map(entries(row[4]).map(([path, of]) => [path, new Map(entries(of).map(([name, value]) => [name, String(value)]))])),
})

/** Surrogates are no characters of their own: the next one after U+D7FF is U+E000. */
const successor = (point: number): number | null => {
  if (point >= 0x10ffff) return null
  return point === 0xd7ff ? 0xe000 : point + 1
}

/** A text that is not less than any text beginning with these code points; null when there is none. */
const raised = (points: number[]): string | null => {
  for (let n = points.length - 1; n >= 0; n--) {
    const next = successor(points[n] ?? 0)
    if (next !== null) return String.fromCodePoint(...points.slice(0, n), next)
  }
  return null
}

const textBound = (text: string, upper: boolean): string | null => {
  if (text.length <= MAX_BOUND_UNITS) return text
  const points = Array.from(text.slice(0, 2 * MAX_BOUND_UNITS), (character) => character.codePointAt(0) ?? 0).slice(0, MAX_BOUND_UNITS)
  return upper ? raised(points) : String.fromCodePoint(...points)
}

const binaryBound = (hex: string, upper: boolean): string | null => {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length <= MAX_BOUND_UNITS) return bytes.toString('base64')
  const cut = bytes.subarray(0, MAX_BOUND_UNITS)
  if (!upper) return cut.toString('base64')
  for (let n = cut.length - 1; n >= 0; n--) {
    const byte = cut[n] ?? 0xff
    if (byte < 0xff) return Buffer.concat([cut.subarray(0, n), Buffer.from([byte + 1])]).toString('base64')
  }
  return null
}

const numberBound = (text: string): string => {
  if (text === 'inf' || text === '-inf') return text === 'inf' ? 'Infinity' : '-Infinity'
  const number = Number(text)
  return Object.is(number, -0) ? '-0' : String(number)
}

/** `2024-01-02 03:04:05.5+00` → `2024-01-02T03:04:05.500000Z`; BC and five-digit years as ISO 8601 expanded years. */
const timeBound = (text: string, type: string): string => {
  const found = /^(\d+)(-\d\d-\d\d)(?: \(BC\))?(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00)?)?(?: \(BC\))?$/.exec(text)
  if (found === null) {
    const [clock = '', fraction = ''] = text.split('.')
    return `${clock}.${fraction.padEnd(6, '0')}`
  }
  const [, digits = '', rest = '', clock = '00:00:00', fraction = ''] = found
  const year = text.includes('(BC)') ? 1 - Number(digits) : Number(digits)
  const shown =
    year >= 1 && year <= 9999 ? String(year).padStart(4, '0') : `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`
  if (type === 'date') return `${shown}${rest}`
  return `${shown}${rest}T${clock}.${fraction.padEnd(6, '0')}${type === 'timestamptz' ? 'Z' : ''}`
}

/** A bound of DuckDB's as a wire value's text; null: no bound. */
export const boundText = (text: string | undefined, type: string, upper: boolean): string | null => {
  if (text === undefined) return null
  if (type === 'boolean') return text === '1' || text === 'true' ? 'true' : 'false'
  if (type === 'string') return textBound(text, upper)
  if (type === 'binary') return binaryBound(text, upper)
  if (type === 'float' || type === 'double') return numberBound(text)
  if (type === 'date' || type === 'time' || type.startsWith('timestamp')) return timeBound(text, type)
  // A decimal without a digit before its point.
  return text.replace(/^(-?)\./, '$10.')
}

/** Statistics of every leaf, in the schema's order. */
export const columnStats = (of: CopyStats, leaves: readonly Leaf[]): ColumnStats[] =>
  leaves.flatMap((leaf) => {
    const found = of.columns.get(leaf.path)
    if (found === undefined) return []
    const number = (name: string): number => Number(found.get(name) ?? 0)
    // DuckDB tells whether there is a NaN, not how many; only floats can have one.
    const nans = found.get('has_nan') === 'true' ? null : 0
    return [
      {
        field: leaf.field,
        bytes: number('column_size_bytes'),
        values: number('num_values'),
        nulls: number('null_count'),
        nans,
        min: boundText(found.get('min'), leaf.type, false),
        max: boundText(found.get('max'), leaf.type, true),
      },
    ]
  })

/** The first column with an infinite date or timestamp: Parquet would keep it as an ordinary, absurd day. */
export const infiniteColumn = (of: CopyStats, leaves: readonly Leaf[]): Leaf | null =>
  leaves.find((leaf) => {
    if (leaf.type !== 'date' && !leaf.type.startsWith('timestamp')) return false
    const found = of.columns.get(leaf.path)
    return (
      found?.get('max') === 'infinity' ||
      found?.get('min') === '-infinity' ||
      found?.get('max') === '-infinity' ||
      found?.get('min') === 'infinity'
    )
  }) ?? null

import { quoted } from '../../edge/contract/slice-sql.ts'
import { isNested, isNumeric } from '../../edge/contract/slice-values.ts'
import type { QueryOptions } from './engine.ts'
import type { LocalCopy } from './local.ts'
import type { Cell, Column, Filter } from './wire.ts'

/** What the column explorer shows of a column, over the rows that the filters leave. */
export interface ColumnSummary {
  column: string
  rows: number
  nulls: number
  /** Exact; null for nested columns. */
  distinct: number | null
  min: Cell
  max: Cell
  /** The most frequent values, for columns with few of them and for text. */
  top: { value: Cell; count: number }[]
  /** Equal steps between the smallest and the largest value, for numbers and times with many. */
  bars: { from: Cell; to: Cell; count: number }[]
}

const BARS = 24
const TOP = 6
/** Up to so many distinct values, the values themselves say more than a histogram. */
const FEW = 12

const isTemporal = (column: Column): boolean =>
  column.type === 'date' || column.type === 'timestamp' || column.type === 'timestamptz' || column.type === 'time'

/**
 * Summary of one column. Exact counts: the engine's approximate ones show 13 for 12 (facts 5.4); the exact number of distinct
 * values is the slowest, so `onPart` gets the rest before it. The lowest priority: pages and views go first.
 */
export const summarise = async (
  copy: LocalCopy,
  column: Column,
  where: Filter[],
  options: QueryOptions & { onPart?: ((summary: ColumnSummary) => void) | undefined } = {},
): Promise<ColumnSummary> => {
  const low: QueryOptions = { ...(options.signal ? { signal: options.signal } : {}), priority: 'stats' }
  const name = quoted(column.name)
  const countable = !isNested(column.type) && column.type !== 'binary'
  const ask = copy.filtered(where, low)
  const [counts = []] = await ask(
    (relation) =>
      `SELECT count(*), count(${name}), ${countable ? `approx_count_distinct(${name}), min(${name}), max(${name})` : 'NULL, NULL, NULL'} FROM ${relation}`,
  )
  const rows = Number(counts[0])
  const values = Number(counts[1])
  const [min = null, max = null] = [counts[3], counts[4]]
  const summary: ColumnSummary = { column: column.name, rows, nulls: rows - values, distinct: null, min, max, top: [], bars: [] }
  if (!countable || values === 0) return summary
  // An estimate decides what to draw; what is written beside it is exact.
  const many = Number(counts[2]) > FEW * 1.5
  if (many && (isNumeric(column.type) || isTemporal(column)) && min !== max) {
    const number =
      column.type === 'date' || column.type === 'timestamp' || column.type === 'timestamptz'
        ? `epoch_us(CAST(${name} AS TIMESTAMP))`
        : column.type === 'time'
          ? `epoch_us(${name})`
          : `CAST(${name} AS DOUBLE)`
    const bars = await ask(
      (relation) => `WITH v AS (SELECT ${name} AS x, CAST(${number} AS DOUBLE) AS n FROM ${relation} WHERE ${name} IS NOT NULL),
        w AS (SELECT x, n FROM v WHERE isfinite(n)), b AS (SELECT min(n) AS low, max(n) AS high FROM w)
      SELECT CAST(least(${BARS - 1}, floor((n - low) / nullif(high - low, 0) * ${BARS})) AS INTEGER) AS bar, min(x), max(x), count(*)
      FROM w, b GROUP BY bar ORDER BY bar`,
    )
    const byBar = new Map(bars.map(([bar, from, to, count]) => [Number(bar), { from: from ?? null, to: to ?? null, count: Number(count) }]))
    summary.bars = Array.from({ length: BARS }, (_, at) => byBar.get(at) ?? { from: null, to: null, count: 0 })
  } else {
    const top = await ask(
      (relation) =>
        `SELECT ${name}, count(*) AS n FROM ${relation} WHERE ${name} IS NOT NULL GROUP BY ${name} ORDER BY n DESC, ${name} LIMIT ${many ? TOP : FEW + 1}`,
    )
    summary.top = top.slice(0, many ? TOP : FEW).map(([value, count]) => ({ value: value ?? null, count: Number(count) }))
    if (!many && top.length <= FEW) {
      summary.distinct = top.length
      return summary
    }
  }
  options.onPart?.({ ...summary })
  const [[distinct = 0] = []] = await ask((relation) => `SELECT count(DISTINCT ${name}) FROM ${relation}`)
  summary.distinct = Number(distinct)
  return summary
}

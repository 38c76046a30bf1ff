import type { Column, WireValue } from '../contract/columns.ts'
import { decimalOf } from '../contract/slice-values.ts'
import { compareKeys, type Key, keyOf, NeedsEngine } from './order.ts'

/** Takes the rows of one group one by one, then says the aggregate's wire value. */
export interface Fold {
  add(row: WireValue[]): void
  value(): WireValue
}

/** DECIMAL(38, s) ends here; DuckDB reports an overflow, and so must the answer. */
const DECIMAL_LIMIT = 10n ** 38n

const decimalText = (digits: bigint, scale: number): string => {
  const whole = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0')
  const sign = digits < 0n ? '-' : ''
  return scale === 0 ? `${sign}${whole}` : `${sign}${whole.slice(0, -scale)}.${whole.slice(-scale)}`
}

const floatText = (value: number): WireValue => (Number.isFinite(value) ? value : String(value))

const countRows = (): Fold => {
  let rows = 0
  return {
    add: () => {
      rows += 1
    },
    value: () => String(rows),
  }
}

const countValues = (at: number): Fold => {
  let values = 0
  return {
    add: (row) => {
      if (row[at] !== null) values += 1
    },
    value: () => String(values),
  }
}

const countDistinct = (at: number, key: (value: WireValue) => Key): Fold => {
  // A Set holds NaN once, as DuckDB does.
  const seen = new Set<Key>()
  return {
    add: (row) => {
      const value = row[at] ?? null
      if (value !== null) seen.add(key(value))
    },
    value: () => String(seen.size),
  }
}

const extreme = (at: number, key: (value: WireValue) => Key, sign: 1 | -1): Fold => {
  let best: { key: Key; value: WireValue } | null = null
  return {
    add: (row) => {
      const value = row[at] ?? null
      if (value === null) return
      const mine = key(value)
      if (best === null || compareKeys(mine, best.key) * sign > 0) best = { key: mine, value }
    },
    value: () => best?.value ?? null,
  }
}

/** Sums in the order of the rows, as DuckDB does over one row group, in doubles as it does. */
const floatingSum = (at: number, key: (value: WireValue) => Key, average: boolean): Fold => {
  let sum = 0
  let count = 0
  return {
    add: (row) => {
      const value = row[at] ?? null
      if (value === null) return
      sum += Number(key(value))
      count += 1
    },
    value: () => (count === 0 ? null : floatText(average ? sum / count : sum)),
  }
}

const exactSum = (at: number, key: (value: WireValue) => Key, scale: number, average: boolean): Fold => {
  let sum = 0n
  let count = 0
  return {
    add: (row) => {
      const value = row[at] ?? null
      if (value === null) return
      sum += BigInt(key(value))
      if (sum >= DECIMAL_LIMIT || sum <= -DECIMAL_LIMIT) throw new NeedsEngine('a sum beyond 38 digits')
      count += 1
    },
    value: () => {
      if (count === 0) return null
      if (!average) return decimalText(sum, scale)
      // Exact as doubles up to here (powers of ten up to 10^22); beyond, the engine's way of rounding is its own.
      const number = Number(sum)
      if (!Number.isSafeInteger(number) || scale > 22) throw new NeedsEngine('an average of more than 53 bits')
      return number / Number(`1e${scale}`) / count
    },
  }
}

/** A fold for each group: same results as the SQL of `compileSlice`. Throws NeedsEngine where that cannot be promised. */
export const folds = (fn: string, column: Column | null, at: number): (() => Fold) => {
  if (column === null) return countRows
  if (fn === 'count') return () => countValues(at)
  const { type } = column
  const key = keyOf(type)
  if (fn === 'count_distinct') return () => countDistinct(at, key)
  if (fn === 'min' || fn === 'max') return () => extreme(at, key, fn === 'max' ? 1 : -1)
  if (fn !== 'sum' && fn !== 'avg') throw new NeedsEngine(`the aggregate ${fn}`)
  if (type === 'float' || type === 'double') return () => floatingSum(at, key, fn === 'avg')
  const scale = type === 'int' || type === 'long' ? 0 : decimalOf(type)?.scale
  if (scale === undefined) throw new NeedsEngine(`${fn} of this type`)
  return () => exactSum(at, key, scale, fn === 'avg')
}

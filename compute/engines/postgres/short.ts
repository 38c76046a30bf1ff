import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type ColumnType, SYSTEM_COLUMNS, type WireValue } from '../../../edge/contract/columns.ts'
import { MAX_FIRST_ROWS, MAX_FIRST_ROWS_BYTES, MAX_INLINE_PARQUET_BYTES, MAX_INLINE_ROWS_BYTES } from '../../../edge/contract/manifests.ts'
import { isTiny, type TinyColumn, tinyParquet } from '../../results/tiny-parquet.ts'
import { type TinyValue, tinyWire } from '../../results/tiny-values.ts'
import type { Produced, Run } from '../engine.ts'
import { type Misfit, misfitOf } from './spool.ts'
import type { ResultColumn } from './types.ts'
import { decodeText } from './values.ts'
import { int32At, textOf } from './wire.ts'

/** Above this many bytes of cells a result cannot be sure to fit into `MAX_INLINE_PARQUET_BYTES`, and takes the long way. */
export const MAX_SHORT_BYTES = 24 * 1024
export const MAX_SHORT_ROWS = 2_000

/**
 * Whether a result of these columns can take the short way. Nested columns cannot; yielded system columns are checked,
 * and split the result into files, on the long way.
 */
export const isShort = (columns: readonly ResultColumn[]): boolean =>
  columns.every((column) => isTiny(column.type) && !SYSTEM_COLUMNS.some((system) => system.name === column.name))

/** The schema may have widened since: int to long, float to double; a decimal's scale never changes. */
const widened = (value: TinyValue, from: ColumnType, to: ColumnType): TinyValue =>
  from === 'int' && to === 'long' && typeof value === 'number' ? BigInt(value) : value

/** The columns of a small result with every value decoded, or the first value that does not fit. */
const decode = (
  run: Run,
  columns: readonly ResultColumn[],
  rows: readonly Uint8Array[],
): { ok: true; columns: TinyColumn[] } | { ok: false; misfit: Misfit } => {
  const values: TinyValue[][] = columns.map(() => [])
  for (const row of rows) {
    let at = 2
    for (const [n, column] of columns.entries()) {
      const length = int32At(row, at)
      at += 4
      if (length < 0) {
        values[n]?.push(null)
        continue
      }
      const text = textOf(row, at, at + length)
      at += length
      const decoded = decodeText(text, column.form, column.type)
      if (!decoded.ok) return { ok: false, misfit: misfitOf(column, text) }
      values[n]?.push(widened(decoded.value, column.type, run.schema.columns[n]?.type ?? column.type))
    }
  }
  return {
    ok: true,
    columns: columns.map((column, n) => ({
      id: run.schema.columns[n]?.id ?? 0,
      name: column.name,
      type: run.schema.columns[n]?.type ?? column.type,
      values: values[n] ?? [],
    })),
  }
}

/** Days since 1970 of `YYYY-MM-DD`. */
const dayOf = (date: string): number => Date.parse(`${date}T00:00:00Z`) / 86_400_000

const systemColumns = (run: Run, rows: number): TinyColumn[] =>
  SYSTEM_COLUMNS.filter(({ name }) => run.schema.added.includes(name)).map(({ id, name, type }) => {
    const value = name === 'run_date' ? dayOf(run.runDate) : name === 'job_id' ? run.job : run.tenant
    return { id, name, type, values: new Array<TinyValue>(rows).fill(value) }
  })

export type Short = { ok: true; produced: Produced | null } | { ok: false; misfit: Misfit }

const firstRowsOf = (rows: readonly WireValue[][], bytes: number): WireValue[][] => {
  if (rows.length <= MAX_FIRST_ROWS && bytes <= MAX_FIRST_ROWS_BYTES) return [...rows]
  const first: WireValue[][] = []
  let left = MAX_FIRST_ROWS_BYTES - 2
  for (const row of rows.slice(0, MAX_FIRST_ROWS)) {
    left -= Buffer.byteLength(JSON.stringify(row)) + 1
    if (left < 0) break
    first.push(row)
  }
  return first
}

/**
 * Makes a small result in this process: typed rows and a Parquet file, both inside the completion. No file is written:
 * `files[0].path` names the place where it would be. `produced` is null when the result is too large after all.
 */
export const shortResult = (run: Run, columns: readonly ResultColumn[], rows: readonly Uint8Array[], engine: Produced['engine']): Short => {
  const decoded = decode(run, columns, rows)
  if (!decoded.ok) return decoded
  const wire = rows.map((_, r) => decoded.columns.map(({ type, values }) => tinyWire(type, values[r] ?? null)))
  const json = Buffer.byteLength(JSON.stringify(wire))
  const { bytes, splitOffsets, stats } = tinyParquet([...decoded.columns, ...systemColumns(run, rows.length)], rows.length)
  if (bytes.length > MAX_INLINE_PARQUET_BYTES || json > MAX_INLINE_ROWS_BYTES) return { ok: true, produced: null }
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const file = { n: 0, bytes: bytes.length, sha256, rows: rows.length, run_date: run.runDate, split_offsets: splitOffsets, stats }
  return {
    ok: true,
    produced: {
      rows: rows.length,
      files: [{ ...file, path: join(run.folder, '0.parquet') }],
      firstRows: firstRowsOf(wire, json),
      inline: { parquet_base64: Buffer.from(bytes).toString('base64'), rows: wire },
      engine,
    },
  }
}

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Column, ResultSchema, WireValue } from '../../edge/contract/columns.ts'
import type { JobId, TenantId } from '../../edge/contract/ids.ts'
import {
  type InlineResult,
  MAX_FIRST_ROWS,
  MAX_FIRST_ROWS_BYTES,
  MAX_INLINE_PARQUET_BYTES,
  MAX_INLINE_ROWS_BYTES,
} from '../../edge/contract/manifests.ts'
import { engineFault } from '../duckdb/faults.ts'
import type { BoundValue, DescribedColumn } from '../duckdb/protocol.ts'
import type { DuckdbSession } from '../duckdb/session.ts'
import { asSubquery, quoteName, quoteText } from '../duckdb/sql.ts'
import { EngineFault, type Produced } from '../engines/engine.ts'
import { driftFrom, keptColumns } from './columns.ts'
import { fieldIds, fileColumns, type Leaf, leaves } from './field-ids.ts'
import { wireRowExpression } from './rows.ts'
import { type CopyStats, columnStats, copyStats, infiniteColumn } from './stats.ts'
import { castExpression, Unkeepable } from './types.ts'

/** A DuckDB query: one SELECT, with values for its `$n`. `described`: what `describe` said, when it is known already. */
export interface QuerySource {
  sql: string
  values: BoundValue[]
  described?: DescribedColumn[]
}

/**
 * A spool of CSV as PostgreSQL's COPY writes it: no header, NULL is an empty field without quotes, `""` is the empty
 * text. `expression` is SQL over the column's quoted name where the value needs more than its type.
 */
export interface SpoolSource {
  csv: string
  columns: { name: string; duckdbType: string; expression?: string }[]
  /** Where the same bytes come while the file is still being written: they are read from there. */
  pipe?: string
  /**
   * Some cell holds a line break. Several threads begin in the middle of the data and look for the next line; inside of a
   * text that looks like lines they would find one that is none.
   */
  multiline?: boolean
  /** Longest line, where lines may be longer than DuckDB's default of 2 MB. */
  maxLineBytes?: number
}

export interface MaterialiseRequest {
  from: QuerySource | SpoolSource
  /** The task's `types` directive. */
  types: Record<string, string>
  schema: ResultSchema
  tenant: TenantId
  job: JobId
  /** UTC date of submission, `YYYY-MM-DD`. */
  runDate: string
  /** An empty folder, inside the session's allowed folders. */
  folder: string
}

export type Materialised = Pick<Produced, 'rows' | 'files' | 'firstRows' | 'inline'>

/** Row groups as DuckDB-WASM and Iceberg readers like them. Architecture, section 5. */
const ROW_GROUP_ROWS = 122_880
const ZSTD_LEVEL = 3
/** One file for each value of a yielded `run_date`: a leap year. Architecture, section 5. */
const MAX_RUN_DATES = 366
/** A row of an inline result has at least four bytes of JSON. */
const MAX_INLINE_ROWS = MAX_INLINE_ROWS_BYTES / 4
/** Up to here a file is read and hashed here; a longer one in the child, which this process does not wait for. */
const HASH_HERE_BYTES = 1024 * 1024

const unkeepable = (error: unknown): never => {
  if (error instanceof Unkeepable) throw engineFault('schema', 'unkeepable_column', error.message)
  throw error
}

/** A pipe is read in pieces of this size. The smaller they are the less is left to do when it ends; a line must fit. */
const PIPE_BUFFER_BYTES = 8_000_000

/** The SELECT that reads the source, as text that can stand in parentheses. */
const sourceQuery = (from: QuerySource | SpoolSource, pipe?: string): string => {
  if ('sql' in from) return asSubquery(from.sql)
  const types = from.columns.map((column) => `${quoteText(column.name)}: ${quoteText(column.duckdbType)}`).join(', ')
  const long = from.maxLineBytes === undefined ? '' : `, max_line_size = ${Math.ceil(from.maxLineBytes)}`
  const whole = from.multiline === true ? ', parallel = false' : ''
  const pieces = pipe === undefined ? '' : `, buffer_size = ${PIPE_BUFFER_BYTES}`
  const expressions = from.columns.map((column) => `${column.expression ?? quoteName(column.name)} AS ${quoteName(column.name)}`)
  return (
    `SELECT ${expressions.join(', ')} FROM read_csv(${quoteText(pipe ?? from.csv)}, columns = {${types}}, header = false, auto_detect = false, ` +
    // A line end that is not given would be guessed from the first texts that hold one.
    `delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n'${whole}${long}${pieces})\n`
  )
}

const describeSource = async (session: DuckdbSession, from: QuerySource | SpoolSource): Promise<DescribedColumn[]> => {
  if ('sql' in from && from.described !== undefined) return from.described
  const sql = 'sql' in from ? from.sql : sourceQuery(from)
  const { columns } = await session.describe(sql, 'sql' in from ? from.values : [])
  return columns ?? []
}

/** `COPY (select) TO file` with everything a reader will want to know, and the statistics of what was written. */
const copy = async (
  session: DuckdbSession,
  select: string,
  values: BoundValue[],
  file: string,
  columns: readonly Column[],
): Promise<CopyStats> => {
  // DuckDB 1.5.5 looks for the text of a binary in the Bloom filter of its bytes: asked for equality, it finds no row.
  const bloom = leaves(columns).some(({ type }) => type === 'binary') ? ', WRITE_BLOOM_FILTER false' : ''
  const rows = await session.run(
    `COPY (${select}) TO ${quoteText(file)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL ${ZSTD_LEVEL}, ` +
      `ROW_GROUP_SIZE ${ROW_GROUP_ROWS}, FIELD_IDS ${fieldIds(columns)}, RETURN_STATS true${bloom})`,
    values,
  )
  return copyStats(rows[0] ?? [])
}

/** The statement's position in a message would be that in our own text around it. */
const withoutPosition = (error: unknown): never => {
  if (!(error instanceof EngineFault)) throw error
  const message = error.failure.message.replace(/\n\s*\n?LINE \d+:[\s\S]*$/, '')
  throw new EngineFault({ ...error.failure, message })
}

const refuseInfinite = (stats: CopyStats, all: readonly Leaf[]): void => {
  const found = infiniteColumn(stats, all)
  if (found === null) return
  throw engineFault(
    'sql',
    'unkeepable_value',
    `column "${found.column}": an infinite ${found.type} cannot be kept; map it to NULL in the query`,
  )
}

/** I6: rows of another tenant never enter this tenant's family. The bounds and the count of NULLs tell about every row. */
const requireTenant = async (session: DuckdbSession, stats: CopyStats, file: string, tenant: TenantId): Promise<void> => {
  const found = stats.columns.get('"tenant_id"')
  if (stats.rows === 0 || (found?.get('min') === tenant && found.get('max') === tenant && found.get('null_count') === '0')) return
  const wrong = await session.run(
    `SELECT left(tenant_id, 100) FROM read_parquet(${quoteText(file)}) WHERE tenant_id IS DISTINCT FROM ${quoteText(tenant)} LIMIT 1`,
  )
  if (wrong.length === 0) return
  const value = wrong[0]?.[0] ?? null
  throw engineFault(
    'sql',
    'foreign_tenant',
    `column "tenant_id": a row has ${value === null ? 'NULL' : `"${String(value)}"`} and the job's tenant is "${tenant}"; filter the query, or leave the column out`,
  )
}

/** The values of a yielded `run_date`, in order. */
const runDates = async (session: DuckdbSession, stats: CopyStats, file: string): Promise<string[]> => {
  const found = stats.columns.get('"run_date"')
  if (found?.get('null_count') !== '0')
    throw engineFault('sql', 'null_run_date', 'column "run_date": a row has NULL; every row needs a date, or leave the column out')
  const [min, max] = [found.get('min'), found.get('max')]
  const dates =
    min !== undefined && min === max
      ? [min]
      : (
          await session.run(
            `SELECT DISTINCT CAST(run_date AS VARCHAR) AS d FROM read_parquet(${quoteText(file)}) ORDER BY 1 LIMIT ${MAX_RUN_DATES + 1}`,
          )
        ).map((row) => String(row[0]))
  if (dates.length > MAX_RUN_DATES)
    throw engineFault(
      'sql',
      'too_many_run_dates',
      `column "run_date": it has more than ${MAX_RUN_DATES} values; name the column otherwise, or ask for fewer days`,
    )
  const strange = dates.find((date) => !/^\d{4}-\d\d-\d\d$/.test(date))
  if (strange !== undefined)
    throw engineFault('sql', 'unkeepable_value', `column "run_date": the value ${strange} is outside the years 1 to 9999`)
  return dates
}

interface Written {
  path: string
  runDate: string
  stats: CopyStats
}

const splitByRunDate = async (
  session: DuckdbSession,
  staged: Written,
  request: MaterialiseRequest,
  columns: readonly Column[],
): Promise<Written[]> => {
  const dates = await runDates(session, staged.stats, staged.path)
  const [only] = dates
  if (dates.length === 1 && only !== undefined) return [{ ...staged, runDate: only }]
  const files: Written[] = []
  for (const [n, date] of dates.entries()) {
    const path = join(request.folder, `${n}.parquet`)
    const select = `SELECT * FROM read_parquet(${quoteText(staged.path)}) WHERE run_date = DATE ${quoteText(date)}`
    files.push({ path, runDate: date, stats: await copy(session, select, [], path, columns) })
  }
  return files
}

const splitOffsets = async (session: DuckdbSession, file: Written): Promise<number[]> => {
  if (file.stats.rows === 0) return []
  // One vector is one row group, and the first row group follows the four bytes of the magic number.
  if (file.stats.rows <= 2_048) return [4]
  const rows = await session.run(
    `SELECT min(least(coalesce(dictionary_page_offset, data_page_offset), data_page_offset)) FROM parquet_metadata(${quoteText(file.path)}) GROUP BY row_group_id ORDER BY 1`,
  )
  return rows.map((row) => Number(row[0]))
}

/** Rows from the beginning of a file as wire values: as many as `maxRows` and `maxBytes` of JSON allow. */
const readRows = async (
  session: DuckdbSession,
  path: string,
  columns: readonly Column[],
  maxRows: number,
  maxBytes: number,
): Promise<WireValue[][]> => {
  const rows = await session.run(
    `SELECT j FROM (SELECT j, sum(strlen(j) + 1) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s ` +
      `FROM (SELECT ${wireRowExpression(columns)} AS j FROM read_parquet(${quoteText(path)}) LIMIT ${maxRows})) WHERE s < ${maxBytes}`,
  )
  return rows.map((row) => JSON.parse(String(row[0])))
}

/** The longest beginning of `rows` that a manifest may carry. */
const firstOf = (rows: WireValue[][]): WireValue[][] => {
  const first: WireValue[][] = []
  let bytes = 2
  for (const row of rows.slice(0, MAX_FIRST_ROWS)) {
    bytes += Buffer.byteLength(JSON.stringify(row)) + 1
    if (bytes > MAX_FIRST_ROWS_BYTES) break
    first.push(row)
  }
  return first
}

const digestOf = async (session: DuckdbSession, file: Written): Promise<{ bytes: number; sha256: string; content: Uint8Array | null }> => {
  if (file.stats.bytes > HASH_HERE_BYTES) return { ...(await session.digest(file.path)), content: null }
  const content = await Bun.file(file.path).bytes()
  return { bytes: content.byteLength, sha256: new Bun.CryptoHasher('sha256').update(content).digest('hex'), content }
}

/**
 * Runs a source and leaves its rows as Parquet in `request.folder`: zstd, field ids as the edge chose them, every column
 * cast to exactly its Iceberg type. An empty result is one file without rows (and travels inline, if its columns are not many).
 *
 * Throws EngineFault: `schema` when the source's columns are not the schema's or cannot be kept, `sql` with the name of
 * column and value when a value cannot be kept, else what DuckDB said.
 */
export const materialise = async (session: DuckdbSession, request: MaterialiseRequest): Promise<Materialised> => {
  const { schema, from } = request
  const described = await describeSource(session, from)
  let columns: Column[] = []
  try {
    columns = keptColumns(described, request.types)
  } catch (error) {
    unkeepable(error)
  }
  const drift = driftFrom(schema, columns)
  if (drift !== null) throw engineFault('schema', 'schema_drift', drift)

  const written = fileColumns(schema)
  const added: Record<string, string> = {
    tenant_id: quoteText(request.tenant),
    job_id: quoteText(request.job),
    run_date: `DATE ${quoteText(request.runDate)}`,
  }
  const expressions = written.map((column, n) => {
    const source = described[n]
    const value = source === undefined ? (added[column.name] ?? 'NULL') : castExpression(`c${n}`, source.type, column.type, column.name)
    return `${value} AS ${quoteName(column.name)}`
  })
  const names = described.map((_column, n) => `c${n}`).join(', ')
  const select = `SELECT ${expressions.join(', ')} FROM (${sourceQuery(from, 'csv' in from ? from.pipe : undefined)}) AS q(${names})`
  const path = join(request.folder, '0.parquet')
  const ownDates = schema.columns.some((column) => column.name === 'run_date')
  const staged = ownDates ? join(request.folder, 'staged.parquet') : path
  const stats = await copy(session, select, 'sql' in from ? from.values : [], staged, written).catch(withoutPosition)

  const all = leaves(written)
  refuseInfinite(stats, all)
  if (schema.columns.some((column) => column.name === 'tenant_id')) await requireTenant(session, stats, staged, request.tenant)
  const whole: Written = { path: staged, runDate: request.runDate, stats }
  const files = ownDates && stats.rows > 0 ? await splitByRunDate(session, whole, request, written) : [whole]

  const produced: Produced['files'] = []
  let small: { rows: WireValue[][]; inline: InlineResult } | null = null
  for (const [n, file] of files.entries()) {
    const { bytes, sha256, content } = await digestOf(session, file)
    produced.push({
      n,
      path: file.path,
      bytes,
      sha256,
      rows: file.stats.rows,
      run_date: file.runDate,
      split_offsets: await splitOffsets(session, file),
      stats: columnStats(file.stats, all),
    })
    if (files.length === 1 && content !== null && bytes <= MAX_INLINE_PARQUET_BYTES && file.stats.rows <= MAX_INLINE_ROWS) {
      const rows = await readRows(session, file.path, schema.columns, MAX_INLINE_ROWS, MAX_INLINE_ROWS_BYTES)
      if (rows.length === file.stats.rows) small = { rows, inline: { parquet_base64: Buffer.from(content).toString('base64'), rows } }
    }
  }
  const first = small?.rows ?? (await readRows(session, staged, schema.columns, MAX_FIRST_ROWS, MAX_FIRST_ROWS_BYTES))
  if (files.length > 1) await rm(staged, { force: true })
  return { rows: stats.rows, files: produced, firstRows: firstOf(first), inline: small?.inline ?? null }
}

import { duckdbType, quoted } from '../../edge/contract/slice-sql.ts'
import { rowsOf } from './arrow.ts'
import { download } from './download.ts'
import type { Engine } from './engine.ts'
import type { Http } from './http.ts'
import { literal } from './sql.ts'
import { ApiError, type Cell, type Column, type ColumnType, type Pack, type Progress, type ResultDocument } from './wire.ts'

/** A result inside the engine: `relation` has row numbers 0 … rows-1 in the result's own order. */
export interface Loaded {
  relation: string
  /** Memory that the engine now holds for it, about. */
  bytes: number
}

export interface LoadContext {
  engine: Engine
  http: Http
  document: ResultDocument
  /** The report's own columns: system columns that Scarab added are hidden. */
  columns: Column[]
  signal?: AbortSignal | undefined
  onProgress?: ((progress: Progress) => void) | undefined
}

/** Above this a pack stays a file of the browser's, read by `FileReaderSync`; below it, a buffer in the engine is faster. */
const MAX_BUFFERED_PACK_BYTES = 96 * 1024 * 1024
/** The protocol number of `FileReaderSync` in duckdb-wasm (`DuckDBDataProtocol.BROWSER_FILEREADER`). */
const BROWSER_FILEREADER = 2

/** Text SQL may see of the settings once everything is in: no files, no network, and no way back. Then read back, and fail closed. */
export const lock = async (engine: Engine): Promise<void> => {
  await engine.query('SET enable_external_access = false')
  await engine.query('SET lock_configuration = true')
  const { batches } = await engine.query(
    "SELECT current_setting('enable_external_access')::VARCHAR, current_setting('lock_configuration')::VARCHAR, current_setting('autoload_known_extensions')::VARCHAR",
  )
  if (JSON.stringify(rowsOf(batches)) !== '[["false","true","false"]]') throw new Error('the engine did not lock its settings')
}

const one = async (engine: Engine, sql: string): Promise<string> => {
  const { batches } = await engine.query(sql)
  return String(rowsOf(batches)[0]?.[0] ?? '')
}

/**
 * A pack is a database that somebody else wrote. Before anything is read from it: exactly one table, called `result`, in the main
 * schema, with the columns of the manifest, none of them computed, and no views, macros, sequences or types of its own.
 * (Architecture, section 7.)
 */
const assertPack = async (engine: Engine, columns: Column[], rows: number): Promise<void> => {
  const refuse = (why: string): never => {
    throw new ApiError(0, 'foreign_pack', `The local copy is not what a result looks like: ${why}`)
  }
  const tables = await one(
    engine,
    "SELECT coalesce(string_agg(schema_name || '.' || table_name, ','), '') FROM duckdb_tables() WHERE database_name = 'pack'",
  )
  if (tables !== 'main.result') refuse(`its tables are ${JSON.stringify(tables)}`)
  for (const [what, sql] of [
    ['views', "SELECT count(*) FROM duckdb_views() WHERE database_name = 'pack' AND NOT internal"],
    ['macros', "SELECT count(*) FROM duckdb_functions() WHERE database_name = 'pack' AND NOT internal"],
    ['sequences', "SELECT count(*) FROM duckdb_sequences() WHERE database_name = 'pack'"],
    ['types', "SELECT count(*) FROM duckdb_types() WHERE database_name = 'pack' AND NOT internal"],
    [
      'column defaults',
      "SELECT count(*) FROM duckdb_columns() WHERE database_name = 'pack' AND NOT internal AND column_default IS NOT NULL",
    ],
  ] as const) {
    if ((await one(engine, sql)) !== '0') refuse(`it has ${what}`)
  }
  const { batches } = await engine.query("SELECT column_name FROM duckdb_columns() WHERE database_name = 'pack' AND table_name = 'result'")
  const names = new Set(rowsOf(batches).map(([name]) => name))
  const missing = columns.find((column) => !names.has(column.name))
  if (missing !== undefined) refuse(`it has no column ${JSON.stringify(missing.name)}`)
  const counted = await one(engine, 'SELECT count(*) FROM pack.main.result')
  if (counted !== String(rows)) refuse(`it has ${counted} rows, the result has ${rows}`)
  // Only now, with the types: a column of another type would compare and sort differently from the server's.
  const shape = await engine.query('DESCRIBE pack.main.result')
  const types = new Map(rowsOf(shape.batches).map(([name, type]) => [String(name), String(type)]))
  for (const column of columns) {
    if (typeof column.type === 'string' && !sameType(types.get(column.name) ?? '', column.type))
      refuse(`${JSON.stringify(column.name)} is a ${types.get(column.name)}, the result says ${column.type}`)
  }
}

const sameType = (duckdb: string, type: ColumnType): boolean => duckdb.replaceAll(' ', '') === duckdbType(type).replaceAll(' ', '')

export const loadPack = async (context: LoadContext, pack: Pack, path: string): Promise<Loaded> => {
  const { engine, http, document, columns } = context
  const bytes = await download(http, path, {
    sha256: pack.sha256,
    bytes: pack.bytes,
    signal: context.signal,
    onProgress: (loaded, total) => context.onProgress?.({ phase: 'download', loaded, total }),
  })
  context.onProgress?.({ phase: 'open' })
  const file = 'result.duckdb'
  if (pack.bytes <= MAX_BUFFERED_PACK_BYTES) await engine.files.registerFileBuffer(file, bytes)
  else await engine.files.registerFileHandle(file, new File([bytes], file), BROWSER_FILEREADER, false)
  await engine.query(`ATTACH ${literal(file)} AS pack (READ_ONLY)`)
  await assertPack(engine, columns, document.rows)
  await engine.query('USE pack')
  await hideAdded(engine, columns, 'pack.main.result')
  return { relation: 'pack.main.result', bytes: pack.bytes }
}

/** Typed SQL sees `result` as the server's slices do: without the columns that Scarab added. */
const hideAdded = async (engine: Engine, columns: Column[], relation: string): Promise<void> => {
  const { batches } = await engine.query(`DESCRIBE ${relation}`)
  if (rowsOf(batches).length === columns.length) return
  await engine.query(`CREATE TEMP VIEW result AS SELECT ${columns.map((column) => quoted(column.name)).join(', ')} FROM ${relation}`)
}

/** Rows that are here already, as typed literals: for a small result, cheaper than any file format. */
export const loadRows = async (context: LoadContext, rows: Cell[][]): Promise<Loaded> => {
  const { engine, columns } = context
  context.onProgress?.({ phase: 'open' })
  await engine.query(
    `CREATE TABLE memory.main.result (${columns.map((column) => `${quoted(column.name)} ${duckdbType(column.type)}`).join(', ')})`,
  )
  const ROWS_A_STATEMENT = 400
  for (let at = 0; at < rows.length; at += ROWS_A_STATEMENT) {
    const values = rows
      .slice(at, at + ROWS_A_STATEMENT)
      .map((row) => `(${columns.map((column, i) => cellLiteral(row[i] ?? null, column.type)).join(', ')})`)
    await engine.query(`INSERT INTO memory.main.result VALUES ${values.join(', ')}`)
  }
  return { relation: 'memory.main.result', bytes: 1024 * 1024 }
}

/** A cell as SQL. Everything scalar is text, which the column's type parses without loss. */
export const cellLiteral = (cell: Cell, type: ColumnType): string => {
  if (cell === null) return 'NULL'
  if (typeof type === 'string') {
    if (type === 'binary') return `from_base64(${literal(String(cell))})`
    return type === 'string' ? literal(String(cell)) : `CAST(${literal(String(cell))} AS ${duckdbType(type)})`
  }
  if (type.type === 'list') {
    const items = Array.isArray(cell) ? cell : []
    return `CAST([${items.map((item) => cellLiteral(item, type.element)).join(', ')}] AS ${duckdbType(type)})`
  }
  const field = (value: Cell, name: string): Cell =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? (value[name] ?? null) : null
  if (type.type === 'map') {
    const entries = Array.isArray(cell) ? cell : []
    const keys = entries.map((entry) => cellLiteral(field(entry, 'key'), type.key))
    const values = entries.map((entry) => cellLiteral(field(entry, 'value'), type.value))
    return `CAST(map([${keys.join(', ')}], [${values.join(', ')}]) AS ${duckdbType(type)})`
  }
  const fields = type.fields.map((one) => `${literal(one.name)}: ${cellLiteral(field(cell, one.name), one.type)}`)
  return `CAST({${fields.join(', ')}} AS ${duckdbType(type)})`
}

/** Parquet without DuckDB's extension for it: parquet-wasm makes Arrow of each row group, which the engine takes over. */
export const loadParquet = async (context: LoadContext): Promise<Loaded> => {
  const { engine, http, document, columns } = context
  const parquet = await import('parquet-wasm')
  await parquet.default({ module_or_path: new URL(engine.assets.parquetWasm, location.href).href })
  const total = document.files.reduce((sum, file) => sum + file.bytes, 0)
  const single = document.links.parquet ?? `/v1/jobs/${document.job}/result.parquet`
  const sources =
    document.files.length === 0
      ? [{ path: single, file: null }]
      : document.files.map((file, at) => ({ path: document.file_links[at] ?? single, file }))
  let before = 0
  for (const { path, file } of sources) {
    // A small result that travelled inside its completion has no file record yet: its bytes are taken as they are.
    const bytes =
      file === null
        ? new Uint8Array(await (await http.request(path, context.signal ? { signal: context.signal } : {})).arrayBuffer())
        : await download(http, path, {
            sha256: file.sha256,
            bytes: file.bytes,
            signal: context.signal,
            onProgress: (loaded) => context.onProgress?.({ phase: 'download', loaded: before + loaded, total }),
          })
    before += bytes.length
    context.onProgress?.({ phase: 'open' })
    const groups = file === null ? 0 : file.split_offsets.length
    for (let group = 0; group < Math.max(1, groups); group++) {
      context.signal?.throwIfAborted()
      const ipc = parquet.readParquet(bytes, groups === 0 ? undefined : { rowGroups: [group] }).intoIPCStream()
      await engine.insertArrow(ipc, 'arrived')
      const target = columns.map((column) => `${arrived(column)} AS ${quoted(column.name)}`).join(', ')
      await engine.query(
        before === bytes.length && group === 0
          ? `CREATE TABLE memory.main.result AS SELECT ${target} FROM arrived`
          : `INSERT INTO memory.main.result SELECT ${target} FROM arrived`,
      )
      await engine.query('DROP TABLE arrived')
    }
  }
  return { relation: 'memory.main.result', bytes: total * 6 }
}

/** Arrow knows no UUID: it comes as 16 bytes. */
const arrived = (column: Column): string =>
  column.type === 'uuid' ? `CAST(hex(${quoted(column.name)}) AS UUID)` : `CAST(${quoted(column.name)} AS ${duckdbType(column.type)})`

import { resolve } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { Column } from '../../edge/contract/columns.ts'
import { quoteName, quoteText } from '../duckdb/sql.ts'
import { sqlType } from '../results/types.ts'
import { PackUnusable, SliceFault } from './faults.ts'
import type { LocalResult, SandboxSettings } from './protocol.ts'

/** Statements at once over one result; each holds a thread of the work pool until it ends. */
const MAX_IDLE_CONNECTIONS = 4

/** The table of an attached pack. */
const PACKED = 'pack.main.result'

/** Set when the database is made, and read back after the lock. */
const FIXED = {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_unsigned_extensions: 'false',
  allow_persistent_secrets: 'false',
}

const rowsOf = async (connection: DuckDBConnection, sql: string): Promise<unknown[][]> =>
  (await connection.runAndReadAll(sql)).getRowsJson()

/**
 * A pack is a database that somebody else wrote, so what it holds is looked at before anything is read by name: exactly one
 * table, `main.result`, that begins with the report's columns in their types; no views, macros, sequences, types, indexes,
 * constraints, defaults or generated columns, which would all be expressions of the writer's, evaluated here.
 */
const packFault = async (connection: DuckDBConnection, columns: Column[], rows: number): Promise<string | null> => {
  const count = async (what: string, extra = ''): Promise<number> =>
    Number((await rowsOf(connection, `SELECT count(*) FROM ${what}() WHERE database_name = 'pack' ${extra}`))[0]?.[0])
  const tables = await rowsOf(connection, `SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'pack'`)
  if (tables.length !== 1 || tables[0]?.[0] !== 'main' || tables[0]?.[1] !== 'result') return 'it does not hold the one table "result"'
  if ((await count('duckdb_schemas', `AND schema_name <> 'main'`)) > 0) return 'it has schemas of its own'
  for (const what of ['duckdb_views', 'duckdb_functions', 'duckdb_sequences', 'duckdb_indexes', 'duckdb_constraints'])
    if ((await count(what)) > 0) return `it has ${what.slice('duckdb_'.length)}`
  if ((await count('duckdb_types', 'AND NOT internal')) > 0) return 'it has types of its own'
  const found = await rowsOf(
    connection,
    `SELECT column_name, data_type, column_default IS NULL FROM duckdb_columns() WHERE database_name = 'pack' ORDER BY column_index`,
  )
  if (found.some((column) => column[2] !== true)) return 'a column has a default or is generated'
  const types = new Map(found.map((column) => [column[0], column[1]]))
  const wanted = await rowsOf(connection, `SELECT ${columns.map(({ type }) => `typeof(CAST(NULL AS ${sqlType(type)}))`).join(', ')}`)
  for (const [n, column] of columns.entries())
    if (types.get(column.name) !== wanted[0]?.[n]) return `its column ${JSON.stringify(column.name)} is not a ${String(wanted[0]?.[n])}`
  const [held = []] = await rowsOf(connection, 'SELECT count(*), coalesce(max(rowid) + 1, 0) FROM pack.main.result')
  if (Number(held[0]) !== rows) return `it holds ${held[0]} rows, the result has ${rows}`
  return Number(held[1]) === rows ? null : 'rows were deleted from it'
}

/** I7: locks the database and reads every setting back. Fails closed. */
const lock = async (connection: DuckDBConnection, allowed: string[]): Promise<void> => {
  await connection.run(
    `SET allowed_paths = [${allowed.map(quoteText).join(', ')}]; SET enable_external_access = false; SET lock_configuration = true`,
  )
  const expected: Record<string, string> = { ...FIXED, enable_external_access: 'false', lock_configuration: 'true', TimeZone: 'UTC' }
  const names = Object.keys(expected)
  const [values = []] = await rowsOf(
    connection,
    `SELECT ${names.map((name) => `CAST(current_setting(${quoteText(name)}) AS VARCHAR)`).join(', ')}`,
  )
  const wrong = names.find((name, n) => values[n] !== expected[name])
  if (wrong !== undefined) throw new SliceFault('unavailable', `the setting ${wrong} could not be locked`)
}

/** One finished result, opened and locked: the relation `result` for a user's SQL, and a faster name for our own. */
export class Relation {
  readonly #instance: DuckDBInstance
  readonly #idle: DuckDBConnection[]
  /** SQL of the relation for statements that we compile, with `position` giving the rows' own order (alias `r`). */
  readonly from: string
  readonly position: string[]
  readonly columns: Column[]
  /** Rows are numbered from 0 without gaps (asserted of a pack). */
  readonly #numbered: boolean

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, from: string, position: string[], columns: Column[]) {
    this.#instance = instance
    this.#idle = [connection]
    this.from = from
    this.position = position
    this.columns = columns
    this.#numbered = from === PACKED
  }

  static async open(result: LocalResult, settings: SandboxSettings, spill: string): Promise<Relation> {
    const { columns } = result.schema
    const instance = await DuckDBInstance.create(':memory:', {
      ...FIXED,
      threads: String(settings.threads),
      memory_limit: `${settings.memoryLimitBytes}B`,
      temp_directory: spill,
      secret_directory: spill,
      extension_directory: spill,
      max_temp_directory_size: `${settings.maxSpillBytes}B`,
    })
    try {
      const connection = await instance.connect()
      await connection.run("SET TimeZone = 'UTC'")
      const list = columns.map((column) => quoteName(column.name)).join(', ')
      if (result.pack !== null && (await Relation.#attach(connection, result.pack, columns, result.rows))) {
        await connection.run(`CREATE VIEW result AS SELECT ${list} FROM pack.main.result`)
        await lock(connection, [])
        return new Relation(instance, connection, PACKED, ['r.rowid'], columns)
      }
      if (result.parquet.length === 0) throw new PackUnusable('the pack of the result cannot be used')
      const files = result.parquet.map((file) => resolve(settings.folder, file))
      const source = `read_parquet([${files.map(quoteText).join(', ')}], hive_partitioning = false)`
      await connection.run(`CREATE VIEW result AS SELECT ${list} FROM ${source}`)
      await lock(connection, files)
      // Aliases that no column can have: names of columns have no NUL, and these are never seen.
      const from = `(SELECT ${list}, file_index AS "scarab:file", file_row_number AS "scarab:row" FROM ${source})`
      return new Relation(instance, connection, from, ['r."scarab:file"', 'r."scarab:row"'], columns)
    } catch (error) {
      instance.closeSync()
      throw error
    }
  }

  /** False where the pack is not what it should be: Parquet is the contract, a pack only a faster copy. */
  static async #attach(connection: DuckDBConnection, pack: string, columns: Column[], rows: number): Promise<boolean> {
    try {
      await connection.run(`ATTACH ${quoteText(pack)} AS pack (TYPE duckdb, READ_ONLY)`)
      const fault = await packFault(connection, columns, rows)
      if (fault === null) return true
      console.error(`slices: a pack is not used: ${fault}`)
      await connection.run('DETACH pack')
    } catch (error) {
      console.error(`slices: a pack cannot be attached: ${error instanceof Error ? error.message : String(error)}`)
    }
    return false
  }

  /** SQL of these rows of the result alone, where it can be found without passing those before; else null. */
  stretch(offset: number, limit: number): string | null {
    if (!this.#numbered) return null
    return `(SELECT rowid, * FROM ${this.from} WHERE rowid >= ${offset} AND rowid < ${offset + limit})`
  }

  async use<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = this.#idle.pop() ?? (await this.#instance.connect())
    try {
      return await work(connection)
    } finally {
      if (this.#idle.length < MAX_IDLE_CONNECTIONS) this.#idle.push(connection)
      else connection.closeSync()
    }
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.closeSync()
    this.#instance.closeSync()
  }
}

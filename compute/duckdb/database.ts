import { join, resolve } from 'node:path'
import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBPreparedStatement,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
  StatementType,
  VARCHAR,
} from '@duckdb/node-api'
import type { BoundValue, Cell, ChildSettings, Described, DescribedColumn, Sandbox } from './protocol.ts'
import { asSubquery, quoteName, quoteText } from './sql.ts'
import { typeTree } from './type-tree.ts'

/** A fault that the child itself found; others carry DuckDB's message only. */
export class ChildFault extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** No extension is fetched or loaded by itself: that would be native code from the network at query time. */
const FIXED = {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  allow_persistent_secrets: 'false',
} as const

/** One value of each type, to describe a statement whose argument is NULL: a bound NULL would lose its type. */
const SAMPLES: Record<string, string> = {
  VARCHAR: '',
  INTEGER: '1',
  BIGINT: '1',
  DOUBLE: '1',
  BOOLEAN: 'true',
  DATE: '2000-01-01',
  TIMESTAMP: '2000-01-01 00:00:00',
  TIMESTAMPTZ: '2000-01-01 00:00:00+00',
  UUID: '00000000-0000-0000-0000-000000000000',
}
const sampleOf = (type: string): string | null => SAMPLES[type] ?? (type.startsWith('DECIMAL') ? '0' : null)

interface Typed {
  value: DuckDBValue
  type: DuckDBType | undefined
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** One in-memory database, used for one job and then closed: nothing of a job is left for the next one. */
export class Database {
  readonly #instance: DuckDBInstance
  readonly #connection: DuckDBConnection
  readonly #tempFolder: string

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, tempFolder: string) {
    this.#instance = instance
    this.#connection = connection
    this.#tempFolder = tempFolder
  }

  static async create(settings: ChildSettings): Promise<Database> {
    const instance = await DuckDBInstance.create(':memory:', {
      ...FIXED,
      threads: String(settings.threads),
      memory_limit: `${settings.memoryLimitBytes}B`,
      temp_directory: settings.tempFolder,
      // INSTALL cannot be reached by a task's statement; if it were, it would find no one to ask.
      custom_extension_repository: join(settings.tempFolder, 'no-extensions'),
      ...(settings.maxSpillBytes === null ? {} : { max_temp_directory_size: `${settings.maxSpillBytes}B` }),
    })
    const connection = await instance.connect()
    await connection.run("SET TimeZone = 'UTC'; SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    return new Database(instance, connection, settings.tempFolder)
  }

  get version(): Promise<string> {
    return this.#connection.runAndReadAll('SELECT version()').then((read) => String(read.getRows()[0]?.[0]))
  }

  /** Closes the sandbox around the statements to come, and reads every setting back: fails closed. */
  async open(sandbox: Sandbox): Promise<void> {
    process.chdir(sandbox.folder)
    for (const statement of sandbox.setup ?? []) await this.#connection.run(statement)
    if (sandbox.allowed === null) return
    const allowed = sandbox.allowed.map((folder) => resolve(folder))
    await this.#connection.run(
      `SET allowed_directories = [${allowed.map(quoteText).join(', ')}]; SET enable_external_access = false; SET lock_configuration = true`,
    )
    const names = [
      'enable_external_access',
      'lock_configuration',
      'TimeZone',
      ...Object.keys(FIXED).filter((name) => name !== 'allow_persistent_secrets'),
    ]
    const expected = ['false', 'true', 'UTC', 'false', 'false', 'false']
    const read = await this.#connection.runAndReadAll(
      `SELECT ${names.map((name) => `CAST(current_setting(${quoteText(name)}) AS VARCHAR)`).join(', ')}, current_setting('allowed_directories')`,
    )
    const row = read.getRowsJson()[0] ?? []
    const wrong = names.find((_name, n) => row[n] !== expected[n])
    if (wrong !== undefined) throw new ChildFault('sandbox', `the setting ${wrong} could not be locked`)
    // DuckDB adds its temporary directory, which is this child's alone.
    const open = new Set([...allowed, resolve(this.#tempFolder)])
    const folders = row[names.length]
    if (!Array.isArray(folders) || !folders.every((folder) => open.has(resolve(String(folder)))))
      throw new ChildFault('sandbox', 'the allowed folders could not be locked')
  }

  async #single(sql: string): Promise<DuckDBPreparedStatement> {
    const statements = await this.#connection.extractStatements(sql).catch((error: unknown) => {
      // What the binding says about a text without any statement.
      if (messageOf(error).includes('Error in native callback')) return { count: 0, prepare: () => Promise.reject(error) }
      throw error
    })
    const hint = /\bpivot\b/i.test(sql) ? ' (a PIVOT needs its values named: ON col IN (…))' : ''
    if (statements.count !== 1)
      throw new ChildFault('not_a_select', `one SELECT is expected, this text holds ${statements.count} statements${hint}`)
    const prepared = await statements.prepare(0)
    if (prepared.statementType !== StatementType.SELECT) {
      const type = StatementType[prepared.statementType] ?? 'unknown'
      prepared.destroySync()
      throw new ChildFault('not_a_select', `one SELECT is expected, this is a statement of type ${type}`)
    }
    return prepared
  }

  /** Result columns and parameter types of one SELECT, without running it. Throws for anything but one SELECT. */
  async describe(sql: string, values: BoundValue[] | null): Promise<Described> {
    const prepared = await this.#single(sql)
    try {
      const parameters: (string | null)[] = []
      for (let index = 1; index <= prepared.parameterCount; index++) {
        const n = this.#parameterNumber(prepared, index)
        while (parameters.length < n) parameters.push(null)
        if (prepared.parameterTypeId(index) !== DuckDBTypeId.INVALID) parameters[n - 1] = String(prepared.parameterType(index))
      }
      if (parameters.length > 0 && values !== null) return { parameters, columns: await this.#describeWith(sql, values) }
      const columns: DescribedColumn[] = []
      for (let n = 0; n < prepared.columnCount; n++) {
        if (prepared.columnTypeId(n) === DuckDBTypeId.INVALID) return { parameters, columns: null }
        columns.push({ name: prepared.columnName(n), type: typeTree(prepared.columnType(n)) })
      }
      return { parameters, columns: parameters.length === 0 ? await this.#untyped(sql, columns, []) : columns }
    } finally {
      prepared.destroySync()
    }
  }

  /** Types can depend on the arguments' types, so they are bound; LIMIT 0 plans the statement and runs nothing. */
  async #describeWith(sql: string, values: BoundValue[]): Promise<DescribedColumn[]> {
    const samples = values.map((value) => (value.text === null && value.type !== null ? { ...value, text: sampleOf(value.type) } : value))
    const read = await this.#read(`SELECT * FROM (${asSubquery(sql)}) LIMIT 0`, samples)
    const names = read.columnNames()
    const columns = read.columnTypes().map((type, n) => ({ name: names[n] ?? '', type: typeTree(type) }))
    return this.#untyped(sql, columns, samples)
  }

  /** DuckDB describes a column of nothing but NULL as INTEGER; only `typeof` still tells. */
  async #untyped(sql: string, columns: DescribedColumn[], values: BoundValue[]): Promise<DescribedColumn[]> {
    const possible = /\bnull\b/i.test(sql) || values.some((value) => value.text === null && value.type === null)
    if (!possible || columns.length === 0) return columns
    const names = columns.map((_column, n) => `c${n}`)
    const read = await this.#read(
      `SELECT ${names.map((name) => `typeof(q.${name})`).join(', ')} FROM (SELECT 1) LEFT JOIN (SELECT * FROM (${asSubquery(sql)}) LIMIT 0) AS q(${names.join(', ')}) ON true`,
      values,
    )
    const types = read.getRowsJson()[0] ?? []
    return columns.map((column, n) => (String(types[n]).includes('"NULL"') ? { name: column.name, type: { name: 'SQLNULL' } } : column))
  }

  #parameterNumber(prepared: DuckDBPreparedStatement, index: number): number {
    const name = prepared.parameterName(index)
    const n = Number(name)
    if (!Number.isInteger(n) || n < 1 || n > 1_000)
      throw new ChildFault('invalid_parameter', `the parameter ${quoteName(name)} has no number: write $1, $2 …`)
    return n
  }

  async #read(sql: string, values: BoundValue[]) {
    if (values.length === 0) return this.#connection.runAndReadAll(sql)
    const typed = await this.#typed(values)
    const prepared = await this.#connection.prepare(sql)
    try {
      for (let index = 1; index <= prepared.parameterCount; index++) {
        const n = this.#parameterNumber(prepared, index)
        const bound = typed[n - 1]
        if (bound === undefined) throw new ChildFault('invalid_argument', `argument ${n} is missing: ${values.length} were given`)
        prepared.bindValue(index, bound.value, bound.type)
      }
      return await prepared.runAndReadAll()
    } finally {
      prepared.destroySync()
    }
  }

  /** Runs one statement of ours with bound values. */
  async run(sql: string, values: BoundValue[]): Promise<Cell[][]> {
    return (await this.#read(sql, values)).getRowsJson()
  }

  /** DuckDB itself reads each argument's text as its type, so nothing is rounded on the way and messages are its own. */
  async #typed(values: BoundValue[]): Promise<Typed[]> {
    const cast = (wanted: BoundValue[]) =>
      this.#connection.runAndReadAll(
        `SELECT ${wanted.map((value, n) => (value.type === null ? `$${n + 1}` : `CAST($${n + 1} AS ${value.type})`)).join(', ')}`,
        wanted.map((value) => value.text),
        wanted.map(() => VARCHAR),
      )
    try {
      const read = await cast(values)
      const types = read.columnTypes()
      const row = read.getRows()[0] ?? []
      return values.map((value, n) => ({ value: row[n] ?? null, type: value.text === null ? undefined : types[n] }))
    } catch (error) {
      for (const [n, value] of values.entries())
        await cast([value]).catch((own: unknown) => {
          throw new ChildFault('invalid_argument', `argument ${n + 1}: ${messageOf(own).split('\n')[0]}`)
        })
      throw error
    }
  }

  interrupt(): void {
    this.#connection.interrupt()
  }

  /** 0 to 100, or null where DuckDB cannot tell. */
  get progress(): { percent: number | null; rows: number | null } {
    const { percentage, rows_processed } = this.#connection.progress
    if (percentage < 0) return { percent: null, rows: null }
    const rows = Number(rows_processed)
    return { percent: Math.min(100, Math.round(percentage)), rows: rows > 0 ? rows : null }
  }

  close(): void {
    this.#connection.closeSync()
    this.#instance.closeSync()
  }
}

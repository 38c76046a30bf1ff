import type { Param, ParamType } from '../../../edge/contract/tasks.ts'
import { Unkeepable } from '../../results/types.ts'
import type { Source, SqlTask } from '../engine.ts'
import type { Connection } from './connection.ts'
import { parseDsn } from './dsn.ts'
import { connectionFault, fault, serverFault } from './faults.ts'
import { ConnectionPool } from './pool.ts'
import { type Described, type Description, describe, lookUp } from './query.ts'
import { ConnectionTrouble } from './socket.ts'
import { type CatalogType, type ResultColumn, resultColumns, unknownOids } from './types.ts'

/** What a task's statement is at one source. */
export interface Known extends Description {
  /** Types given to the server for each `$n`; empty: it finds out itself. */
  oids: readonly number[]
  /** The fields as they are kept under the task's `types` directive. */
  columns: ResultColumn[]
}

const OIDS: Record<ParamType, number> = {
  text: 25,
  int: 23,
  bigint: 20,
  double: 701,
  decimal: 1700,
  boolean: 16,
  date: 1082,
  timestamp: 1114,
  timestamptz: 1184,
  uuid: 2950,
}
const TEXT_OID = 25
/** Which type a `$n` has cannot be said, or an operator or function is not unique without it. */
const UNDECIDED = new Set(['42P18', '42725', '42883', '42804'])
/** Descriptions kept for one source; a node has at most a few thousand tasks. */
const MAX_DESCRIPTIONS = 5_000

/** Arrays of boxes separate by ";", and int2vector (22) and oidvector (30) are arrays with a text form of their own: all three are kept as text. */
const CATALOG_SQL = `
select t.oid, pg_catalog.format_type(t.oid, null), t.typtype,
  case when t.typcategory = 'A' and t.typlen = -1 and e.typdelim = ',' and t.oid not in (22, 30) then t.typelem end
from pg_catalog.pg_type t left join pg_catalog.pg_type e on e.oid = t.typelem
where t.oid = any ($1::pg_catalog.oid[])`

/** Declared types by place; `decimal`, say, for a `$n` that the statement leaves open. */
const declaredOids = (params: readonly Param[], arity: number): number[] =>
  Array.from({ length: arity }, (_, n) => OIDS[params[n]?.type ?? 'text'])

/** One source of the configuration: its connections, and what is known about statements and types there. */
export class PostgresSource {
  readonly source: Source
  readonly pool: ConnectionPool
  readonly password: string | null
  readonly #known = new Map<string, Known>()
  readonly #catalog = new Map<number, CatalogType>()

  private constructor(source: Source, pool: ConnectionPool) {
    this.source = source
    this.pool = pool
    this.password = pool.address.password
  }

  /** Throws EngineFault (class `source`) for a dsn that cannot be used; the message does not quote it. */
  static of(source: Source): PostgresSource {
    if (source.dsn === null) throw fault('source_rejected', `source "${source.name}": it has no dsn`, 'source')
    const dsn = parseDsn(source.dsn)
    if (!dsn.ok) throw fault('source_rejected', `source "${source.name}": ${dsn.problem}`, 'source')
    return new PostgresSource(source, new ConnectionPool(dsn.address, source.maxActive))
  }

  /** Throws EngineFault instead of ConnectionTrouble. */
  fault(error: unknown): unknown {
    return error instanceof ConnectionTrouble ? connectionFault(this.source, error) : error
  }

  /** What is known without asking. */
  remembered(task: SqlTask): Known | null {
    return this.#known.get(this.#key(task)) ?? null
  }

  forget(task: SqlTask): void {
    this.#known.delete(this.#key(task))
  }

  #key(task: SqlTask): string {
    return `${task.params.map((param) => param.type).join()}\n${JSON.stringify(task.types)}\n${task.sql}`
  }

  /** Asks the server about a statement, and its catalogue about types that are not built in. Throws EngineFault and ConnectionTrouble. */
  async describe(connection: Connection, task: SqlTask, sql: string, arity: number): Promise<Known> {
    const asked = await this.#ask(connection, task, sql, arity)
    if (asked.fields.length === 0) throw fault('invalid_sql', 'the statement yields no columns: a report is one SELECT', 'sql')
    const unknown = unknownOids(asked.fields.map((field) => field.oid)).filter((oid) => !this.#catalog.has(oid))
    if (unknown.length > 0) await this.#learn(connection, unknown)
    const known = { ...asked, columns: this.#columns(asked, task.types) }
    if (this.#known.size >= MAX_DESCRIPTIONS) this.#known.clear()
    this.#known.set(this.#key(task), known)
    return known
  }

  async #ask(connection: Connection, task: SqlTask, sql: string, arity: number): Promise<Omit<Known, 'columns'>> {
    const inferred = await describe(connection, sql, [])
    const declared = declaredOids(task.params, arity)
    const open = inferred.ok
      ? // A place that could be anything counts as text for the server; the declaration knows better, where it fits.
        declared.some((oid, n) => task.params[n] !== undefined && oid !== TEXT_OID && inferred.description.parameters[n] === TEXT_OID)
      : task.params.length > 0 && UNDECIDED.has(inferred.error.code)
    if (open) {
      const oids = inferred.ok ? inferred.description.parameters.map((oid, n) => (oid === TEXT_OID ? (declared[n] ?? oid) : oid)) : declared
      const typed = await describe(connection, sql, oids)
      if (typed.ok) return { ...typed.description, oids }
    }
    if (inferred.ok) return { ...inferred.description, oids: [] }
    throw this.#refusal(inferred, sql)
  }

  #refusal(described: Described & { ok: false }, sql: string): Error {
    const { code } = described.error
    const refusal = serverFault(described.error, {
      source: this.source,
      sql,
      password: this.password,
      bound: true,
      overdue: false,
      maxRuntimeSeconds: null,
    })
    if (code !== '42P18') return refusal
    return fault('needs_arguments', `${refusal.message}. Declare it by "-- param: NAME TYPE", or cast it: $1::int`, 'arguments')
  }

  async #learn(connection: Connection, oids: readonly number[]): Promise<void> {
    const rows = await lookUp(connection, CATALOG_SQL, [`{${oids.join()}}`])
    const elements: number[] = []
    for (const [oid, name, kind, element] of rows) {
      const type: CatalogType = {
        oid: Number(oid),
        name: name ?? `type ${oid}`,
        kind: kind ?? 'b',
        element: element ? Number(element) : null,
      }
      this.#catalog.set(type.oid, type)
      if (type.element !== null && !this.#catalog.has(type.element)) elements.push(type.element)
    }
    const unknown = unknownOids(elements)
    if (unknown.length > 0) await this.#learn(connection, unknown)
  }

  /** The columns as they are kept. Throws EngineFault (class `schema`) naming the one that cannot be. */
  #columns(described: Description, types: Record<string, string>): ResultColumn[] {
    try {
      return resultColumns(described.fields, types, this.#catalog)
    } catch (error) {
      if (error instanceof Unkeepable) throw fault('unkeepable_column', error.message, 'schema')
      throw error
    }
  }

  /** Type names for each `$n`, as far as they are known here. */
  parameters(known: Known): string[] {
    return known.parameters.map((oid) => this.#catalog.get(oid)?.name ?? PARAMETER_NAMES[oid] ?? `type ${oid}`)
  }
}

const PARAMETER_NAMES: Record<number, string> = {
  16: 'boolean',
  17: 'bytea',
  20: 'bigint',
  21: 'smallint',
  23: 'integer',
  25: 'text',
  114: 'json',
  700: 'real',
  701: 'double precision',
  1042: 'character',
  1043: 'character varying',
  1082: 'date',
  1083: 'time',
  1114: 'timestamp',
  1184: 'timestamptz',
  1186: 'interval',
  1700: 'numeric',
  2950: 'uuid',
  3802: 'jsonb',
}

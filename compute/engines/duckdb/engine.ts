import { realpath } from 'node:fs/promises'
import type { CancelOutcome } from '../../../edge/contract/jobs.ts'
import type { Lease } from '../../../edge/contract/node.ts'
import type { Argument } from '../../../edge/contract/tasks.ts'
import { engineFault } from '../../duckdb/faults.ts'
import type { DuckdbPool } from '../../duckdb/pool.ts'
import type { BoundValue, DescribedColumn, Described as DescribedStatement } from '../../duckdb/protocol.ts'
import type { DuckdbSession } from '../../duckdb/session.ts'
import { quoteName, quoteText } from '../../duckdb/sql.ts'
import { keptColumns } from '../../results/columns.ts'
import { materialise } from '../../results/materialise.ts'
import { Unkeepable } from '../../results/types.ts'
import {
  type Engine,
  EngineFault,
  type Plan,
  type Produced,
  type Run,
  type RunHooks,
  type Score,
  type Source,
  type SqlTask,
} from '../engine.ts'
import { boundArguments, typedPlaces } from './arguments.ts'

export interface DuckdbEngineOptions {
  pool: DuckdbPool
  /** Folders whose files tasks may read (architecture, section 4). */
  allowedFolders: readonly string[]
}

/** Outcomes of stopped attempts that nobody has asked for yet. */
const MAX_REMEMBERED = 1_000

interface Described {
  columns: DescribedColumn[]
  values: BoundValue[]
}

const keyOf = (lease: Lease): string => `${lease.tenant}/${lease.job}/${lease.attempt}`

/** Both spellings of a folder: DuckDB compares texts, and a relative name starts at the real path. */
const spellings = async (folder: string): Promise<string[]> => {
  const real = await realpath(folder).catch(() => folder)
  return real === folder ? [folder] : [folder, real]
}

/** A source of type `duckdb` with a `dsn` is a database file: its tables are read, never written. */
const attach = (source: Source): string[] =>
  source.dsn === null ? [] : [`ATTACH ${quoteText(source.dsn)} AS ${quoteName(source.name)} (READ_ONLY)`, `USE ${quoteName(source.name)}`]

/** A source's address stays on its node. */
const withoutAddress = (error: unknown, source: Source): never => {
  if (!(error instanceof EngineFault) || source.dsn === null || !error.failure.message.includes(source.dsn)) throw error
  const message = error.failure.message.replaceAll(source.dsn, `(the dsn of ${source.name})`)
  throw new EngineFault({ ...error.failure, message })
}

/** Describes a statement with its arguments. Throws EngineFault. */
const describeTask = async (session: DuckdbSession, task: SqlTask, args: readonly Argument[]): Promise<Described> => {
  const first = await session.describe(task.sql, null)
  if (first.parameters.length === 0) return { columns: first.columns ?? [], values: [] }
  const values = boundArguments(args, task.params, first.parameters)
  const { columns } = await session.describe(task.sql, values)
  return { columns: columns ?? [], values }
}

/** DuckDB: reads files in allowed folders, or one database file, in a sandboxed child process. */
export class DuckdbEngine implements Engine {
  readonly name = 'duckdb'
  readonly #pool: DuckdbPool
  readonly #allowed: Promise<string[]>
  readonly #stopped = new Map<string, { outcome: CancelOutcome; reason: string | null }>()

  constructor(options: DuckdbEngineOptions) {
    this.#pool = options.pool
    this.#allowed = Promise.all(options.allowedFolders.map(spellings)).then((all) => [...new Set(all.flat())])
  }

  /** Without arguments, throws EngineFault `needs_arguments` (class `arguments`) where the columns depend on them. */
  async plan(task: SqlTask, args: Argument[] | null, source: Source, signal: AbortSignal): Promise<Plan> {
    const sandbox = { folder: task.folder, allowed: await this.#allowed, setup: attach(source) }
    const planned = this.#pool.use(sandbox, signal, async (session) => {
      const first = await session.describe(task.sql, null)
      const described = await this.#describe(session, task, args, first)
      return {
        columns: this.#kept(described, task),
        parameters: this.#parameters(first.parameters),
        estimatedRows: null,
        estimatedBytes: null,
      }
    })
    return planned.catch((error: unknown) => withoutAddress(error, source))
  }

  /** Columns without arguments come from stand-ins of the declared types, else from DuckDB where it can tell. */
  async #describe(session: DuckdbSession, task: SqlTask, args: Argument[] | null, first: DescribedStatement): Promise<DescribedColumn[]> {
    if (first.parameters.length === 0) return first.columns ?? []
    const values = args === null ? typedPlaces(task.params, first.parameters) : boundArguments(args, task.params, first.parameters)
    if (values !== null) return (await session.describe(task.sql, values)).columns ?? []
    if (first.columns !== null) return first.columns
    throw engineFault(
      'arguments',
      'needs_arguments',
      'the columns depend on the arguments: declare them by "-- param: NAME TYPE" to know them earlier',
    )
  }

  #kept(described: DescribedColumn[], task: SqlTask): Plan['columns'] {
    try {
      return keptColumns(described, task.types)
    } catch (error) {
      if (error instanceof Unkeepable) throw engineFault('schema', 'unkeepable_column', error.message)
      throw error
    }
  }

  #parameters(types: (string | null)[]): string[] | null {
    const known = types.filter((type) => type !== null)
    return known.length === types.length ? known : null
  }

  score(_task: SqlTask, _plan: Plan): Score {
    return { fit: 0.5, reason: 'the embedded DuckDB takes any statement over files of this node' }
  }

  async execute(run: Run, hooks: RunHooks, signal: AbortSignal): Promise<Produced> {
    const limit = run.maxRuntimeSeconds === null ? null : AbortSignal.timeout(run.maxRuntimeSeconds * 1_000)
    const stop = limit === null ? signal : AbortSignal.any([signal, limit])
    const folders = await spellings(run.folder)
    const sandbox = { folder: run.task.folder, allowed: [...(await this.#allowed), ...folders], setup: attach(run.source) }
    let how: 'interrupted' | 'killed' | null = null
    try {
      const produced = await this.#pool.use(
        sandbox,
        stop,
        async (session) => {
          hooks.started(null)
          session.onProgress = hooks.progress
          const { columns, values } = await describeTask(session, run.task, run.args)
          const { task, schema, tenant, job, runDate, folder } = run
          const from = { sql: task.sql, values, described: columns }
          const made = await materialise(session, { from, types: task.types, schema, tenant, job, runDate, folder })
          return { ...made, engine: { name: this.name, version: session.version, query_id: null } }
        },
        (stopped) => {
          how = stopped
        },
      )
      if (signal.aborted) this.#remember(run, 'too_late', 'the statement had finished')
      return produced
    } catch (error) {
      if (signal.aborted)
        this.#remember(run, 'confirmed', how === 'killed' ? 'the DuckDB process was killed' : 'the statement was interrupted')
      else if (limit?.aborted === true && error instanceof EngineFault && error.failure.class === 'cancelled')
        throw engineFault(
          'limit',
          'max_runtime',
          `the statement was stopped after ${run.maxRuntimeSeconds} seconds, the task's max_runtime`,
        )
      return withoutAddress(error, run.source)
    }
  }

  #remember(lease: Lease, outcome: CancelOutcome, reason: string): void {
    this.#stopped.set(keyOf(lease), { outcome, reason })
    const oldest = this.#stopped.keys().next()
    if (this.#stopped.size > MAX_REMEMBERED && oldest.done !== true) this.#stopped.delete(oldest.value)
  }

  cancelled(lease: Lease): { outcome: CancelOutcome; reason: string | null } {
    const known = this.#stopped.get(keyOf(lease))
    this.#stopped.delete(keyOf(lease))
    return known ?? { outcome: 'not_confirmed', reason: 'this attempt was not stopped here' }
  }

  /** The pool is its owner's to close: packs and other engines use it too. */
  async close(): Promise<void> {
    this.#stopped.clear()
  }
}

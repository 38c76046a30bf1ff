import { realpathSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { CancelOutcome } from '../../../edge/contract/jobs.ts'
import type { Lease } from '../../../edge/contract/node.ts'
import type { Argument } from '../../../edge/contract/tasks.ts'
import type { DuckdbPool } from '../../duckdb/pool.ts'
import { driftFrom } from '../../results/columns.ts'
import { type Materialised, materialise } from '../../results/materialise.ts'
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
import { boundTexts } from './arguments.ts'
import { Collector, misfitFault } from './collector.ts'
import { fault, serverFault } from './faults.ts'
import { HeadStart, type Reading } from './head-start.ts'
import type { Borrowed } from './pool.ts'
import { type Ended, runReport } from './query.ts'
import { isShort, shortResult } from './short.ts'
import { ConnectionTrouble } from './socket.ts'
import { type Known, PostgresSource } from './source.ts'
import type { CsvSpool } from './spool.ts'
import { spoolFault } from './spool-faults.ts'
import { readReport, type Statement } from './statement.ts'
import { PATIENCE_MS, type Stopped, stopAtServer } from './stop.ts'
import { asColumns, type ResultColumn } from './types.ts'

export interface PostgresEngineOptions {
  /** Children that turn a spool into Parquet. */
  pool: DuckdbPool
  /** How long a server may take to answer a cancel request before its connection is given up; for tests. */
  stopPatienceMs?: number
}

/** Outcomes of stopped attempts that nobody has asked for yet. */
const MAX_REMEMBERED = 1_000
const MAX_STATEMENTS = 5_000
/** The server's own limit is a little quicker than the clock that measures it here. */
const CLOCK_SLACK_MS = 50
/** When the server has not kept its statement_timeout for so long, the query is stopped from here. */
const OVERTIME_MS = 3_000
/** `setTimeout` cannot wait longer (24 days): what is more would ring at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
/** A pooled connection may have died, and a prepared statement may have gone stale; after that it is no accident. */
const MAX_STARTS = 3

const keyOf = (lease: Lease): string => `${lease.tenant}/${lease.job}/${lease.attempt}`

/** What a run of the query at the server came to. */
type Streamed =
  | { kind: 'rows'; collector: Collector; columns: ResultColumn[]; version: string; pid: number }
  /** Nothing has been read; another connection, or preparing anew, may do. */
  | { kind: 'again' }

interface Report {
  run: Run
  hooks: RunHooks
  signal: AbortSignal
  source: PostgresSource
  statement: Statement
  args: (string | null)[]
}

/**
 * Reads reports from PostgreSQL over our own client of its protocol: the drivers at hand hide a numeric's precision and a
 * result's row count, and cannot begin, run and commit in one write. README.md says how values travel.
 */
export class PostgresEngine implements Engine {
  readonly name = 'postgres'
  readonly makesFolder = true
  readonly #pool: DuckdbPool
  readonly #patienceMs: number
  readonly #sources = new Map<string, PostgresSource>()
  readonly #statements = new Map<string, Statement>()
  readonly #stopped = new Map<string, { outcome: CancelOutcome; reason: string | null }>()

  constructor(options: PostgresEngineOptions) {
    this.#pool = options.pool
    this.#patienceMs = options.stopPatienceMs ?? PATIENCE_MS
  }

  /** Also throws EngineFault `needs_arguments` (class `arguments`) where a `$n` has no type without a declaration. */
  async plan(task: SqlTask, _args: Argument[] | null, source: Source, signal: AbortSignal): Promise<Plan> {
    const statement = this.#statement(task)
    const at = this.#source(source)
    try {
      const { connection } = await at.pool.acquire(signal)
      const stop = () => connection.destroy()
      signal.addEventListener('abort', stop, { once: true })
      try {
        const known = await at.describe(connection, task, statement.sql, statement.arity)
        return { columns: asColumns(known.columns), parameters: at.parameters(known), estimatedRows: null, estimatedBytes: null }
      } finally {
        signal.removeEventListener('abort', stop)
        at.pool.release(connection)
      }
    } catch (error) {
      if (signal.aborted) throw fault('cancelled', 'stopped while the statement was described', 'cancelled')
      throw at.fault(error)
    }
  }

  score(_task: SqlTask, _plan: Plan): Score {
    return { fit: 0.5, reason: 'the statement runs where its tables are' }
  }

  async execute(run: Run, hooks: RunHooks, signal: AbortSignal): Promise<Produced> {
    const statement = this.#statement(run.task)
    const args = boundTexts(run.args, run.task.params, statement.arity)
    const source = this.#source(run.source)
    try {
      if (signal.aborted) throw fault('cancelled', 'cancelled before the query began', 'cancelled')
      const produced = await this.#report({ run, hooks, signal, source, statement, args })
      if (signal.aborted) this.#remember(run, { outcome: 'too_late', reason: 'the query had finished' })
      return produced
    } catch (error) {
      // Where nothing else is known about it, the query had not begun or was over.
      if (signal.aborted && !this.#stopped.has(keyOf(run)))
        this.#remember(run, { outcome: 'confirmed', reason: 'no query was running at the server' })
      if (signal.aborted && !(error instanceof EngineFault)) throw fault('cancelled', 'the job was cancelled', 'cancelled')
      throw source.fault(error)
    }
  }

  cancelled(lease: Lease): { outcome: CancelOutcome; reason: string | null } {
    const known = this.#stopped.get(keyOf(lease))
    this.#stopped.delete(keyOf(lease))
    return known ?? { outcome: 'too_late', reason: 'the query had finished' }
  }

  close(): Promise<void> {
    for (const source of this.#sources.values()) source.pool.close()
    this.#sources.clear()
    return Promise.resolve()
  }

  #remember(lease: Lease, stopped: { outcome: CancelOutcome; reason: string | null }): void {
    const [oldest] = this.#stopped.keys()
    if (this.#stopped.size >= MAX_REMEMBERED && oldest !== undefined) this.#stopped.delete(oldest)
    this.#stopped.set(keyOf(lease), stopped)
  }

  #statement(task: SqlTask): Statement {
    const known = this.#statements.get(task.sql)
    if (known) return known
    const reading = readReport(task.sql)
    if (!reading.ok) throw fault('invalid_sql', reading.problem, 'sql')
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear()
    this.#statements.set(task.sql, reading.statement)
    return reading.statement
  }

  #source(source: Source): PostgresSource {
    const key = JSON.stringify([source.name, source.dsn, source.maxActive])
    const known = this.#sources.get(key)
    if (known) return known
    const made = PostgresSource.of(source)
    this.#sources.set(key, made)
    return made
  }

  async #report(report: Report): Promise<Produced> {
    const { run, source, signal } = report
    for (let start = 1; ; start += 1) {
      const borrowed = await source.pool.acquire(signal)
      const streamed = await this.#onConnection(report, borrowed, start < MAX_STARTS).finally(() => {
        if (report.statement.leavesTraces) borrowed.connection.tainted = true
        source.pool.release(borrowed.connection)
      })
      if (streamed.kind === 'again') continue
      const { collector, columns } = streamed
      const engine = { name: this.name, version: streamed.version, query_id: String(streamed.pid) }
      if (!collector.spool && isShort(columns)) {
        const short = shortResult(run, columns, collector.kept, engine)
        if (!short.ok) throw misfitFault(short.misfit)
        if (short.produced) return short.produced
      }
      const spool = collector.spool ?? collector.toSpool()
      const made = await this.#long(report, spool, collector).catch((error: unknown) => {
        throw spoolFault(error, columns)
      })
      return { ...made, engine }
    }
  }

  async #onConnection(report: Report, { connection, reused }: Borrowed, mayRepeat: boolean): Promise<Streamed> {
    const { run, source, statement, signal } = report
    let known: Known | null = null
    try {
      known = source.remembered(run.task) ?? (await source.describe(connection, run.task, statement.sql, statement.arity))
    } catch (error) {
      if (this.#wasStale(error, reused, mayRepeat)) return { kind: 'again' }
      throw error
    }
    const drift = driftFrom(run.schema, asColumns(known.columns))
    if (drift !== null) throw fault('schema_drift', drift, 'schema')
    signal.throwIfAborted()
    return this.#stream(report, { connection, reused }, known, mayRepeat)
  }

  #wasStale(error: unknown, reused: boolean, mayRepeat: boolean): boolean {
    return reused && mayRepeat && error instanceof ConnectionTrouble && error.kind === 'lost'
  }

  async #stream(report: Report, { connection, reused }: Borrowed, known: Known, mayRepeat: boolean): Promise<Streamed> {
    const { run, hooks, signal, source, statement } = report
    const limitMs = run.maxRuntimeSeconds === null ? null : run.maxRuntimeSeconds * 1_000
    const startedAt = performance.now()
    let begun = false
    let stopping: Promise<Stopped> | null = null
    let changed = false
    let complete = false
    const stop = () => {
      collector.discard()
      stopping ??= stopAtServer(connection, work, this.#patienceMs)
    }
    const collector = new Collector(known.columns, run.folder, connection, hooks, stop, (spool) =>
      HeadStart.begin(spool, this.#reading(report, spool)),
    )
    hooks.started(String(connection.pid))
    const work: Promise<Ended> = runReport(connection, {
      sql: statement.sql,
      oids: known.oids,
      args: report.args,
      timeoutMs: limitMs,
      begun: () => {
        begun = true
      },
      fields: (fields) => {
        changed = fields.length !== known.fields.length || fields.some((field, n) => !sameField(field, known.fields[n]))
        if (changed) collector.fail(fault('schema_drift', 'the statement yields other columns than it was described with', 'schema'))
      },
      row: (bytes, start, end) => collector.row(bytes, start, end),
    })
    signal.addEventListener('abort', stop, { once: true })
    const overtime = limitMs === null ? undefined : setTimeout(stop, Math.min(limitMs + OVERTIME_MS, LONGEST_TIMER_MS))
    try {
      const ended = await work
      const stopped = await this.#settled(stopping)
      if (changed) source.forget(run.task)
      if (stopped && signal.aborted) this.#stoppedBy(run, stopped)
      if (collector.failure) throw collector.failure
      if (ended.error) {
        const { code } = ended.error
        if (!ended.bound && mayRepeat && (code === '0A000' || code === '26000')) {
          source.forget(run.task)
          return { kind: 'again' }
        }
        const overdue = limitMs !== null && performance.now() - startedAt >= limitMs - CLOCK_SLACK_MS
        const context = {
          source: run.source,
          sql: statement.sql,
          password: source.password,
          bound: ended.bound,
          overdue,
          maxRuntimeSeconds: run.maxRuntimeSeconds,
        }
        throw serverFault(ended.error, context)
      }
      if (stopped) throw limitFault(run)
      // I5: what the server counted is what has arrived, or nothing counts.
      if (ended.rows !== collector.rows)
        throw fault(
          'rows_missing',
          `source "${run.source.name}": the server sent ${ended.rows ?? 'no count of'} rows and ${collector.rows} arrived`,
          'lost',
        )
      complete = true
      return { kind: 'rows', collector, columns: known.columns, version: connection.version, pid: connection.pid }
    } catch (error) {
      const stopped = await this.#settled(stopping)
      if (stopped && signal.aborted) this.#stoppedBy(run, stopped)
      if (stopped && limitMs !== null && !collector.failure && error instanceof ConnectionTrouble) throw limitFault(run)
      if (!stopped && !begun && this.#wasStale(error, reused, mayRepeat)) return { kind: 'again' }
      throw error
    } finally {
      clearTimeout(overtime)
      signal.removeEventListener('abort', stop)
      // Also where it failed: what is still on its way to the disk begins nothing any more.
      collector.end()
      if (!complete && collector.spool) await discard(collector.spool, collector.headStart)
    }
  }

  /** A narrowing of TypeScript would take `stopping` for null, which callbacks set. */
  #settled(stopping: Promise<Stopped> | null): Promise<Stopped | null> {
    return stopping ?? Promise.resolve(null)
  }

  /** I8: what the server said about the query's end. Throws EngineFault. */
  #stoppedBy(run: Run, stopped: Stopped): never {
    this.#remember(run, stopped)
    throw fault('cancelled', `the job was cancelled: ${stopped.reason}`, 'cancelled')
  }

  /** How DuckDB makes Parquet of a spool. */
  #reading({ run, signal }: Report, spool: CsvSpool): Reading {
    const { tenant, job, schema, runDate, folder } = run
    const real = realpathSync(folder)
    return {
      pool: this.#pool,
      folder: real,
      allowed: [...new Set([folder, real])],
      signal,
      body: (session, pipe) => {
        const from = {
          csv: spool.path,
          columns: spool.source,
          multiline: spool.multiline,
          ...(pipe === undefined ? {} : { pipe }),
          ...(spool.longestLine > DEFAULT_LINE_BYTES ? { maxLineBytes: spool.longestLine + 1 } : {}),
        }
        return materialise(session, { from, types: {}, schema, tenant, job, runDate, folder })
      },
    }
  }

  /** The spool becomes Parquet in a DuckDB child; its rows must be those that were read. */
  async #long(report: Report, spool: CsvSpool, collector: Collector): Promise<Omit<Produced, 'engine'>> {
    try {
      await spool.finish()
    } catch (error) {
      await collector.headStart?.abandon()
      throw fault(
        'spool_failed',
        `the node's spool could not be written: ${error instanceof Error ? error.message : 'unknown reason'}`,
        'internal',
      )
    }
    if (collector.failure) {
      await collector.headStart?.abandon()
      throw collector.failure
    }
    const ahead = await collector.headStart?.finish(spool)
    const made = ahead?.rows === collector.rows ? ahead : await this.#fromTheStart(report, spool, collector)
    await rm(spool.path, { force: true })
    if (made.rows !== collector.rows)
      throw fault('rows_missing', `the spool held ${collector.rows} rows and ${made.rows} of them were read from it`, 'internal')
    return made
  }

  #fromTheStart(report: Report, spool: CsvSpool, collector: Collector): Promise<Materialised> {
    const { folder, allowed, body } = this.#reading(report, spool)
    return this.#pool.use({ folder, allowed }, report.signal, (session) => {
      session.onProgress = (percent) => report.hooks.progress(percent, collector.rows)
      return body(session, undefined)
    })
  }
}

/** DuckDB's own limit for a line is 2,000,000. */
const DEFAULT_LINE_BYTES = 1_900_000

const limitFault = (run: Run): EngineFault =>
  fault('max_runtime', `the statement was stopped after ${run.maxRuntimeSeconds} seconds, the task's max_runtime`, 'limit')

const sameField = (a: { name: string; oid: number; modifier: number }, b: typeof a | undefined): boolean =>
  a.name === b?.name && a.oid === b.oid && a.modifier === b.modifier

const discard = async (spool: CsvSpool, headStart: HeadStart | null): Promise<void> => {
  await Promise.all([headStart?.abandon(), spool.finish().catch(() => undefined)])
  await rm(spool.path, { force: true })
}

import type { z } from 'zod'
import type { Column, ResultSchema } from '../../edge/contract/columns.ts'
import type { CalendarDate } from '../../edge/contract/ids.ts'
import type { CancelOutcome } from '../../edge/contract/jobs.ts'
import type { InlineResult, NodeFile, NodeManifest } from '../../edge/contract/manifests.ts'
import type { Failure, Lease } from '../../edge/contract/node.ts'
import type { AnnouncedTask, Argument } from '../../edge/contract/tasks.ts'

export type EngineName = 'duckdb' | 'postgres' | 'mysql' | 'clickhouse' | 'starrocks' | 'trino' | 'risingwave'

/** A database of the node's configuration. `dsn` may hold a password: it goes to the driver and nowhere else. */
export interface Source {
  name: string
  type: EngineName
  /** Null for the embedded DuckDB. */
  dsn: string | null
  maxActive: number
}

/** A task as the node's own files define it: what is announced, and what stays here. */
export interface SqlTask extends AnnouncedTask {
  /** Absolute path and first line, for messages. */
  file: string
  line: number
  /** Where relative file names of a DuckDB task begin. */
  folder: string
  /** `-- raw:`: the statement is not described at load. */
  raw: boolean
  /** `-- types: total=decimal(20,2)`: column name to Iceberg type. */
  types: Record<string, string>
}

/** What is known about a query before it runs; unknown stays null. */
export interface Plan {
  /** The result's columns with Iceberg types, without ids. */
  columns: Column[]
  /** Type of each `$n` where the engine tells it, in the engine's own words. */
  parameters: string[] | null
  estimatedRows: number | null
  estimatedBytes: number | null
}

export interface Score {
  /** 0 (cannot) to 1 (made for it). */
  fit: number
  reason: string
}

/** One execution of a task's statement for one attempt. */
export interface Run extends Lease {
  task: SqlTask
  args: Argument[]
  source: Source
  /** Column ids, and the system columns to add. */
  schema: ResultSchema
  runDate: z.infer<typeof CalendarDate>
  /** An empty folder of this attempt alone, deleted by the caller afterwards. */
  folder: string
  maxRuntimeSeconds: number | null
}

/** What a run leaves: files in its folder, and everything the manifest says about them. */
export interface Produced {
  rows: number
  files: (NodeFile & { path: string })[]
  firstRows: NodeManifest['first_rows']
  /** Set when the result is small enough to travel inside the completion (`MAX_INLINE_*`). Then `files` has at most one file. */
  inline: InlineResult | null
  engine: NodeManifest['engine']
}

export interface RunHooks {
  /** The engine's own query id, as soon as it exists. */
  started(queryId: string | null): void
  /** At most a few times a second. */
  progress(percent: number | null, rows: number | null): void
}

/** Thrown by engines: the failure's class decides about retries, its message is shown to people and names thing, value and remedy. */
export class EngineFault extends Error {
  readonly failure: Failure
  constructor(failure: Failure) {
    super(failure.message)
    this.name = 'EngineFault'
    this.failure = failure
  }
}

export interface Engine {
  readonly name: EngineName
  /** It makes `run.folder` itself, and only where a run needs one: small results leave no file. */
  readonly makesFolder?: boolean
  /** Describes the query without running it. Throws EngineFault. `args` null: describe without values (at load). */
  plan(task: SqlTask, args: Argument[] | null, source: Source, signal: AbortSignal): Promise<Plan>
  /** How well this engine fits, with the reason in words. */
  score(task: SqlTask, plan: Plan): Score
  /** Runs the query and leaves Parquet files in `run.folder`. Throws EngineFault; on `signal` it stops the query in the engine first. */
  execute(run: Run, hooks: RunHooks, signal: AbortSignal): Promise<Produced>
  /** What became of stopping this attempt's query, known once `execute` has settled after its signal. */
  cancelled(lease: Lease): { outcome: CancelOutcome; reason: string | null }
  close(): Promise<void>
}

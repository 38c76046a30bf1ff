import { z } from 'zod'
import { Column } from './columns.ts'
import { Family, Instant, PoolName, QueueName, Sha256, TaskName } from './ids.ts'

/** Kinds of engines that a task or a submit can prefer by `engine_hint`. */
export const ENGINES = ['duckdb', 'postgres', 'mysql', 'clickhouse', 'starrocks', 'trino', 'risingwave'] as const

/** Types a `-- param:` line can name. They say how a value is checked at the edge and bound at the engine. */
export const ParamType = z.enum(['text', 'int', 'bigint', 'double', 'decimal', 'boolean', 'date', 'timestamp', 'timestamptz', 'uuid'])
export type ParamType = z.infer<typeof ParamType>

/** An argument as it is stored and sent: JSON's scalars. 64-bit integers and decimals may come as strings, and keep their digits. */
export const Argument = z.union([z.string().max(65_536), z.number(), z.boolean(), z.null()])
export type Argument = z.infer<typeof Argument>

/** The n-th `-- param:` line describes `$n`. Without `default` a value must be given. */
export const Param = z.object({
  name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/),
  type: ParamType,
  default: Argument.optional(),
})
export type Param = z.infer<typeof Param>

/** What a node tells the edge about one of its tasks. */
export const AnnouncedTask = z.object({
  name: TaskName,
  /** SHA-256 over statement and frontmatter. */
  hash: Sha256,
  description: z.string().max(2_000),
  sql: z.string().max(262_144),
  /** Names of the sources it may run on; empty: the embedded DuckDB. */
  db: z.array(z.string()),
  queue: QueueName.nullable(),
  /** DungBeetle's `conc`: how many of it may run at once on one node. */
  concurrency: z.int().min(1).nullable(),
  params: z.array(Param),
  /** How many `$n` the statement has, where there is no `param` line for them. */
  arity: z.int().min(0),
  family: Family,
  partition_by: z.array(z.string()).nullable(),
  engine_hint: z.string().nullable(),
  max_runtime_seconds: z.int().min(1).nullable(),
  retention_seconds: z.int().min(1).nullable(),
  cost_budget_bytes: z.int().min(1).nullable(),
  emit_format: z.array(z.enum(['parquet', 'arrow', 'csv', 'json'])),
  /** The result's columns where the engine could tell them without arguments; else null. */
  columns: z.array(Column).nullable(),
  /** Why the task could not be described; its jobs fail or retry with the engine's message. */
  error: z.string().max(4_000).nullable(),
  warnings: z.array(z.string().max(1_000)),
  /** Slots that one of its jobs takes on a node; 1 when absent. */
  weight: z.int().min(1).max(1_000).optional(),
  /** False: identical jobs of it are never joined. */
  coalesce: z.boolean().optional(),
  /** Of its `schedule` line. */
  schedule: z
    .object({ cron: z.string().max(200), tz: z.string().max(64), missed: z.string().max(20), overlap: z.string().max(20) })
    .nullable()
    .optional(),
  /** How many tries its jobs have unless a submit says otherwise. */
  retries: z.int().min(0).max(100).nullable().optional(),
})
export type AnnouncedTask = z.infer<typeof AnnouncedTask>

/** A task as the API lists it. `sql` is there only for a token with the scope `tasks:sql`. */
export const TaskInfo = AnnouncedTask.omit({ sql: true }).extend({
  sql: z.string().optional(),
  pools: z.array(PoolName),
  /** False when every node that announced the task is gone: jobs are taken and wait. */
  available: z.boolean(),
  /** One sentence for people when the task is not available or not in order. */
  notice: z.string().nullable(),
  last_seen_at: Instant,
})
export type TaskInfo = z.infer<typeof TaskInfo>

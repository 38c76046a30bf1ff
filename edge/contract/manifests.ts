import { z } from 'zod'
import { Column, ResultSchema, SystemColumn, WireValue } from './columns.ts'
import { CalendarDate, Family, Instant, JobId, ResultId, Sha256, TaskName, TenantId } from './ids.ts'

/** Its Parquet may have at most this many bytes for a result to travel inside its completion. Architecture, section 3, step 6. */
export const MAX_INLINE_PARQUET_BYTES = 32 * 1024
/** …and all its rows as JSON at most this many. */
export const MAX_INLINE_ROWS_BYTES = 256 * 1024
/** The first rows that every manifest carries: at most this many rows … */
export const MAX_FIRST_ROWS = 200
/** … and at most this many bytes of JSON, so that a manifest stays far below a Durable Object's 2 MB row. */
export const MAX_FIRST_ROWS_BYTES = 64 * 1024

/** The first rows of rows at hand, as every manifest cuts them. */
export const firstRowsOf = (rows: WireValue[][]): WireValue[][] => {
  const kept: WireValue[][] = []
  let bytes = 2
  for (const row of rows.slice(0, MAX_FIRST_ROWS)) {
    bytes += JSON.stringify(row).length + 1
    if (bytes > MAX_FIRST_ROWS_BYTES) break
    kept.push(row)
  }
  return kept
}

/** Statistics of one leaf column in one file, as Iceberg's manifests want them. Bounds are wire values as text (binary in base64). */
export const ColumnStats = z.object({
  field: z.int().min(1),
  bytes: z.int().min(0),
  values: z.int().min(0),
  nulls: z.int().min(0),
  /** Zero when the engine knows there is none; null when it cannot say. */
  nans: z.int().min(0).nullable(),
  min: z.string().nullable(),
  max: z.string().nullable(),
})
export type ColumnStats = z.infer<typeof ColumnStats>

/** A data file as the node made it. */
export const NodeFile = z.object({
  n: z.int().min(0).max(9_999),
  bytes: z.int().min(1),
  sha256: Sha256,
  rows: z.int().min(0),
  /** Value of the partition field `run_date`. */
  run_date: CalendarDate,
  /** Byte offsets of the row groups. */
  split_offsets: z.array(z.int().min(4)),
  stats: z.array(ColumnStats),
})
export type NodeFile = z.infer<typeof NodeFile>

/** What a node says about a result: everything but what only the edge decides. */
export const NodeManifest = z.object({
  schema: ResultSchema,
  rows: z.int().min(0),
  files: z.array(NodeFile).max(400),
  first_rows: z.array(z.array(WireValue)).max(MAX_FIRST_ROWS),
  engine: z.object({ name: z.string(), version: z.string().nullable(), query_id: z.string().nullable() }),
  source: z.string().nullable(),
  seconds: z.object({ planning: z.number(), executing: z.number(), uploading: z.number() }),
})
export type NodeManifest = z.infer<typeof NodeManifest>

/** A small result whole: its one Parquet file and all its rows. */
export const InlineResult = z.object({
  parquet_base64: z.string().max(Math.ceil((MAX_INLINE_PARQUET_BYTES * 4) / 3) + 4),
  rows: z.array(z.array(WireValue)),
})
export type InlineResult = z.infer<typeof InlineResult>

/** What describes a result for ever (version 1). Links to the files are made by the API, they are not part of it. */
export const Manifest = z.object({
  version: z.literal(1),
  result: ResultId,
  job: JobId,
  tenant: TenantId,
  task: TaskName,
  task_hash: Sha256,
  family: Family,
  attempt: z.int().min(1),
  run_date: CalendarDate,
  columns: z.array(Column),
  added: z.array(SystemColumn),
  schema_id: z.string(),
  rows: z.int().min(0),
  bytes: z.int().min(0),
  files: z.array(NodeFile.extend({ key: z.string() })),
  inline: z.boolean(),
  first_rows: z.array(z.array(WireValue)),
  engine: NodeManifest.shape.engine,
  source: z.string().nullable(),
  seconds: NodeManifest.shape.seconds,
  created_at: Instant,
  /** HMAC-SHA256 of the edge over the canonical JSON of all other fields, base64url. */
  signature: z.string(),
})
export type Manifest = z.infer<typeof Manifest>
/** As it is kept: the edge signs what it hands out. */
export type UnsignedManifest = Omit<Manifest, 'signature'>

/** The browser's copy of a result, made after `succeeded`; a record beside the manifest, written once. */
export const Pack = z.object({ bytes: z.int().min(1), sha256: Sha256 })
export type Pack = z.infer<typeof Pack>

/** `GET /v1/jobs/{id}/result`. */
export const ResultDocument = Manifest.extend({
  pack: Pack.nullable(),
  links: z.record(z.string(), z.string()),
  /** One address a file, in the order of `files`. */
  file_links: z.array(z.string()),
})
export type ResultDocument = z.infer<typeof ResultDocument>

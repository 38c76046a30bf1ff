import { type Column, type ResultSchema, SYSTEM_COLUMNS } from '../contract/columns.ts'
import { CROCKFORD, Family, JobId, resultOf, TaskName, TenantId } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import type { ColumnStats, NodeFile, UnsignedManifest } from '../contract/manifests.ts'
import type { Publication } from './judge.ts'

/** Results as a ledger would hand them over, for tests and the simulation. */
export const tenant = TenantId.parse('acme')
export const family = Family.parse('reports.pnl')
export const DAY = '2026-11-20'

/** The n-th job of these tests: ids that share all but their end, as those of one busy second do. */
export const jobNumber = (n: number): JobId =>
  JobId.parse(
    `01${'0'.repeat(19)}${CROCKFORD[(n >> 20) & 31]}${CROCKFORD[(n >> 15) & 31]}${CROCKFORD[(n >> 10) & 31]}${CROCKFORD[(n >> 5) & 31]}${CROCKFORD[n & 31]}`,
  )

export const fakeStats = (schema: ResultSchema, rows: number): ColumnStats[] =>
  [...schema.columns, ...SYSTEM_COLUMNS.filter(({ name }) => schema.added.includes(name))].flatMap((column: Column) =>
    column.id === undefined || typeof column.type !== 'string'
      ? []
      : [{ field: column.id, bytes: rows * 8, values: rows, nulls: 0, nans: 0, min: null, max: null }],
  )

export interface FakeResult {
  job: JobId
  attempt?: number
  schema: ResultSchema
  files: NodeFile[]
  /** The one file's bytes, for an inline result. */
  parquet?: Uint8Array
  family?: Family
}

export const publication = ({ job, attempt = 1, schema, files, parquet, family: into = family }: FakeResult): Publication => {
  const manifest: UnsignedManifest = {
    version: 1,
    result: resultOf(job),
    job,
    tenant,
    task: TaskName.parse('pnl'),
    task_hash: '0'.repeat(64),
    family: into,
    attempt,
    run_date: DAY,
    columns: schema.columns,
    added: schema.added,
    schema_id: schema.id,
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: files.map((file) => ({ ...file, key: dataKey(tenant, into, job, attempt, file.n) })),
    inline: parquet !== undefined,
    first_rows: [],
    engine: { name: 'duckdb', version: null, query_id: null },
    source: null,
    seconds: { planning: 0, executing: 0, uploading: 0 },
    created_at: '2026-11-20T00:00:00.000Z',
  }
  return { manifest, inline_parquet: parquet ?? null }
}

/** A file that nobody reads: for tests about commits, not about rows. */
export const fakeFile = (schema: ResultSchema, n = 0, rows = 10, runDate = DAY): NodeFile => ({
  n,
  bytes: 1_000,
  sha256: '0'.repeat(64),
  rows,
  run_date: runDate,
  split_offsets: [4],
  stats: fakeStats(schema, rows),
})

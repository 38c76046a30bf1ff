import type { ColumnStats, NodeFile } from '../contract/manifests.ts'
import type { DataFile } from './manifest.ts'
import { type Field, leaves } from './schema.ts'
import { boundOf, type PartitionValue, partitionValue, promotedValue } from './single-value.ts'
import { DEFAULT_PARTITION, JOB_ID, RUN_DATE, TENANT_ID } from './specs.ts'

/** Which job wrote the file, and where it lies. */
export interface FileOrigin {
  tenant: string
  job: string
  /** Absolute address, `s3://bucket/key`. */
  path: string
}

/**
 * Types whose values divide no files. Of floats: bounds leave NaN out, and zero has two signs. PyIceberg 0.12 reads a double
 * of a partition as a float and compares a UUID of one with bytes: asked for such a value it finds no row, without an error.
 * Their bounds tell as much.
 */
const UNDIVIDED: ReadonlySet<string> = new Set(['float', 'double', 'uuid'])

/** The one value that a column has in a whole file, or undefined where it has several, or nobody knows, or it must not divide. */
const onlyValue = (type: string, fileType: string, stats: ColumnStats | undefined): PartitionValue | undefined => {
  if (!stats || UNDIVIDED.has(type)) return undefined
  if (stats.values > 0 && stats.nulls === stats.values) return null
  if (stats.nulls > 0 || stats.min === null || stats.min !== stats.max) return undefined
  return promotedValue(type, fileType, stats.min)
}

/**
 * A file as a manifest keeps it, and the columns it is partitioned by: those wished for, where the file has one value
 * of each; else the default, which every file of one job and date fits. Statistics of unknown columns are left out.
 * `own` are the columns of the file's own schema, whose types may be narrower than those of the family.
 */
export const dataFile = (
  origin: FileOrigin,
  file: NodeFile,
  fields: readonly Field[],
  own: readonly Field[],
  wished: readonly number[],
): { sources: readonly number[]; file: DataFile } => {
  const byId = new Map(file.stats.map((stats) => [stats.field, stats]))
  const columns = leaves(fields)
  const ownTypes = new Map(leaves(own).map(({ id, type }) => [id, type]))
  const values = (sources: readonly number[]): (PartitionValue | undefined)[] =>
    sources.map((source) => {
      if (source === TENANT_ID) return origin.tenant
      if (source === JOB_ID) return origin.job
      if (source === RUN_DATE) return partitionValue('date', file.run_date)
      const column = fields.find((field) => field.id === source)
      return typeof column?.type === 'string' ? onlyValue(column.type, ownTypes.get(source) ?? column.type, byId.get(source)) : undefined
    })
  const known = (value: PartitionValue | undefined): value is PartitionValue => value !== undefined
  let sources = wished
  let partition = values(sources)
  if (!partition.every(known)) {
    sources = DEFAULT_PARTITION
    partition = values(sources)
  }
  const out: DataFile = {
    path: origin.path,
    partition: partition.filter(known),
    rows: file.rows,
    bytes: file.bytes,
    columnSizes: [],
    valueCounts: [],
    nullCounts: [],
    nanCounts: [],
    lower: [],
    upper: [],
    splitOffsets: file.split_offsets.length > 0 ? file.split_offsets : null,
  }
  // Ids stand in every file of the job, whoever added the column; their bounds find a job in a spec without job_id.
  const ids = new Map([
    [TENANT_ID, origin.tenant],
    [JOB_ID, origin.job],
  ])
  for (const { id, type, bounded } of columns) {
    const stats = byId.get(id)
    const whole = ids.get(id)
    if (stats) {
      out.columnSizes.push([id, stats.bytes])
      out.valueCounts.push([id, stats.values])
      out.nullCounts.push([id, stats.nulls])
      if (stats.nans !== null && (type === 'float' || type === 'double')) out.nanCounts.push([id, stats.nans])
    }
    if (!bounded) continue
    const ends = whole !== undefined ? { min: whole, max: whole } : stats
    const value = (text: string | null | undefined): PartitionValue => promotedValue(type, ownTypes.get(id) ?? type, text ?? null) ?? null
    const lower = boundOf(type, value(ends?.min), 'lower', whole !== undefined)
    const upper = boundOf(type, value(ends?.max), 'upper', whole !== undefined)
    if (lower) out.lower.push([id, lower])
    if (upper) out.upper.push([id, upper])
  }
  return { sources, file: out }
}

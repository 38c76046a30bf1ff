import type { Field } from './schema.ts'

/** A partition field; every transform of ours is `identity` (Iceberg spec, "Partitioning"). */
export type PartitionField = {
  'source-id': number
  'field-id': number
  name: string
  transform: string
}
export type PartitionSpec = {
  'spec-id': number
  fields: PartitionField[]
}

/** Ids of the system columns, as sources of partition fields. */
export const TENANT_ID = 1
export const JOB_ID = 2
export const RUN_DATE = 3

const identity = (source: number, field: number, name: string): PartitionField => ({
  'source-id': source,
  'field-id': field,
  name,
  transform: 'identity',
})

const TENANT = identity(TENANT_ID, 1000, 'tenant_id')
const JOB = identity(JOB_ID, 1001, 'job_id')
const DATE = identity(RUN_DATE, 1002, 'run_date')

/** Both specs of every family, from birth: results with files of their own, and bundles of small results. Frozen. */
export const BIRTH_SPECS: readonly PartitionSpec[] = [
  { 'spec-id': 0, fields: [TENANT, JOB, DATE] },
  { 'spec-id': 1, fields: [TENANT, DATE] },
]
export const BIRTH_LAST_PARTITION_ID = 1002

/** The columns by which files of their own are partitioned where the task does not say otherwise. */
export const DEFAULT_PARTITION: readonly number[] = [TENANT_ID, JOB_ID, RUN_DATE]

export interface Specs {
  specs: PartitionSpec[]
  lastPartitionId: number
}

/**
 * The spec that partitions by exactly these columns, in this order. It is found by its fields, never by its number:
 * maintenance by others may have dropped an unused one, and then it is added again. A partition field keeps its id in all specs.
 */
export const specBy = (current: Specs, sources: readonly number[], columns: readonly Field[]): Specs & { specId: number } => {
  const found = current.specs.find(
    (spec) =>
      spec.fields.length === sources.length &&
      spec.fields.every((field, i) => field['source-id'] === sources[i] && field.transform === 'identity'),
  )
  if (found) return { ...current, specId: found['spec-id'] }
  let last = current.lastPartitionId
  const known = [...BIRTH_SPECS, ...current.specs].flatMap((spec) => spec.fields)
  const fields = sources.map((source) => {
    const field = known.find((candidate) => candidate['source-id'] === source && candidate.transform === 'identity')
    if (field) return field
    last += 1
    return identity(source, last, columns.find((column) => column.id === source)?.name ?? `column_${source}`)
  })
  const specId = Math.max(-1, ...current.specs.map((spec) => spec['spec-id'])) + 1
  return { specs: [...current.specs, { 'spec-id': specId, fields }], lastPartitionId: last, specId }
}

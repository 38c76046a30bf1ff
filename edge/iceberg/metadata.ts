import { z } from 'zod'
import { type LosslessJson, parseLossless, writeLossless } from './json.ts'
import { type Field, nameMapping, type SchemaJson, schemaJson } from './schema.ts'
import { BIRTH_LAST_PARTITION_ID, BIRTH_SPECS, type PartitionSpec } from './specs.ts'

/** A 63-bit id. In memory a `bigint`, in JSON a bare number. */
const Id = z.union([z.int(), z.bigint()]).transform((value) => BigInt(value))
const Count = z.int().min(0)

export const Snapshot = z.looseObject({
  'snapshot-id': Id,
  'parent-snapshot-id': Id.optional(),
  'sequence-number': Count,
  'timestamp-ms': Count,
  'manifest-list': z.string(),
  summary: z.record(z.string(), z.string()),
  'schema-id': Count.optional(),
})
export type Snapshot = z.infer<typeof Snapshot>

const Schema = z.looseObject({ type: z.literal('struct'), 'schema-id': Count, fields: z.array(z.unknown()) })
const Spec = z.looseObject({
  'spec-id': Count,
  fields: z.array(z.looseObject({ 'source-id': z.int(), 'field-id': z.int(), name: z.string(), transform: z.string() })),
})

/** Table metadata, format version 2 (Iceberg spec, "Table Metadata"). Fields that others added are kept as they are. */
export const TableMetadata = z.looseObject({
  'format-version': z.literal(2),
  'table-uuid': z.string(),
  location: z.string(),
  'last-sequence-number': Count,
  'last-updated-ms': Count,
  'last-column-id': Count,
  schemas: z.array(Schema),
  'current-schema-id': Count,
  'partition-specs': z.array(Spec),
  'default-spec-id': Count,
  'last-partition-id': Count,
  'sort-orders': z.array(z.unknown()),
  'default-sort-order-id': Count,
  properties: z.record(z.string(), z.string()),
  /** -1 (or absent) in a table without snapshots. */
  'current-snapshot-id': Id.optional(),
  snapshots: z.array(Snapshot),
  'snapshot-log': z.array(z.looseObject({ 'snapshot-id': Id, 'timestamp-ms': Count })),
  'metadata-log': z.array(z.looseObject({ 'metadata-file': z.string(), 'timestamp-ms': Count })),
  refs: z.record(z.string(), z.looseObject({ 'snapshot-id': Id, type: z.string() })),
})
export type TableMetadata = z.infer<typeof TableMetadata>

/** Throws where the text is not table metadata of version 2. */
export const parseMetadata = (text: string): TableMetadata => TableMetadata.parse(parseLossless(text))

/** The text of a metadata file, every id with all its digits. */
export const metadataText = (metadata: TableMetadata): string => writeLossless(metadata as LosslessJson)

/** Foreign maintenance must not remove snapshots or files: whether they may go, only the table's own object knows. */
export const BIRTH_PROPERTIES: Readonly<Record<string, string>> = {
  'gc.enabled': 'false',
  'write.format.default': 'parquet',
  'write.parquet.compression-codec': 'zstd',
  'commit.manifest-merge.enabled': 'false',
}

/** A table that has no snapshot yet. */
export const birthMetadata = (uuid: string, location: string, fields: Field[], lastColumnId: number, nowMs: number): TableMetadata => ({
  'format-version': 2,
  'table-uuid': uuid,
  location,
  'last-sequence-number': 0,
  'last-updated-ms': nowMs,
  'last-column-id': lastColumnId,
  schemas: [schemaJson(fields, 0)],
  'current-schema-id': 0,
  'partition-specs': BIRTH_SPECS.map((spec) => ({ ...spec, fields: spec.fields.map((field) => ({ ...field })) })),
  'default-spec-id': 0,
  'last-partition-id': BIRTH_LAST_PARTITION_ID,
  'sort-orders': [{ 'order-id': 0, fields: [] }],
  'default-sort-order-id': 0,
  properties: { ...BIRTH_PROPERTIES, 'schema.name-mapping.default': nameMapping(fields) },
  'current-snapshot-id': -1n,
  snapshots: [],
  'snapshot-log': [],
  'metadata-log': [],
  refs: {},
})

/** The snapshot that readers see, or null in a table without one. */
export const currentSnapshot = (metadata: TableMetadata): Snapshot | null =>
  metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id']) ?? null

export const hasSnapshot = (metadata: TableMetadata, id: bigint): boolean =>
  metadata.snapshots.some((snapshot) => snapshot['snapshot-id'] === id)

/** The current schema. Only fields that Scarab wrote are in it, because families refuse commits of others. */
export const currentSchema = (metadata: TableMetadata): SchemaJson => {
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === metadata['current-schema-id'])
  if (!schema) throw new Error(`table metadata has no schema ${metadata['current-schema-id']}`)
  return schema as unknown as SchemaJson
}

export const specOf = (metadata: TableMetadata, specId: number): PartitionSpec => {
  const spec = metadata['partition-specs'].find((candidate) => candidate['spec-id'] === specId)
  if (!spec) throw new Error(`table metadata has no partition spec ${specId}`)
  return spec
}

/** Makes these columns the current schema, adding a schema only where none has exactly them. */
export const withColumns = (metadata: TableMetadata, fields: Field[], lastColumnId: number): TableMetadata => {
  const wanted = JSON.stringify(schemaJson(fields, 0).fields)
  const known = metadata.schemas.find((schema) => JSON.stringify(schema.fields) === wanted)
  if (known && known['schema-id'] === metadata['current-schema-id']) return metadata
  const schemaId = known?.['schema-id'] ?? Math.max(-1, ...metadata.schemas.map((schema) => schema['schema-id'])) + 1
  return {
    ...metadata,
    schemas: known ? metadata.schemas : [...metadata.schemas, schemaJson(fields, schemaId)],
    'current-schema-id': schemaId,
    'last-column-id': Math.max(metadata['last-column-id'], lastColumnId),
    properties: { ...metadata.properties, 'schema.name-mapping.default': nameMapping(fields) },
  }
}

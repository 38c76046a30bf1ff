import { AvroFault, type AvroField, type AvroRecord, type AvroSchema, type AvroValue } from './avro.ts'
import type { AvroFile } from './avro-file.ts'
import { field, optional, RecordView } from './avro-record.ts'
import { decimalOf, type SchemaJson } from './schema.ts'
import { fixedBigEndian, type PartitionValue } from './single-value.ts'
import type { PartitionSpec } from './specs.ts'

/** A data file as a manifest keeps it (Iceberg spec, "Manifests", struct `data_file`). Maps are by field id, in its order. */
export interface DataFile {
  /** Absolute address, `s3://bucket/key`. */
  path: string
  /** Values of the spec's fields, in the spec's order. */
  partition: PartitionValue[]
  rows: number
  bytes: number
  columnSizes: [number, number][]
  valueCounts: [number, number][]
  nullCounts: [number, number][]
  nanCounts: [number, number][]
  lower: [number, Uint8Array][]
  upper: [number, Uint8Array][]
  /** Null for a file of a bundle: with one split per tiny row group a reader would read the file once for each. */
  splitOffsets: number[] | null
}

export const EXISTING = 0
export const ADDED = 1
export const DELETED = 2
export type EntryStatus = typeof EXISTING | typeof ADDED | typeof DELETED

/** An ADDED entry has null sequence numbers: it inherits them from the manifest list, so it survives a commit that is tried again. */
export interface Entry {
  status: EntryStatus
  snapshot: bigint
  sequence: bigint | null
  fileSequence: bigint | null
  file: DataFile
}

/** Avro maps have text keys only, so Iceberg writes a map by field id as an array of pairs (spec, Appendix A). */
const byField = (name: string, id: number, keyId: number, valueId: number, value: AvroSchema): AvroField =>
  optional(name, id, {
    type: 'array',
    logicalType: 'map',
    items: { type: 'record', name: `k${keyId}_v${valueId}`, fields: [field('key', keyId, 'int'), field('value', valueId, value)] },
  })

const minimalDecimalBytes = (precision: number): number => {
  let size = 1
  while (2n ** BigInt(size * 8 - 1) < 10n ** BigInt(precision)) size++
  return size
}

/** Spec, Appendix A, "Data Type Mappings". `named` gives each fixed type its name. */
const avroType = (type: string, named: (name: string) => string): AvroSchema => {
  const decimal = decimalOf(type)
  if (decimal)
    return {
      type: 'fixed',
      name: named(`decimal_${decimal.precision}_${decimal.scale}`),
      size: minimalDecimalBytes(decimal.precision),
      logicalType: 'decimal',
      precision: decimal.precision,
      scale: decimal.scale,
    }
  switch (type) {
    case 'boolean':
    case 'int':
    case 'long':
    case 'float':
    case 'double':
    case 'string':
      return type
    case 'date':
      return { type: 'int', logicalType: 'date' }
    case 'time':
      return { type: 'long', logicalType: 'time-micros' }
    case 'timestamp':
    case 'timestamptz':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': type === 'timestamptz' }
    case 'uuid':
      return { type: 'fixed', name: named('uuid_fixed'), size: 16, logicalType: 'uuid' }
    default:
      return 'bytes'
  }
}

/** Avro names are narrower than Iceberg's (spec, "Column names" in Appendix A): other characters become `_xHEX`. */
export const avroName = (name: string): string =>
  Array.from(name, (letter, i) =>
    /[A-Za-z_]/.test(letter) || (i > 0 && /[0-9]/.test(letter))
      ? letter
      : i === 0 && /[0-9]/.test(letter)
        ? `_${letter}`
        : `_x${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase()}`,
  ).join('')

/** Types of the spec's fields, looked up in the schema: a partition column is always a primitive. */
export const partitionTypes = (spec: PartitionSpec, schema: SchemaJson): string[] =>
  spec.fields.map((partition) => {
    const type = schema.fields.find((column) => column.id === partition['source-id'])?.type
    if (typeof type !== 'string') throw new Error(`partition field ${partition.name} has no primitive source column`)
    return type
  })

/** A name may be defined once in an Avro schema: the second of its kind gets a number. Java and fastavro do not read it otherwise. */
const distinct = (): ((name: string) => string) => {
  const given = new Map<string, number>()
  return (name) => {
    const before = given.get(name) ?? 0
    given.set(name, before + 1)
    return before === 0 ? name : `${name}_${before}`
  }
}

const entrySchema = (spec: PartitionSpec, types: string[], named = distinct()): AvroRecord => ({
  type: 'record',
  name: 'manifest_entry',
  fields: [
    field('status', 0, 'int'),
    optional('snapshot_id', 1, 'long'),
    optional('sequence_number', 3, 'long'),
    optional('file_sequence_number', 4, 'long'),
    field('data_file', 2, {
      type: 'record',
      name: 'r2',
      fields: [
        field('content', 134, 'int'),
        field('file_path', 100, 'string'),
        field('file_format', 101, 'string'),
        field('partition', 102, {
          type: 'record',
          name: 'r102',
          fields: spec.fields.map((partition, i) =>
            optional(avroName(partition.name), partition['field-id'], avroType(types[i] ?? 'string', named)),
          ),
        }),
        field('record_count', 103, 'long'),
        field('file_size_in_bytes', 104, 'long'),
        byField('column_sizes', 108, 117, 118, 'long'),
        byField('value_counts', 109, 119, 120, 'long'),
        byField('null_value_counts', 110, 121, 122, 'long'),
        byField('nan_value_counts', 137, 138, 139, 'long'),
        byField('lower_bounds', 125, 126, 127, 'bytes'),
        byField('upper_bounds', 128, 129, 130, 'bytes'),
        optional('key_metadata', 131, 'bytes'),
        optional('split_offsets', 132, { type: 'array', items: 'long', 'element-id': 133 }),
        optional('equality_ids', 135, { type: 'array', items: 'int', 'element-id': 136 }),
        optional('sort_order_id', 140, 'int'),
      ],
    }),
  ],
})

const pairs = (map: [number, number | Uint8Array][]): AvroValue => map.map(([key, value]) => ({ key, value }))

const partitionAvro = (type: string, value: PartitionValue): AvroValue => {
  const decimal = decimalOf(type)
  return decimal && value !== null ? fixedBigEndian(BigInt(value as bigint), minimalDecimalBytes(decimal.precision)) : value
}

/** One manifest of data files of one spec, as an Avro file in data. */
export const manifestFile = (spec: PartitionSpec, schema: SchemaJson, entries: readonly Entry[]): AvroFile => {
  const types = partitionTypes(spec, schema)
  return {
    schema: entrySchema(spec, types),
    metadata: {
      schema: JSON.stringify(schema),
      'schema-id': String(schema['schema-id']),
      'partition-spec': JSON.stringify(spec.fields),
      'partition-spec-id': String(spec['spec-id']),
      'format-version': '2',
      content: 'data',
    },
    records: entries.map(({ status, snapshot, sequence, fileSequence, file }) => ({
      status,
      snapshot_id: snapshot,
      sequence_number: sequence,
      file_sequence_number: fileSequence,
      data_file: {
        content: 0,
        file_path: file.path,
        file_format: 'PARQUET',
        partition: Object.fromEntries(
          spec.fields.map((partition, i) => [avroName(partition.name), partitionAvro(types[i] ?? 'string', file.partition[i] ?? null)]),
        ),
        record_count: file.rows,
        file_size_in_bytes: file.bytes,
        column_sizes: pairs(file.columnSizes),
        value_counts: pairs(file.valueCounts),
        null_value_counts: pairs(file.nullCounts),
        nan_value_counts: pairs(file.nanCounts),
        lower_bounds: pairs(file.lower),
        upper_bounds: pairs(file.upper),
        key_metadata: null,
        split_offsets: file.splitOffsets,
        equality_ids: null,
        sort_order_id: null,
      },
    })),
  }
}

const partitionFromAvro = (type: string, value: AvroValue): PartitionValue => {
  if (value === null) return null
  if (decimalOf(type) && value instanceof Uint8Array)
    return BigInt.asIntN(
      value.length * 8,
      value.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n),
    )
  if (Array.isArray(value) || (typeof value === 'object' && !(value instanceof Uint8Array)))
    throw new AvroFault('a partition value is nested')
  return value
}

const asStatus = (value: number): EntryStatus => {
  if (value === EXISTING || value === ADDED || value === DELETED) return value
  throw new AvroFault(`an entry has status ${value}`)
}

/**
 * Entries of a manifest that `manifestFile` made under this spec. `inherited` are the snapshot and the sequence number
 * that the manifest list says for it (spec, "Sequence Number Inheritance").
 */
export const manifestEntries = (
  file: AvroFile,
  spec: PartitionSpec,
  schema: SchemaJson,
  inherited: { snapshot: bigint; sequence: bigint },
): Entry[] => {
  const types = partitionTypes(spec, schema)
  return file.records.map((record) => {
    const entry = new RecordView(record)
    const data = new RecordView(entry.value('data_file'))
    const status = asStatus(entry.int('status'))
    const offsets = data.value('split_offsets')
    return {
      status,
      snapshot: entry.long('snapshot_id') ?? inherited.snapshot,
      sequence: entry.long('sequence_number') ?? (status === ADDED ? inherited.sequence : null),
      fileSequence: entry.long('file_sequence_number') ?? (status === ADDED ? inherited.sequence : null),
      file: {
        path: data.text('file_path'),
        partition: new RecordView(data.value('partition')).values().map((value, i) => partitionFromAvro(types[i] ?? 'string', value)),
        rows: data.int('record_count'),
        bytes: data.int('file_size_in_bytes'),
        columnSizes: data.counts('column_sizes'),
        valueCounts: data.counts('value_counts'),
        nullCounts: data.counts('null_value_counts'),
        nanCounts: data.counts('nan_value_counts'),
        lower: data.bounds('lower_bounds'),
        upper: data.bounds('upper_bounds'),
        splitOffsets: offsets === null ? null : data.list('split_offsets').map(Number),
      },
    }
  })
}

import type { AvroRecord } from './avro.ts'
import type { AvroFile } from './avro-file.ts'
import { field, optional, RecordView } from './avro-record.ts'
import { ADDED, DELETED, type Entry, type EntryStatus, EXISTING, partitionTypes } from './manifest.ts'
import type { SchemaJson } from './schema.ts'
import { type PartitionValue, serialise } from './single-value.ts'
import type { PartitionSpec } from './specs.ts'

/** What a list says about one partition field of one manifest, so that readers can skip it. */
export interface PartitionSummary {
  containsNull: boolean
  containsNan: boolean | null
  lower: Uint8Array | null
  upper: Uint8Array | null
}

/** A manifest as a manifest list keeps it (Iceberg spec, "Manifest Lists"). Counts are by status. */
export interface ListedManifest {
  path: string
  length: number
  specId: number
  sequence: bigint
  /** The least sequence number of the live files in it. */
  minSequence: bigint
  addedSnapshot: bigint
  files: { added: number; existing: number; deleted: number }
  rows: { added: number; existing: number; deleted: number }
  partitions: PartitionSummary[]
}

const SCHEMA: AvroRecord = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    field('manifest_path', 500, 'string'),
    field('manifest_length', 501, 'long'),
    field('partition_spec_id', 502, 'int'),
    field('content', 517, 'int'),
    field('sequence_number', 515, 'long'),
    field('min_sequence_number', 516, 'long'),
    field('added_snapshot_id', 503, 'long'),
    field('added_files_count', 504, 'int'),
    field('existing_files_count', 505, 'int'),
    field('deleted_files_count', 506, 'int'),
    field('added_rows_count', 512, 'long'),
    field('existing_rows_count', 513, 'long'),
    field('deleted_rows_count', 514, 'long'),
    optional('partitions', 507, {
      type: 'array',
      'element-id': 508,
      items: {
        type: 'record',
        name: 'r508',
        fields: [
          field('contains_null', 509, 'boolean'),
          optional('contains_nan', 518, 'boolean'),
          optional('lower_bound', 510, 'bytes'),
          optional('upper_bound', 511, 'bytes'),
        ],
      },
    }),
    optional('key_metadata', 519, 'bytes'),
  ],
}

export interface ListHeader {
  snapshot: bigint
  parent: bigint | null
  sequence: bigint
}

export const manifestListFile = (header: ListHeader, manifests: readonly ListedManifest[]): AvroFile => ({
  schema: SCHEMA,
  metadata: {
    'snapshot-id': String(header.snapshot),
    'parent-snapshot-id': header.parent === null ? 'null' : String(header.parent),
    'sequence-number': String(header.sequence),
    'format-version': '2',
  },
  records: manifests.map((manifest) => ({
    manifest_path: manifest.path,
    manifest_length: manifest.length,
    partition_spec_id: manifest.specId,
    content: 0,
    sequence_number: manifest.sequence,
    min_sequence_number: manifest.minSequence,
    added_snapshot_id: manifest.addedSnapshot,
    added_files_count: manifest.files.added,
    existing_files_count: manifest.files.existing,
    deleted_files_count: manifest.files.deleted,
    added_rows_count: manifest.rows.added,
    existing_rows_count: manifest.rows.existing,
    deleted_rows_count: manifest.rows.deleted,
    partitions: manifest.partitions.map((summary) => ({
      contains_null: summary.containsNull,
      contains_nan: summary.containsNan,
      lower_bound: summary.lower,
      upper_bound: summary.upper,
    })),
    key_metadata: null,
  })),
})

export const listedManifests = (file: AvroFile): ListedManifest[] =>
  file.records.map((record) => {
    const view = new RecordView(record)
    const long = (name: string): bigint => view.long(name) ?? 0n
    return {
      path: view.text('manifest_path'),
      length: view.int('manifest_length'),
      specId: view.int('partition_spec_id'),
      sequence: long('sequence_number'),
      minSequence: long('min_sequence_number'),
      addedSnapshot: long('added_snapshot_id'),
      files: { added: view.int('added_files_count'), existing: view.int('existing_files_count'), deleted: view.int('deleted_files_count') },
      rows: {
        added: Number(long('added_rows_count')),
        existing: Number(long('existing_rows_count')),
        deleted: Number(long('deleted_rows_count')),
      },
      partitions: view.list('partitions').map((item) => {
        const summary = new RecordView(item)
        const nan = summary.value('contains_nan')
        return {
          containsNull: summary.value('contains_null') === true,
          containsNan: typeof nan === 'boolean' ? nan : null,
          lower: summary.bytes('lower_bound'),
          upper: summary.bytes('upper_bound'),
        }
      }),
    }
  })

/** The order of bounds of texts and binaries. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

const utf8 = new TextEncoder()

/** Iceberg orders texts by code points, which is the order of their UTF-8 bytes and not that of JavaScript's `<`. */
const compare = (a: PartitionValue, b: PartitionValue): number => {
  if (typeof a === 'string' && typeof b === 'string') return compareBytes(utf8.encode(a), utf8.encode(b))
  if (a instanceof Uint8Array && b instanceof Uint8Array) return compareBytes(a, b)
  if (a === null || b === null) return 0
  return a < b ? -1 : a > b ? 1 : 0
}

const summarise = (type: string, values: PartitionValue[]): PartitionSummary => {
  let lower: PartitionValue = null
  let upper: PartitionValue = null
  let containsNan = false
  for (const value of values) {
    if (value === null) continue
    if (typeof value === 'number' && Number.isNaN(value)) {
      containsNan = true
      continue
    }
    if (lower === null || compare(value, lower) < 0) lower = value
    if (upper === null || compare(value, upper) > 0) upper = value
  }
  return {
    containsNull: values.includes(null),
    containsNan: type === 'float' || type === 'double' ? containsNan : false,
    lower: serialise(type, lower),
    upper: serialise(type, upper),
  }
}

/** What the list says about a manifest with these entries, written by this snapshot under this sequence number. */
export const listed = (
  path: string,
  length: number,
  spec: PartitionSpec,
  schema: SchemaJson,
  entries: readonly Entry[],
  written: { snapshot: bigint; sequence: bigint },
): ListedManifest => {
  const of = (status: EntryStatus): { files: number; rows: number } => {
    const chosen = entries.filter((entry) => entry.status === status)
    return { files: chosen.length, rows: chosen.reduce((sum, entry) => sum + entry.file.rows, 0) }
  }
  const [added, existing, deleted] = [of(ADDED), of(EXISTING), of(DELETED)]
  let minSequence = written.sequence
  for (const entry of entries)
    if (entry.status !== DELETED && entry.sequence !== null && entry.sequence < minSequence) minSequence = entry.sequence
  return {
    path,
    length,
    specId: spec['spec-id'],
    sequence: written.sequence,
    minSequence,
    addedSnapshot: written.snapshot,
    files: { added: added.files, existing: existing.files, deleted: deleted.files },
    rows: { added: added.rows, existing: existing.rows, deleted: deleted.rows },
    partitions: partitionTypes(spec, schema).map((type, i) =>
      summarise(
        type,
        entries.map((entry) => entry.file.partition[i] ?? null),
      ),
    ),
  }
}

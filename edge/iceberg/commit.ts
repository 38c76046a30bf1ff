import type { DataFile } from './manifest.ts'
import { birthMetadata, currentSchema, currentSnapshot, type Snapshot, type TableMetadata, withColumns } from './metadata.ts'
import type { FamilyColumns, SchemaJson } from './schema.ts'
import { type PartitionSpec, specBy } from './specs.ts'

/** facts: each kept snapshot costs 0.6 KB in every commit; the history of jobs is in our own tables. */
export const MAX_SNAPSHOTS = 100
/** A list longer than this is merged: DuckDB reads every manifest for every query. */
export const MAX_MANIFESTS = 60
/** Entries of one merged manifest, and of those that are read for it at once … */
export const MAX_MERGED_ENTRIES = 1_000
/** … which have so many columns with statistics in all: about 30 MB in memory, of an isolate's 128. */
const MAX_MERGED_STATISTICS = 25_000
const MIN_MERGED_ENTRIES = 25

/** How many entries a merged manifest takes in a table of so many columns. */
export const mergedEntries = (columns: number): number =>
  Math.max(MIN_MERGED_ENTRIES, Math.min(MAX_MERGED_ENTRIES, Math.floor(MAX_MERGED_STATISTICS / columns)))

/** How many older metadata files stay named (and stored). */
export const MAX_METADATA_LOG = 20

/** What the pointer names, and what stands there. Null: the table does not exist yet. */
export interface Base {
  location: string
  metadata: TableMetadata
}

/** What all commits are told. Everything random or timed comes in, so that a plan is a pure function of its arguments. */
export interface CommitContext {
  base: Base | null
  /** For a table that does not exist yet. */
  uuid: string
  /** The table's `location`, without a slash at its end. */
  location: string
  columns: FamilyColumns
  /** Chosen at random before the first try and kept for all of them: by it an unknown outcome is resolved. */
  snapshot: bigint
  /** Rises with each try of one snapshot, so that no try writes over another's objects. */
  attempt: number
  nowMs: number
}

/** A data file to append, and which job's it is. */
export interface Appended {
  job: string
  attempt: number
  sources: readonly number[]
  file: DataFile
}

/** A job whose files leave the table. `prefix` is the address before every one of its files. */
export interface Removed {
  job: string
  prefix: string
  files: number
  rows: number
  bytes: number
}

export type Operation = 'append' | 'delete' | 'replace'

/** What must be written, in this order: new manifests, rewritten manifests, the list, the metadata; then the pointer moves. */
export interface CommitPlan {
  operation: Operation
  snapshot: bigint
  parent: bigint | null
  /** The pointer must still say this (null: nothing) when it is moved. */
  expected: string | null
  metadata: TableMetadata
  /** Absolute addresses. */
  metadataUri: string
  listUri: string
  parentListUri: string | null
  sequence: number
  schema: SchemaJson
  specs: PartitionSpec[]
  /** One new manifest a spec. */
  adds: { uri: string; specId: number; files: DataFile[] }[]
  /** Jobs whose files, all below `prefix`, are marked as deleted in rewritten manifests. */
  removes: Pick<Removed, 'job' | 'prefix'>[]
  /** Join small manifests into larger ones. */
  merge: boolean
  /** Rewritten manifests get `${rewriteStem}${n}.avro`. */
  rewriteStem: string
  /** Snapshots that this commit forgets, oldest first. */
  expired: Snapshot[]
  /** Metadata files that this commit no longer names. */
  obsoleteMetadata: string[]
}

const total = (snapshot: Snapshot | null, name: string): bigint => {
  const text = snapshot?.summary[name]
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : 0n
}

/** Summary keys of the Iceberg spec (Appendix F). Totals run on from the parent's. */
const summaryOf = (
  operation: Operation,
  parent: Snapshot | null,
  added: { files: number; rows: number; bytes: number; partitions: number },
  removed: { files: number; rows: number; bytes: number; partitions: number },
  own: Record<string, string>,
): Record<string, string> => {
  const running = (name: string, plus: number, minus: number): string => {
    const value = total(parent, name) + BigInt(plus) - BigInt(minus)
    return String(value < 0n ? 0n : value)
  }
  return {
    operation,
    ...(added.files > 0 || operation === 'append'
      ? { 'added-data-files': String(added.files), 'added-records': String(added.rows), 'added-files-size': String(added.bytes) }
      : {}),
    ...(removed.files > 0 || operation === 'delete'
      ? {
          'deleted-data-files': String(removed.files),
          'deleted-records': String(removed.rows),
          'removed-files-size': String(removed.bytes),
        }
      : {}),
    'changed-partition-count': String(added.partitions + removed.partitions),
    'total-data-files': running('total-data-files', added.files, removed.files),
    'total-records': running('total-records', added.rows, removed.rows),
    'total-files-size': running('total-files-size', added.bytes, removed.bytes),
    'total-delete-files': '0',
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
    ...own,
  }
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((total, item) => total + of(item), 0)

/** The number in `00012-….metadata.json`; what is not named so counts as 0. */
const metadataVersion = (location: string): number => Number(/\/(\d{5,})-[^/]*$/.exec(location)?.[1] ?? 0)

interface Step {
  operation: Operation
  adds: CommitPlan['adds']
  removes: CommitPlan['removes']
  merge: boolean
  summary: (parent: Snapshot | null) => Record<string, string>
}

const plan = (context: CommitContext, table: TableMetadata, step: Step): CommitPlan => {
  const { base, snapshot, attempt, nowMs } = context
  const parent = currentSnapshot(table)
  const sequence = table['last-sequence-number'] + 1
  const folder = `${context.location}/metadata`
  const listUri = `${folder}/snap-${snapshot}-${attempt}.avro`
  const version = base === null ? 0 : metadataVersion(base.location) + 1
  const metadataUri = `${folder}/${String(version).padStart(5, '0')}-${snapshot}-${attempt}.metadata.json`
  // Time never runs backwards within a table, whatever the clock does: readers ask for the snapshot as of an instant.
  const now = Math.max(nowMs, table['last-updated-ms'])
  const entry: Snapshot = {
    'snapshot-id': snapshot,
    ...(parent ? { 'parent-snapshot-id': parent['snapshot-id'] } : {}),
    'sequence-number': sequence,
    'timestamp-ms': now,
    'manifest-list': listUri,
    summary: step.summary(parent),
    'schema-id': table['current-schema-id'],
  }
  const snapshots = [...table.snapshots, entry]
  const expired = snapshots.slice(0, Math.max(0, snapshots.length - MAX_SNAPSHOTS))
  const kept = snapshots.slice(expired.length)
  const alive = new Set(kept.map((one) => one['snapshot-id']))
  const log = base === null ? [] : [...table['metadata-log'], { 'metadata-file': base.location, 'timestamp-ms': table['last-updated-ms'] }]
  const dropped = log.slice(0, Math.max(0, log.length - MAX_METADATA_LOG))
  return {
    operation: step.operation,
    snapshot,
    parent: parent?.['snapshot-id'] ?? null,
    expected: base?.location ?? null,
    metadata: {
      ...table,
      'last-sequence-number': sequence,
      'last-updated-ms': now,
      'current-snapshot-id': snapshot,
      snapshots: kept,
      'snapshot-log': [
        ...table['snapshot-log'].filter((item) => alive.has(item['snapshot-id'])),
        { 'snapshot-id': snapshot, 'timestamp-ms': now },
      ],
      'metadata-log': log.slice(dropped.length),
      refs: { ...table.refs, main: { ...table.refs.main, 'snapshot-id': snapshot, type: 'branch' } },
    },
    metadataUri,
    listUri,
    parentListUri: parent?.['manifest-list'] ?? null,
    sequence,
    schema: currentSchema(table),
    specs: table['partition-specs'],
    adds: step.adds,
    removes: step.removes,
    merge: step.merge,
    rewriteStem: `${folder}/${snapshot}-${attempt}-r`,
    expired,
    obsoleteMetadata: dropped.map((item) => item['metadata-file']),
  }
}

/** The table with the family's columns of now: born here, if this is its first commit. */
const tableOf = ({ base, uuid, location, columns, nowMs }: CommitContext): TableMetadata =>
  base === null
    ? birthMetadata(uuid, location, columns.fields, columns.lastId, nowMs)
    : withColumns(base.metadata, columns.fields, columns.lastId)

/** Appends the files of many jobs in one snapshot. A job without rows has no file, and is named in the summary all the same. */
export const planAppend = (
  context: CommitContext,
  jobs: readonly { job: string; attempt: number }[],
  files: readonly Appended[],
): CommitPlan => {
  let table = tableOf(context)
  const bySpec = new Map<number, DataFile[]>()
  for (const { sources, file } of files) {
    const found = specBy({ specs: table['partition-specs'], lastPartitionId: table['last-partition-id'] }, sources, context.columns.fields)
    table = { ...table, 'partition-specs': found.specs, 'last-partition-id': found.lastPartitionId }
    bySpec.set(found.specId, [...(bySpec.get(found.specId) ?? []), file])
  }
  const adds = [...bySpec].map(([specId, chosen], i) => ({
    uri: `${context.location}/metadata/${context.snapshot}-${context.attempt}-m${i}.avro`,
    specId,
    files: chosen,
  }))
  const added = {
    files: files.length,
    rows: sum(files, ({ file }) => file.rows),
    bytes: sum(files, ({ file }) => file.bytes),
    partitions: new Set(files.map(({ file }) => file.partition.map(String).join('\u0000'))).size,
  }
  const none = { files: 0, rows: 0, bytes: 0, partitions: 0 }
  return plan(context, table, {
    operation: 'append',
    adds,
    removes: [],
    merge: false,
    summary: (parent) =>
      summaryOf('append', parent, added, none, {
        'job-ids': jobs.map(({ job }) => job).join(','),
        attempts: jobs.map(({ attempt }) => attempt).join(','),
      }),
  })
}

/** Takes the files of these jobs out of the table, by metadata alone. */
export const planDelete = (context: CommitContext, jobs: readonly Removed[]): CommitPlan => {
  const removed = {
    files: sum(jobs, (job) => job.files),
    rows: sum(jobs, (job) => job.rows),
    bytes: sum(jobs, (job) => job.bytes),
    partitions: jobs.length,
  }
  return plan(context, tableOf(context), {
    operation: 'delete',
    adds: [],
    removes: jobs.map(({ job, prefix }) => ({ job, prefix })),
    merge: false,
    summary: (parent) =>
      summaryOf('delete', parent, { files: 0, rows: 0, bytes: 0, partitions: 0 }, removed, {
        'removed-job-ids': jobs.map(({ job }) => job).join(','),
      }),
  })
}

/** Joins small manifests; the table's rows stay as they are. */
export const planMerge = (context: CommitContext): CommitPlan => {
  const none = { files: 0, rows: 0, bytes: 0, partitions: 0 }
  return plan(context, tableOf(context), {
    operation: 'replace',
    adds: [],
    removes: [],
    merge: true,
    summary: (parent) => summaryOf('replace', parent, none, none, {}),
  })
}

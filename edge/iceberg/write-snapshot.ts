import { type AvroCodec, readAvroFile, writeAvroFile } from './avro-file.ts'
import { type CommitPlan, mergedEntries } from './commit.ts'
import { keyOf } from './location.ts'
import { ADDED, DELETED, type Entry, EXISTING, manifestEntries, manifestFile } from './manifest.ts'
import { compareBytes, type ListedManifest, listed, listedManifests, manifestListFile } from './manifest-list.ts'
import { metadataText } from './metadata.ts'
import { leaves as leafColumns } from './schema.ts'
import { JOB_ID, type PartitionSpec, RUN_DATE } from './specs.ts'

/** Object storage, as far as a commit needs it. Keys, not addresses. A missing object is null. */
export interface Objects {
  get(key: string): Promise<Uint8Array | null>
  put(key: string, bytes: Uint8Array): Promise<void>
}

/** Called at named points of a commit, so that tests can stop the process there. */
export type FaultHook = (point: string) => void | Promise<void>

export interface WriteOptions {
  codec?: AvroCodec
  fault?: FaultHook
  /** 16 bytes that separate Avro blocks. */
  sync?: () => Uint8Array
}

/** An object that must be there: whoever named it wrote it before. */
export const getObject = async (objects: Pick<Objects, 'get'>, key: string): Promise<Uint8Array> => {
  const bytes = await objects.get(key)
  if (!bytes) throw new Error(`object ${key} is missing`)
  return bytes
}

const randomSync = (): Uint8Array => crypto.getRandomValues(new Uint8Array(16))
const utf8 = new TextEncoder()

const specById = (plan: CommitPlan, id: number): PartitionSpec => {
  const spec = plan.specs.find((candidate) => candidate['spec-id'] === id)
  if (!spec) throw new Error(`the table has no partition spec ${id}`)
  return spec
}

/** An entry that lives on in a rewritten manifest keeps its own snapshot and sequence numbers. */
const survives = (entry: Entry): Entry => ({ ...entry, status: EXISTING })

/**
 * Writes everything that a plan names but the pointer: manifests, manifest list, metadata. Nothing that a reader can see
 * changes by it, so it may fail anywhere and be done again under another attempt number.
 * Answers how many manifests the new list has, and how many fewer it would have if small ones were joined.
 */
export const writeSnapshot = async (
  plan: CommitPlan,
  objects: Objects,
  options: WriteOptions = {},
): Promise<{ manifests: number; joinable: number }> => {
  const { codec = 'deflate', fault = () => {}, sync = randomSync } = options
  const written = { snapshot: plan.snapshot, sequence: BigInt(plan.sequence) }
  const putManifest = async (uri: string, spec: PartitionSpec, entries: readonly Entry[]): Promise<ListedManifest> => {
    const bytes = await writeAvroFile(manifestFile(spec, plan.schema, entries), codec, sync())
    await objects.put(keyOf(uri), bytes)
    return listed(uri, bytes.length, spec, plan.schema, entries, written)
  }
  const readManifest = async (manifest: ListedManifest): Promise<Entry[]> =>
    manifestEntries(await readAvroFile(await getObject(objects, keyOf(manifest.path))), specById(plan, manifest.specId), plan.schema, {
      snapshot: manifest.addedSnapshot,
      sequence: manifest.sequence,
    })
  let rewritten = 0
  const nextUri = (): string => `${plan.rewriteStem}${rewritten++}.avro`

  const before = plan.parentListUri === null ? [] : listedManifests(await readAvroFile(await getObject(objects, keyOf(plan.parentListUri))))
  // A manifest of nothing but deleted files was of interest to the snapshot that wrote it only.
  let kept = before.filter((manifest) => liveFiles(manifest) > 0)

  const fresh: ListedManifest[] = []
  for (const add of plan.adds)
    fresh.push(
      await putManifest(
        add.uri,
        specById(plan, add.specId),
        add.files.map((file) => ({ status: ADDED, snapshot: plan.snapshot, sequence: null, fileSequence: null, file })),
      ),
    )
  if (plan.removes.length > 0) {
    const remains: ListedManifest[] = []
    for (const manifest of kept) {
      if (!mayHold(manifest, specById(plan, manifest.specId), plan.removes)) {
        remains.push(manifest)
        continue
      }
      const entries = (await readManifest(manifest)).filter((entry) => entry.status !== DELETED)
      const leaves = (entry: Entry): boolean => plan.removes.some(({ prefix }) => entry.file.path.startsWith(prefix))
      if (!entries.some(leaves)) remains.push(manifest)
      else
        remains.push(
          await putManifest(
            nextUri(),
            specById(plan, manifest.specId),
            entries.map((entry) => (leaves(entry) ? { ...entry, status: DELETED, snapshot: plan.snapshot } : survives(entry))),
          ),
        )
    }
    kept = remains
  }
  if (plan.merge) kept = await merged(plan, kept, readManifest, (spec, entries) => putManifest(nextUri(), spec, entries))
  await fault('table.manifest-put')
  const manifests = [...fresh, ...kept]
  const header = { snapshot: plan.snapshot, parent: plan.parent, sequence: written.sequence }
  await objects.put(keyOf(plan.listUri), await writeAvroFile(manifestListFile(header, manifests), codec, sync()))
  await fault('table.list-put')
  await objects.put(keyOf(plan.metadataUri), utf8.encode(metadataText(plan.metadata)))
  await fault('table.metadata-put')
  const small = manifests.filter(isSmall(plan))
  // Of each spec one stays small, whatever is joined.
  return { manifests: manifests.length, joinable: small.length - new Set(small.map(({ specId }) => specId)).size }
}

const most = ({ schema }: CommitPlan): number => mergedEntries(leafColumns(schema.fields).length)

const isSmall = (plan: CommitPlan): ((manifest: ListedManifest) => boolean) => {
  const half = most(plan) / 2
  return (manifest) => liveFiles(manifest) <= half
}

/** Whether a manifest can hold files of these jobs, by what the list says of it: a table has many, and most are not read for it. */
const mayHold = (manifest: ListedManifest, spec: PartitionSpec, removes: CommitPlan['removes']): boolean => {
  const summary = manifest.partitions[spec.fields.findIndex((field) => field['source-id'] === JOB_ID)]
  if (!summary?.lower || !summary.upper) return true
  const { lower, upper } = summary
  return removes.map(({ job }) => utf8.encode(job)).some((job) => compareBytes(lower, job) <= 0 && compareBytes(job, upper) <= 0)
}

const liveFiles = ({ files }: ListedManifest): number => files.added + files.existing

/** By the first run_date in them, as far as the spec has one; bounds of dates are four bytes, little-endian. */
const byDate = (date: number) => {
  const first = (manifest: ListedManifest): number => {
    const lower = manifest.partitions[date]?.lower
    return lower?.length === 4 ? new DataView(lower.buffer, lower.byteOffset).getInt32(0, true) : 0
  }
  return (a: ListedManifest, b: ListedManifest): number => first(a) - first(b) || Number(a.sequence - b.sequence)
}

/** Neighbours, so many that what is made of them has at most `limit` files. */
const groupsOf = (manifests: readonly ListedManifest[], limit: number): ListedManifest[][] => {
  const groups: ListedManifest[][] = []
  let files = limit
  for (const manifest of manifests) {
    files += liveFiles(manifest)
    if (files > limit) {
      groups.push([])
      files = liveFiles(manifest)
    }
    groups.at(-1)?.push(manifest)
  }
  return groups
}

/**
 * Small manifests of one spec become larger ones, in the order of run_date, so that each covers few days. Full ones stay.
 * Only those that become one are in memory together.
 */
const merged = async (
  plan: CommitPlan,
  manifests: readonly ListedManifest[],
  read: (manifest: ListedManifest) => Promise<Entry[]>,
  put: (spec: PartitionSpec, entries: readonly Entry[]) => Promise<ListedManifest>,
): Promise<ListedManifest[]> => {
  const small = manifests.filter(isSmall(plan))
  const out = manifests.filter((manifest) => !small.includes(manifest))
  for (const specId of new Set(small.map((manifest) => manifest.specId))) {
    const spec = specById(plan, specId)
    const date = spec.fields.findIndex((field) => field['source-id'] === RUN_DATE)
    const day = (entry: Entry): number => Number(entry.file.partition[date] ?? 0)
    for (const group of groupsOf(small.filter((one) => one.specId === specId).sort(byDate(date)), most(plan))) {
      const entries: Entry[] = []
      if (group.length > 1)
        for (const manifest of group) for (const entry of await read(manifest)) if (entry.status !== DELETED) entries.push(survives(entry))
      entries.sort((a, b) => day(a) - day(b) || (a.file.path < b.file.path ? -1 : 1))
      out.push(...(group.length > 1 ? [await put(spec, entries)] : group))
    }
  }
  return out
}

import { type AvroCodec, readAvroFile, writeAvroFile } from './avro-file.ts'
import { type CommitPlan, MAX_MERGED_ENTRIES } from './commit.ts'
import { keyOf } from './location.ts'
import { ADDED, DELETED, type Entry, EXISTING, manifestEntries, manifestFile } from './manifest.ts'
import { type ListedManifest, listed, listedManifests, manifestListFile } from './manifest-list.ts'
import { metadataText } from './metadata.ts'
import { type PartitionSpec, RUN_DATE } from './specs.ts'

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
 * Answers how many manifests the new list has, and how many of them are small enough to be joined.
 */
export const writeSnapshot = async (
  plan: CommitPlan,
  objects: Objects,
  options: WriteOptions = {},
): Promise<{ manifests: number; small: number }> => {
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
  let kept = before.filter((manifest) => manifest.files.added + manifest.files.existing > 0)

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
      const entries = (await readManifest(manifest)).filter((entry) => entry.status !== DELETED)
      const leaves = (entry: Entry): boolean => plan.removes.some((prefix) => entry.file.path.startsWith(prefix))
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
  return { manifests: manifests.length, small: manifests.filter(isSmall).length }
}

const isSmall = (manifest: ListedManifest): boolean => manifest.files.added + manifest.files.existing <= MAX_MERGED_ENTRIES / 2

/** Small manifests of one spec become larger ones, in the order of run_date, so that each covers few days. Full ones stay. */
const merged = async (
  plan: CommitPlan,
  manifests: readonly ListedManifest[],
  read: (manifest: ListedManifest) => Promise<Entry[]>,
  put: (spec: PartitionSpec, entries: readonly Entry[]) => Promise<ListedManifest>,
): Promise<ListedManifest[]> => {
  const out: ListedManifest[] = []
  for (const specId of new Set(manifests.map((manifest) => manifest.specId))) {
    const own = manifests.filter((manifest) => manifest.specId === specId)
    const small = own.filter(isSmall)
    out.push(...own.filter((manifest) => !small.includes(manifest)))
    if (small.length < 2) {
      out.push(...small)
      continue
    }
    const spec = specById(plan, specId)
    const date = spec.fields.findIndex((field) => field['source-id'] === RUN_DATE)
    const entries: Entry[] = []
    for (const manifest of small) for (const entry of await read(manifest)) if (entry.status !== DELETED) entries.push(survives(entry))
    const day = (entry: Entry): number => Number(entry.file.partition[date] ?? 0)
    entries.sort((a, b) => day(a) - day(b) || (a.file.path < b.file.path ? -1 : 1))
    for (let from = 0; from < entries.length; from += MAX_MERGED_ENTRIES)
      out.push(await put(spec, entries.slice(from, from + MAX_MERGED_ENTRIES)))
  }
  return out
}

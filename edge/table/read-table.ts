import type { Family } from '../contract/ids.ts'
import { readAvroFile } from '../iceberg/avro-file.ts'
import { keyOf } from '../iceberg/location.ts'
import { DELETED, type Entry, manifestEntries } from '../iceberg/manifest.ts'
import { type ListedManifest, listedManifests } from '../iceberg/manifest-list.ts'
import { currentSchema, parseMetadata, type Snapshot, specOf, type TableMetadata } from '../iceberg/metadata.ts'
import { getObject, type Objects } from '../iceberg/write-snapshot.ts'

export interface TableContents {
  metadata: TableMetadata
  manifests: ListedManifest[]
  /** Entries that a reader of this snapshot reads. */
  live: Entry[]
}

/** What a reader finds in a family, at its current snapshot or at one that is still kept. For tests and tools. */
export const readTable = async (
  objects: Pick<Objects, 'get'>,
  catalog: { pointer(family: Family): string | null },
  family: Family,
  at?: (metadata: TableMetadata) => Snapshot | undefined,
): Promise<TableContents | null> => {
  const location = catalog.pointer(family)
  if (location === null) return null
  const metadata = parseMetadata(new TextDecoder().decode(await getObject(objects, keyOf(location))))
  const snapshot = at ? at(metadata) : metadata.snapshots.find((one) => one['snapshot-id'] === metadata['current-snapshot-id'])
  if (!snapshot) return { metadata, manifests: [], live: [] }
  const manifests = listedManifests(await readAvroFile(await getObject(objects, keyOf(snapshot['manifest-list']))))
  const live: Entry[] = []
  for (const manifest of manifests) {
    const file = await readAvroFile(await getObject(objects, keyOf(manifest.path)))
    const entries = manifestEntries(file, specOf(metadata, manifest.specId), currentSchema(metadata), {
      snapshot: manifest.addedSnapshot,
      sequence: manifest.sequence,
    })
    live.push(...entries.filter((entry) => entry.status !== DELETED))
  }
  return { metadata, manifests, live }
}

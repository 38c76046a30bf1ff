import { Family } from '../../edge/contract/ids.ts'
import { readAvroFile } from '../../edge/iceberg/avro-file.ts'
import { keyOf } from '../../edge/iceberg/location.ts'
import { DELETED, manifestEntries } from '../../edge/iceberg/manifest.ts'
import { listedManifests } from '../../edge/iceberg/manifest-list.ts'
import { currentSchema, parseMetadata, specOf } from '../../edge/iceberg/metadata.ts'
import type { World } from './world.ts'

export interface FamilyContents {
  /** Jobs named by the appends of all snapshots, as often as they are named. */
  appended: string[]
  files: { job: string; attempt: number; key: string }[]
}

/** What a reader finds in a family: the current snapshot's files, and which jobs each snapshot says it has appended. */
export const metadataOf = async (world: World, tenant: string, family: string): Promise<FamilyContents | null> => {
  const pointer = world.places
    .get(`CATALOG ${tenant}`)
    ?.database.all<{ location: string }>('SELECT location FROM pointers WHERE family = ?', Family.parse(family))[0]?.location
  if (pointer === undefined) return null
  const bytesAt = (uri: string): Uint8Array => {
    const stored = world.bucket.objects.get(keyOf(uri))
    if (!stored) throw new Error(`${uri} is named, and not in the bucket`)
    return stored.bytes
  }
  const metadata = parseMetadata(new TextDecoder().decode(bytesAt(pointer)))
  const appended = metadata.snapshots.flatMap(({ summary }) =>
    summary.operation === 'append' ? (summary['job-ids'] ?? '').split(',').filter((job) => job !== '') : [],
  )
  const snapshot = metadata.snapshots.find((one) => one['snapshot-id'] === metadata['current-snapshot-id'])
  const files: FamilyContents['files'] = []
  for (const manifest of snapshot ? listedManifests(await readAvroFile(bytesAt(snapshot['manifest-list']))) : []) {
    const added = { snapshot: manifest.addedSnapshot, sequence: manifest.sequence }
    const file = await readAvroFile(bytesAt(manifest.path))
    for (const entry of manifestEntries(file, specOf(metadata, manifest.specId), currentSchema(metadata), added)) {
      if (entry.status === DELETED) continue
      const key = keyOf(entry.file.path)
      const [job = '', attempt = ''] = key.split('/data/')[1]?.split('/') ?? []
      files.push({ job, attempt: Number(attempt), key })
    }
  }
  return { appended, files }
}

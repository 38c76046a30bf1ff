import type { Family, JobId, TenantId } from '../contract/ids.ts'
import { readAvroFile } from '../iceberg/avro-file.ts'
import type { Base } from '../iceberg/commit.ts'
import { keyOf } from '../iceberg/location.ts'
import { listedManifests } from '../iceberg/manifest-list.ts'
import { parseMetadata } from '../iceberg/metadata.ts'
import { getObject, type Objects, type WriteOptions, writeSnapshot } from '../iceberg/write-snapshot.ts'
import type { TableCore, TableEffect } from './core.ts'
import type { Outcome } from './outcomes.ts'

/** Everything a family's committer touches outside its own database. Any call may reject, also after it has worked. */
export interface TableOutside {
  objects: Objects & {
    delete(keys: string[]): Promise<void>
    /** Keys that begin so; where there are many, some of them. */
    list(prefix: string): Promise<string[]>
  }
  catalog: {
    pointer(family: Family): Promise<string | null>
    commit(move: {
      family: Family
      expected: string | null
      location: string
    }): Promise<{ ok: true } | { ok: false; current: string | null }>
  }
  tellLedger(tenant: TenantId, items: Outcome[]): Promise<{ acknowledged: JobId[] }>
  tellDirectory(table: string): Promise<void>
  /** Where failures are noted; they are tried again, so nobody else hears of them. */
  log(text: string): void
}

/** A Worker has six connections at a time; more only queue up. */
const PARALLEL_PUTS = 6
const utf8 = new TextDecoder()

const inParallel = async <T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> => {
  const rest = [...items]
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker))
}

const load = async (family: Family, outside: TableOutside): Promise<Base | null> => {
  const location = await outside.catalog.pointer(family)
  return location === null ? null : { location, metadata: parseMetadata(utf8.decode(await getObject(outside.objects, keyOf(location)))) }
}

const clean = async (effect: Extract<TableEffect, { kind: 'clean' }>, { objects }: TableOutside): Promise<void> => {
  const manifestsOf = async (bytes: Uint8Array): Promise<string[]> =>
    listedManifests(await readAvroFile(bytes)).map((manifest) => keyOf(manifest.path))
  const keep = new Set(effect.keep === null ? [] : await manifestsOf(await getObject(objects, effect.keep)))
  for (const list of effect.lists) {
    const bytes = await objects.get(list)
    // Deleted before, and the process died before it was noted.
    if (!bytes) continue
    // History is linear: a manifest that a later list no longer names is in none after it either.
    const manifests = (await manifestsOf(bytes)).filter((key) => !keep.has(key))
    // The list goes last: while it is there, its manifests can still be found and deleted.
    if (manifests.length > 0) await objects.delete(manifests)
    await objects.delete([list])
  }
  const keys = effect.keys.filter((key) => !key.endsWith('*'))
  if (keys.length > 0) await objects.delete(keys)
  for (const key of effect.keys.filter((each) => each.endsWith('*')))
    for (let found = await objects.list(key.slice(0, -1)); found.length > 0; found = await objects.list(key.slice(0, -1)))
      await objects.delete(found)
}

/** Does one effect and tells the core what came of it. Never rejects: a failure is an event like any other. */
export const perform = async (core: TableCore, effect: TableEffect, outside: TableOutside, options: WriteOptions = {}): Promise<void> => {
  const { fault = () => {} } = options
  try {
    switch (effect.kind) {
      case 'load':
        core.loaded(await load(effect.family, outside))
        return
      case 'commit': {
        const { plan, family } = effect
        await fault('table.intent-written')
        await inParallel(effect.puts, PARALLEL_PUTS, ({ key, parquet }) => outside.objects.put(key, parquet))
        await fault('table.data-put')
        const list = await writeSnapshot(plan, outside.objects, options)
        // The commit point. Until it, no reader sees anything; after it, the snapshot is part of the table for ever.
        const moved = await outside.catalog.commit({ family, expected: plan.expected, location: plan.metadataUri })
        await fault('table.pointer-moved')
        if (moved.ok) core.committed(plan, list)
        else core.conflicted()
        await fault('table.settled')
        return
      }
      case 'report': {
        const { acknowledged } = await outside.tellLedger(effect.tenant, effect.items)
        await fault('table.reported')
        core.reported(effect.items, acknowledged)
        return
      }
      case 'clean':
        await clean(effect, outside)
        core.cleaned([...effect.keys, ...effect.lists])
        return
      case 'remember':
        await outside.tellDirectory(effect.table)
        core.remembered()
        return
    }
  } catch (error) {
    outside.log(`${effect.kind} will be tried again: ${error instanceof Error ? error.message : String(error)}`)
    core.failed(effect.kind)
  }
}

/** Does what is due until nothing is. */
export const drive = async (core: TableCore, outside: TableOutside, options: WriteOptions = {}): Promise<void> => {
  for (let effects = core.take(); effects.length > 0; effects = core.take())
    await Promise.all(effects.map((effect) => perform(core, effect, outside, options)))
}

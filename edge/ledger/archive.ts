import { type JobId, resultOf } from '../contract/ids.ts'
import { packKey, resultKey, slicesPrefix } from '../contract/keys.ts'
import type { LedgerContext } from './context.ts'
import { findJob } from './jobs.ts'
import { MAX_KEPT_BYTES } from './limits.ts'
import { findResult } from './read.ts'

/** What an archived result's object holds: the manifest as it was signed, and a small result's rows. */
export interface ArchivedResult {
  manifest: string
  rows: string | null
}

/**
 * After publication: the inline Parquet goes (the table's file has it), and manifest and rows move to one object when
 * they are more than a finished job may keep here. The object is written before the row is cut, so a crash between
 * the two only leaves an object that the next try writes again.
 */
export const archiveResult = async (context: LedgerContext, bucket: R2Bucket, job: JobId): Promise<void> => {
  const kept = findResult(context, job)
  if (!kept?.manifest || kept.archived !== null) return
  const bytes = kept.manifest.length + (kept.inline_rows?.length ?? 0)
  if (bytes <= MAX_KEPT_BYTES) {
    if (kept.inline_parquet !== null) context.store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', job)
    return
  }
  const key = resultKey(context.tenant, resultOf(job))
  await bucket.put(key, JSON.stringify({ manifest: kept.manifest, rows: kept.inline_rows } satisfies ArchivedResult), {
    httpMetadata: { contentType: 'application/json' },
  })
  // Deleted meanwhile: its objects were purged perhaps before this one was there.
  if (findJob(context, job)?.deleted_at !== null) return bucket.delete(key)
  context.store.run('UPDATE results SET manifest = NULL, inline_rows = NULL, inline_parquet = NULL, archived = ? WHERE job = ?', key, job)
}

/** A deleted result: pack, slices, archive and the rows kept here. Its data file belongs to the table, which withdraws it. */
export const purgeResult = async (context: LedgerContext, bucket: R2Bucket, job: JobId): Promise<void> => {
  const result = resultOf(job)
  await bucket.delete([packKey(context.tenant, result), resultKey(context.tenant, result)])
  for (;;) {
    const page = await bucket.list({ prefix: slicesPrefix(context.tenant, result) })
    if (page.objects.length > 0) await bucket.delete(page.objects.map(({ key }) => key))
    if (!page.truncated) break
  }
  context.store.run('DELETE FROM results WHERE job = ?', job)
}

import { type JobId, resultOf } from '../contract/ids.ts'
import { packKey, resultKey, slicesPrefix } from '../contract/keys.ts'
import { commit, type LedgerContext } from './context.ts'
import { findJob, updateJob } from './jobs.ts'
import { MAX_KEPT_BYTES } from './limits.ts'
import { findResult } from './read.ts'
import { isUnwanted } from './remove.ts'
import { isEnded } from './states.ts'

/** What an archived result's object holds: the manifest, and a small result's rows. */
export interface ArchivedResult {
  /** Empty where the job has no result. */
  manifest: string
  rows: string | null
  /** The job's arguments as JSON, where they were too many to stay. */
  args?: string | null
  /** The small result's file in base64, where no table has it: its publication was refused. */
  parquet?: string | null
}

/** Of a finished job's row: its arguments are in the object of its result. */
export const ARGS_ARCHIVED = ''

/**
 * When a job's publication is over: the inline Parquet goes (the table's file has it), and what is more than a finished job
 * may keep here moves to one object: manifest and rows, arguments, and the Parquet that no table has taken. The object is
 * written before the row is cut, so a crash between the two only leaves an object that the next try writes again.
 */
export const archiveResult = async (context: LedgerContext, bucket: R2Bucket, job: JobId): Promise<void> => {
  const row = findJob(context, job)
  const kept = findResult(context, job)
  // One that is shown as cancelled may still run for others: what it leaves goes away together, when it has ended.
  if (!row || !isEnded(row.state) || row.publication === 'pending' || (kept && kept.archived !== null)) return
  const parquet = row.publication === 'rejected' ? (kept?.inline_parquet ?? null) : null
  const heavy = row.args.length > MAX_KEPT_BYTES
  const bytes = row.args.length + (kept?.manifest?.length ?? 0) + (kept?.inline_rows?.length ?? 0)
  if (bytes <= MAX_KEPT_BYTES && parquet === null) {
    if (kept && kept.inline_parquet !== null) context.store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', job)
    return
  }
  const key = resultKey(context.tenant, resultOf(job))
  const archived: ArchivedResult = {
    manifest: kept?.manifest ?? '',
    rows: kept?.inline_rows ?? null,
    args: heavy ? row.args : null,
    parquet: parquet && base64(parquet),
  }
  await bucket.put(key, JSON.stringify(archived), { httpMetadata: { contentType: 'application/json' } })
  // Deleted meanwhile: its objects were purged perhaps before this one was there.
  const now = findJob(context, job)
  if (!now || isUnwanted(context, now)) return bucket.delete(key)
  commit(context, (inner) => {
    // A result whose rows were kept whole has no pack, and that is to be known when they are gone.
    inner.store.run(
      `UPDATE results SET pack_bytes = CASE WHEN inline_rows IS NULL THEN pack_bytes ELSE 0 END, manifest = NULL, inline_rows = NULL,
         inline_parquet = NULL, archived = ? WHERE job = ?`,
      key,
      job,
    )
    if (heavy) updateJob(inner, now, { args: ARGS_ARCHIVED })
  })
}

/** A job's arguments as JSON, from wherever they are. Throws when storage does not answer. */
export const argsOf = async (context: LedgerContext, bucket: R2Bucket, row: { id: string; args: string }): Promise<string> => {
  if (row.args !== ARGS_ARCHIVED) return row.args
  const key = resultKey(context.tenant, resultOf(row.id as JobId))
  const body = await bucket.get(key)
  if (!body) throw new Error(`the archived arguments ${key} are missing`)
  // Written by `archiveResult`.
  return (JSON.parse(new TextDecoder().decode(await body.arrayBuffer())) as ArchivedResult).args ?? '[]'
}

const base64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))

/**
 * A result that nobody may read any more: pack, slices, archive and the rows kept here. Its data file belongs to the table,
 * which withdraws it. A job that is still shown, because its result has only expired, keeps its arguments.
 */
export const purgeResult = async (context: LedgerContext, bucket: R2Bucket, job: JobId): Promise<void> => {
  const result = resultOf(job)
  await keepArguments(context, bucket, job)
  await bucket.delete(packKey(context.tenant, result))
  for (;;) {
    const page = await bucket.list({ prefix: slicesPrefix(context.tenant, result) })
    if (page.objects.length > 0) await bucket.delete(page.objects.map(({ key }) => key))
    if (!page.truncated) break
  }
  context.store.run('DELETE FROM results WHERE job = ?', job)
}

/** Leaves of the archive the arguments that are too many to stay in the database, where the job is still shown; else nothing. */
const keepArguments = async (context: LedgerContext, bucket: R2Bucket, job: JobId): Promise<void> => {
  const key = resultKey(context.tenant, resultOf(job))
  const row = findJob(context, job)
  const away = row?.args === ARGS_ARCHIVED
  if (!row || row.deleted_at !== null || !(away || row.args.length > MAX_KEPT_BYTES)) return bucket.delete(key)
  const archived: ArchivedResult = { manifest: '', rows: null, args: await argsOf(context, bucket, row) }
  await bucket.put(key, JSON.stringify(archived), { httpMetadata: { contentType: 'application/json' } })
  const now = findJob(context, job)
  // Deleted meanwhile: its objects were purged perhaps before this one was there.
  if (!now || now.deleted_at !== null) return bucket.delete(key)
  if (!away) commit(context, (inner) => updateJob(inner, now, { args: ARGS_ARCHIVED }))
}

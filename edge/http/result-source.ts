import type { Column, WireValue } from '../contract/columns.ts'
import type { JobId } from '../contract/ids.ts'
import type { Job } from '../contract/jobs.ts'
import { firstRowsOf, type Pack, type UnsignedManifest } from '../contract/manifests.ts'
import { Problem } from '../contract/problems.ts'
import type { ArchivedResult } from '../ledger/archive.ts'
import type { ResultAnswer } from '../ledger/job-desk.ts'
import type { AppContext } from './context.ts'
import { foundOr, ledgerOf, notFound, pastOf } from './jobs.ts'

/** A finished result as the Worker has it at hand. */
export interface LoadedResult {
  job: Job
  manifest: UnsignedManifest
  /** All rows of a small result; null for a larger one. */
  rows: WireValue[][] | null
  /** The Parquet file of a small result that is not published yet. */
  parquet: Uint8Array | null
  pack: Pack | null
}

type Found = { found: 'no' | 'gone' } | ({ found: 'yes' } & ResultAnswer)

/** Throws the problem that fits a job whose result cannot be had. */
const refuse = (job: Job): never => {
  if (job.state === 'failed' || job.state === 'cancelled')
    throw new Problem('no_result', `The job ${job.id} ${pastOf(job.state)}${job.error ? `: ${job.error.message}` : ''}. It left no result.`)
  throw new Problem(
    'job_not_finished',
    `The job ${job.id} is ${job.state}. Follow ${job.links.events}, or ask again with Prefer: wait=30.`,
    {
      links: { job: job.links.self ?? '', events: job.links.events ?? '' },
    },
  )
}

/** Reads manifest and small rows from the ledger, or from the object they were archived in. */
export const loadResult = async (c: AppContext, id: JobId): Promise<LoadedResult> => load(c, id, await ledgerOf(c).result(id))

/** The result that a job wrote, as long as any job points to it: others may share it. */
export const loadWritten = async (c: AppContext, writer: JobId): Promise<LoadedResult> => load(c, writer, await ledgerOf(c).written(writer))

const load = async (c: AppContext, id: JobId, answer: Found): Promise<LoadedResult> => {
  foundOr(answer.found, id)
  if (answer.found !== 'yes') throw notFound(id)
  const { job, pack } = answer
  if (job.state !== 'succeeded') refuse(job)
  if (job.publication === 'expired') throw new Problem('result_expired', `The result of ${id} has expired. Run the report again.`)
  let { manifest, rows, parquet } = answer
  if (manifest === null && answer.archived !== null) {
    const body = await c.env.RESULTS.get(answer.archived)
    if (!body) throw new Error(`the archived result ${answer.archived} is missing`)
    const archived = await body.json<ArchivedResult>()
    manifest = archived.manifest
    rows = archived.rows
    if (archived.parquet) parquet = Uint8Array.from(atob(archived.parquet), (char) => char.charCodeAt(0))
  }
  if (manifest === null) throw new Error(`the job ${id} has no manifest`)
  // Both texts were written by the ledger from validated values.
  const parsed = JSON.parse(manifest) as UnsignedManifest
  const parsedRows = rows === null ? null : (JSON.parse(rows) as WireValue[][])
  if (parsedRows) parsed.first_rows = firstRowsOf(parsedRows)
  return { job, manifest: parsed, rows: parsedRows, parquet, pack }
}

/** The report's own columns: what slices, CSV and JSON show. */
export const reportColumns = (manifest: UnsignedManifest): Column[] => manifest.columns

import type { JobId, ResultId, SliceHash } from '../contract/ids.ts'
import { jobOf } from '../contract/ids.ts'
import type { Job } from '../contract/jobs.ts'
import { ARGS_ARCHIVED, argsOf } from './archive.ts'
import { type CancelAnswer, cancel } from './cancel.ts'
import { writerOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { awaitedBy } from './groups/awaits.ts'
import { awayFrom, forgetAway, recall } from './housekeeping.ts'
import { findJob, type JobRow, updateJob } from './jobs.ts'
import { RECALLED_AT_ONCE } from './limits.ts'
import type { ListQuery } from './listing.ts'
import type { MovedJobs } from './moved.ts'
import type { MovedJob } from './pages.ts'
import { findResult, type Liveness, lookUp, type ResultRow, showJob } from './read.ts'
import { isUnwanted, remove } from './remove.ts'
import { expireResult } from './retention.ts'
import { pointerTo, tellReturned } from './sharers.ts'
import { sliceQuery } from './slices.ts'

export type Missing = { found: 'no' | 'gone' }
export type JobAnswer = Missing | { found: 'yes'; job: Job }
export interface ResultAnswer {
  job: Job
  manifest: string | null
  rows: string | null
  parquet: Uint8Array | null
  archived: string | null
  pack: { bytes: number; sha256: string } | null
}

export interface JobDeskDeps {
  context: LedgerContext
  commit: <T>(body: (context: LedgerContext) => T) => T
  bucket: R2Bucket
  moved: MovedJobs
  live: ReadonlyMap<string, Liveness>
  /** Resolves when the job has ended, or after the time. */
  untilEnded: (id: JobId, wait_ms: number) => Promise<void>
}

/** What clients ask of jobs, whether those are in the database or have moved to object storage. */
export class JobDesk {
  readonly #deps: JobDeskDeps

  constructor(deps: JobDeskDeps) {
    this.#deps = deps
  }

  /** The job's row as it is now, wherever it lies. */
  async #find(id: string): Promise<Missing | { found: 'yes'; row: JobRow }> {
    const here = lookUp(this.#deps.context, id)
    if (here.found !== 'no') return here
    const moved = await this.#deps.moved.find(id)
    if (!moved) return { found: 'no' }
    return moved.row.deleted_at === null ? { found: 'yes', row: moved.row } : { found: 'gone' }
  }

  /**
   * Brings a job back that has moved, with its arguments, because something is about to change it. To be awaited before the
   * transaction that changes it; nothing happens to a job that is here.
   */
  async recall(id: string): Promise<void> {
    const { context, commit, bucket, moved } = this.#deps
    if (!findJob(context, id)) {
      const job = await moved.find(id)
      if (job) commit((inner) => recall(inner, job))
    }
    const row = findJob(context, id)
    // What it points to may change with it.
    if (row && writerOf(row) !== id) await this.recall(writerOf(row))
    if (row?.args !== ARGS_ARCHIVED) return
    const args = await argsOf(context, bucket, row)
    const now = findJob(context, id)
    if (now?.args === ARGS_ARCHIVED) commit((inner) => updateJob(inner, now, { args }))
  }

  #show(row: JobRow): Job {
    const { context, live } = this.#deps
    const parents = awaitedBy(context, row)
    return { ...showJob(row, live.get(row.id)), ...(parents.length > 0 ? { waiting_for: parents } : {}) }
  }

  /**
   * Lets a result expire that has moved; and brings some of the jobs back that have, and are to hear that it has expired. Never
   * throws: the timer asks again.
   */
  async expire(writer: string): Promise<void> {
    const { context, commit, moved } = this.#deps
    try {
      await this.recall(writer)
      if (findJob(context, writer)?.publication !== 'expired') {
        commit((inner) => expireResult(inner, writer))
        return
      }
      const jobs = awayFrom(context, writer, RECALLED_AT_ONCE)
      const found = new Map<string, MovedJob | null>()
      for (const job of jobs) found.set(job, await moved.find(job))
      commit((inner) => {
        for (const [id, job] of found) {
          if (job) recall(inner, job)
          else forgetAway(inner, writer, id)
        }
        tellReturned(inner, writer, jobs)
      })
    } catch (reason) {
      console.warn(`the result of ${writer} did not expire; it is tried again: ${String(reason)}`)
    }
  }

  async job(id: string, wait_ms: number): Promise<JobAnswer> {
    const { context, bucket, untilEnded } = this.#deps
    let found = await this.#find(id)
    if (found.found === 'yes' && wait_ms > 0 && found.row.finished_at === null) {
      await untilEnded(id as JobId, wait_ms)
      found = await this.#find(id)
    }
    if (found.found !== 'yes') return found
    const { row } = found
    // Too many for the database, and for lists: only who asks for the job itself is shown them.
    const args = row.args === ARGS_ARCHIVED ? await argsOf(context, bucket, row) : row.args
    return { found: 'yes', job: this.#show({ ...row, args }) }
  }

  async list(query: ListQuery): Promise<{ items: Job[]; next: string | null }> {
    const { rows, next } = await this.#deps.moved.list(query)
    return { items: rows.map((row) => this.#show(row)), next }
  }

  async cancel(id: string, reason: string): Promise<Missing | { found: 'yes'; answer: CancelAnswer; job: Job }> {
    const { context, commit, live } = this.#deps
    const here = lookUp(context, id)
    if (here.found === 'yes') {
      const answer = commit((inner) => cancel(inner, here.row, reason))
      return { found: 'yes', answer, job: showJob(here.row, live.get(id)) }
    }
    const found = await this.#find(id)
    return found.found === 'yes' ? { found: 'yes', answer: 'ended', job: showJob(found.row) } : found
  }

  async remove(id: string): Promise<Missing | { found: 'yes'; removed: boolean; job: Job }> {
    const { context, commit } = this.#deps
    await this.recall(id)
    const found = lookUp(context, id)
    if (found.found !== 'yes') return { found: found.found }
    const job = showJob(found.row)
    if (found.row.finished_at === null) return { found: 'yes', removed: false, job }
    commit((inner) => remove(inner, found.row))
    return { found: 'yes', removed: true, job }
  }

  async result(id: string): Promise<Missing | ({ found: 'yes' } & ResultAnswer)> {
    const found = await this.#find(id)
    return found.found === 'yes' ? this.#resultOf(found.row) : found
  }

  /** The result that a job wrote, for as long as any job points to it: the writer may be deleted or cancelled. */
  written(writer: JobId): Promise<Missing | ({ found: 'yes' } & ResultAnswer)> {
    return this.result(pointerTo(this.#deps.context, writer) ?? writer)
  }

  /** Whether anybody may still read what this job wrote, or what is derived from it: the writer itself may be deleted. */
  async isReadable(writer: JobId): Promise<boolean> {
    const { context, moved } = this.#deps
    const row = findJob(context, writer) ?? (await moved.find(writer))?.row
    return row !== undefined && !isUnwanted(context, row)
  }

  async #resultOf(row: JobRow): Promise<{ found: 'yes' } & ResultAnswer> {
    const kept = row.state === 'succeeded' ? await this.#result(writerOf(row)) : undefined
    // Many may share a result: its end is true for all of them before all have been told.
    const isOver = row.state === 'succeeded' && findJob(this.#deps.context, writerOf(row))?.publication === 'expired'
    return {
      found: 'yes',
      job: showJob(isOver ? { ...row, publication: 'expired' } : row),
      manifest: kept?.manifest ?? null,
      rows: kept?.inline_rows ?? null,
      parquet: kept?.inline_parquet ?? null,
      archived: kept?.archived ?? null,
      pack: kept?.pack_bytes != null && kept.pack_sha256 !== null ? { bytes: kept.pack_bytes, sha256: kept.pack_sha256 } : null,
    }
  }

  async #result(id: string): Promise<ResultRow | undefined> {
    const { context, moved } = this.#deps
    return findResult(context, id) ?? (findJob(context, id) ? undefined : ((await moved.find(id))?.result ?? undefined))
  }

  async sliceQuery(result: ResultId, hash: SliceHash): Promise<string | null> {
    const { context, moved } = this.#deps
    const here = sliceQuery(context, result, hash)
    if (here !== null) return here
    return (await moved.find(jobOf(result)))?.slices.find((slice) => slice.hash === hash)?.query ?? null
  }
}

import type { DeadJob } from '../contract/dead.ts'
import type { QueueName, TaskName } from '../contract/ids.ts'
import type { Job, SubmitBody } from '../contract/jobs.ts'
import type { Fault } from '../contract/problems.ts'
import type { Argument } from '../contract/tasks.ts'
import type { SqlValue } from '../storage/store.ts'
import { shareOf } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { explain } from './explain.ts'
import { insertJob } from './insert.ts'
import { type JobRow, updateJob } from './jobs.ts'
import { MAX_PAGE } from './limits.ts'
import { fitting, lookUp, showJob } from './read.ts'
import { admit, jobOfAlias, type Submission, ttlOf } from './submit.ts'

export interface DeadQuery {
  task: string | null
  /** Jobs older than this id. */
  before: string | null
  limit: number
}

const DEAD = `state = 'failed' AND retried_as IS NULL AND deleted_at IS NULL`

/** Failed jobs that nobody has run again, the newest first, keyset by id. */
export const listDead = ({ store }: LedgerContext, query: DeadQuery): { items: DeadJob[]; next: string | null } => {
  const limit = Math.min(Math.max(1, query.limit), MAX_PAGE)
  const where = [DEAD]
  const values: SqlValue[] = []
  if (query.before !== null) {
    where.push('id < ?')
    values.push(query.before)
  }
  if (query.task !== null) {
    where.push('task = ?')
    values.push(query.task)
  }
  const filter = where.join(' AND ')
  // Sizes first: arguments may have a megabyte a job, and a page must fit into one answer.
  const found = store.all<{ id: string; size: number }>(
    `SELECT id, length(args) AS size FROM jobs INDEXED BY jobs_dead WHERE ${filter} ORDER BY id DESC LIMIT ?`,
    ...values,
    limit + 1,
  )
  const count = Math.min(limit, fitting(found))
  const last = found[count - 1]
  if (!last) return { items: [], next: null }
  const rows = store.all<JobRow>(`SELECT * FROM jobs INDEXED BY jobs_dead WHERE ${filter} AND id >= ? ORDER BY id DESC`, ...values, last.id)
  return {
    items: rows.map((row) => ({ ...showJob(row), dead: explain(row.error_code, row.error_class) })),
    next: found.length > count ? last.id : null,
  }
}

/** Counted up to `most`: an index's part is walked. */
export const countDead = ({ store }: LedgerContext, most: number): number =>
  store.all<{ n: number }>(`SELECT count(*) AS n FROM (SELECT 1 FROM jobs INDEXED BY jobs_dead WHERE ${DEAD} LIMIT ?)`, most)[0]?.n ?? 0

export type Retried =
  | { found: 'no' | 'gone' }
  | { found: 'yes'; ok: true; job: Job }
  | ({ found: 'yes'; ok: false; as: string | null } & Fault)

/** What the dead job was asked to do, as a body that is checked anew; times count from now, and the task's own limits are those it has now. */
export const bodyOf = (row: JobRow): SubmitBody => {
  const ttl = ttlOf(row)
  return {
    args: JSON.parse(row.args) as Argument[],
    queue: row.queue as QueueName,
    priority: row.priority,
    tags: JSON.parse(row.tags) as string[],
    ...(row.db === null ? {} : { db: row.db }),
    ...(row.engine_hint === null ? {} : { engine_hint: row.engine_hint }),
    ...(row.max_tries === null ? {} : { retries: row.max_tries - 1 }),
    ...(row.retention_seconds === null ? {} : { retention: row.retention_seconds }),
    ...(ttl === null ? {} : { ttl }),
    ...(row.fresh === 1 ? { fresh: true } : {}),
  }
}

export type Dead = { found: 'no' | 'gone' } | { found: 'yes'; task: TaskName; body: SubmitBody; refusal: string | null; as: string | null }

/** What running the job again would take, or why that makes no sense. */
export const findDead = (context: LedgerContext, id: string): Dead => {
  const found = lookUp(context, id)
  if (found.found !== 'yes') return found
  const { row } = found
  return { found: 'yes', task: row.task as TaskName, body: bodyOf(row), refusal: notRetryable(row), as: row.retried_as }
}

/**
 * Runs a dead job again as a new one, for an ended state never changes (I1). `wanted` is the dead job's submission checked
 * anew against the task as it is. The alias goes along, unless another job that lives has taken it meanwhile.
 */
export const retry = (context: LedgerContext, id: string, wanted: Submission, live: number): Retried => {
  const found = lookUp(context, id)
  if (found.found !== 'yes') return found
  const { row } = found
  const refusal = notRetryable(row)
  if (refusal !== null) return { found: 'yes', ok: false, code: 'not_retryable', detail: refusal, as: row.retried_as }
  const refused = admit(context, wanted, live)
  if (refused) return { found: 'yes', as: null, ...refused }
  const taken = row.alias === null ? undefined : jobOfAlias(context, row.alias)
  const alias = taken === undefined || taken.finished_at !== null ? row.alias : null
  const now = { ...wanted, alias: alias as Submission['alias'], eta: null, reuse_seconds: null }
  const again = insertJob(context, now, { ...shareOf(context, now), retried_from: row.id })
  updateJob(context, row, { retried_as: again.id })
  return { found: 'yes', ok: true, job: showJob(again) }
}

const notRetryable = (row: JobRow): string | null => {
  if (row.state === 'succeeded') return `The job ${row.id} has succeeded: there is nothing to run again. Submit a new job for a new result.`
  if (row.state !== 'failed' && row.state !== 'cancelled')
    return `The job ${row.id} has not ended: it is tried again by itself while tries are left.`
  if (row.retried_as !== null) return `The job ${row.id} was run again already, as ${row.retried_as}.`
  if (row.grp !== null)
    return `The job ${row.id} is a step of group ${row.grp}: POST /v1/groups/${row.grp}/retry runs what failed in it again.`
  return null
}

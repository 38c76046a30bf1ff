import type { Alias, Family, PoolName, QueueName, ScheduleId, TaskName } from '../contract/ids.ts'
import type { Job } from '../contract/jobs.ts'
import type { Fault } from '../contract/problems.ts'
import type { Argument } from '../contract/tasks.ts'
import { first } from '../storage/store.ts'
import { shareOf } from './coalesce.ts'
import { type LedgerContext, setOneTimer } from './context.ts'
import { holdsId, pageAt } from './housekeeping.ts'
import { insertJob } from './insert.ts'
import { findJob, type JobRow } from './jobs.ts'
import { laneCount } from './lanes.ts'
import { KEY_SECONDS, MAX_ETA_DAYS, MAX_LANES, MAX_LIVE_JOBS } from './limits.ts'
import { showJob } from './read.ts'

/** A submit after the Worker has checked it: task known, arguments in order and typed. */
export interface Submission {
  task: TaskName
  args: Argument[]
  alias: Alias | null
  queue: QueueName
  pool: PoolName
  db: string | null
  engine_hint: string | null
  family: Family
  max_runtime_seconds: number | null
  /** Within its lane a higher number goes first; 0 when absent. */
  priority?: number
  /** Slots that it takes; 1 when absent. */
  weight?: number
  tags?: string[]
  /** How long the result is kept after the end; absent or null: for ever. */
  retention_seconds?: number | null
  /** Tries, the first one included. */
  max_tries?: number | null
  /** Milliseconds since 1970: not before. */
  eta?: number | null
  /** How long it may wait before it begins, from its submission or its `eta` on. */
  ttl_seconds?: number | null
  /** The task's hash and signature (binding.ts) as its arguments were checked against. */
  submitted_hash?: string | null
  signature?: string | null
  /** Equal for jobs that may share one execution; null: never shared. */
  sameness?: string | null
  /** It wants a run of its own: it joins no other job, and none joins it. */
  fresh?: boolean
  /** A finished result that is not older may answer. */
  reuse_seconds?: number | null
  /** The schedule that submits it. */
  schedule?: ScheduleId | null
  /** Scope (the route) and key in one; `body` is the hash of the request. */
  idempotency: { key: string; body: string } | null
}

/** `moved`: the key's job is in object storage; the caller brings it back and asks again. */
export type Submitted = { ok: true; job: Job; created: boolean } | ({ ok: false; moved?: string } & Fault)

/**
 * Each part has an index of its own, for this is asked whenever the ledger wakes, and its ended jobs may be millions.
 */
export const COUNT_LIVE = `SELECT (SELECT count(*) FROM jobs WHERE state = 'waiting')
  + (SELECT count(*) FROM jobs WHERE state IN ('offered', 'leased', 'running', 'carrying') AND state <> 'carrying')
  + (SELECT count(*) FROM jobs WHERE state IN ('blocked', 'joined', 'scheduled')) AS n`

/** The newest job of an alias, deleted ones left out. */
export const jobOfAlias = (context: LedgerContext, alias: string): JobRow | undefined =>
  first<JobRow>(context.store, 'SELECT * FROM jobs WHERE alias = ? AND deleted_at IS NULL ORDER BY id DESC LIMIT 1', alias)

export const countLive = (context: LedgerContext): number => first<{ n: number }>(context.store, COUNT_LIVE)?.n ?? 0

const isSame = (row: JobRow, wanted: Submission): boolean =>
  row.task === wanted.task &&
  row.args === JSON.stringify(wanted.args) &&
  row.queue === wanted.queue &&
  row.db === wanted.db &&
  row.engine_hint === wanted.engine_hint &&
  row.max_runtime_seconds === wanted.max_runtime_seconds &&
  row.priority === (wanted.priority ?? 0) &&
  row.tags === JSON.stringify(wanted.tags ?? []) &&
  row.retention_seconds === (wanted.retention_seconds ?? null) &&
  row.max_tries === (wanted.max_tries ?? null) &&
  row.eta === (wanted.eta ?? null) &&
  row.fresh === (wanted.fresh ? 1 : 0) &&
  row.reuse_seconds === (wanted.reuse_seconds ?? null) &&
  ttlOf(row) === (wanted.ttl_seconds ?? null)

/** Seconds that a job may wait, as it was asked for. */
export const ttlOf = (row: JobRow): number | null =>
  row.expires_at === null ? null : Math.round((row.expires_at - Math.max(row.created_at, row.eta ?? 0)) / 1000)

/** What an idempotency key was used for within the time that it is kept: the hash of the body, and the id that it made. */
export const findKey = ({ store, now }: LedgerContext, key: string): { body: string; job: string } | null => {
  const seen = first<{ body: string; job: string; at: number }>(store, 'SELECT body, job, at FROM keys WHERE key = ?', key)
  return seen && seen.at > now() - KEY_SECONDS * 1000 ? seen : null
}

export const rememberKey = (context: LedgerContext, idempotency: Submission['idempotency'], job: string): void => {
  if (!idempotency) return
  const { store, now } = context
  store.run(
    'INSERT INTO keys (key, body, job, at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body, job = excluded.job, at = excluded.at',
    idempotency.key,
    idempotency.body,
    job,
    now(),
  )
  // One timer for all keys, due for the oldest: set anew with each, it would never ring while keys keep coming.
  setOneTimer(context, 'keys', now() + KEY_SECONDS * 1000)
}

/** Whether there is room for one more job and its lane, and its time is not beyond all time. `live` is the number of jobs that have not ended. */
export const admit = (
  context: LedgerContext,
  wanted: Pick<Submission, 'pool' | 'queue' | 'eta'>,
  live: number,
): ({ ok: false } & Fault) | null => {
  if (wanted.eta != null && wanted.eta > context.now() + MAX_ETA_DAYS * 86_400_000)
    return {
      ok: false,
      code: 'invalid_body',
      detail: `/eta: ${new Date(wanted.eta).toISOString()} is more than ${MAX_ETA_DAYS} days ahead; choose an earlier instant.`,
    }
  if (live >= MAX_LIVE_JOBS)
    return {
      ok: false,
      code: 'too_many_jobs',
      detail: `${live} jobs of this tenant have not ended; the limit is ${MAX_LIVE_JOBS}. Try again when some have.`,
    }
  if (laneCount(context, wanted.pool, wanted.queue) >= MAX_LANES)
    return {
      ok: false,
      code: 'invalid_body',
      detail: `/queue: this tenant uses ${MAX_LANES} queues already; send the job to one of them instead of "${wanted.queue}".`,
    }
  return null
}

/**
 * Takes a job: idempotency, alias, insert, event 1 and the lane's announcement in one transaction of the caller.
 * `live` is the number of jobs that have not ended.
 */
export const submit = (context: LedgerContext, wanted: Submission, live: number): Submitted => {
  if (wanted.idempotency) {
    const seen = findKey(context, wanted.idempotency.key)
    if (seen) {
      if (seen.body !== wanted.idempotency.body)
        return {
          ok: false,
          code: 'idempotency_mismatch',
          detail: 'This Idempotency-Key was used within the last 24 hours with another body. Use a new key for a new request.',
        }
      const row = findJob(context, seen.job)
      if (row && row.deleted_at === null) return { ok: true, job: showJob(row), created: false }
      if (!row && holdsId(pageAt(context, seen.job), seen.job))
        return {
          ok: false,
          code: 'unavailable',
          detail: `The job ${seen.job} of this Idempotency-Key is being fetched. Try again.`,
          moved: seen.job,
        }
      return { ok: false, code: 'gone', detail: `The job ${seen.job} of this Idempotency-Key was deleted. Use a new key to run it again.` }
    }
  }
  if (wanted.alias !== null) {
    const row = jobOfAlias(context, wanted.alias)
    if (row && row.finished_at === null) {
      if (isSame(row, wanted)) {
        // The key names this job from now on: its repetition must not run the report again when the alias is free.
        rememberKey(context, wanted.idempotency, row.id)
        return { ok: true, job: showJob(row), created: false }
      }
      return {
        ok: false,
        code: 'alias_in_use',
        detail: `The alias "${wanted.alias}" belongs to job ${row.id}, which is ${row.state}. Wait until it has ended, cancel it, or use another alias.`,
      }
    }
  }
  const refused = admit(context, wanted, live)
  if (refused) return refused
  const row = insertJob(context, wanted, shareOf(context, wanted))
  rememberKey(context, wanted.idempotency, row.id)
  return { ok: true, job: showJob(row), created: true }
}

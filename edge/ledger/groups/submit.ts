import type { GroupBody } from '../../contract/groups.ts'
import { type Alias, GroupId } from '../../contract/ids.ts'
import type { Fault } from '../../contract/problems.ts'
import { first } from '../../storage/store.ts'
import { setTimer } from '../../storage/timers.ts'
import type { LedgerContext } from '../context.ts'
import { insertJob } from '../insert.ts'
import { findJob, updateJob } from '../jobs.ts'
import { MAX_LIVE_GROUPS, MAX_LIVE_JOBS } from '../limits.ts'
import { findKey, rememberKey, type Submission } from '../submit.ts'
import { advance } from './advance.ts'
import { retryFault } from './persons.ts'
import type { StepPlan, StepRun } from './plan.ts'
import { addGroupEvent, findGroup, type GroupRow, type GroupStep, insertRow, isLive, type StepRow, stepsOf, updateGroup } from './rows.ts'

/** A group after the Worker has checked it whole. */
export interface GroupSubmission {
  alias: Alias | null
  /** The whole group must have ended so many seconds after its submission. */
  deadline_seconds: number | null
  /** What undoes steps, and the alert, have so many seconds; null: as many as anybody's. */
  undo_seconds: number | null
  /** Hash of what was asked for. */
  request: string
  /** Scope (principal and route) and key in one; `body` is the hash of the request. */
  idempotency: { key: string; body: string } | null
  /** Parents before their children. An approval has no job. */
  steps: { plan: StepPlan; job: Submission | null }[]
  /** What its submitter may do: who may do the same may share its jobs. */
  rights: readonly string[]
  /** The ended group that this one takes over from. */
  retries: GroupId | null
}

export type GroupSubmitted = { ok: true; id: GroupId; created: boolean; jobs: number } | ({ ok: false } & Fault)

/** A step's row beside its plan, about. */
const STEP_BYTES = 300

/** The newest group of an alias, deleted ones left out. */
export const groupOfAlias = (context: LedgerContext, alias: string): GroupRow | undefined =>
  first<GroupRow>(context.store, 'SELECT * FROM groups WHERE alias = ? AND deleted_at IS NULL ORDER BY id DESC LIMIT 1', alias)

const refused = (code: Fault['code'], detail: string): GroupSubmitted => ({ ok: false, code, detail })

/** What stands in the way of a new group, or the group that this request made before. */
const answered = (context: LedgerContext, wanted: GroupSubmission, live: number): GroupSubmitted | null => {
  if (wanted.idempotency) {
    const seen = findKey(context, wanted.idempotency.key)
    if (seen) {
      if (seen.body !== wanted.idempotency.body)
        return refused(
          'idempotency_mismatch',
          'This Idempotency-Key was used within the last 24 hours with another body. Use a new key for a new request.',
        )
      if (findGroup(context, seen.job)?.deleted_at === null) return { ok: true, id: GroupId.parse(seen.job), created: false, jobs: 0 }
      return refused('gone', `The group ${seen.job} of this Idempotency-Key was deleted. Use a new key to run it again.`)
    }
  }
  if (wanted.alias !== null) {
    const other = groupOfAlias(context, wanted.alias)
    if (other && isLive(other)) {
      if (other.request !== wanted.request)
        return refused(
          'alias_in_use',
          `The alias "${wanted.alias}" belongs to group ${other.id}, which is ${other.state}. Wait until it has ended, cancel it, or use another alias.`,
        )
      if (wanted.idempotency) rememberKey(context, wanted.idempotency, other.id)
      return { ok: true, id: GroupId.parse(other.id), created: false, jobs: 0 }
    }
  }
  if (wanted.retries !== null) {
    const old = findGroup(context, wanted.retries)
    const fault = old ? retryFault(old) : null
    if (fault && !fault.ok) return fault
  }
  const jobs = wanted.steps.filter(({ job }) => job !== null).length
  if (live + jobs > MAX_LIVE_JOBS)
    return refused(
      'too_many_jobs',
      `${live} jobs of this tenant have not ended, and this group has ${jobs}; the limit is ${MAX_LIVE_JOBS}. Try again when some have.`,
    )
  const groups = first<{ n: number }>(context.store, 'SELECT count(*) AS n FROM groups WHERE finished_at IS NULL')?.n ?? 0
  if (groups >= MAX_LIVE_GROUPS)
    return refused(
      'limit_reached',
      `${groups} groups of this tenant have not ended; the limit is ${MAX_LIVE_GROUPS}. Try again when some have.`,
    )
  return null
}

/**
 * What a retry takes over: steps that succeeded and were not undone, and of which every parent is taken over too. What
 * they depend on is as it was; everything else runs again.
 */
export const takenOver = (steps: readonly GroupStep[]): Set<string> => {
  const undone = new Set(
    steps.flatMap(({ row, plan }) => (plan.compensates !== null && row.state !== 'skipped' ? [plan.compensates as string] : [])),
  )
  const taken = new Set<string>()
  // Parents stand first.
  for (const { row, plan } of steps)
    if (
      (plan.kind === 'job' || plan.kind === 'approval') &&
      row.outcome === 'ok' &&
      row.published !== 'bad' &&
      (!plan.awaited || row.published === 'ok') &&
      (plan.wanted.length === 0 || row.carried !== null) &&
      !undone.has(plan.name) &&
      plan.needs.every((need) => taken.has(need))
    )
      taken.add(plan.name)
  return taken
}

const freshStep = (grp: string, plan: StepPlan, job: string | null): StepRow => ({
  grp,
  name: plan.name,
  plan: JSON.stringify(plan),
  phase: 'idle',
  state: 'waiting',
  outcome: null,
  published: null,
  stopping: 0,
  carried: null,
  job,
  decided_by: null,
  deadline_at: null,
  error_code: null,
  error_message: null,
})

/** Nobody may join a job that waits for its parents, and its time to live has not begun. */
const unstarted = (job: Submission): Submission => ({ ...job, sameness: null, reuse_seconds: null, ttl_seconds: null })
const runOf = ({ ttl_seconds = null, sameness = null, reuse_seconds = null }: Submission, rights: readonly string[]): StepRun => ({
  ttl_seconds,
  shared: sameness !== null,
  rights,
  reuse_seconds,
})

/** Takes a group whole: key, alias, all its steps and their jobs, and what may begin, in one transaction of the caller. */
export const submitGroup = (context: LedgerContext, wanted: GroupSubmission, live: number): GroupSubmitted => {
  const before = answered(context, wanted, live)
  if (before) return before
  const old = wanted.retries === null ? undefined : findGroup(context, wanted.retries)
  const oldSteps = old ? stepsOf(context, old.id) : []
  const taken = takenOver(oldSteps)
  const now = context.now()
  const id = GroupId.parse(`g${context.newJobId()}`)
  const row: GroupRow = {
    id,
    alias: wanted.alias,
    request: wanted.request,
    state: 'running',
    stop: null,
    seq: 0,
    created_at: now,
    finished_at: null,
    deadline_at: wanted.deadline_seconds === null ? null : now + wanted.deadline_seconds * 1000,
    deadline_seconds: wanted.deadline_seconds,
    undo_seconds: wanted.undo_seconds,
    undo_by: null,
    error_code: null,
    error_message: null,
    retried_from: old?.id ?? null,
    retried_as: null,
    bytes: wanted.steps.reduce((bytes, { plan }) => bytes + JSON.stringify(plan).length + STEP_BYTES, 0),
    deleted_at: null,
  }
  insertRow(context, 'groups', row)
  addGroupEvent(context, row, { type: 'group', state: 'running' })
  let jobs = 0
  for (const { plan, job } of wanted.steps) {
    const past = oldSteps.find(({ plan: { name } }) => name === plan.name)
    if (past && taken.has(plan.name)) {
      insertRow(context, 'steps', { ...past.row, grp: id, plan: JSON.stringify(plan), stopping: 0 })
      continue
    }
    const made = job && insertJob(context, unstarted(job), { state: 'blocked', grp: id, step: plan.name })
    if (made) jobs++
    insertRow(context, 'steps', freshStep(id, job ? { ...plan, run: runOf(job, wanted.rights) } : plan, made?.id ?? null))
    // I1: what has ended stays as it is; it only learns what ran it again.
    const dead = past?.row.job == null ? undefined : findJob(context, past.row.job)
    if (made && dead?.state === 'failed' && dead.retried_as === null) {
      updateJob(context, dead, { retried_as: made.id })
      updateJob(context, made, { retried_from: dead.id })
    }
  }
  if (old) updateGroup(context, old, { retried_as: id })
  if (wanted.idempotency) rememberKey(context, wanted.idempotency, id)
  if (row.deadline_at !== null) setTimer(context.store, 'group', id, row.deadline_at)
  advance(context, id)
  return { ok: true, id, created: true, jobs }
}

/** A group's body as it was sent, put together from its steps. */
export const bodyOf = (row: GroupRow, steps: readonly GroupStep[]): unknown => {
  const alert = steps.find(({ plan: { kind } }) => kind === 'alert')
  return {
    steps: Object.fromEntries(steps.flatMap(({ plan }) => (plan.kind === 'alert' ? [] : [[plan.name, plan.body]]))),
    ...(alert ? { alert: alert.plan.body } : {}),
    ...(row.alias === null ? {} : { alias: row.alias }),
    ...(row.deadline_seconds === null ? {} : { deadline: row.deadline_seconds }),
    ...(row.undo_seconds === null ? {} : { compensation_deadline: row.undo_seconds }),
  } satisfies Partial<Record<keyof GroupBody, unknown>>
}

import { ScheduleId, type TaskName } from '../contract/ids.ts'
import type { Fault } from '../contract/problems.ts'
import { type MissedPolicy, type OverlapPolicy, Schedule, type ScheduleBody } from '../contract/schedules.ts'
import type { Scope } from '../identity/scopes.ts'
import { first } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { nextFire } from './cron.ts'
import { MAX_PAGE, MAX_SCHEDULE_BYTES, MAX_SCHEDULES } from './limits.ts'
import type { Submission } from './submit.ts'

/** A row of `schedules`. Times are milliseconds since 1970. */
export interface ScheduleRow {
  id: string
  task: string
  source: 'api' | 'file'
  /** A `Kept` as JSON. */
  body: string
  next_at: number | null
  last_at: number | null
  last_job: string | null
  skipped: number
  notice: string | null
  created_at: number
  paused: number
}

/** What is wanted, complete: times, zone and policies are settled. */
export type Wanted = Omit<ScheduleBody, 'paused'> & { cron: string; tz: string; missed: MissedPolicy; overlap: OverlapPolicy }

/**
 * `said` is what a client reads; `run` is what each run submits: the task as it was when it was last looked at; `rights` are
 * what whoever made the schedule may do, which jobs that share an execution have in common.
 */
export interface Kept {
  said: Omit<Wanted, 'task'>
  run: Submission
  rights: Scope[]
}

export interface NewSchedule {
  task: TaskName
  source: 'api' | 'file'
  wanted: Wanted
  run: Submission
  rights: Scope[]
  /** Absent: as it was, and not at first. */
  paused?: boolean
}

export type Scheduled = { ok: true; schedule: Schedule; created: boolean } | ({ ok: false } & Fault)

const instant = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

export const keptOf = (row: ScheduleRow): Kept => JSON.parse(row.body) as Kept

/** A row as the API shows it. */
export const showSchedule = (row: ScheduleRow): Schedule =>
  Schedule.parse({
    ...keptOf(row).said,
    id: row.id,
    task: row.task,
    source: row.source,
    next_at: instant(row.next_at),
    last_at: instant(row.last_at),
    last_job: row.last_job,
    skipped: row.skipped,
    notice: row.notice,
    created_at: instant(row.created_at),
    paused: row.paused === 1,
    links: {
      self: `/v1/schedules/${row.id}`,
      task: `/v1/tasks/${encodeURIComponent(row.task)}`,
      ...(row.last_job === null ? {} : { last_job: `/v1/jobs/${row.last_job}` }),
    },
  })

export const findSchedule = ({ store }: LedgerContext, id: string): ScheduleRow | undefined =>
  first<ScheduleRow>(store, 'SELECT * FROM schedules WHERE id = ?', id)

export interface ScheduleQuery {
  task: string | null
  /** Schedules older than this id. */
  before: string | null
  limit: number
}

/** Newest first, keyset by id. */
export const listSchedules = ({ store }: LedgerContext, query: ScheduleQuery): { items: Schedule[]; next: string | null } => {
  const limit = Math.min(Math.max(1, query.limit), MAX_PAGE)
  const where: string[] = []
  const values: string[] = []
  if (query.task !== null) {
    where.push('task = ?')
    values.push(query.task)
  }
  if (query.before !== null) {
    where.push('id < ?')
    values.push(query.before)
  }
  const filter = where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''
  const rows = store.all<ScheduleRow>(`SELECT * FROM schedules ${filter} ORDER BY id DESC LIMIT ?`, ...values, limit + 1)
  const page = rows.slice(0, limit)
  return { items: page.map(showSchedule), next: rows.length > limit ? (page.at(-1)?.id ?? null) : null }
}

const bodyOf = ({ wanted: { task: _task, ...said }, run, rights }: NewSchedule): string =>
  JSON.stringify({ said, run, rights } satisfies Kept)
const saidOf = (body: string): string => JSON.stringify((JSON.parse(body) as Kept).said)

/** The timer is the schedule's: due when its next run is. */
export const arm = (context: LedgerContext, id: string, next: number | null): void => {
  if (next === null) clearTimer(context.store, 'schedule', id)
  else setTimer(context.store, 'schedule', id, next)
}

const insert = (context: LedgerContext, schedule: NewSchedule, body: string): ScheduleRow => {
  const now = context.now()
  const id = ScheduleId.parse(`s${context.newJobId()}`)
  const paused = schedule.paused === true ? 1 : 0
  const next = paused ? null : nextFire(schedule.wanted.cron, schedule.wanted.tz, now)
  context.store.run(
    `INSERT INTO schedules (id, task, source, body, next_at, skipped, created_at, paused) VALUES (?, ?, ?, ?, ?, 0, ?, ?)`,
    id,
    schedule.task,
    schedule.source,
    body,
    next,
    now,
    paused,
  )
  arm(context, id, next)
  return {
    id,
    task: schedule.task,
    source: schedule.source,
    body,
    next_at: next,
    last_at: null,
    last_job: null,
    skipped: 0,
    notice: null,
    created_at: now,
    paused,
  }
}

const oversized = (body: string): Fault | null =>
  body.length <= MAX_SCHEDULE_BYTES
    ? null
    : {
        code: 'invalid_schedule',
        detail: `The schedule has ${body.length} characters as JSON, at most ${MAX_SCHEDULE_BYTES} are kept: its runs need shorter arguments.`,
      }

const count = ({ store }: LedgerContext): number => first<{ n: number }>(store, 'SELECT count(*) AS n FROM schedules')?.n ?? 0

/**
 * Keeps a schedule of the API. One that says the same of the same task is there already: it is answered again, so that a
 * request whose answer was lost can be repeated.
 */
export const createSchedule = (context: LedgerContext, schedule: NewSchedule): Scheduled => {
  const body = bodyOf(schedule)
  const tooLarge = oversized(body)
  if (tooLarge) return { ok: false, ...tooLarge }
  const said = saidOf(body)
  const same = context.store
    .all<ScheduleRow>(`SELECT * FROM schedules WHERE task = ? AND source = 'api' ORDER BY id`, schedule.task)
    .find((row) => saidOf(row.body) === said)
  if (same) return { ok: true, schedule: showSchedule(same), created: false }
  const n = count(context)
  if (n >= MAX_SCHEDULES)
    return {
      ok: false,
      code: 'limit_reached',
      detail: `This tenant has ${n} schedules; the limit is ${MAX_SCHEDULES}. Delete some of them.`,
    }
  return { ok: true, schedule: showSchedule(insert(context, schedule, body)), created: true }
}

/** What a client changes: all that it says (null: nothing of it), and whether it is paused (null: as it is). */
export interface ScheduleChange {
  to: NewSchedule | null
  paused: boolean | null
}

/** Changes a schedule, which keeps its id and what it says of its past. One of a file can be paused, and nothing else. */
export const changeSchedule = (context: LedgerContext, id: string, { to, paused }: ScheduleChange): Scheduled => {
  const row = findSchedule(context, id)
  if (!row) return { ok: false, code: 'not_found', detail: `There is no schedule "${id}".` }
  if (to && row.source === 'file')
    return {
      ok: false,
      code: 'schedule_of_file',
      detail: `The schedule ${id} stands in the file of the task "${row.task}": change its "-- schedule:" line on the nodes. Here it can be paused.`,
    }
  const body = to ? bodyOf(to) : row.body
  const tooLarge = oversized(body)
  if (tooLarge) return { ok: false, ...tooLarge }
  rewrite(context, row, body, paused ?? row.paused === 1)
  return { ok: true, schedule: showSchedule(row), created: false }
}

/** Runs that have begun go on. */
export const removeSchedule = (context: LedgerContext, id: string): void => {
  context.store.run('DELETE FROM schedules WHERE id = ?', id)
  clearTimer(context.store, 'schedule', id)
}

/**
 * Makes the `schedule` lines of tasks' files those of this list: what is new begins, what is gone ends, what has changed
 * keeps its id. The list is whole each time, so a lost, doubled or late message does no harm.
 */
export const syncFileSchedules = (context: LedgerContext, list: NewSchedule[]): { kept: number; left: string[] } => {
  const rows = context.store.all<ScheduleRow>(`SELECT * FROM schedules WHERE source = 'file' ORDER BY id`)
  const wanted = new Map(list.map((schedule) => [String(schedule.task), schedule]))
  const known = new Map<string, ScheduleRow>()
  for (const row of rows) {
    if (wanted.has(row.task) && !known.has(row.task)) known.set(row.task, row)
    else removeSchedule(context, row.id)
  }
  let room = MAX_SCHEDULES - count(context)
  const left: string[] = []
  for (const [task, schedule] of wanted) {
    const body = bodyOf(schedule)
    const row = known.get(task)
    if (row) {
      if (row.body !== body) rewrite(context, row, body, row.paused === 1)
    } else if (room <= 0 || body.length > MAX_SCHEDULE_BYTES) left.push(task)
    else {
      insert(context, schedule, body)
      room -= 1
    }
  }
  return { kept: wanted.size - left.length, left }
}

/** Only where the times have changed, or a pause is over, the next run is another one. */
const rewrite = (context: LedgerContext, row: ScheduleRow, body: string, paused: boolean): void => {
  const { said: before } = keptOf(row)
  const { said } = keptOf({ ...row, body })
  const goesOn = row.paused === 0 && said.cron === before.cron && said.tz === before.tz
  const next_at = paused ? null : goesOn ? row.next_at : nextFire(said.cron, said.tz, context.now())
  Object.assign(row, { body, next_at, paused: paused ? 1 : 0 })
  context.store.run('UPDATE schedules SET body = ?, next_at = ?, paused = ? WHERE id = ?', body, next_at, row.paused, row.id)
  arm(context, row.id, next_at)
}

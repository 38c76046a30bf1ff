import type { MissedPolicy, OverlapPolicy } from '../contract/schedules.ts'
import { clearTimer } from '../storage/timers.ts'
import type { LedgerContext } from './context.ts'
import { type Due, dueTimes, MAX_COUNTED, nextFire } from './cron.ts'
import { MAX_MISSED_RUNS, MAX_QUEUED_RUNS, MISSED_SECONDS } from './limits.ts'
import { arm, findSchedule, type Kept, keptOf, type ScheduleRow } from './schedules.ts'
import type { InnerState } from './states.ts'
import type { Submission } from './submit.ts'

/** A run of a schedule that has not ended. */
export interface LiveRun {
  id: string
  state: InnerState
}

/** What a schedule needs of jobs. */
export interface RunTools {
  /** The task may have changed since: what a run submits now, or why it cannot. Unknown: as it was. */
  renew(row: ScheduleRow, run: Submission): { ok: true; run: Submission } | { ok: false; detail: string }
  /** `behind` names the run that must end before this one waits for a slot. */
  submit(
    run: Submission,
    of: { schedule: string; due: number; behind: string | null },
  ): { ok: true; job: string } | { ok: false; detail: string }
  cancel(job: string, reason: string): void
  live(schedule: string): LiveRun[]
}

/**
 * Which of the times that have come are run. The newest one is missed only when it is over two minutes late, for so late it
 * may be after a fail-over of the platform; all before it are.
 */
export const judgeMissed = (policy: MissedPolicy, due: Due, now: number): { run: number[]; skipped: number } => {
  const newest = due.newest.at(-1)
  if (newest === undefined) return { run: [], skipped: 0 }
  const late = now - newest > MISSED_SECONDS * 1000
  const run = policy === 'all' ? due.newest.slice(-MAX_MISSED_RUNS) : policy === 'skip' && late ? [] : [newest]
  return { run, skipped: due.count - run.length }
}

const at = (time: number): string => new Date(time).toISOString().replace('.000Z', 'Z')
const runs = (n: number, more: boolean): string => (more ? `More than ${n} runs were` : n === 1 ? 'One run was' : `${n} runs were`)

/** The runs that are due, and the next time: in the transaction of the timer that fired. A second firing finds nothing due. */
export const fireSchedule = (context: LedgerContext, id: string, tools: RunTools): void => {
  const row = findSchedule(context, id)
  if (!row || row.next_at === null) {
    clearTimer(context.store, 'schedule', id)
    return
  }
  const now = context.now()
  const { said, run, rights } = keptOf(row)
  const due = dueTimes(said.cron, said.tz, row.next_at, now, said.missed === 'all' ? MAX_MISSED_RUNS : 1)
  const newest = due.newest.at(-1)
  if (newest === undefined) {
    arm(context, id, row.next_at)
    return
  }
  const judged = judgeMissed(said.missed, due, now)
  let { skipped, notice } = row
  if (judged.skipped > 0) {
    skipped += judged.skipped
    notice = `${runs(judged.skipped, due.count === MAX_COUNTED)} missed up to ${at(newest)}: nothing could start them${judged.run.length > 0 ? `; made up for by ${judged.run.length}` : ''}.`
  }
  let last: { due: number; job: string } | null = null
  const renewed = judged.run.length > 0 ? tools.renew(row, run) : { ok: true as const, run }
  for (const time of judged.run) {
    const started = renewed.ok ? startRun(tools, row.id, said.overlap, renewed.run, time) : renewed
    if (started.ok) last = { due: time, job: started.job }
    else {
      skipped += 1
      notice = `The run of ${at(time)} was left out: ${started.detail}`
    }
  }
  const next = nextFire(said.cron, said.tz, newest)
  context.store.run(
    'UPDATE schedules SET body = ?, next_at = ?, last_at = ?, last_job = ?, skipped = ?, notice = ? WHERE id = ?',
    renewed.ok && renewed.run !== run ? JSON.stringify({ said, run: renewed.run, rights } satisfies Kept) : row.body,
    next,
    last?.due ?? row.last_at,
    last?.job ?? row.last_job,
    skipped,
    notice,
    id,
  )
  arm(context, id, next)
}

const startRun = (
  tools: RunTools,
  schedule: string,
  overlap: OverlapPolicy,
  run: Submission,
  due: number,
): ReturnType<RunTools['submit']> => {
  const live = overlap === 'allow' ? [] : tools.live(schedule)
  const newest = live.at(-1)
  if (newest === undefined) return tools.submit(run, { schedule, due, behind: null })
  if (overlap === 'skip') return { ok: false, detail: `job ${newest.id} of this schedule has not ended.` }
  if (overlap === 'cancel') {
    for (const { id } of live) tools.cancel(id, `the next run of schedule ${schedule} is due`)
    return tools.submit(run, { schedule, due, behind: null })
  }
  const queued = live.filter(({ state }) => state === 'blocked').length
  if (queued >= MAX_QUEUED_RUNS)
    return { ok: false, detail: `${queued} runs of this schedule wait already, the limit is ${MAX_QUEUED_RUNS}.` }
  return tools.submit(run, { schedule, due, behind: newest.id })
}

/** A run has ended: the first of those that wait for it, when no other one is under way. Answers the job to release. */
export const nextQueued = (live: LiveRun[]): string | null => {
  const [oldest] = live
  return oldest?.state === 'blocked' ? oldest.id : null
}

import { z } from 'zod'
import { Instant, JobId, ScheduleId, TaskName } from './ids.ts'
import { SubmitOptions } from './jobs.ts'

/** What happens with runs that were due while nobody could start them: none of them, the latest one, or each (at most 100). */
export const MissedPolicy = z.enum(['skip', 'latest', 'all'])
export type MissedPolicy = z.infer<typeof MissedPolicy>
/** What happens when a run is due while the one before has not ended: leave it out, let it wait for that one, run beside it, or cancel the older. */
export const OverlapPolicy = z.enum(['skip', 'queue', 'allow', 'cancel'])
export type OverlapPolicy = z.infer<typeof OverlapPolicy>

/** Without `cron` the task's `schedule` line is taken, as it is now: its times with their zone, and its policies where none are given. */
export const ScheduleBody = SubmitOptions.extend({
  task: TaskName,
  /** Five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly. */
  cron: z.string().min(1).max(200).optional(),
  /** IANA time zone; UTC when nobody says one. */
  tz: z.string().min(1).max(64).optional(),
  /** `latest` when nobody says. */
  missed: MissedPolicy.optional(),
  /** `skip` when nobody says. */
  overlap: OverlapPolicy.optional(),
  /** While it is paused it is never due, and nothing of that time is made up for. */
  paused: z.boolean().optional(),
})
export type ScheduleBody = z.infer<typeof ScheduleBody>

/** What a PUT says: a schedule whole, but for its task, which stays. */
export const SchedulePut = ScheduleBody.partial({ task: true })
export type SchedulePut = z.infer<typeof SchedulePut>
/** What a PATCH says: what it leaves out stays as it is. */
export const SchedulePatch = SchedulePut.omit({ task: true })

export const Schedule = ScheduleBody.required({ cron: true, tz: true, missed: true, overlap: true }).extend({
  id: ScheduleId,
  /** `api`, or `file` for a `-- schedule:` line of the task. */
  source: z.enum(['api', 'file']),
  /** Null: it will never be due again, or it is paused. */
  next_at: Instant.nullable(),
  /** When the last run was due that was started, and its job. */
  last_at: Instant.nullable(),
  last_job: JobId.nullable(),
  /** Runs that were left out (by a policy, or because they could not be submitted), and why the last one was. */
  skipped: z.int().min(0),
  notice: z.string().nullable(),
  created_at: Instant,
  links: z.record(z.string(), z.string()).optional(),
})
export type Schedule = z.infer<typeof Schedule>

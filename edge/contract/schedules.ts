import { z } from 'zod'
import { Instant, JobId, ScheduleId, TaskName } from './ids.ts'
import { SubmitOptions } from './jobs.ts'

/** What happens with runs that were due while nobody could start them: none of them, the latest one, or each (at most 100). */
export const MissedPolicy = z.enum(['skip', 'latest', 'all'])
/** What happens when a run is due while the one before has not ended: leave it out, let it wait for that one, run beside it, or cancel the older. */
export const OverlapPolicy = z.enum(['skip', 'queue', 'allow', 'cancel'])

export const ScheduleBody = SubmitOptions.extend({
  task: TaskName,
  /** Five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly. */
  cron: z.string().min(1).max(200),
  /** IANA time zone. */
  tz: z.string().min(1).max(64).default('UTC'),
  missed: MissedPolicy.default('latest'),
  overlap: OverlapPolicy.default('skip'),
})
export type ScheduleBody = z.infer<typeof ScheduleBody>

export const Schedule = ScheduleBody.extend({
  id: ScheduleId,
  /** `api`, or `file` for a `-- schedule:` line of the task. */
  source: z.enum(['api', 'file']),
  next_at: Instant.nullable(),
  last_at: Instant.nullable(),
  last_job: JobId.nullable(),
  /** Runs that were left out by a policy, and why the last one was. */
  skipped: z.int().min(0),
  notice: z.string().nullable(),
  created_at: Instant,
})
export type Schedule = z.infer<typeof Schedule>

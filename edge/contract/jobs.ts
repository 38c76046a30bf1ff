import { z } from 'zod'
import { Duration } from './durations.ts'
import { Alias, CalendarDate, GroupId, Instant, JobId, QueueName, ResultId, ScheduleId, StepName, TaskName } from './ids.ts'
import { ProblemDocument } from './problems.ts'
import { Argument } from './tasks.ts'

export const JOB_STATES = ['waiting', 'scheduled', 'leased', 'running', 'succeeded', 'failed', 'cancelled'] as const
export const JobState = z.enum(JOB_STATES)
export type JobState = z.infer<typeof JobState>

export const TERMINAL_STATES = ['succeeded', 'failed', 'cancelled'] as const satisfies readonly JobState[]
export const isTerminal = (state: JobState): boolean => (TERMINAL_STATES as readonly JobState[]).includes(state)

export const PUBLICATION_STATES = ['none', 'pending', 'published', 'rejected', 'withdrawn', 'expired'] as const
export const PublicationState = z.enum(PUBLICATION_STATES)
export type PublicationState = z.infer<typeof PublicationState>

/** What an attempt is doing while its job is `running`. */
export const Phase = z.enum(['planning', 'executing', 'uploading'])
export type Phase = z.infer<typeof Phase>

export const Progress = z.object({
  /** 0 to 100, or null where the engine cannot tell. */
  percent: z.number().min(0).max(100).nullable(),
  rows: z.int().min(0).nullable(),
})
export type Progress = z.infer<typeof Progress>

/** What became of a request to cancel: the engine said yes, said nothing, or was never reached. */
export const CancelOutcome = z.enum(['requested', 'sent', 'confirmed', 'not_confirmed', 'too_late'])
export type CancelOutcome = z.infer<typeof CancelOutcome>

export const JobError = z.object({ code: z.string(), message: z.string() })
export type JobError = z.infer<typeof JobError>

/** A word by which jobs are found and streams are filtered. */
export const Tag = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/, 'a tag is 1 to 64 characters of A-Z, a-z, 0-9 and "._:/-"')
export const MAX_TAGS = 20

export const Job = z.object({
  id: JobId,
  alias: Alias.nullable(),
  task: TaskName,
  state: JobState,
  publication: PublicationState,
  queue: QueueName,
  attempt: z.int().min(0),
  tries: z.int().min(0),
  progress: Progress.nullable(),
  rows: z.int().min(0).nullable(),
  bytes: z.int().min(0).nullable(),
  created_at: Instant,
  started_at: Instant.nullable(),
  finished_at: Instant.nullable(),
  phase: Phase.nullable(),
  engine: z.string().nullable(),
  error: JobError.nullable(),
  cancel: z.object({ requested_at: Instant, outcome: CancelOutcome, reason: z.string().nullable() }).nullable(),
  result: z.object({ id: ResultId }).nullable(),
  /** The last numbered event: where a reader that has this job may begin to follow. */
  seq: z.int().min(0),
  args: z.array(Argument),
  /** The arguments of a finished job are more than a list shows (4 KiB): `GET /v1/jobs/{id}` does. */
  args_omitted: z.boolean().optional(),
  run_date: CalendarDate,
  links: z.record(z.string(), z.string()),
  /** Within its queue a higher number goes first; equal ones in the order of submission. */
  priority: z.int().optional(),
  tags: z.array(Tag).optional(),
  /** Not before this instant. */
  eta: Instant.nullable().optional(),
  /** When a job that still waits fails with `expired`. */
  expires_at: Instant.nullable().optional(),
  /** How many tries it has. */
  max_tries: z.int().optional(),
  /** How long it may run: what was asked for, but no longer than its task may; null: no limit. */
  max_runtime_seconds: z.int().nullable().optional(),
  /** The job whose execution this one shares, and whose result it points to. */
  coalesced_with: JobId.nullable().optional(),
  /** The finished job whose result answered this one. */
  reused_from: JobId.nullable().optional(),
  /** The dead job that this one runs again, and the job that ran this one again. */
  retried_from: JobId.nullable().optional(),
  retried_as: JobId.nullable().optional(),
  /** What a waiting job waits for: ids of the job it coalesced with or of its parents' jobs, names of parents that a person decides, the schedule whose run before has not ended. Empty: a slot. */
  waiting_for: z.array(z.string()).optional(),
  group: z.object({ id: GroupId, step: StepName }).nullable().optional(),
  schedule: ScheduleId.nullable().optional(),
  /** How long the result is kept after the end, in seconds; null: for ever. */
  retention_seconds: z.int().nullable().optional(),
})
export type Job = z.infer<typeof Job>

/** Arguments in order, or by the names of the task's `param` lines. */
export const Arguments = z.union([z.array(Argument).max(1_000), z.record(z.string(), Argument)])
export type Arguments = z.infer<typeof Arguments>

/** What a submit may say beside its task and arguments; steps of a group and schedules say the same. */
export const SubmitOptions = z.strictObject({
  args: Arguments.optional(),
  queue: QueueName.optional(),
  /** One of the task's own sources. */
  db: z.string().max(100).optional(),
  engine_hint: z.string().max(100).optional(),
  /** -100 to 100; 0 when absent. */
  priority: z.int().min(-100).max(100).optional(),
  /** How many tries a job has whose node, connection or engine is lost or overloaded. */
  retries: z.int().min(0).max(100).optional(),
  /** How long it may wait before it fails with `expired`. */
  ttl: Duration.optional(),
  /** How long the result is kept. */
  retention: Duration.optional(),
  /** At most the task's own limit. */
  max_runtime: Duration.optional(),
  tags: z.array(Tag).max(MAX_TAGS).optional(),
  /** Take a finished result of an identical job that is not older than this. */
  reuse: z.strictObject({ max_age: Duration }).optional(),
  /** Neither coalesce nor reuse. */
  fresh: z.boolean().optional(),
})

export const SubmitBody = SubmitOptions.extend({
  alias: Alias.optional(),
  /** RFC 3339, with an offset: not before this instant. */
  eta: z.iso
    .datetime({ offset: true, error: 'an instant as in RFC 3339, such as 2026-01-31T06:00:00Z or …+02:00' })
    .refine((text) => Date.parse(text) >= 0, 'an instant from 1970 on: one before the year 0 could not be written again')
    .optional(),
})
export type SubmitBody = z.infer<typeof SubmitBody>

/** Jobs in one batch, at most. */
export const MAX_BATCH = 1_000
export const BatchJob = SubmitBody.extend({ task: TaskName })
export const BatchBody = z.strictObject({ jobs: z.array(BatchJob).min(1).max(MAX_BATCH) })
export type BatchBody = z.infer<typeof BatchBody>

/** In the order of the batch: what was taken, and what is wrong with the rest. */
export const BatchAnswer = z.object({
  items: z.array(z.union([z.object({ status: z.int(), job: Job }), z.object({ status: z.int(), problem: ProblemDocument })])),
})
export type BatchAnswer = z.infer<typeof BatchAnswer>

export const page = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), next: z.string().nullable() })

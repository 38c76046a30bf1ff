import { z } from 'zod'
import { Alias, CalendarDate, Instant, JobId, QueueName, ResultId, TaskName } from './ids.ts'
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
  run_date: CalendarDate,
  links: z.record(z.string(), z.string()),
})
export type Job = z.infer<typeof Job>

/** Arguments in order, or by the names of the task's `param` lines. */
export const Arguments = z.union([z.array(Argument).max(1_000), z.record(z.string(), Argument)])
export type Arguments = z.infer<typeof Arguments>

export const SubmitBody = z.strictObject({
  args: Arguments.optional(),
  alias: Alias.optional(),
  queue: QueueName.optional(),
  /** One of the task's own sources. */
  db: z.string().max(100).optional(),
  engine_hint: z.string().max(100).optional(),
})
export type SubmitBody = z.infer<typeof SubmitBody>

export const page = <Item extends z.ZodType>(item: Item) => z.object({ items: z.array(item), next: z.string().nullable() })

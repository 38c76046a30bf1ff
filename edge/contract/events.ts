import { z } from 'zod'
import { GroupId, Instant, JobId, QueueName, StepName, TaskName } from './ids.ts'
import { CancelOutcome, JobError, JobState, Phase, Progress, PublicationState } from './jobs.ts'

/**
 * A numbered event of one job. `seq` begins at 1 and has no gaps (I9); the row is written in the transaction that
 * changed the job, so an event that was seen has happened. Later versions add types and optional fields only.
 */
export const JobEvent = z.object({
  seq: z.int().min(1),
  job: JobId,
  type: z.enum(['state', 'publication', 'cancel']),
  /** The job's state after the event, also for events of the other types. */
  state: JobState,
  at: Instant,
  attempt: z.int().min(0).optional(),
  publication: PublicationState.optional(),
  /** Iceberg snapshot id, as text: it has 63 bits. */
  snapshot: z.string().optional(),
  rows: z.int().min(0).optional(),
  cancel: CancelOutcome.optional(),
  /** Why, in words: a retry's cause, a fence, a hand-back. */
  reason: z.string().optional(),
  error: JobError.optional(),
  /** Number in the tenant's stream: rises with every event of the tenant, and may leave numbers out. */
  n: z.int().min(1).optional(),
  task: TaskName.optional(),
  queue: QueueName.optional(),
  tags: z.array(z.string()).optional(),
  group: z.object({ id: GroupId, step: StepName }).optional(),
})
export type JobEvent = z.infer<typeof JobEvent>

/** Progress is sent beside the numbered events, without an id, last value only. */
export const ProgressEvent = z.object({
  job: JobId,
  state: JobState,
  at: Instant,
  phase: Phase.nullable(),
  engine: z.string().nullable(),
  progress: Progress.nullable(),
})
export type ProgressEvent = z.infer<typeof ProgressEvent>

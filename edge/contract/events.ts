import { z } from 'zod'
import { GroupId, Instant, JobId, QueueName, StepName, TaskName } from './ids.ts'
import { CancelOutcome, JobError, JobState, Phase, Progress, PublicationState, page, Tag } from './jobs.ts'

/**
 * A numbered event of one job. `seq` begins at 1 and has no gaps (I9); the row is written in the transaction that
 * changed the job, so an event that was seen has happened. Later versions add types and optional fields only.
 */
export const JobEvent = z.object({
  seq: z.int().min(1),
  job: JobId,
  type: z.enum(['state', 'publication', 'cancel', 'pack']),
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
  /** The browser's copy of the result is there. */
  pack: z.object({ bytes: z.int().min(1) }).optional(),
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

/**
 * A reader's number is older than what is kept, or higher than any that was given out (the database was restored): what it
 * knows is not continued. It reads the state anew; the events from `oldest` on follow.
 */
export const ResetEvent = z.object({
  /** The oldest event that is kept; `last` + 1 when none is. */
  oldest: z.int().min(1),
  /** The newest event there is; 0 when there was none. */
  last: z.int().min(0),
})
export type ResetEvent = z.infer<typeof ResetEvent>

/** Events as a page: `next` is the number to ask after; null when the stream has ended. */
export const eventPage = <Item extends z.ZodType>(item: Item) => page(item).extend({ reset: ResetEvent.optional() })

/** What a tenant's stream may be narrowed to: any of the values of each name that is given. */
export const STREAM_FILTERS = ['task', 'queue', 'tag', 'state'] as const
export const MAX_FILTER_VALUES = 20
export const StreamFilter = z.strictObject({
  task: z.array(TaskName).max(MAX_FILTER_VALUES),
  queue: z.array(QueueName).max(MAX_FILTER_VALUES),
  tag: z.array(Tag).max(MAX_FILTER_VALUES),
  state: z.array(JobState).max(MAX_FILTER_VALUES),
})
export type StreamFilter = z.infer<typeof StreamFilter>

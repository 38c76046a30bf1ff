import { z } from 'zod'
import { Duration } from './durations.ts'
import { Alias, GroupId, Instant, JobId, StepName, TaskName } from './ids.ts'
import { JobError, JobState, SubmitOptions } from './jobs.ts'
import { Argument } from './tasks.ts'

/** Steps of one group, at most; and parents of one step. */
export const MAX_STEPS = 200
export const MAX_NEEDS = 50

/** A value of the first row of a parent's result. NULL, no row or a wrong type fails the step. */
export const ParentValue = z.strictObject({ from: StepName, column: z.string().min(1).max(200) })
export type ParentValue = z.infer<typeof ParentValue>
export const StepArgument = z.union([Argument, ParentValue])
export const StepArguments = z.union([z.array(StepArgument).max(1_000), z.record(z.string(), StepArgument)])
export type StepArguments = z.infer<typeof StepArguments>

const edges = {
  needs: z.array(StepName).max(MAX_NEEDS).default([]),
  /** Of the parents: all succeeded; at least one did not; all have ended, however. */
  when: z.enum(['succeeded', 'failed', 'always']).default('succeeded'),
  /** A parent counts as succeeded when its result is readable, or only when it stands in its table. */
  after: z.enum(['result', 'published']).default('result'),
}

/** Runs a task. With `compensates` it runs only when the group fails or is cancelled after that step has succeeded. */
export const JobStep = SubmitOptions.omit({ args: true }).extend({
  task: TaskName,
  args: StepArguments.optional(),
  ...edges,
  compensates: StepName.optional(),
})
export type JobStep = z.infer<typeof JobStep>
/** A person decides: `by` names who may (subjects of tokens; absent: whoever may submit), within `deadline`, else `default` counts. */
export const ApprovalStep = z.strictObject({
  approval: z.strictObject({
    by: z.array(z.string().min(1).max(200)).min(1).max(50).optional(),
    deadline: Duration.optional(),
    default: z.enum(['approve', 'reject']).default('reject'),
    message: z.string().max(1_000).optional(),
  }),
  ...edges,
})
export type ApprovalStep = z.infer<typeof ApprovalStep>
export const Step = z.union([JobStep, ApprovalStep])
export type Step = z.infer<typeof Step>

export const GroupBody = z.strictObject({
  steps: z.record(StepName, Step),
  /** All steps must have ended by then, or what is left is cancelled and the group fails. What undoes steps, and the alert, run after it. */
  deadline: Duration.optional(),
  /** How long those may take together, from the moment they may begin: an hour when nobody says. What is left then is cancelled, and the group ends. */
  compensation_deadline: Duration.optional(),
  alias: Alias.optional(),
  /** Runs once when the group has failed. */
  alert: JobStep.pick({ task: true, args: true, queue: true, db: true }).optional(),
})
export type GroupBody = z.infer<typeof GroupBody>

/** `waiting` for its parents, `approval` for a person, a job's own states, or `skipped`. Approvals end `succeeded` or `failed`. */
export const StepState = z.enum([...JobState.options, 'approval', 'skipped'])
export type StepState = z.infer<typeof StepState>
export const GroupState = z.enum(['running', 'compensating', 'succeeded', 'failed', 'cancelled'])
export type GroupState = z.infer<typeof GroupState>

export const StepInfo = z.object({
  job: JobId.nullable(),
  state: StepState,
  needs: z.array(StepName),
  when: z.enum(['succeeded', 'failed', 'always']),
  after: z.enum(['result', 'published']),
  kind: z.enum(['job', 'approval', 'compensation', 'alert']),
  task: TaskName.nullable(),
  compensates: StepName.nullable(),
  error: JobError.nullable(),
  /** Who may decide (empty: whoever may submit), until when, what counts then; and who decided. */
  approval: z
    .object({
      by: z.array(z.string()),
      deadline_at: Instant.nullable(),
      default: z.enum(['approve', 'reject']),
      message: z.string().nullable(),
      decided_by: z.string().nullable(),
    })
    .nullable(),
})
export type StepInfo = z.infer<typeof StepInfo>

export const Group = z.object({
  id: GroupId,
  alias: Alias.nullable(),
  state: GroupState,
  steps: z.record(StepName, StepInfo),
  created_at: Instant,
  finished_at: Instant.nullable(),
  deadline_at: Instant.nullable(),
  /** Until when it is undone, and the alert may run; null before that has begun. */
  compensation_deadline_at: Instant.nullable().optional(),
  /** The last numbered event of the group. */
  seq: z.int().min(0),
  error: JobError.nullable(),
  links: z.record(z.string(), z.string()),
  /** Why what is left is being cancelled, or was. */
  stop: z.enum(['cancel', 'deadline']).nullable().optional(),
  /** The group whose succeeded steps this one took over, and the group that ran this one's other steps again. */
  retried_from: GroupId.nullable().optional(),
  retried_as: GroupId.nullable().optional(),
})
export type Group = z.infer<typeof Group>

/** A numbered event of a group: without gaps, written in the transaction that made the change. */
export const GroupEvent = z.object({
  seq: z.int().min(1),
  group: GroupId,
  type: z.enum(['group', 'step']),
  /** The group's state after the event. */
  state: GroupState,
  at: Instant,
  step: StepName.optional(),
  step_state: StepState.optional(),
  job: JobId.optional(),
  reason: z.string().optional(),
  error: JobError.optional(),
})
export type GroupEvent = z.infer<typeof GroupEvent>

import { z } from 'zod'
import { Job } from './jobs.ts'
import { FailureClass } from './node.ts'

/** Why a job is dead: the class of its failure, `expired` for one that waited too long, `changed` for one whose task changed under it. */
export const DeathClass = z.enum([...FailureClass.options, 'expired', 'changed'])
export type DeathClass = z.infer<typeof DeathClass>

/** A failed job that nobody has run again: what happened, in words, and what helps. `links.retry` runs it again. */
export const DeadJob = Job.extend({
  dead: z.object({ class: DeathClass, explanation: z.string(), remedy: z.string() }),
})
export type DeadJob = z.infer<typeof DeadJob>

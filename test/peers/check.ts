import { z } from 'zod'
import type { Job } from '../../edge/contract/jobs.ts'
import type { Client } from '../e2e/support/client.ts'

export const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** How many checks have passed and failed. */
export const tally = { passed: 0, failed: 0 }

/** One thing that must hold. What comes after a failure is tried all the same. */
export const check = async (name: string, body: () => Promise<void>): Promise<void> => {
  const from = performance.now()
  try {
    await body()
    tally.passed += 1
    say(`ok      ${name} (${((performance.now() - from) / 1_000).toFixed(1)} s)`)
  } catch (fault) {
    tally.failed += 1
    say(`FAILED  ${name}\n${fault instanceof Error ? fault.message : String(fault)}`)
  }
}

/** Runs a report to its end and waits until it is in its table. */
export const done = async (asker: Client, task: string, args?: unknown): Promise<Job> => {
  const job = await asker.run(task, args)
  if (job.state !== 'succeeded') throw new Error(`${task} ${job.state}: ${JSON.stringify(job.error)}`)
  const last = z.object({ publication: z.string() }).parse((await asker.published(job.id)).at(-1)?.data)
  if (last.publication !== 'published') throw new Error(`${task} was ${last.publication}`)
  return job
}

/** Rows and the exact sum of a column, by job. */
export const Jobs = z.record(z.string(), z.object({ rows: z.int(), sum: z.string().nullable() }))
export const Reading = z.object({
  columns: z.array(z.tuple([z.int(), z.string(), z.string()])),
  tenants: z.array(z.string()),
  rows: z.int(),
  jobs: Jobs,
  nulls: z.record(z.string(), z.int()),
  files: z.int().optional(),
  filtered: z.int().optional(),
})

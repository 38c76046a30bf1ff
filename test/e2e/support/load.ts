import { expect } from 'vitest'
import type { z } from 'zod'
import type { JobEvent } from '../../../edge/contract/events.ts'
import { isTerminal, Job, page } from '../../../edge/contract/jobs.ts'
import type { Client } from './client.ts'
import { eventsSoFar, type Followed, follow, readJob, readPersistently, submitPersistently } from './follow.ts'
import { rowsPerJob } from './iceberg.ts'

const LARGE_ROWS = 3_000

/** One report of each way through the system: travels in its completion, is uploaded, fails. */
export const LOAD_TASKS = {
  'load.sql': `
-- name: small
-- param: n bigint
SELECT $1 AS n

-- name: large
-- param: n bigint
SELECT i + $1 AS n, md5((i + $1)::VARCHAR) AS text FROM range(${LARGE_ROWS}) AS numbers (i)

-- name: failing
-- param: n bigint
SELECT ('not a number ' || $1)::BIGINT AS n
`,
}
export type LoadTask = 'small' | 'large' | 'failing'

const EXPECTED: Record<LoadTask, { state: Job['state']; rows: number | undefined }> = {
  small: { state: 'succeeded', rows: 1 },
  large: { state: 'succeeded', rows: LARGE_ROWS },
  failing: { state: 'failed', rows: undefined },
}

export interface Ended {
  task: LoadTask
  /** What the edge said when it took the job. */
  acknowledged: Job
  followed: Followed
}

/** Submits a job under its number, through every break, and reads its events to the end of its publication. */
export const runJob = async (client: Client, task: LoadTask, n: number, seen?: (event: JobEvent) => unknown): Promise<Ended> => {
  const acknowledged = await submitPersistently(client, task, { args: [n] }, `job-${n}`)
  return { task, acknowledged, followed: await follow(client, acknowledged.id, seen) }
}

const Page = page(Job)
const allJobs = async (client: Client): Promise<Job[]> => {
  const jobs: Job[] = []
  let cursor: string | null = null
  do {
    const path: string = `/v1/jobs?limit=500${cursor === null ? '' : `&cursor=${cursor}`}`
    const { items, next }: z.infer<typeof Page> = Page.parse(await readPersistently(client, path))
    jobs.push(...items)
    cursor = next
  } while (cursor !== null)
  return jobs
}

/**
 * What must hold of everything that was acknowledged, whatever was killed meanwhile: it is there, once (I3); it has ended
 * once (I1); its events read again are those that its reader saw (I9); its rows are in Iceberg once (I4).
 */
export const judge = async (client: Client, tenant: string, ended: Ended[]): Promise<void> => {
  const acknowledged = ended.map(({ acknowledged: { id } }) => id)
  expect(new Set(acknowledged).size).toBe(ended.length)
  expect((await allJobs(client)).map(({ id }) => id).sort()).toEqual([...acknowledged].sort())

  for (const { task, acknowledged: job, followed } of ended) {
    const final = await readJob(client, job.id)
    expect(final, `job ${job.id} of ${task}`).toMatchObject({
      state: EXPECTED[task].state,
      publication: final.state === 'succeeded' ? 'published' : 'none',
    })
    const all = await eventsSoFar(client, job.id)
    expect(all.length).toBeGreaterThanOrEqual(final.seq)
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1))
    const ends = all.filter(({ type, state }) => type === 'state' && isTerminal(state))
    expect(ends, `ends of ${job.id}`).toHaveLength(1)
    expect(all.slice(0, followed.events.length)).toEqual(followed.events)
    // The browser's copy is made when there is time: its reader had gone.
    expect(all.slice(followed.events.length).filter(({ type }) => type !== 'pack')).toEqual([])
  }

  for (const task of ['small', 'large', 'failing'] as const) {
    const rows = ended.flatMap((one): [string, number][] => {
      const expected = EXPECTED[task].rows
      return one.task === task && expected !== undefined ? [[one.acknowledged.id, expected]] : []
    })
    expect(await rowsPerJob(client, tenant, `reports.${task}`), `rows of reports.${task}`).toEqual(new Map(rows))
  }
}

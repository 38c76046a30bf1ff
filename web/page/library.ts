import { signal } from '@preact/signals'
import type { Job, Schedule, TaskInfo } from '../client/wire.ts'
import { client } from './session.ts'

/** What several places look at: the reports there are, and the newest jobs. */
export const tasks = signal<TaskInfo[] | null>(null)
export const tasksError = signal<Error | null>(null)
export const jobs = signal<Job[] | null>(null)
export const jobsError = signal<Error | null>(null)
export const moreJobs = signal<string | null>(null)

/** What runs by the clock; empty until it is known, or where one may not see it. */
export const schedules = signal<Schedule[]>([])

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

export const loadTasks = async (): Promise<void> => {
  try {
    tasks.value = (await client.tasks()).items
    tasksError.value = null
  } catch (error) {
    tasksError.value = asError(error)
  }
}

export const loadJobs = async (): Promise<void> => {
  try {
    const page = await client.jobs({ limit: 100 })
    // Older pages that were asked for stay below the renewed newest ones.
    const fresh = new Set(page.items.map((job) => job.id))
    const oldest = page.items.at(-1)?.id ?? ''
    const kept = (jobs.value ?? []).filter((job) => !fresh.has(job.id) && job.id < oldest)
    jobs.value = [...page.items, ...kept]
    if (kept.length === 0) moreJobs.value = page.next
    jobsError.value = null
  } catch (error) {
    jobsError.value = asError(error)
  }
}

export const loadOlderJobs = async (): Promise<void> => {
  const cursor = moreJobs.value
  if (cursor === null) return
  try {
    const page = await client.jobs({ limit: 100, cursor })
    jobs.value = [...(jobs.value ?? []), ...page.items]
    moreJobs.value = page.next
  } catch (error) {
    jobsError.value = asError(error)
  }
}

/** A job as it is now, wherever it came from. */
export const putJob = (job: Job): void => {
  const list = jobs.value ?? []
  jobs.value = list.some((one) => one.id === job.id) ? list.map((one) => (one.id === job.id ? job : one)) : [job, ...list]
}

export const isLive = (job: Job): boolean => job.state !== 'succeeded' && job.state !== 'failed' && job.state !== 'cancelled'

export const runMilliseconds = (job: Job): number | null =>
  job.started_at === null || job.finished_at === null ? null : Date.parse(job.finished_at) - Date.parse(job.started_at)

/** The newest runs of a task, newest first. */
export const runsOf = (task: string): Job[] => (jobs.value ?? []).filter((job) => job.task === task)

export const loadSchedules = async (): Promise<void> => {
  try {
    schedules.value = (await client.schedules.list({ limit: 500 })).items
  } catch {
    // A remark beside a report: the report is there without it.
  }
}

/** When a task runs next by the clock. */
export const nextRun = (task: string): string | null =>
  schedules.value
    .flatMap((schedule) => (schedule.task === task && schedule.next_at !== null ? [schedule.next_at] : []))
    .sort()
    .at(0) ?? null

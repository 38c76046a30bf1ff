import type { Job, JobEvent, ProgressEvent, ResultDocument } from '../client/wire.ts'

export type StepState = 'done' | 'now' | 'ahead' | 'failed' | 'cancelled'

/** One of the steps that a job goes through, with how long it took as far as that is known. */
export interface Step {
  name: 'waiting' | 'planning' | 'running' | 'uploading' | 'ready' | 'published'
  title: string
  state: StepState
  milliseconds: number | null
  /** When it began, for the clock of a step that runs now. */
  since: number | null
  percent: number | null
  /** What a person should know of it: a retry's cause. (A failure has its own place.) */
  note: string | null
}

const timeOf = (event: JobEvent | undefined): number | null => (event === undefined ? null : Date.parse(event.at))

/**
 * The steps of a job from what is known of it: its events (numbered, complete), the last progress (may be missing) and, at the
 * end, the seconds of the manifest. A retried job shows its last attempt, and the reason of the retry as a note.
 */
export const stepsOf = (job: Job, events: JobEvent[], progress: ProgressEvent | null, document: ResultDocument | null): Step[] => {
  const all = events.filter((event) => event.type === 'state')
  const retry = all.findLast((event) => event.state === 'waiting' || event.state === 'scheduled')
  // What an earlier attempt went through is over.
  const states = retry === undefined ? all : all.slice(all.indexOf(retry) + 1)
  const waits = job.state === 'waiting' || job.state === 'scheduled' || job.state === 'leased'
  const last = (state: Job['state']): JobEvent | undefined => states.findLast((event) => event.state === state)
  const running = last('running')
  const ended = states.findLast((event) => event.state === 'succeeded' || event.state === 'failed' || event.state === 'cancelled')
  const created = Date.parse(job.created_at)
  const startedAt = timeOf(running) ?? (job.started_at === null || waits ? null : Date.parse(job.started_at))
  const endedAt = timeOf(ended) ?? (job.finished_at === null ? null : Date.parse(job.finished_at))
  const isRunning = job.state === 'running'
  const phase = progress?.phase ?? job.phase ?? 'planning'
  const engine = progress?.engine ?? job.engine ?? document?.engine.name ?? null
  const order = ['planning', 'executing', 'uploading'] as const
  const at = isRunning ? order.indexOf(phase) : job.state === 'succeeded' ? order.length : startedAt === null ? -1 : order.indexOf(phase)
  const broken: StepState | null = job.state === 'failed' ? 'failed' : job.state === 'cancelled' ? 'cancelled' : null

  const phaseState = (index: number): StepState => {
    if (index < at) return 'done'
    if (index > at) return 'ahead'
    return broken ?? (isRunning ? 'now' : 'ahead')
  }
  const seconds = document?.seconds
  const milliseconds = (value: number | undefined): number | null => (value === undefined ? null : value * 1_000)
  // How far a broken job came, since no manifest tells of it.
  const brokenAfter = (index: number): number | null =>
    broken !== null && index === at && startedAt !== null && endedAt !== null ? Math.max(0, endedAt - startedAt) : null
  const percent = isRunning && phase === 'executing' ? (progress?.progress?.percent ?? job.progress?.percent ?? null) : null
  const publication = job.publication

  return [
    {
      name: 'waiting',
      title: 'Waiting',
      state: waits ? 'now' : startedAt === null && broken !== null ? broken : 'done',
      milliseconds:
        startedAt === null ? (broken !== null && endedAt !== null ? endedAt - created : null) : Math.max(0, startedAt - created),
      since: waits ? created : null,
      percent: null,
      note: waits ? (retry?.reason ?? null) : null,
    },
    {
      name: 'planning',
      title: 'Planning',
      state: phaseState(0),
      milliseconds: milliseconds(seconds?.planning) ?? brokenAfter(0),
      since: isRunning && phase === 'planning' ? startedAt : null,
      percent: null,
      note: null,
    },
    {
      name: 'running',
      title: engine === null ? 'Running' : `Running on ${engine}`,
      state: phaseState(1),
      milliseconds: milliseconds(seconds?.executing) ?? brokenAfter(1),
      since: isRunning && phase === 'executing' ? startedAt : null,
      percent,
      note: null,
    },
    {
      name: 'uploading',
      title: 'Uploading',
      state: phaseState(2),
      milliseconds: milliseconds(seconds?.uploading),
      since: null,
      percent: null,
      note: null,
    },
    {
      name: 'ready',
      title: 'Ready',
      state: job.state === 'succeeded' ? 'done' : 'ahead',
      milliseconds: job.state === 'succeeded' && endedAt !== null ? Math.max(0, endedAt - created) : null,
      since: null,
      percent: null,
      note: null,
    },
    {
      name: 'published',
      title:
        publication === 'rejected'
          ? 'Not published'
          : publication === 'withdrawn'
            ? 'Withdrawn'
            : publication === 'expired'
              ? 'Expired'
              : 'Published',
      state:
        publication === 'none' || job.state !== 'succeeded'
          ? 'ahead'
          : publication === 'pending'
            ? 'now'
            : publication === 'rejected'
              ? 'failed'
              : 'done',
      milliseconds: null,
      since: null,
      percent: null,
      note: publication === 'rejected' ? (events.findLast((event) => event.publication === 'rejected')?.reason ?? null) : null,
    },
  ]
}

import { type Connection, type FollowOptions, followStream } from './follow.ts'
import type { Http } from './http.ts'
import { isJobEvent, isProgressEvent, isRecord, type JobEvent, type ProgressEvent } from './wire.ts'

export type Watched =
  | { type: 'event'; event: JobEvent }
  | { type: 'progress'; progress: ProgressEvent }
  /** Events before these are no longer kept: read the job anew. */
  | { type: 'reset' }
  | Connection

export interface WatchOptions extends FollowOptions {
  /** The last event already known: the stream begins behind it. */
  after?: number
  /** `published` follows the result into its table; otherwise the stream ends with the job. */
  until?: 'terminal' | 'published'
}

const TERMINAL = new Set(['succeeded', 'failed', 'cancelled'])
const SETTLED = new Set(['published', 'rejected', 'withdrawn', 'expired'])

const isLast = (event: JobEvent, until: 'terminal' | 'published'): boolean => {
  if (until === 'terminal') return TERMINAL.has(event.state)
  if (event.state === 'failed' || event.state === 'cancelled') return true
  return event.publication !== undefined && SETTLED.has(event.publication)
}

/** Where a reader goes on after `event: reset`: with the oldest event that is kept. */
export const resetTo = (data: string, seen: number): number => {
  const body: unknown = JSON.parse(data)
  return isRecord(body) && typeof body.oldest === 'number' ? body.oldest - 1 : seen
}

/**
 * Follows a job's events (`GET /v1/jobs/{id}/events`). Numbered events come once each and without gaps (I9), across any
 * number of broken connections. Ends after the last event that `until` asks for, or when the signal aborts; throws `ApiError`
 * where repeating would not help (4xx).
 */
export async function* watchJob(http: Http, job: string, options: WatchOptions = {}): AsyncGenerator<Watched, void, undefined> {
  const until = options.until ?? 'terminal'
  let seen = options.after ?? 0
  const path = `/v1/jobs/${encodeURIComponent(job)}/events${until === 'published' ? '?until=published' : ''}`
  for await (const one of followStream(http, path, () => seen, options)) {
    if (one.type === 'connection') {
      yield one
      continue
    }
    if (one.message.event === 'reset') {
      seen = resetTo(one.message.data, seen)
      yield { type: 'reset' }
      continue
    }
    const body: unknown = JSON.parse(one.message.data)
    if (isJobEvent(body)) {
      if (body.seq <= seen) continue
      seen = body.seq
      yield { type: 'event', event: body }
      if (isLast(body, until)) return
    } else if (isProgressEvent(body)) yield { type: 'progress', progress: body }
  }
}

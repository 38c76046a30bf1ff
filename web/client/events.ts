import { type Connection, type FollowOptions, followStream } from './follow.ts'
import type { Http } from './http.ts'
import { resetTo } from './watch.ts'
import { isJobEvent, type JobEvent } from './wire.ts'

export type TenantWatched =
  | { type: 'event'; event: JobEvent }
  /** Events before these are no longer kept: read anew what you show. */
  | { type: 'reset' }
  | Connection

export interface TenantWatchOptions extends FollowOptions {
  /** The last `n` already known; 0: from the beginning of what is kept. Absent: what happens from now on. */
  after?: number
  /** Any of the values of each name that is given. */
  task?: string | string[]
  queue?: string | string[]
  tag?: string | string[]
  state?: string | string[]
}

/**
 * Every event of the tenant's jobs (`GET /v1/events`), filtered by task, queue, tag and state. Their numbers `n` rise and may
 * leave some out; the stream never ends by itself.
 */
export async function* watchTenant(http: Http, options: TenantWatchOptions = {}): AsyncGenerator<TenantWatched, void, undefined> {
  const query = new URLSearchParams()
  if (options.after !== undefined) query.set('after', String(options.after))
  for (const name of ['task', 'queue', 'tag', 'state'] as const) for (const value of [options[name] ?? []].flat()) query.append(name, value)
  let seen = options.after ?? 0
  for await (const one of followStream(http, `/v1/events${query.size === 0 ? '' : `?${query}`}`, () => seen, options)) {
    if (one.type === 'connection') yield one
    else if (one.message.event === 'reset') {
      seen = resetTo(one.message.data, seen)
      yield { type: 'reset' }
    } else {
      const event: unknown = JSON.parse(one.message.data)
      if (!isJobEvent(event) || event.n === undefined || event.n <= seen) continue
      seen = event.n
      yield { type: 'event', event }
    }
  }
}

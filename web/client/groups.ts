import { type Connection, type FollowOptions, followStream } from './follow.ts'
import type { Http } from './http.ts'
import { type ListOptions, listQuery, posted, withSignal } from './requests.ts'
import { resetTo } from './watch.ts'
import { type Group, type GroupEvent, type GroupSubmit, isGroup, isGroupEvent, isPage, type Page } from './wire.ts'

export type GroupWatched = { type: 'event'; event: GroupEvent } | { type: 'reset' } | Connection

export interface GroupWatchOptions extends FollowOptions {
  /** The last event already known: the stream begins behind it. */
  after?: number | undefined
}

export interface Groups {
  /** Refused whole (422 `invalid_group`) for a cycle, an unknown parent, or too many steps. */
  submit(body: GroupSubmit, options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<Group>
  list(options?: ListOptions): Promise<Page<Group>>
  get(id: string, signal?: AbortSignal): Promise<Group>
  /** Cancels what has not ended, then compensates what has succeeded. */
  cancel(id: string): Promise<Group>
  /** Runs what has not succeeded again, in a new group that takes over the rest (`retried_from`). */
  retry(id: string): Promise<Group>
  /** Forgets an ended group; its jobs stay. */
  remove(id: string): Promise<void>
  decide(id: string, step: string, verdict: 'approve' | 'reject'): Promise<Group>
  /** The group's numbered events, each once and without gaps, across broken connections; ends with the group. */
  watch(id: string, options?: GroupWatchOptions): AsyncGenerator<GroupWatched, void, undefined>
}

const ENDED = new Set(['succeeded', 'failed', 'cancelled'])

export const watchGroup = async function* (
  http: Http,
  id: string,
  options: GroupWatchOptions = {},
): AsyncGenerator<GroupWatched, void, undefined> {
  let seen = options.after ?? 0
  for await (const one of followStream(http, `/v1/groups/${encodeURIComponent(id)}/events`, () => seen, options)) {
    if (one.type === 'connection') yield one
    else if (one.message.event === 'reset') {
      seen = resetTo(one.message.data, seen)
      yield { type: 'reset' }
    } else {
      const event: unknown = JSON.parse(one.message.data)
      if (!isGroupEvent(event) || event.seq <= seen) continue
      seen = event.seq
      yield { type: 'event', event }
      // Steps that end with the group are told before it.
      if (event.type === 'group' && ENDED.has(event.state)) return
    }
  }
}

export const groupsOf = (http: Http): Groups => {
  const path = (id: string): string => `/v1/groups/${encodeURIComponent(id)}`
  return {
    submit: (body, options = {}) => http.json('/v1/groups', isGroup, posted(body, options)),
    list: (options = {}) => http.json(`/v1/groups${listQuery({ ...options })}`, isPage(isGroup), withSignal(options.signal)),
    get: (id, signal) => http.json(path(id), isGroup, withSignal(signal)),
    cancel: (id) => http.json(`${path(id)}/cancel`, isGroup, { method: 'POST' }),
    retry: (id) => http.json(`${path(id)}/retry`, isGroup, { method: 'POST' }),
    remove: async (id) => {
      await http.request(path(id), { method: 'DELETE' })
    },
    decide: (id, step, verdict) => http.json(`${path(id)}/steps/${encodeURIComponent(step)}/${verdict}`, isGroup, { method: 'POST' }),
    watch: (id, options) => watchGroup(http, id, options),
  }
}

import { Hono } from 'hono'
import type { z } from 'zod'
import { MAX_FILTER_VALUES, STREAM_FILTERS, StreamFilter } from '../contract/events.ts'
import { GroupId } from '../contract/ids.ts'
import { isTerminal } from '../contract/jobs.ts'
import { Problem } from '../contract/problems.ts'
import { UNTILS, type Until } from '../ledger/events.ts'
import { PACK_SECONDS } from '../ledger/limits.ts'
import type { Follow } from '../ledger/streams.ts'
import { TENANT } from '../ledger/watchers.ts'
import type { AppContext, AppEnv } from './context.ts'
import { endedStream, liveStream, type Shape } from './event-stream.ts'
import { allow } from './guard.ts'
import { MAX_WAIT_SECONDS, queryInteger, queryOf } from './headers.ts'
import { jobIdOf, ledgerOf } from './jobs.ts'

/** The filter is kept with the reader's socket, whose note ends at 2,048 bytes (platform). */
const MAX_FILTER_CHARS = 1_500
const RETRY_AFTER_SECONDS = '5'

/** Where a reader goes on: `Last-Event-ID` (WHATWG HTML, section 9.2.4), or `after` for the first request. */
const startOf = (c: AppContext): number | null => {
  const header = c.req.header('last-event-id')
  const text = header ?? queryOf(c, 'after')
  if (text === undefined) return null
  if (!/^\d{1,15}$/.test(text))
    throw new Problem(
      header === undefined ? 'invalid_parameter' : 'invalid_header',
      `${header === undefined ? 'after' : 'Last-Event-ID'} is the number of an event, not "${text.slice(0, 50)}".`,
    )
  return Number(text)
}

/** A reader that polls: it says how long it waits, or takes JSON and no stream. */
const polls = (c: AppContext): boolean => {
  if (queryOf(c, 'wait') !== undefined) return true
  const accept = c.req.header('accept') ?? ''
  return /application\/json/i.test(accept) && !/text\/event-stream/i.test(accept)
}

const tooMany = (): Problem =>
  new Problem('too_many_waiters', 'Too many readers wait for events of this tenant already. Close some, or ask again later.', {
    headers: { 'retry-after': RETRY_AFTER_SECONDS },
  })

/** A page of events for who polls, a stream of Server-Sent Events for who does not. */
const answer = async (c: AppContext, wanted: Follow, what: string, shape: Shape): Promise<Response> => {
  const ledger = ledgerOf(c)
  const polling = polls(c)
  const wait_ms = polling ? Math.min(queryInteger(c, 'wait', 0, 0, 86_400), MAX_WAIT_SECONDS) * 1000 : 0
  const known = await ledger.follow({ ...wanted, wait_ms })
  if (known.found === 'full') throw tooMany()
  if (known.found === 'gone') throw new Problem('gone', `The ${what} was deleted.`)
  if (known.found !== 'yes') throw new Problem('not_found', `There is no ${what}.`)
  const { items, reset, next } = known
  if (polling)
    return c.json({ items, next: next === null ? null : String(next), ...(reset ? { reset } : {}) }, 200, { 'cache-control': 'no-store' })
  if (next === null) {
    // Everything has happened and was seen. 204 tells an EventSource not to come back (WHATWG HTML, section 9.2.3): after a
    // stream that merely ends it would ask again, for ever.
    return items.length === 0 && reset === null ? c.body(null, 204) : endedStream({ items, reset }, shape)
  }
  // Nobody reads what would come: a reader on the ledger's list would stay there.
  if (c.req.method === 'HEAD') return endedStream({ items: [], reset: null }, shape)
  const path = wanted.of === 'tenant' ? TENANT : wanted.id
  const query = new URLSearchParams({ after: String(next) })
  if (wanted.of === 'job') query.set('until', wanted.until)
  if (wanted.of === 'tenant') query.set('filter', JSON.stringify(wanted.filter))
  const opened = await ledger.fetch(`https://ledger/watch/${path}?${query}`, { headers: { upgrade: 'websocket' } })
  if (opened.status === 503) throw tooMany()
  if (!opened.webSocket) throw new Problem('unavailable', 'The event stream could not be opened. Try again.')
  return liveStream(opened.webSocket, { items, reset }, shape)
}

const jobEvents = (c: AppContext): Promise<Response> => {
  const id = jobIdOf(c)
  const text = queryOf(c, 'until')
  const until: Until | undefined = text === undefined ? 'ended' : UNTILS.find((name) => name === text)
  if (until === undefined)
    throw new Problem('invalid_parameter', `until is one of ${UNTILS.join(', ')}, not "${String(text).slice(0, 50)}".`)
  return answer(c, { of: 'job', id, after: startOf(c) ?? 0, until, wait_ms: 0 }, `job "${id}"`, {
    numberOf: (event) => event.seq,
    patience: (event) => (until === 'pack' && event.type === 'state' && isTerminal(event.state) ? PACK_SECONDS * 1000 : null),
  })
}

/** Values of a name that may come several times. */
const filterOf = (c: AppContext): StreamFilter => {
  const wanted = Object.fromEntries(STREAM_FILTERS.map((name) => [name, c.req.queries(name) ?? []]))
  const parsed = StreamFilter.safeParse(wanted)
  if (!parsed.success) throw new Problem('invalid_parameter', filterFault(parsed.error.issues[0]))
  if (JSON.stringify(parsed.data).length > MAX_FILTER_CHARS)
    throw new Problem(
      'invalid_parameter',
      `The filter has more than ${MAX_FILTER_CHARS} characters. Name fewer values, or follow everything.`,
    )
  return parsed.data
}

const filterFault = (issue: z.core.$ZodIssue | undefined): string => {
  const [name, index] = issue?.path ?? []
  return index === undefined
    ? `${String(name)} may be given ${MAX_FILTER_VALUES} times at most.`
    : `${String(name)}: ${issue?.message ?? 'not a value of this name'}`
}

const tenantEvents = (c: AppContext): Promise<Response> =>
  answer(c, { of: 'tenant', filter: filterOf(c), after: startOf(c), wait_ms: 0 }, 'stream', {
    numberOf: (event) => ('n' in event ? (event.n ?? null) : null),
    patience: () => null,
  })

const groupEvents = (c: AppContext): Promise<Response> => {
  const text = String(c.req.param('id'))
  const parsed = GroupId.safeParse(text)
  // One that cannot be an id is as unknown as one of another tenant (I6).
  if (!parsed.success) throw new Problem('not_found', `There is no group "${text.slice(0, 100)}".`)
  return answer(c, { of: 'group', id: parsed.data, after: startOf(c) ?? 0, wait_ms: 0 }, `group "${text}"`, {
    numberOf: (event) => event.seq,
    patience: () => null,
  })
}

export const eventsApp = new Hono<AppEnv>()
  .get('/jobs/:id/events', allow('jobs:read'), jobEvents)
  .get('/groups/:id/events', allow('jobs:read'), groupEvents)
  .get('/events', allow('jobs:read'), tenantEvents)

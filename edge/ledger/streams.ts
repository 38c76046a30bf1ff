import { type JobEvent, type ResetEvent, StreamFilter } from '../contract/events.ts'
import type { GroupEvent } from '../contract/groups.ts'
import type { LedgerContext } from './context.ts'
import { type Backlog, findGroupRow, groupBacklog, isOver, isWanted, jobBacklog, ofTenant, tenantPage, type Until } from './events.ts'
import { findJob } from './jobs.ts'
import { type Liveness, lookUp } from './read.ts'
import { Waiters } from './waiters.ts'
import { type Audience, progressOf, send, sendPage, TENANT, Watchers } from './watchers.ts'

/** What a reader asks for. `wait_ms`: how long the answer may wait for the first event. */
export type Follow = { wait_ms: number } & (
  | { of: 'job'; id: string; after: number; until: Until }
  | { of: 'group'; id: string; after: number }
  | { of: 'tenant'; filter: StreamFilter; after: number | null }
)

/** `next`: the number to go on after; null when nothing will follow. `full`: too many wait already, ask again later. */
export type Followed =
  | { found: 'no' | 'gone' | 'full' }
  | { found: 'yes'; items: (JobEvent | GroupEvent)[]; reset: ResetEvent | null; next: number | null; more: boolean }

/** A job that is not in the database any more, from where it was moved to. */
export type FindElsewhere = (id: string, after: number) => Promise<Followed>

/** Readers of events, on sockets and in requests that wait: what has happened, then what comes. */
export class Streams {
  readonly waiters = new Waiters()
  readonly #watchers: Watchers
  readonly #context: LedgerContext
  readonly #live: ReadonlyMap<string, Liveness>
  readonly #elsewhere: FindElsewhere

  constructor(state: DurableObjectState, context: LedgerContext, live: ReadonlyMap<string, Liveness>, elsewhere: FindElsewhere) {
    this.#watchers = new Watchers(state)
    this.#context = context
    this.#live = live
    this.#elsewhere = elsewhere
  }

  /** `/watch/{job id, group id or "tenant"}?after=n&until=…&filter=…`: a socket, or 404, or 503 when there are too many. */
  open(url: URL): Response {
    const id = url.pathname.slice('/watch/'.length)
    const after = Number(url.searchParams.get('after') ?? 0)
    if (id === TENANT) {
      // Checked by the Worker; parsed again, for it is kept with the socket.
      const filter = StreamFilter.parse(JSON.parse(url.searchParams.get('filter') ?? ''))
      return this.#watchers.open({ of: 'tenant', filter, after }, (socket) =>
        sendPage(socket, filter, tenantPage(this.#context, filter, after)),
      )
    }
    if (id.startsWith('g')) return this.#openGroup(id, after)
    const row = findJob(this.#context, id)
    if (!row) return new Response(null, { status: 404 })
    const until = (url.searchParams.get('until') ?? 'ended') as Until
    return this.#open({ of: 'job', id, until }, jobBacklog(this.#context, row, after, until), (socket) => {
      const live = this.#live.get(id)
      if (live) send(socket, { progress: progressOf(id, live) })
    })
  }

  #openGroup(id: string, after: number): Response {
    const row = findGroupRow(this.#context, id)
    if (!row) return new Response(null, { status: 404 })
    return this.#open({ of: 'group', id }, groupBacklog(this.#context, row, after), () => undefined)
  }

  #open(audience: Audience, { reset, events, over }: Backlog<JobEvent | GroupEvent>, then: (socket: WebSocket) => void): Response {
    return this.#watchers.open(audience, (socket) => {
      if (reset) send(socket, { reset })
      for (const [index, event] of events.entries()) send(socket, { event, ...(over && index === events.length - 1 ? { over: true } : {}) })
      then(socket)
      return audience
    })
  }

  closed(socket: WebSocket): void {
    this.#watchers.closed(socket)
  }

  /** The one thing that readers say: that they have room for more. */
  said(socket: WebSocket): void {
    this.#watchers.goOn(socket, (filter, after) => tenantPage(this.#context, filter, after))
  }

  /** Answers events after a number at once, or waits for the first. */
  async follow(wanted: Follow): Promise<Followed> {
    const until = Date.now() + wanted.wait_ms
    let after = wanted.after
    for (;;) {
      const answer = this.#now({ ...wanted, after } as Follow)
      if (answer.found === 'no' && wanted.of === 'job') return this.#elsewhere(wanted.id, wanted.after)
      if (answer.found !== 'yes' || answer.items.length > 0 || answer.reset || answer.next === null) return answer
      // What was looked at and not wanted need not be looked at again.
      after = answer.next
      const left = until - Date.now()
      if (left <= 0) return answer
      if (answer.more) {
        // A million events that nobody wants are a thousand pages: others have their turn in between.
        await new Promise((resolve) => setTimeout(resolve, 0))
        continue
      }
      if (this.waiters.full) return { found: 'full' }
      if (wanted.of !== 'tenant') await this.waiters.until(eventsOf(wanted.id), left)
      else {
        const event = await this.waiters.until(eventsOf(TENANT), left, (told) => isWanted(wanted.filter, told))
        // It was asked about each event since, and wanted none before this one.
        after = event?.n === undefined ? this.#context.numbers.last() : event.n - 1
      }
    }
  }

  #now(wanted: Follow): Followed {
    const context = this.#context
    if (wanted.of === 'tenant') {
      const { reset, events, after, more } = tenantPage(context, wanted.filter, wanted.after)
      return { found: 'yes', items: events, reset, next: after, more }
    }
    if (wanted.of === 'group') {
      const row = findGroupRow(context, wanted.id)
      if (!row) return { found: 'no' }
      return row.deleted_at === null ? answerOf(groupBacklog(context, row, wanted.after)) : { found: 'gone' }
    }
    const found = lookUp(context, wanted.id)
    if (found.found !== 'yes') return found
    return answerOf(jobBacklog(context, found.row, wanted.after, wanted.until))
  }

  // ---- what happens ------------------------------------------------------------------------------------------------

  /** Events of a job, in their transaction's order, after it has committed. */
  job(id: string, events: JobEvent[], ended: boolean): void {
    const watched = this.#watchers.watches(id)
    const heard = this.#watchers.watches(TENANT)
    const awaited = this.waiters.waits(eventsOf(TENANT))
    if (watched || heard || awaited) {
      const row = findJob(this.#context, id)
      for (const event of events) {
        if (watched)
          this.#watchers.job(id, event, (until) => row !== undefined && event.seq === row.seq && isOver(this.#context, row, until))
        if (!row || !(heard || awaited)) continue
        const whole = ofTenant(event, row)
        if (heard) this.#watchers.tenant(whole)
        if (awaited) this.waiters.tell(eventsOf(TENANT), whole)
      }
    }
    if (ended) this.waiters.tell(id)
    this.waiters.tell(eventsOf(id))
  }

  group(id: string, events: GroupEvent[], ended: boolean): void {
    for (const [index, event] of events.entries()) this.#watchers.group(id, event, ended && index === events.length - 1)
    if (ended) this.waiters.tell(id)
    this.waiters.tell(eventsOf(id))
  }

  progress(job: string, live: Liveness): void {
    this.#watchers.progress(job, live)
  }
}

/** What who waits for events of a job, a group or the tenant waits by. */
const eventsOf = (id: string): string => `${id} events`

export const answerOf = ({ reset, events, after, over }: Backlog<JobEvent | GroupEvent>): Followed => ({
  found: 'yes',
  items: events,
  reset,
  next: over ? null : after,
  more: false,
})

import { eventPage, JobEvent } from '../../../edge/contract/events.ts'
import { isTerminal, Job } from '../../../edge/contract/jobs.ts'
import { PATIENCE_MS } from '../../support/patience.ts'
import type { Ask, Client } from './client.ts'
import { serverEvents } from './sse.ts'

/** What a client waits before it dials again: shorter than a browser's, so that no moment of the edge's return is missed. */
const RETRY_MS = 25

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, RETRY_MS))

/** Connections that break and answers that say "later" are tried again; anything else is the answer. */
export const persistently = async (client: Client, path: string, ask: Ask = {}): Promise<Response> => {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    let why: string
    try {
      const answer = await client.ask(path, ask)
      if (answer.status < 500) return answer
      why = `${answer.status} ${await answer.text()}`
    } catch (fault) {
      why = String(fault)
    }
    if (Date.now() > until) throw new Error(`${path} was not answered: ${why}`)
    await pause()
  }
}

/** The whole body, however often the connection breaks under it. */
export const readPersistently = async (client: Client, path: string): Promise<unknown> => {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    const answer = await persistently(client, path)
    try {
      const body: unknown = await answer.json()
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${JSON.stringify(body)}`)
      return body
    } catch (fault) {
      if (!answer.ok || Date.now() > until) throw fault
    }
  }
}

/** Submits under a key until the edge has acknowledged it: a repeated request is the same job. */
export const submitPersistently = async (client: Client, task: string, body: unknown, key: string): Promise<Job> => {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    const answer = await persistently(client, `/v1/tasks/${task}/jobs`, { body, headers: { 'idempotency-key': key } })
    let text: string
    try {
      text = await answer.text()
    } catch (fault) {
      if (Date.now() > until) throw fault
      continue
    }
    if (answer.status !== 202) throw new Error(`${task}: ${answer.status} ${text}`)
    return Job.parse(JSON.parse(text))
  }
}

export const readJob = async (client: Client, id: string): Promise<Job> => Job.parse(await readPersistently(client, `/v1/jobs/${id}`))

const Events = eventPage(JobEvent)
/** All events of a job so far. */
export const eventsSoFar = async (client: Client, id: string): Promise<JobEvent[]> =>
  Events.parse(await readPersistently(client, `/v1/jobs/${id}/events?after=0&wait=0`)).items

export interface Followed {
  events: JobEvent[]
  /** How often the stream was opened. */
  connections: number
}

/** After this event a stream that is read until publication ends; that of a pack alone may still come with it. */
const isLast = ({ state, publication, type }: JobEvent): boolean =>
  state === 'succeeded' ? type === 'publication' && publication !== 'pending' : isTerminal(state)

/**
 * Reads a job's numbered events to its publication as an `EventSource` does: a broken stream is opened again with
 * `Last-Event-ID`. I9: rejects at the first gap or repeat. Reads no further once `seen` answers true.
 */
export const follow = async (client: Client, id: string, seen?: (event: JobEvent) => unknown): Promise<Followed> => {
  const until = Date.now() + PATIENCE_MS
  const events: JobEvent[] = []
  let connections = 0
  for (;;) {
    if (events.some(isLast)) return { events, connections }
    const last = events.at(-1)
    if (Date.now() > until) throw new Error(`${id} did not end: ${events.map(({ seq, state }) => `${seq} ${state}`).join(', ')}`)
    const answer = await persistently(client, `/v1/jobs/${id}/events?until=published`, {
      headers: last ? { 'last-event-id': String(last.seq) } : {},
    })
    if (!answer.ok) throw new Error(`${id}: ${answer.status} ${await answer.text()}`)
    connections += 1
    try {
      for await (const { id: number, data } of serverEvents(answer)) {
        if (number === null) continue
        const event = JobEvent.parse(data)
        const expected = events.length + 1
        if (event.seq !== expected || number !== String(expected))
          throw new OutOfOrder(
            `job ${id}: event ${event.seq} (id ${number}) came where ${expected} was due, after ${connections} connections`,
          )
        events.push(event)
        if (seen?.(event) === true) return { events, connections }
      }
    } catch (fault) {
      if (fault instanceof OutOfOrder) throw fault
      // The stream broke off: opened again.
    }
  }
}

class OutOfOrder extends Error {
  override readonly name = 'OutOfOrder'
}

/** Resolves with the first event that fits, rejects when the job's events end without one. */
export const eventOf = async (client: Client, id: string, fits: (event: JobEvent) => boolean): Promise<JobEvent> => {
  const { events } = await follow(client, id, fits)
  const last = events.at(-1)
  if (last && fits(last)) return last
  throw new Error(`${id} ended without that event: ${JSON.stringify(events)}`)
}

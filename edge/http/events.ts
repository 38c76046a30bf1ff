import { Hono } from 'hono'
import { isTerminal } from '../contract/jobs.ts'
import { Problem } from '../contract/problems.ts'
import type { WatchMessage } from '../ledger/watchers.ts'
import type { AppContext, AppEnv } from './context.ts'
import { allow } from './guard.ts'
import { foundOr, jobIdOf, ledgerOf, notFound } from './jobs.ts'

/** A comment line this often keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000

/** Where a reader goes on: `Last-Event-ID` (WHATWG HTML, section 9.2.4), or `after` for the first request. */
const startOf = (c: AppContext): number => {
  const header = c.req.header('last-event-id')
  const text = header ?? c.req.query('after') ?? '0'
  if (!/^\d{1,9}$/.test(text))
    throw new Problem(
      header === undefined ? 'invalid_parameter' : 'invalid_header',
      `${header === undefined ? 'after' : 'Last-Event-ID'} is the number of an event, not "${text.slice(0, 50)}".`,
    )
  return Number(text)
}

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-accel-buffering': 'no',
}

/**
 * Events of one job as Server-Sent Events. The Worker holds a socket to the ledger, which may hibernate meanwhile; the
 * stream ends after the terminal event, or, with `?until=published`, after the publication's.
 */
const eventsHandler = async (c: AppContext): Promise<Response> => {
  const id = jobIdOf(c)
  const after = startOf(c)
  const until = c.req.query('until')
  if (until !== undefined && until !== 'published')
    throw new Problem('invalid_parameter', `until takes only "published", not "${until.slice(0, 50)}".`)
  const ledger = ledgerOf(c)
  const answer = await ledger.job(id)
  foundOr(answer.found, id)
  if (answer.found !== 'yes') throw notFound(id)
  const { job } = answer
  const isLast = (state: typeof job.state, publication: typeof job.publication): boolean =>
    isTerminal(state) && (until === undefined || publication !== 'pending')
  // Everything has happened and was seen. 204 tells an EventSource not to come back (WHATWG HTML, section 9.2.3): after a
  // stream that merely ends it would ask again, for ever.
  if (isLast(job.state, job.publication) && after >= job.seq) return c.body(null, 204)

  const answerSocket = await ledger.fetch(`https://ledger/watch/${id}?after=${after}`, { headers: { upgrade: 'websocket' } })
  const socket = answerSocket.webSocket
  if (!socket) throw new Problem('unavailable', 'The event stream could not be opened. Try again.')
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  let publication = job.publication
  let open = true
  const end = (): void => {
    if (!open) return
    open = false
    clearInterval(heartbeat)
    socket.close(1000, 'done')
    writer.close().catch(() => undefined)
  }
  // A failed write means that the reader has gone: that is how its absence is noticed.
  const write = (text: string): void => {
    if (open) writer.write(encoder.encode(text)).catch(end)
  }
  const heartbeat = setInterval(() => write(': still here\n\n'), HEARTBEAT_MS)
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as WatchMessage
    if ('progress' in message) {
      write(`event: progress\ndata: ${JSON.stringify(message.progress)}\n\n`)
      return
    }
    const { event } = message
    publication = event.publication ?? publication
    write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    // `publication` may be ahead of the backlog being read: the event's own word decides, the job's seq bounds it.
    if (isLast(event.state, event.publication ?? (event.seq >= job.seq ? publication : 'pending'))) end()
  })
  socket.addEventListener('close', end)
  socket.addEventListener('error', end)
  socket.accept()
  write('retry: 1000\n\n')
  return new Response(readable, { headers: STREAM_HEADERS })
}

export const eventsApp = new Hono<AppEnv>().get('/:id/events', allow('jobs:read'), eventsHandler)

import type { JobEvent, ResetEvent } from '../contract/events.ts'
import type { GroupEvent } from '../contract/groups.ts'
import type { WatchMessage } from '../ledger/watchers.ts'

/** A comment line this often keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000
/** A reader that is so far behind is let go: it comes back with its number, and what it missed is in the ledger. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-accel-buffering': 'no',
}

export type StreamEvent = JobEvent | GroupEvent

const block = (id: number | null, type: string, data: unknown): string =>
  `${id === null ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`

/** `numberOf`: the number by which the reader resumes. The reset carries one too, or the reader would come back with its old one. */
const render = (message: WatchMessage, numberOf: Shape['numberOf']): string => {
  if ('event' in message) return block(numberOf(message.event), message.event.type, message.event)
  if ('reset' in message) return block(message.reset.oldest - 1, 'reset', message.reset)
  if ('progress' in message) return block(null, 'progress', message.progress)
  return ''
}

/** What was asked of the stream's kind. */
export interface Shape {
  numberOf: (event: StreamEvent) => number | null
  /** When to end the stream though nothing has ended it, in milliseconds after an event; null: never. */
  patience: (event: StreamEvent) => number | null
}

const begin = ({ items, reset }: { items: StreamEvent[]; reset: ResetEvent | null }, shape: Shape): string =>
  [
    'retry: 1000\n\n',
    ...(reset ? [render({ reset }, shape.numberOf)] : []),
    ...items.map((event) => render({ event }, shape.numberOf)),
  ].join('')

/** A stream of which all is known. */
export const endedStream = (known: { items: StreamEvent[]; reset: ResetEvent | null }, shape: Shape): Response =>
  new Response(begin(known, shape), { headers: STREAM_HEADERS })

/**
 * What is known, then what comes on the ledger's socket, as Server-Sent Events (WHATWG HTML, section 9.2). The ledger may
 * sleep meanwhile. Ends with the message that says so, with the socket, or when the reader has gone.
 */
export const liveStream = (socket: WebSocket, known: { items: StreamEvent[]; reset: ResetEvent | null }, shape: Shape): Response => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const writer = writable.getWriter()
  const encoder = new TextEncoder()
  let unread = 0
  let open = true
  let patience: ReturnType<typeof setTimeout> | null = null
  const end = (): void => {
    if (!open) return
    open = false
    clearInterval(heartbeat)
    if (patience !== null) clearTimeout(patience)
    socket.close(1000, 'done')
    writer.close().catch(() => undefined)
  }
  // A failed write means that the reader has gone: that is how its absence is noticed.
  const write = async (text: string): Promise<void> => {
    if (!open) return
    const bytes = encoder.encode(text)
    unread += bytes.length
    if (unread > MAX_UNREAD_BYTES) return end()
    try {
      await writer.write(bytes)
      unread -= bytes.length
    } catch {
      end()
    }
  }
  const heartbeat = setInterval(() => void write(': still here\n\n'), HEARTBEAT_MS)
  socket.addEventListener('message', ({ data }) => {
    // Written by the ledger.
    const message = JSON.parse(String(data)) as WatchMessage
    if ('more' in message) {
      // Asked for when the reader has taken what came before: a comment's write is through then.
      void write(': more\n\n').then(() => open && socket.send('more'))
      return
    }
    void write(render(message, shape.numberOf))
    if (!('event' in message)) return
    if (message.over) return end()
    const wait = shape.patience(message.event)
    if (wait !== null) patience ??= setTimeout(end, wait)
  })
  socket.addEventListener('close', end)
  socket.addEventListener('error', end)
  socket.accept()
  void write(begin(known, shape))
  return new Response(readable, { headers: STREAM_HEADERS })
}

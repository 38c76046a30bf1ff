/** One message of an event stream (HTML, section 9.2.6). */
export interface SseMessage {
  id: string
  event: string
  data: string
}

export interface SseParser {
  /** Takes the next text and answers the messages that it completed. */
  push(text: string): SseMessage[]
  /** The reconnection time that the server asked for, in milliseconds. */
  readonly retry: number | null
  /** The last id that was dispatched: what `Last-Event-ID` names. */
  readonly lastId: string
}

/** A parser for `text/event-stream` (HTML, section 9.2.6): lines end in CRLF, LF or CR, also when a chunk ends between CR and LF. */
export const sseParser = (lastId = ''): SseParser => {
  let pending = ''
  let skipLf = false
  let first = true
  let id = lastId
  let dispatched = lastId
  let event = ''
  let data: string[] = []
  let retry: number | null = null

  const line = (text: string): SseMessage | null => {
    if (text === '') {
      const message = data.length > 0 ? { id, event: event === '' ? 'message' : event, data: data.join('\n') } : null
      dispatched = id
      event = ''
      data = []
      return message
    }
    const colon = text.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') event = value
    else if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'retry' && /^\d+$/.test(value)) retry = Number(value)
    return null
  }

  return {
    get retry() {
      return retry
    },
    get lastId() {
      return dispatched
    },
    push(text) {
      let rest = pending + text
      if (first && rest.length > 0) {
        first = false
        if (rest.startsWith('\uFEFF')) rest = rest.slice(1)
      }
      const messages: SseMessage[] = []
      for (;;) {
        if (skipLf && rest.length > 0) {
          if (rest.startsWith('\n')) rest = rest.slice(1)
          skipLf = false
        }
        const end = rest.search(/[\r\n]/)
        if (end < 0) break
        skipLf = rest[end] === '\r'
        const message = line(rest.slice(0, end))
        if (message !== null) messages.push(message)
        rest = rest.slice(end + 1)
      }
      pending = rest
      return messages
    },
  }
}

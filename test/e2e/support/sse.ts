/** One Server-Sent Event (WHATWG HTML, section 9.2.6). */
export interface ServerEvent {
  /** Null for an event without a number. */
  id: string | null
  type: string
  data: unknown
}

/** Reads a stream of Server-Sent Events to its end. Comments and `retry` are passed over. Breaking off cancels the stream. */
export async function* serverEvents(answer: Response): AsyncGenerator<ServerEvent> {
  if (!answer.body) return
  let rest = ''
  const decoder = new TextDecoder()
  for await (const bytes of answer.body) {
    rest += decoder.decode(bytes, { stream: true })
    const blocks = rest.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parse(block)
      if (event) yield event
    }
  }
}

const parse = (block: string): ServerEvent | null => {
  const fields = block
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(':'))
    .map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')] as const
    })
  const data = fields.filter(([name]) => name === 'data').map(([, value]) => value)
  if (data.length === 0) return null
  const of = (wanted: string): string | undefined => fields.findLast(([name]) => name === wanted)?.[1]
  return { id: of('id') ?? null, type: of('event') ?? 'message', data: JSON.parse(data.join('\n')) }
}

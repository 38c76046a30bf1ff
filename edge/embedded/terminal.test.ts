import { describe, expect, test } from 'vitest'
import { readEvents } from './events.ts'
import { bar, secondsText, table } from './terminal.ts'

describe('the terminal', () => {
  test('a table aligns numbers to the right and keeps a row on one line', () => {
    expect(
      table(
        [
          { name: 'origin', type: 'string' },
          { name: 'flights', type: 'long' },
        ],
        [
          ['ORD', '27692'],
          ['a\nb', null],
        ],
      ),
    ).toEqual(['origin  flights', '──────  ───────', 'ORD       27692', 'a b           ∅'])
  })

  test('a bar is empty while nothing is known and never overflows', () => {
    expect(bar(null, 'waiting')).toBe(`${'░'.repeat(30)}        waiting`)
    expect(bar(50, 'x')).toContain(`${'█'.repeat(15)}${'░'.repeat(15)}  50 %`)
    expect(bar(1_000, 'x')).toContain('█'.repeat(30))
  })

  test('short times show milliseconds', () => {
    expect([secondsText(0.1234), secondsText(12.34)]).toEqual(['0.123 s', '12.3 s'])
  })
})

describe('server-sent events', () => {
  const stream = (...chunks: string[]): ReadableStream<Uint8Array> =>
    new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk))
        controller.close()
      },
    })

  test('are put together over chunks; heartbeats are passed over', async () => {
    const events = []
    for await (const event of readEvents(stream(': hello\n\nid: 1\nevent: sta', 'te\ndata: {"a":\ndata: 1}\n\n', 'data: x\n\n: beat\n\n')))
      events.push(event)
    expect(events).toEqual([
      { event: 'state', data: '{"a":\n1}' },
      { event: 'message', data: 'x' },
    ])
  })
})

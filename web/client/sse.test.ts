import { describe, expect, it } from 'vitest'
import { type SseMessage, sseParser } from './sse.ts'

const STREAM =
  '\uFEFF: hello\r\nid: 1\r\nevent: state\r\ndata: {"a":1}\r\n\r\nretry: 250\n\ndata: two\ndata: lines\nid: 2\n\nid: 3\rdata:tight\r\rdata: never finished'

const all = (chunks: string[]): SseMessage[] => {
  const parser = sseParser()
  return chunks.flatMap((chunk) => parser.push(chunk))
}

const EXPECTED: SseMessage[] = [
  { id: '1', event: 'state', data: '{"a":1}' },
  { id: '2', event: 'message', data: 'two\nlines' },
  { id: '3', event: 'message', data: 'tight' },
]

describe('sseParser', () => {
  it('gives the same messages wherever the stream is cut', () => {
    expect(all([STREAM])).toEqual(EXPECTED)
    expect(all([...STREAM])).toEqual(EXPECTED)
    for (let at = 1; at < STREAM.length; at++) expect(all([STREAM.slice(0, at), STREAM.slice(at)])).toEqual(EXPECTED)
  })

  it('remembers the id of the last message that was complete, and the wait that was asked for', () => {
    const parser = sseParser('7')
    expect(parser.lastId).toBe('7')
    parser.push('id: 8\ndata: x')
    expect(parser.lastId).toBe('7')
    parser.push('\n\nretry: 1500\nretry: soon\n')
    expect(parser.lastId).toBe('8')
    expect(parser.retry).toBe(1500)
  })

  it('ignores an id with a NUL, an empty message and unknown fields', () => {
    expect(all(['id: a\0b\n', 'colour: green\n', '\n', 'event: x\n\n', 'data\n\n'])).toEqual([{ id: '', event: 'message', data: '' }])
  })
})

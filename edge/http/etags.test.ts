import { expect, test } from 'vitest'
import type { AppContext } from './context.ts'
import { isKnown, taggedJson, tagOf } from './etags.ts'

test('texts that differ in one character, or in their order, have different tags', () => {
  const texts = ['', 'a', 'b', 'ab', 'ba', '{"seq":1}', '{"seq":2}', 'a'.repeat(100_000), `${'a'.repeat(99_999)}b`]
  expect(new Set(texts.map(tagOf)).size).toBe(texts.length)
  expect(tagOf('{"seq":1}')).toBe(tagOf('{"seq":1}'))
  expect(tagOf('x')).toMatch(/^W\/"[0-9a-z-]+"$/)
})

test('a hundred thousand jobs that differ in one number have a hundred thousand tags', () => {
  const tags = new Set<string>()
  for (let seq = 0; seq < 100_000; seq++) tags.add(tagOf(`{"id":"01kdyak3se2ztwde0000012345","seq":${seq},"state":"running"}`))
  expect(tags.size).toBe(100_000)
})

test.each([
  [undefined, false],
  ['W/"a"', true],
  ['"a"', true],
  ['"b", W/"a"', true],
  ['*', true],
  ['"b"', false],
  ['a', false],
  ['"ab"', false],
])('If-None-Match %s is compared weakly', (header, known) => {
  expect(isKnown(header, 'W/"a"')).toBe(known)
})

/** The three things of a context that an answer is made with. */
const contextWith = (header: string | undefined): AppContext =>
  ({
    req: { header: () => header },
    body: (body: string | null, status: number, headers: Record<string, string>) => new Response(body, { status, headers }),
  }) as unknown as AppContext

test('who has it already gets 304 without a body, and all get the tag', async () => {
  const first = taggedJson(contextWith(undefined), { seq: 1, progress: null })
  const tag = first.headers.get('etag') ?? ''
  expect([first.status, await first.json(), first.headers.get('content-type')]).toEqual([
    200,
    { seq: 1, progress: null },
    'application/json',
  ])
  const again = taggedJson(contextWith(tag), { seq: 1, progress: null })
  expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', tag])
  const moved = taggedJson(contextWith(tag), { seq: 1, progress: { percent: 3, rows: null } })
  expect([moved.status, moved.headers.get('etag') === tag]).toEqual([200, false])
})

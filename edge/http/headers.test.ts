import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { Problem } from '../contract/problems.ts'
import type { AppContext, AppEnv } from './context.ts'
import { preferredWait, queryInteger, queryOf } from './headers.ts'

/** What a reading of a request answers, or the code and text of its problem. */
const read = async (reading: (c: AppContext) => unknown, query = '', headers: Record<string, string> = {}): Promise<unknown> => {
  const app = new Hono<AppEnv>().get('/', (c: AppContext) => c.json({ read: reading(c) ?? null }))
  app.onError((fault) => new Response(JSON.stringify({ read: fault instanceof Problem ? [fault.code, fault.message] : 'not a problem' })))
  return ((await (await app.request(`/${query}`, { headers })).json()) as { read: unknown }).read
}

test('a parameter that is given once is read, and one that is given twice is refused with its values', async () => {
  const state = (query: string): Promise<unknown> => read((c) => queryOf(c, 'state'), query)
  expect(await state('')).toBeNull()
  expect(await state('?state=')).toBe('')
  expect(await state('?state=a%20b&other=1&other=2')).toBe('a b')
  expect(await state('?state=failed&state=succeeded')).toEqual([
    'invalid_parameter',
    'state was given 2 times ("failed", "succeeded"): give it once.',
  ])
  expect(await read((c) => queryInteger(c, 'limit', 50, 1, 500), '?limit=1&limit=1')).toEqual([
    'invalid_parameter',
    'limit was given 2 times ("1", "1"): give it once.',
  ])
})

test.each([
  ['wait=5', 5],
  ['wait=0', 0],
  ['wait=99999', 30],
  ['respond-async, WAIT = "7"; x', 7],
  ['wait=1, wait=20', 1],
  ['return=minimal', 0],
  ['awaiting=5', 0],
])('Prefer: %s waits %d seconds', async (prefer, seconds) => {
  expect(await read(preferredWait, '', { prefer })).toBe(seconds)
})

test.each(['wait=-1', 'wait=1.5', 'wait=soon', 'wait=', 'wait', 'respond-async, wait'])('Prefer: %s is refused', async (prefer) => {
  expect(await read(preferredWait, '', { prefer })).toEqual([
    'invalid_header',
    expect.stringMatching(/^Prefer: wait takes whole seconds, not ".*"\.$/),
  ])
})

import { Hono } from 'hono'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { GroupBody } from '../contract/groups.ts'
import { BatchBody, SubmitBody } from '../contract/jobs.ts'
import { Problem } from '../contract/problems.ts'
import { readBody } from './body.ts'
import type { AppContext, AppEnv } from './context.ts'

/** What becomes of a body: null when it was taken. */
const refused = async (text: string, schema: z.ZodType): Promise<string | null> => {
  const app = new Hono<AppEnv>().post('/', async (c: AppContext) => {
    await readBody(c, schema)
    return c.body(null, 204)
  })
  app.onError((fault) => new Response(fault instanceof Problem ? `${fault.code} ${fault.extras.errors?.[0]?.path}` : 'not a problem'))
  const answer = await app.request('/', { method: 'POST', body: text, headers: { 'content-type': 'application/json' } })
  return answer.status === 204 ? null : answer.text()
}

it('a member named __proto__ is refused wherever it stands, and nothing else of that kind', async () => {
  const step = '{"task": "t"}'
  expect(await refused(`{"steps": {"a": ${step}, "__proto__": ${step}}}`, GroupBody)).toBe('invalid_body /steps/__proto__')
  expect(await refused('{"jobs": [{"task": "t", "args": {"\\u005f_proto__": 1}}]}', BatchBody)).toBe('invalid_body /jobs/0/args/__proto__')
  expect(await refused('{"steps": {"constructor": {"task": "__proto__", "args": ["__proto__"]}}}', GroupBody)).toBeNull()
})

it('an eta is an instant that can be written again', () => {
  const ok = (eta: string): boolean => SubmitBody.safeParse({ eta }).success
  expect(ok('1970-01-01T00:00:00Z')).toBe(true)
  expect(ok('0000-01-01T00:00:00+02:00')).toBe(false)
  expect(ok('2026-02-30T00:00:00Z')).toBe(false)
})

it('a body that is packed, of another type or in other characters is refused for that, and not for what it looks like', async () => {
  const app = new Hono<AppEnv>().post('/', async (c: AppContext) => c.json(await readBody(c, z.object({ n: z.number() }))))
  app.onError((fault) => new Response(fault instanceof Problem ? `${fault.code}: ${fault.message}` : 'not a problem'))
  const sent = async (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer> = '{"n": 1}'): Promise<string> =>
    (await app.request('/', { method: 'POST', body, headers })).text()
  for (const type of ['application/json', 'application/json; charset=UTF-8', 'application/vnd.x+json', 'application/x-www-form-urlencoded'])
    expect(await sent({ 'content-type': type, 'content-encoding': 'identity' }), type).toBe('{"n":1}')
  expect(await sent({ 'content-type': 'application/json', 'content-encoding': 'gzip' }, new Uint8Array([0x1f, 0x8b, 0xff]))).toBe(
    'unsupported_media_type: Send the body without Content-Encoding, not as gzip.',
  )
  expect(await sent({ 'content-type': 'application/json; charset="UTF-16"' })).toBe(
    'unsupported_media_type: Send the body in UTF-8, not in UTF-16.',
  )
  expect(await sent({ 'content-type': 'text/plain' })).toBe('unsupported_media_type: Send the body as application/json, not as text/plain.')
  // Nothing was sent: many a client names a type all the same.
  expect(await sent({ 'content-type': 'text/plain' }, '')).toMatch(/^invalid_body/)
})

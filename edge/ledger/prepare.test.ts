import { expect, test } from 'vitest'
import { plainTask } from '../contract/fixture.ts'
import { SubmitBody } from '../contract/jobs.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { type Prepared, prepareSubmission } from './prepare.ts'

const task = (change: Partial<CataloguedTask> = {}): CataloguedTask => ({
  ...plainTask('daily'),
  pools: [],
  available: true,
  notice: null,
  last_seen_at: '2026-01-01T00:00:00.000Z',
  ...change,
})
const prepare = (body: unknown, of = task()): Prepared => prepareSubmission({ scopes: [] }, of, SubmitBody.parse(body), null)
const wanted = (body: unknown, of = task()) => {
  const prepared = prepare(body, of)
  if (!prepared.ok) throw new Error(prepared.detail)
  return prepared.submission
}

test('an engine that there is not is refused, and those that there are named', () => {
  expect(prepare({ engine_hint: 'oracle' })).toMatchObject({
    ok: false,
    code: 'invalid_arguments',
    detail: expect.stringContaining('trino'),
  })
  expect(wanted({ engine_hint: 'trino' }).engine_hint).toBe('trino')
})

test('nobody may run longer than its task', () => {
  const limited = task({ max_runtime_seconds: 60 })
  expect([{}, { max_runtime: '5m' }, { max_runtime: 5 }].map((body) => wanted(body, limited).max_runtime_seconds)).toEqual([60, 60, 5])
})

test('a run of its own is like others, but shares nothing; a task that shares nothing has no like', () => {
  const plain = wanted({})
  const fresh = wanted({ fresh: true })
  expect([plain.fresh, fresh.fresh]).toEqual([false, true])
  expect(fresh.sameness).toBe(plain.sameness)
  expect(wanted({ reuse: { max_age: '1h' } }, task({ coalesce: false }))).toMatchObject({ sameness: null, reuse_seconds: null })
})

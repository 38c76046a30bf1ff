import { expect, it } from 'vitest'
import { testLedger } from './fixture.ts'
import { MAX_SLICES_PER_RESULT } from './limits.ts'
import { rememberSlice, sliceQuery } from './slices.ts'

it('a slice is remembered under its result and hash, and says whether it was known', () => {
  const { context } = testLedger()
  expect(sliceQuery(context, 'r1', 'a')).toBeNull()
  expect(rememberSlice(context, 'r1', 'a', '{"q":1}')).toBe(false)
  expect(rememberSlice(context, 'r1', 'a', '{"q":1}')).toBe(true)
  expect(rememberSlice(context, 'r2', 'a', '{"q":2}')).toBe(false)
  expect([sliceQuery(context, 'r1', 'a'), sliceQuery(context, 'r2', 'a'), sliceQuery(context, 'r1', 'b')]).toEqual([
    '{"q":1}',
    '{"q":2}',
    null,
  ])
})

it('of too many slices of one result the oldest go, and those of others stay', () => {
  const { context, pass } = testLedger()
  rememberSlice(context, 'other', 'old', '{}')
  for (let n = 0; n <= MAX_SLICES_PER_RESULT; n++) {
    rememberSlice(context, 'r', `h${n}`, '{}')
    pass(1)
  }
  const kept = context.store.all<{ hash: string }>("SELECT hash FROM slices WHERE result = 'r' ORDER BY at").map(({ hash }) => hash)
  expect(kept.length).toBeLessThanOrEqual(MAX_SLICES_PER_RESULT)
  expect(kept.length).toBeGreaterThan(MAX_SLICES_PER_RESULT * 0.8)
  expect(kept.at(-1)).toBe(`h${MAX_SLICES_PER_RESULT}`)
  expect(kept[0]).toBe(`h${MAX_SLICES_PER_RESULT + 1 - kept.length}`)
  expect(sliceQuery(context, 'other', 'old')).toBe('{}')
})

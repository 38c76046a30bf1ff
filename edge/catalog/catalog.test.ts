import { expect, test } from 'vitest'
import { Family } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { CatalogCore } from './catalog.ts'

const family = Family.parse('reports.pnl')
const other = Family.parse('reports.other')
const core = (): CatalogCore => new CatalogCore(nodeStore(), () => 1_000)

test('a family without a commit has no pointer and is not listed', () => {
  const catalog = core()
  expect(catalog.pointer(family)).toBeNull()
  expect(catalog.families()).toEqual([])
})

test('the first commit must expect nothing, each later one what stands there', () => {
  const catalog = core()
  expect(catalog.commit({ family, expected: 'elsewhere', location: 'm1' })).toEqual({ ok: false, current: null })
  expect(catalog.commit({ family, expected: null, location: 'm1' })).toEqual({ ok: true })
  expect(catalog.commit({ family, expected: null, location: 'm2' })).toEqual({ ok: false, current: 'm1' })
  expect(catalog.commit({ family, expected: 'm1', location: 'm2' })).toEqual({ ok: true })
  expect(catalog.pointer(family)).toBe('m2')
})

test('of two commits with one parent exactly one wins', () => {
  const catalog = core()
  catalog.commit({ family, expected: null, location: 'm1' })
  const outcomes = ['m2', 'm3'].map((location) => catalog.commit({ family, expected: 'm1', location }).ok)
  expect(outcomes).toEqual([true, false])
  expect(catalog.pointer(family)).toBe('m2')
})

test('a move whose answer was lost may be repeated', () => {
  const catalog = core()
  catalog.commit({ family, expected: null, location: 'm1' })
  expect(catalog.commit({ family, expected: null, location: 'm1' })).toEqual({ ok: true })
  catalog.commit({ family, expected: 'm1', location: 'm2' })
  expect(catalog.commit({ family, expected: null, location: 'm1' })).toEqual({ ok: false, current: 'm2' })
})

test('families are listed by name and survive a restart', () => {
  const store = nodeStore()
  const before = new CatalogCore(store, () => 1)
  before.commit({ family, expected: null, location: 'a' })
  before.commit({ family: other, expected: null, location: 'b' })
  const after = new CatalogCore(store, () => 2)
  expect(after.families()).toEqual([other, family])
  expect(after.pointer(other)).toBe('b')
})

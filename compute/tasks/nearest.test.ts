import { expect, test } from 'bun:test'
import { didYouMean, nearest } from './nearest.ts'

const KEYS = ['name', 'retention', 'raw', 'db', 'max_runtime', 'queue']

test.each([
  ['retension', 'retention'],
  ['Retention', 'retention'],
  ['max runtime', 'max_runtime'],
  ['max-runtime', 'max_runtime'],
  ['qeue', 'queue'],
  ['quuee', 'queue'],
  ['nmae', 'name'],
  ['dbs', 'db'],
])('%p was meant to be %p', (word, key) => {
  expect(nearest(word, KEYS)).toBe(key)
})

test.each(['owner', '', 'see http', 'x', 'x'.repeat(100_000)])('%p is no misspelt key', (word) => {
  expect(nearest(word, KEYS)).toBeNull()
  expect(didYouMean(word, KEYS)).toBe('')
})

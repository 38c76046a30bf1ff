import { expect, test } from 'vitest'
import type { ColumnStats, NodeFile } from '../contract/manifests.ts'
import { dataFile } from './data-file.ts'
import type { Field } from './schema.ts'
import type { PartitionValue } from './single-value.ts'
import { DEFAULT_PARTITION } from './specs.ts'

/** How a file is partitioned whose task wishes for its one column, by what is known of that column. */
const partitioned = (type: string, stats: Partial<ColumnStats> | null): PartitionValue[] | 'default' => {
  const column: Field = { id: 4, name: 'k', type }
  const file: NodeFile = {
    n: 0,
    bytes: 1_000,
    sha256: '0'.repeat(64),
    rows: 5,
    run_date: '2026-11-20',
    split_offsets: [4],
    stats: stats === null ? [] : [{ field: 4, bytes: 10, values: 5, nulls: 0, nans: 0, min: null, max: null, ...stats }],
  }
  const { sources, file: entry } = dataFile({ tenant: 'acme', job: 'j', path: 's3://lake/x' }, file, [column], [column], [4])
  return sources === DEFAULT_PARTITION ? 'default' : entry.partition
}

test('a file is partitioned by a column that has one value in it, or none at all', () => {
  expect(partitioned('int', { min: '7', max: '7' })).toEqual([7])
  expect(partitioned('string', { min: '', max: '' })).toEqual([''])
  expect(partitioned('decimal(9,2)', { min: '-1.50', max: '-1.50' })).toEqual([-150n])
  expect(partitioned('int', { nulls: 5 })).toEqual([null])
})

test('a file with several values, with some nulls, or of which nothing is known, is not', () => {
  expect(partitioned('int', { min: '7', max: '8' })).toBe('default')
  expect(partitioned('int', { min: '7', max: '7', nulls: 1 })).toBe('default')
  expect(partitioned('int', {})).toBe('default')
  expect(partitioned('int', null)).toBe('default')
})

test.each([
  ['double', '1.5'],
  ['float', '1.5'],
  ['uuid', '00000000-0000-0000-0000-000000000001'],
])('a %s divides no files, whose readers would find too little: NaN has no bound, and PyIceberg misreads the others', (type, text) => {
  expect(partitioned(type, { min: text, max: text })).toBe('default')
  expect(partitioned(type, { min: text, max: text, nans: null })).toBe('default')
  expect(partitioned(type, { nulls: 5 })).toBe('default')
})

import { expect, test } from 'bun:test'
import type { Column } from '../../edge/contract/columns.ts'
import type { NodeFile } from '../../edge/contract/manifests.ts'
import { leanFiles, MAX_STATS } from './lean-files.ts'

const columns = (count: number): Column[] => Array.from({ length: count }, (_, n) => ({ id: n + 4, name: `c${n}`, type: 'string' }))
const files = (count: number, of: readonly Column[]): NodeFile[] =>
  Array.from({ length: count }, (_, n) => ({
    n,
    bytes: 100,
    sha256: 'a'.repeat(64),
    rows: 1,
    run_date: '2026-01-02',
    split_offsets: [4],
    stats: of.map(({ id = 0 }) => ({ field: id, bytes: 1, values: 1, nulls: 0, nans: null, min: 'a'.repeat(64), max: 'b'.repeat(64) })),
  }))

test('an ordinary result keeps all its statistics', () => {
  const wide = columns(1_000)
  const some = files(5, wide)
  expect(leanFiles(some, wide, null)).toBe(some)
})

test('a result of many wide files fits into a row, and the partition columns keep theirs', () => {
  const wide = columns(1_000)
  const lean = leanFiles(files(366, wide), wide, ['c999'])
  expect(lean.reduce((sum, { stats }) => sum + stats.length, 0)).toBeLessThanOrEqual(MAX_STATS)
  expect(JSON.stringify(lean).length).toBeLessThan(1_700_000)
  for (const { stats } of lean) {
    expect(stats[0]?.field).toBe(4)
    expect(stats.at(-1)?.field).toBe(1_003)
    expect(stats.length).toBe(13)
  }
})

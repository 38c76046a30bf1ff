import { describe, expect, test } from 'bun:test'
import { firstWord, readReport } from './statement.ts'
import { decodeText, readArray } from './values.ts'
import { textOf } from './wire.ts'

test('a text keeps U+FEFF at its beginning', () => {
  const bytes = new TextEncoder().encode('\ufeffx')
  expect([bytes.length, textOf(bytes, 0, bytes.length)]).toEqual([4, '\ufeffx'])
})

describe('decimals', () => {
  const CASES: [string, string, bigint | null][] = [
    ['0', 'decimal(1,0)', 0n],
    ['-0.5', 'decimal(2,1)', -5n],
    ['0.005', 'decimal(4,2)', 1n],
    ['0.00499999', 'decimal(4,2)', 0n],
    ['-0.005', 'decimal(4,2)', -1n],
    ['99.994', 'decimal(4,2)', 9_999n],
    ['99.995', 'decimal(4,2)', null],
    ['100', 'decimal(4,2)', null],
    ['NaN', 'decimal(4,2)', null],
    ['-Infinity', 'decimal(38,0)', null],
    ['9'.repeat(38), 'decimal(38,0)', 10n ** 38n - 1n],
    [`1${'0'.repeat(38)}`, 'decimal(38,0)', null],
  ]
  for (const [text, type, unscaled] of CASES) {
    test(`${text} as ${type}`, () => {
      expect(decodeText(text, 'numeric', type)).toEqual(unscaled === null ? { ok: false } : { ok: true, value: unscaled })
    })
  }
})

describe('moments', () => {
  test('a zone that is not UTC is refused, not taken for UTC', () => {
    expect(decodeText('2024-01-02 03:04:05+05:30', 'timestamptz', 'timestamptz')).toEqual({ ok: false })
    expect(decodeText('2024-01-02 03:04:05+00', 'timestamptz', 'timestamptz')).toEqual({ ok: true, value: 1_704_164_645_000_000n })
  })
  test('the last microsecond of a signed 64-bit count is infinity to DuckDB, the one before it fits', () => {
    expect(decodeText('294247-01-10 04:00:54.775806', 'timestamp', 'timestamp')).toEqual({ ok: true, value: 2n ** 63n - 2n })
    expect(decodeText('294247-01-10 04:00:54.775807', 'timestamp', 'timestamp')).toEqual({ ok: false })
  })
  test('another date style is refused', () => {
    expect(decodeText('02.01.2024', 'date', 'date')).toEqual({ ok: false })
  })
})

describe('arrays', () => {
  const CASES: [string, (string | null)[]][] = [
    ['{}', []],
    ['{1,NULL,3}', ['1', null, '3']],
    ['{"NULL","",null}', ['NULL', '', 'null']],
    ['{"a,b","c}d","e\\"f","g\\\\h","{i}"}', ['a,b', 'c}d', 'e"f', 'g\\h', '{i}']],
    ['{"\\\\x00ff"}', ['\\x00ff']],
    ['{"line\nbreak",Grüße}', ['line\nbreak', 'Grüße']],
  ]
  for (const [text, elements] of CASES) {
    test(text, () => expect(readArray(text)).toEqual({ ok: true, elements }))
  }
  test('several dimensions and other first indexes are refused', () => {
    expect(readArray('{{1},{2}}').ok).toBe(false)
    expect(readArray('[0:1]={1,2}').ok).toBe(false)
  })
})

describe('statements', () => {
  const WORDS: [string, string][] = [
    ['select 1', 'select'],
    ['  ((WITH a as (select 1) select * from a))', 'with'],
    ['-- copy\n/* insert /* deep */ x */ VALUES (1)', 'values'],
    ['TABLE t', 'table'],
    ['/* never closed select 1', ''],
    ['"select" 1', ''],
  ]
  for (const [sql, word] of WORDS) {
    test(`the first word of ${JSON.stringify(sql)} is ${JSON.stringify(word)}`, () => expect(firstWord(sql)).toBe(word))
  }
  test('a statement that outlives its transaction is known', () => {
    const traces = (sql: string) => {
      const reading = readReport(sql)
      return reading.ok && reading.statement.leavesTraces
    }
    expect(traces("select set_config('a.b', 'c', false)")).toBe(true)
    expect(traces('select pg_advisory_lock(1)')).toBe(true)
    expect(traces('select 1')).toBe(false)
  })
})

import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, test } from 'vitest'
import type { Column } from './columns.ts'
import { compileSlice, type Normalised, normalise, outputColumns, type StructuredNormal } from './slice-form.ts'
import { sliceHash } from './slice-hash.ts'
import { duckdbType } from './slice-sql.ts'
import { NormalSlice, SliceRequest } from './slices.ts'

const COLUMNS: Column[] = [
  { id: 4, name: 'id', type: 'long' },
  { id: 5, name: 'region', type: 'string' },
  { id: 6, name: 'amount', type: 'decimal(10,2)' },
  { id: 7, name: 'score', type: 'double' },
  { id: 8, name: 'ratio', type: 'float' },
  { id: 9, name: 'n', type: 'int' },
  { id: 10, name: 'at', type: 'timestamp' },
  { id: 11, name: 'zoned', type: 'timestamptz' },
  { id: 12, name: 'day', type: 'date' },
  { id: 13, name: 'clock', type: 'time' },
  { id: 14, name: 'key', type: 'uuid' },
  { id: 15, name: 'bytes', type: 'binary' },
  { id: 16, name: 'ok', type: 'boolean' },
  { id: 17, name: 'a"b', type: 'string' },
  { id: 18, name: 'tags', type: { type: 'list', 'element-id': 19, element: 'string' } },
  { id: 20, name: '-odd', type: 'int' },
]

const of = (request: unknown): Normalised => normalise(SliceRequest.parse(request), COLUMNS)
const structured = (request: unknown): StructuredNormal => {
  const result = of(request)
  if (!result.ok) throw new Error(JSON.stringify(result.errors))
  if ('sql' in result.slice) throw new Error('not structured')
  return result.slice
}
const faults = (request: unknown) => {
  const result = of(request)
  return result.ok ? [] : result.errors
}
const hash = async (request: unknown) => sliceHash(structured(request))

describe('normal form', () => {
  test('an empty body is the first page of all columns', () => {
    const slice = structured({})
    expect(slice).toEqual({ where: [], select: COLUMNS.map((c) => ({ col: c.name })), group: [], order: [], limit: 1000, offset: 0 })
    expect(NormalSlice.parse(slice)).toEqual(slice)
  })

  test('requests of one meaning have one hash', async () => {
    const first = await hash({
      where: [
        { col: 'amount', op: 'between', value: [1, '2.5'] },
        { col: 'id', op: 'in', value: [7] },
        { col: 'zoned', op: '<', value: '2024-03-01 02:00:00+02:00' },
      ],
      order: ['-id', 'id'],
    })
    const second = await hash({
      where: [
        { col: 'zoned', op: '<', value: '2024-03-01T00:00:00.000000Z' },
        { col: 'id', op: '=', value: '+7' },
        { col: 'amount', op: '<=', value: '2.50' },
        { col: 'amount', op: '>=', value: '1e0' },
        { col: 'amount', op: '>=', value: 1 },
      ],
      select: COLUMNS.map((c) => c.name),
      order: ['-id'],
      limit: 1000,
      offset: 0,
    })
    expect(first).toBe(second)
    expect(await hash({ order: ['id'] })).not.toBe(first)
    expect(first).toMatch(/^[0-9a-f]{32}$/)
  })

  test('the hash of a slice never changes', async () => {
    expect(await hash({ where: [{ col: 'region', op: '=', value: 'Süd' }], select: ['region', 'id'], order: ['-id'], limit: 10 })).toBe(
      'e482343ad591b71652b56080a12aabbd',
    )
    expect(await sliceHash({ sql: 'select 1' })).toBe('9c201c0b3f4bd9f0a654298ba513fe14')
  })

  test('sql is trimmed of blanks and of final semicolons, and never empty', () => {
    expect(of({ sql: ' select 1 ; ;\n' })).toEqual({ ok: true, slice: { sql: 'select 1' } })
    expect(faults({ sql: ' ; ' })).toEqual([{ path: 'sql', message: 'the statement is empty' }])
  })

  test('group without select counts the rows of each group', () => {
    expect(structured({ group: ['region'] }).select).toEqual([{ col: 'region' }, { fn: 'count', as: 'count' }])
  })

  test('a column whose name begins with a minus is ordered by its whole name', () => {
    expect(structured({ order: ['-odd', '--odd'] }).order).toEqual([{ col: '-odd', desc: false }])
    expect(structured({ order: ['--odd'] }).order).toEqual([{ col: '-odd', desc: true }])
  })

  test.each([
    [{ where: [{ col: 'Regoin', op: '=', value: 'x' }] }, 'where[0].col', 'did you mean "region"?'],
    [{ select: ['nothing like it'] }, 'select[0]', 'there are "id", "region"'],
    [{ where: [{ col: 'id', op: '=', value: 1.5 }] }, 'where[0].value', '1.5 is not a whole number'],
    [{ where: [{ col: 'id', op: '=', value: 2 ** 53 }] }, 'where[0].value', 'send it as a string'],
    [{ where: [{ col: 'id', op: '=', value: '9223372036854775808' }] }, 'where[0].value', 'outside the range of long'],
    [{ where: [{ col: 'n', op: '=', value: 2147483648 }] }, 'where[0].value', 'outside the range of int'],
    [{ where: [{ col: 'amount', op: '=', value: '1.005' }] }, 'where[0].value', '3 decimal places, the column keeps 2'],
    [{ where: [{ col: 'amount', op: '=', value: '100000000' }] }, 'where[0].value', 'does not fit decimal(10,2)'],
    [{ where: [{ col: 'amount', op: '=', value: '1e999' }] }, 'where[0].value', 'not a decimal number'],
    [{ where: [{ col: 'ratio', op: '=', value: 1e39 }] }, 'where[0].value', 'outside the range of float'],
    [{ where: [{ col: 'day', op: '=', value: '2023-02-29' }] }, 'where[0].value', 'is not a date'],
    [{ where: [{ col: 'at', op: '=', value: '2023-02-28T00:00:00Z' }] }, 'where[0].value', 'names a zone'],
    [{ where: [{ col: 'at', op: '=', value: '2023-02-28T00:00:00.0000001' }] }, 'where[0].value', 'is not a timestamp'],
    [{ where: [{ col: 'clock', op: '=', value: '25:00' }] }, 'where[0].value', 'is not a time'],
    [{ where: [{ col: 'key', op: '=', value: 'x' }] }, 'where[0].value', 'is not a uuid'],
    [{ where: [{ col: 'bytes', op: '=', value: '*' }] }, 'where[0].value', 'is not base64'],
    [{ where: [{ col: 'ok', op: '=', value: 'yes' }] }, 'where[0].value', 'is not true or false'],
    [{ where: [{ col: 'region', op: '=', value: 5 }] }, 'where[0].value', 'send a string'],
    [{ where: [{ col: 'region', op: '=', value: '\ud800' }] }, 'where[0].value', 'surrogate'],
    [{ where: [{ col: 'region', op: '=', value: null }] }, 'where[0].value', 'use is_null'],
    [{ where: [{ col: 'region', op: '=' }] }, 'where[0].value', '= needs a value'],
    [{ where: [{ col: 'region', op: '=', value: ['a'] }] }, 'where[0].value', 'one value is expected'],
    [{ where: [{ col: 'region', op: 'in', value: 'a' }] }, 'where[0].value', 'in takes an array'],
    [{ where: [{ col: 'region', op: 'between', value: ['a'] }] }, 'where[0].value', 'array of two'],
    [{ where: [{ col: 'region', op: 'is_null', value: 1 }] }, 'where[0].value', 'takes no value'],
    [{ where: [{ col: 'id', op: 'contains', value: '1' }] }, 'where[0].op', 'contains needs a string column'],
    [{ where: [{ col: 'tags', op: '=', value: 'x' }] }, 'where[0].op', 'is_null and not_null only'],
    [{ order: ['tags'] }, 'order[0]', 'no order here'],
    [{ group: ['tags'] }, 'group[0]', 'no order here'],
    [{ select: ['id', { fn: 'count' }] }, 'select[0]', 'stands beside aggregates'],
    [{ select: ['id'], group: ['region'] }, 'select[0]', 'stands beside aggregates'],
    [{ select: [{ fn: 'sum' }] }, 'select[0]', 'sum needs a col'],
    [{ select: [{ fn: 'sum', col: 'region' }] }, 'select[0]', 'sum needs a number'],
    [{ select: [{ fn: 'max', col: 'tags' }] }, 'select[0]', 'does not take a list'],
    [{ select: ['id', 'id'] }, 'select[1]', 'two columns'],
    [{ group: ['region'], order: ['-amount'] }, 'order[0]', 'the answer has no column "amount"'],
  ])('%j is refused', (request, path, message) => {
    const found = faults(request)
    expect(found.map((fault) => fault.path)).toEqual([path])
    expect(found[0]?.message).toContain(message)
  })
})

test('types of the answer: sums keep their digits, averages are doubles', () => {
  const slice = structured({
    group: ['region'],
    select: [
      'region',
      { fn: 'count' },
      { fn: 'sum', col: 'n' },
      { fn: 'sum', col: 'amount' },
      { fn: 'sum', col: 'ratio' },
      { fn: 'avg', col: 'id' },
      { fn: 'min', col: 'at' },
      { fn: 'count_distinct', col: 'key', as: 'keys' },
    ],
  })
  expect(outputColumns(slice, COLUMNS)).toEqual([
    { id: 5, name: 'region', type: 'string' },
    { name: 'count', type: 'long' },
    { name: 'sum_n', type: 'decimal(38,0)' },
    { name: 'sum_amount', type: 'decimal(38,2)' },
    { name: 'sum_ratio', type: 'double' },
    { name: 'avg_id', type: 'double' },
    { name: 'min_at', type: 'timestamp' },
    { name: 'keys', type: 'long' },
  ])
})

describe('compiled SQL', () => {
  const VALUES: [string, string | number | boolean][] = [
    ['id', '-9223372036854775808'],
    ['region', `o'Hara "ü" 🚀 $1 \\ ; --`],
    ['amount', '-99999999.99'],
    ['score', 0.1],
    ['score', 'NaN'],
    ['score', '-Infinity'],
    ['score', 5e-324],
    ['ratio', 0.1],
    ['n', -5],
    ['at', '2024-01-02T03:04:05.000006'],
    ['zoned', '2024-01-02T03:04:05.000006Z'],
    ['day', '0001-01-01'],
    ['clock', '24:00:00'],
    ['key', '00112233-4455-6677-8899-AABBCCDDEEFF'],
    ['bytes', 'AAH/'],
    ['ok', true],
    ['a"b', 'x'],
  ]

  test('finds every type of value exactly, in DuckDB', async () => {
    const db = await (await DuckDBInstance.create(':memory:')).connect()
    await db.run(`CREATE TABLE result (${COLUMNS.map((c) => `"${c.name.replaceAll('"', '""')}" ${duckdbType(c.type)}`).join(', ')})`)
    for (const [col, value] of VALUES) {
      const literal = col === 'bytes' ? `from_base64('${value}')` : `'${String(value).replaceAll("'", "''")}'`
      await db.run(`INSERT INTO result ("${col.replaceAll('"', '""')}") SELECT ${literal}`)
    }
    for (const [col, value] of VALUES) {
      for (const filter of [
        { col, op: '=', value },
        { col, op: 'in', value: [value, value] },
        { col, op: 'between', value: [value, value] },
      ]) {
        const { sql, params } = compileSlice(structured({ where: [filter], select: [{ fn: 'count' }] }), COLUMNS)
        const reader = await db.runAndReadAll(
          sql,
          params.map((param) => param.value),
        )
        expect([filter, reader.getRowsJson()]).toEqual([filter, [['1']]])
      }
    }
  })

  test('nothing of a request stands in the text but quoted names of the schema', () => {
    const { sql, params } = compileSlice(
      structured({
        where: [{ col: 'a"b', op: 'contains', value: `'; DROP TABLE result; --` }],
        select: ['a"b'],
        order: ['-a"b'],
        limit: 5,
        offset: 2,
      }),
      COLUMNS,
      'pack.result',
      ['r.rowid'],
    )
    expect(sql).toBe(
      'SELECT r."a""b" AS "a""b"\nFROM pack.result AS r\nWHERE contains(r."a""b", CAST($1 AS VARCHAR))\nORDER BY r."a""b" DESC NULLS LAST, r.rowid ASC\nLIMIT 5\nOFFSET 2',
    )
    expect(params).toEqual([{ value: `'; DROP TABLE result; --`, type: 'VARCHAR' }])
  })
})

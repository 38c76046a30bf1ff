import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Column, ColumnType, WireValue } from '../contract/columns.ts'
import { compileSlice, normalise, outputColumns, type StructuredNormal } from '../contract/slice-form.ts'
import { duckdbType, quoted } from '../contract/slice-sql.ts'
import { SliceRequest } from '../contract/slices.ts'
import { answerFromManifest, answerFromRows } from './answers.ts'
import { below, makeColumns, makeRequest, random, wireValue } from './random.ts'

/** DuckDB's own values as wire values, without any code of the product: casts and the reader's JSON. */
const wire = (column: Column): string => {
  const name = quoted(column.name)
  if (column.type === 'timestamp') return `strftime(${name}, '%Y-%m-%dT%H:%M:%S.%f')`
  if (column.type === 'timestamptz') return `strftime(${name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`
  if (column.type === 'time') return `strftime(DATE '2000-01-01' + ${name}, '%H:%M:%S.%f')`
  return column.type === 'binary' ? `to_base64(${name})` : name
}

let db: DuckDBConnection
beforeAll(async () => {
  db = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
})

const engineAnswer = async (columns: Column[], rows: WireValue[][], slice: StructuredNormal): Promise<unknown> => {
  await db.run(`CREATE OR REPLACE TABLE result (${columns.map((c) => `${quoted(c.name)} ${duckdbType(c.type)}`).join(', ')})`)
  if (rows.length > 0) {
    const cell = (value: WireValue, type: ColumnType) => {
      if (value === null) return 'NULL'
      const text = `'${String(value).replaceAll("'", "''")}'`
      return type === 'binary' ? `from_base64(${text})` : text
    }
    const values = rows.map((row) => `(${row.map((value, i) => cell(value, columns[i]?.type ?? 'string')).join(', ')})`)
    await db.run(`INSERT INTO result VALUES ${values.join(', ')}`)
  }
  const { sql, params } = compileSlice(slice, columns, 'result', ['r.rowid'])
  const outputs = outputColumns(slice, columns)
  const text = `SELECT ${outputs.map((c) => `${wire(c)} AS ${quoted(c.name)}`).join(', ')} FROM (${sql})`
  const bound = params.map((param) => param.value)
  return (await db.runAndReadAll(text, bound)).getRowsJson()
}

/** −0 and 0 are one number in JSON's eyes as JavaScript writes it. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe('answers from rows equal those of DuckDB', () => {
  test('1,500 random slices over random tables', async () => {
    let answered = 0
    for (let seed = 1; seed <= 1500; seed++) {
      const r = random(seed)
      const columns = makeColumns(r)
      const rows = Array.from({ length: below(r, 30) }, () => columns.map((c) => (r() < 0.2 ? null : wireValue(r, c.type))))
      const request = makeRequest(r, columns)
      const made = normalise(SliceRequest.parse(request), columns)
      if (!made.ok) throw new Error(`seed ${seed}: ${JSON.stringify([request, made.errors])}`)
      if ('sql' in made.slice) throw new Error('structured slices only')
      const mine = answerFromRows(columns, rows, made.slice)
      if (mine === 'needs_engine') continue
      answered += 1
      const theirs = await engineAnswer(columns, rows, made.slice)
      expect({ seed, request, rows: plain(mine.rows) }).toEqual({ seed, request, rows: plain(theirs) })
    }
    expect(answered).toBeGreaterThan(1400)
  })
})

const COLUMNS: Column[] = [
  { id: 4, name: 'id', type: 'long' },
  { id: 5, name: 'day', type: 'date' },
  { id: 6, name: 'tags', type: { type: 'list', element: 'string' } },
  { id: 8, name: 'big', type: 'decimal(38,0)' },
]
const slice = (request: unknown) => {
  const made = normalise(SliceRequest.parse(request), COLUMNS)
  if (!made.ok) throw new Error(JSON.stringify(made.errors))
  return made.slice
}
const row = (id: number, day = '2024-01-01', big = '1'): WireValue[] => [String(id), day, ['x'], big]

describe('what cannot be exact goes to the engine', () => {
  test('sql', () => {
    expect(answerFromRows(COLUMNS, [], slice({ sql: 'select 1' }))).toBe('needs_engine')
  })
  test('an order over years that do not sort as text, while selecting them is fine', () => {
    const rows = [row(1, '12024-01-01'), row(2, '0044-03-15 (BC)')]
    expect(answerFromRows(COLUMNS, rows, slice({ order: ['day'] }))).toBe('needs_engine')
    expect(answerFromRows(COLUMNS, rows, slice({ select: ['day'], where: [{ col: 'id', op: '>', value: 1 }] }))).toEqual({
      columns: [{ name: 'day', type: 'date' }],
      rows: [['0044-03-15 (BC)']],
    })
  })
  test('a sum beyond 38 digits and an average beyond 53 bits', () => {
    const rows = [row(1, '2024-01-01', '9'.repeat(38)), row(2, '2024-01-01', '1')]
    expect(answerFromRows(COLUMNS, rows, slice({ select: [{ fn: 'sum', col: 'big' }] }))).toBe('needs_engine')
    expect(answerFromRows(COLUMNS, rows, slice({ select: [{ fn: 'avg', col: 'big' }] }))).toBe('needs_engine')
  })
  test('nested values are carried along, and tested for NULL', () => {
    const answer = answerFromRows(COLUMNS, [row(1)], slice({ select: ['tags'], where: [{ col: 'tags', op: 'not_null' }] }))
    expect(answer).toEqual({ columns: [{ name: 'tags', type: 'list<string>' }], rows: [[['x']]] })
  })
})

describe('answers from the manifest', () => {
  const first = [row(3), row(1), row(2)]
  const whole = { columns: COLUMNS, rows: 3, first_rows: first }
  const large = { columns: COLUMNS, rows: 3_000_000, first_rows: first }

  test('a manifest that holds every row answers everything', () => {
    expect(answerFromManifest(whole, slice({ select: ['id'], order: ['id'] }))).toMatchObject({ rows: [['1'], ['2'], ['3']] })
  })
  test('the number of rows, and pages within the first rows', () => {
    expect(answerFromManifest(large, slice({ select: [{ fn: 'count' }] }))).toEqual({
      columns: [{ name: 'count', type: 'long' }],
      rows: [['3000000']],
    })
    expect(answerFromManifest(large, slice({ select: ['id'], offset: 1, limit: 2 }))).toMatchObject({ rows: [['1'], ['2']] })
    expect(answerFromManifest(large, slice({ offset: 3_000_000 }))).toMatchObject({ rows: [] })
  })
  test('what reaches beyond the first rows needs the engine', () => {
    for (const request of [
      {},
      { offset: 1, limit: 3 },
      { order: ['id'], limit: 1 },
      { limit: 1, where: [{ col: 'id', op: '=', value: 3 }] },
      { group: ['id'] },
      { select: [{ fn: 'count', col: 'id' }] },
    ])
      expect(answerFromManifest(large, slice(request))).toBe('needs_engine')
  })
})

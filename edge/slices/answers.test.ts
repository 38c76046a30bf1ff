import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Column, ColumnType, WireValue } from '../contract/columns.ts'
import { compileSlice, normalise, outputColumns, type StructuredNormal } from '../contract/slice-form.ts'
import { duckdbType, quoted } from '../contract/slice-sql.ts'
import { SliceRequest } from '../contract/slices.ts'
import { answerFromManifest, answerFromRows } from './answers.ts'

const PRIMITIVES = [
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'string',
  'uuid',
  'binary',
  'decimal(5,2)',
  'decimal(38,10)',
  'decimal(18,0)',
] as const

/** mulberry32: the seed of a failing case is in the assertion's message. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
type Random = () => number
const below = (r: Random, n: number) => Math.floor(r() * n)
const pick = <T>(r: Random, items: readonly T[]): T => {
  const item = items[below(r, items.length)]
  if (item === undefined) throw new Error('empty')
  return item
}

/** A few values a type, the extremes among them, so that ties, groups and hits are common. */
const POOL: Record<(typeof PRIMITIVES)[number], WireValue[]> = {
  boolean: [true, false],
  int: [0, 1, -1, 2147483647, -2147483648, 7],
  long: ['0', '1', '-1', '9223372036854775807', '-9223372036854775808', '9007199254740993', '9007199254740992'],
  float: [0, 0.5, Math.fround(0.1), -3.25, 'NaN', 'Infinity', '-Infinity', 16777216],
  double: [0, 0.1, 0.2, 0.3, 1e300, -2.5, 'NaN', 'Infinity', '-Infinity', 5e-324],
  date: ['2024-02-29', '0001-01-01', '9999-12-31', '1969-12-31'],
  time: ['00:00:00.000000', '23:59:59.999999', '12:00:00.000001'],
  timestamp: ['2024-01-02T03:04:05.000006', '1969-12-31T23:59:59.999999', '2024-01-02T03:04:05.000000'],
  timestamptz: ['2024-01-02T03:04:05.000006Z', '1969-12-31T23:59:59.999999Z', '2024-01-02T03:04:05.000000Z'],
  string: ['', 'a', 'B', 'b', 'ab', 'é', 'z', '\ufffd', '🚀', '🚁', 'NULL', '"', ',', '\n', 'a%b_', '日本'],
  uuid: ['00112233-4455-6677-8899-aabbccddeeff', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '80000000-0000-0000-0000-000000000000'],
  binary: ['', 'AAH/', '/w==', 'AA=='],
  'decimal(5,2)': ['0.00', '1.10', '-1.10', '999.99', '-999.99', '0.05'],
  'decimal(38,10)': ['0.0000000000', '1234567890123456789012345678.0000000001', '-0.0000000001', '12.5000000000'],
  'decimal(18,0)': ['0', '999999999999999999', '-999999999999999999', '3'],
}

const valueOf = (r: Random, type: ColumnType): WireValue => pick(r, POOL[type as (typeof PRIMITIVES)[number]])

const makeColumns = (r: Random): Column[] =>
  Array.from({ length: 1 + below(r, 5) }, (_, i) => ({
    name: pick(r, ['a', 'select', 'a"b', 'é', '-x']) + String(i),
    type: pick(r, PRIMITIVES),
  }))

const makeRequest = (r: Random, columns: Column[]): unknown => {
  const names = columns.map((c) => c.name)
  const some = (odds: number) => r() < odds
  const where = Array.from({ length: some(0.6) ? 1 + below(r, 2) : 0 }, () => {
    const { name: col, type } = pick(r, columns)
    const op = pick(r, [
      '=',
      '!=',
      '<',
      '<=',
      '>',
      '>=',
      'in',
      'between',
      'is_null',
      'not_null',
      ...(type === 'string' ? ['contains'] : []),
    ])
    if (op === 'is_null' || op === 'not_null') return { col, op }
    if (op === 'in') return { col, op, value: Array.from({ length: below(r, 4) }, () => valueOf(r, type)) }
    if (op === 'between') return { col, op, value: [valueOf(r, type), valueOf(r, type)] }
    return { col, op, value: valueOf(r, type) }
  })
  const aggregates = Array.from({ length: below(r, 4) }, (_, i) => {
    const { name: col, type } = pick(r, columns)
    const numeric = /int|long|float|double|decimal/.test(String(type))
    const fn = pick(r, ['count', 'min', 'max', 'count_distinct', ...(numeric ? ['sum', 'avg', 'sum', 'avg'] : [])])
    return fn === 'count' && some(0.5) ? { fn, as: `n${i}` } : { fn, col, as: `x${i}` }
  })
  const group = some(0.4) ? names.filter(() => some(0.5)) : []
  const grouped = group.length > 0 || (aggregates.length > 0 && some(0.3))
  const select = grouped ? [...group.filter(() => some(0.8)), ...aggregates] : some(0.5) ? names.filter(() => some(0.6)) : undefined
  const sortable = grouped ? (select ?? []).map((item) => (typeof item === 'string' ? item : item.as)) : names
  const order = (sortable.length > 0 && some(0.6) ? Array.from({ length: 1 + below(r, 2) }, () => pick(r, sortable)) : []).map((name) =>
    some(0.5) ? `-${name}` : name,
  )
  return {
    where,
    ...(select === undefined || select.length === 0 ? {} : { select }),
    ...(group.length > 0 ? { group } : {}),
    ...(grouped && (select === undefined || select.length === 0) ? {} : { order }),
    ...(some(0.5) ? { limit: below(r, 8) } : {}),
    ...(some(0.3) ? { offset: below(r, 5) } : {}),
  }
}

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
      const rows = Array.from({ length: below(r, 30) }, () => columns.map((c) => (r() < 0.2 ? null : valueOf(r, c.type))))
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

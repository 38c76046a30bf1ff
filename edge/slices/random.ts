import type { Column, ColumnType, WireValue } from '../contract/columns.ts'

/** For tests: small tables of every type, and slices over them, made from a seed. */
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
export const random = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
export type Random = () => number
export const below = (r: Random, n: number) => Math.floor(r() * n)
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

export const wireValue = (r: Random, type: ColumnType): WireValue => pick(r, POOL[type as (typeof PRIMITIVES)[number]])

export const makeColumns = (r: Random): Column[] =>
  Array.from({ length: 1 + below(r, 5) }, (_, i) => ({
    name: pick(r, ['a', 'select', 'a"b', 'é', '-x']) + String(i),
    type: pick(r, PRIMITIVES),
  }))

export const makeRequest = (r: Random, columns: Column[]): unknown => {
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
    if (op === 'in') return { col, op, value: Array.from({ length: below(r, 4) }, () => wireValue(r, type)) }
    if (op === 'between') return { col, op, value: [wireValue(r, type), wireValue(r, type)] }
    return { col, op, value: wireValue(r, type) }
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

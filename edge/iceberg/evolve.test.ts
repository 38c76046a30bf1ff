import { expect, test } from 'vitest'
import type { Column, ColumnType } from '../contract/columns.ts'
import { type Evolution, evolve } from './evolve.ts'
import { type FamilyColumns, leaves, newFamilyColumns } from './schema.ts'

const column = (name: string, type: ColumnType): Column => ({ name, type })
const must = (evolution: Evolution): Extract<Evolution, { ok: true }> => {
  if (!evolution.ok) throw new Error(evolution.detail)
  return evolution
}
const family = (...columns: Column[]): FamilyColumns => must(evolve(newFamilyColumns(), columns)).columns
const refusal = (current: FamilyColumns, ...columns: Column[]): string => {
  const evolution = evolve(current, columns)
  return evolution.ok ? 'accepted' : `${evolution.code}: ${evolution.detail}`
}

test('a query gets ids from 4 in its order, and all system columns are added', () => {
  const { yielded, added } = must(evolve(newFamilyColumns(), [column('a', 'int'), column('b', 'string')]))
  expect(yielded.map(({ id, name }) => [id, name])).toEqual([
    [4, 'a'],
    [5, 'b'],
  ])
  expect(added).toEqual(['tenant_id', 'job_id', 'run_date'])
})

test('the same columns again change nothing, in whatever order they come', () => {
  const before = family(column('a', 'int'), column('b', 'string'))
  const { columns, yielded } = must(evolve(before, [column('b', 'string'), column('a', 'int')]))
  expect(columns).toBe(before)
  expect(yielded.map(({ id }) => id)).toEqual([5, 4])
})

test('ids that come with a query are ignored', () => {
  const { yielded } = must(evolve(newFamilyColumns(), [{ id: 2, name: 'a', type: 'int' }]))
  expect(yielded[0]?.id).toBe(4)
})

test('a new column gets a fresh id and the old ones stay', () => {
  const before = family(column('a', 'int'))
  const { columns } = must(evolve(before, [column('b', 'int')]))
  expect(columns.fields.map(({ id, name }) => `${id} ${name}`).slice(3)).toEqual(['4 a', '5 b'])
})

test('no id is ever given twice, through any number of random evolutions', () => {
  let seed = 7
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return (seed >>> 16) % below
  }
  const type = (depth: number): ColumnType => {
    const kind = depth > 2 ? 0 : random(5)
    if (kind === 1) return { type: 'list', element: type(depth + 1) }
    if (kind === 2) return { type: 'map', key: 'string', value: type(depth + 1) }
    if (kind === 3) return { type: 'struct', fields: [column('x', type(depth + 1)), column(`y${random(3)}`, 'int')] }
    return 'string'
  }
  let current = newFamilyColumns()
  const nameOf = new Map<number, string>()
  let accepted = 0
  for (let round = 0; round < 300; round++) {
    const evolution = evolve(current, [column(`c${random(40)}`, type(0))])
    if (!evolution.ok) continue
    accepted++
    current = evolution.columns
    const all = leaves(current.fields)
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
    for (const { id, path } of all) {
      expect(nameOf.get(id) ?? path.join('.')).toBe(path.join('.'))
      nameOf.set(id, path.join('.'))
    }
  }
  expect(accepted).toBeGreaterThan(50)
})

test.each([
  ['int', 'long'],
  ['float', 'double'],
  ['decimal(10,2)', 'decimal(20,2)'],
] as const)('%s widens to %s, and a later query of the narrower type is still welcome', (narrow, wide) => {
  const before = family(column('a', narrow))
  const widened = must(evolve(before, [column('a', wide)]))
  expect(widened.columns.fields[3]?.type).toBe(wide)
  const again = must(evolve(widened.columns, [column('a', narrow)]))
  expect(again.columns).toBe(widened.columns)
  expect(again.yielded[0]?.type).toBe(narrow)
})

test.each([
  ['long', 'string'],
  ['int', 'double'],
  ['date', 'timestamp'],
  ['timestamp', 'timestamptz'],
  ['decimal(10,2)', 'decimal(10,3)'],
  ['string', 'binary'],
] as const)('a column that was %s cannot become %s', (before, now) => {
  expect(refusal(family(column('total', before)), column('total', now))).toMatch(
    new RegExp(`^schema_drift: column "total" is ${before.replace(/[()]/g, '\\$&')} in this family, but the query yields .*: cast it`),
  )
})

test('a struct takes new fields and keeps old ones, inside lists too', () => {
  const before = family(column('s', { type: 'list', element: { type: 'struct', fields: [column('x', 'int')] } }))
  const { columns, yielded } = must(
    evolve(before, [column('s', { type: 'list', element: { type: 'struct', fields: [column('y', 'string')] } })]),
  )
  expect(leaves(columns.fields).map(({ id, path }) => `${id} ${path.join('.')}`)).toContain('6 s.element.x')
  expect(leaves(columns.fields).map(({ id, path }) => `${id} ${path.join('.')}`)).toContain('7 s.element.y')
  expect(leaves(yielded).map(({ id }) => id)).toEqual([7])
})

test('the key of a map never changes, its value may widen', () => {
  const before = family(column('m', { type: 'map', key: 'int', value: 'int' }))
  expect(refusal(before, column('m', { type: 'map', key: 'long', value: 'int' }))).toMatch(/^schema_drift: column "m"/)
  expect(refusal(before, column('m', { type: 'map', key: 'int', value: 'long' }))).toBe('accepted')
})

test('a nested column cannot become a plain one', () => {
  expect(refusal(family(column('l', { type: 'list', element: 'int' })), column('l', 'int'))).toMatch(/is list<int> in this family/)
  expect(refusal(family(column('l', 'int')), column('l', { type: 'list', element: 'int' }))).toMatch(/^schema_drift/)
})

test('a yielded tenant_id and run_date keep their fixed ids and types, and are not added', () => {
  const { yielded, added } = must(
    evolve(newFamilyColumns(), [column('tenant_id', 'int'), column('run_date', 'timestamp'), column('x', 'int')]),
  )
  expect(yielded.map(({ id, type }) => [id, type])).toEqual([
    [1, 'string'],
    [3, 'date'],
    [4, 'int'],
  ])
  expect(added).toEqual(['job_id'])
})

test('a yielded job_id is refused, in any case', () => {
  expect(refusal(newFamilyColumns(), column('job_id', 'string'))).toMatch(/^unkeepable_column: .*alias/)
  expect(refusal(newFamilyColumns(), column('JOB_ID', 'string'))).toMatch(/^unkeepable_column/)
  expect(refusal(newFamilyColumns(), column('Tenant_ID', 'string'))).toMatch(/write it tenant_id/)
})

test('columns that differ only in case are refused, in one query and over time', () => {
  expect(refusal(newFamilyColumns(), column('a', 'int'), column('A', 'int'))).toMatch(/^unkeepable_column: .*differ only in case/)
  expect(refusal(newFamilyColumns(), column('a', 'int'), column('a', 'int'))).toMatch(/^unkeepable_column: .*have one name/)
  expect(refusal(family(column('Total', 'int')), column('total', 'int'))).toMatch(/^schema_drift: .*"Total"/)
})

test('names with quotes, keywords and other alphabets are kept as they are', () => {
  const names = ['select', 'a"b', 'größe', '數量', ' ', "it's"]
  expect(
    must(
      evolve(
        newFamilyColumns(),
        names.map((name) => column(name, 'int')),
      ),
    ).yielded.map(({ name }) => name),
  ).toEqual(names)
})

test('impossible decimals, empty structs and bottomless nesting are refused before any work is done', () => {
  expect(refusal(newFamilyColumns(), column('d', 'decimal(5,9)'))).toMatch(/^unkeepable_column: column "d"/)
  expect(refusal(newFamilyColumns(), column('s', { type: 'struct', fields: [] }))).toMatch(/^unkeepable_column/)
  let type: ColumnType = 'int'
  for (let i = 0; i < 40; i++) type = { type: 'list', element: type }
  expect(refusal(newFamilyColumns(), column('deep', type))).toMatch(/nested deeper/)
})

test('columns that readers would know by one dotted name are refused, in one query and over time', () => {
  const struct = column('a', { type: 'struct', fields: [{ name: 'B', type: 'int' }] })
  expect(refusal(newFamilyColumns(), column('a.b', 'int'), struct)).toMatch(/^unkeepable_column: .*"a\.B"/)
  expect(refusal(newFamilyColumns(), column('l', { type: 'list', element: 'int' }), column('l.element', 'int'))).toMatch(
    /^unkeepable_column/,
  )
  expect(refusal(newFamilyColumns(), column('m', { type: 'map', key: 'int', value: 'int' }), column('m.value', 'int'))).toMatch(
    /^unkeepable_column/,
  )
  expect(refusal(family(struct), column('a.b', 'int'))).toMatch(/^schema_drift: .*"a\.b"/)
  expect(refusal(newFamilyColumns(), column('a.c', 'int'), struct)).toBe('accepted')
})

import { describe, expect, test } from 'bun:test'
import type { Column, ColumnType } from '../../edge/contract/columns.ts'
import { columnsDiffer, keepColumns } from './columns.ts'

const column = (name: string, type: ColumnType = 'long'): Column => ({ name, type })
const keep = (columns: Column[], partition_by: string[] | null = null, types: Record<string, string> = {}) =>
  keepColumns({ partition_by, types }, columns)
const list: ColumnType = { type: 'list', element: 'long' }

test('ordinary columns are kept as they are, strange names too', () => {
  const columns = [column('select'), column('a"b', 'string'), column('größe', list)]
  expect(keep(columns)).toEqual({ ok: true, columns, warnings: [] })
})

test('a yielded tenant_id is stored as text and a yielded run_date as a date', () => {
  expect(keep([column('tenant_id', 'long'), column('run_date', 'timestamp')])).toMatchObject({
    ok: true,
    columns: [column('tenant_id', 'string'), column('run_date', 'date')],
  })
})

test.each<[string, Column[], string]>([
  ['no columns', [], 'yields no columns'],
  ['more than 1,000 columns', Array.from({ length: 1_001 }, (_, n) => column(`c${n}`)), 'at most 1000'],
  ['an empty name', [column('')], 'alias'],
  ['a name of 256 characters', [column('x'.repeat(256))], '255'],
  ['job_id', [column('job_id')], 'AS source_job_id'],
  ['Job_ID', [column('Job_ID')], 'alias'],
  ['Tenant_Id', [column('Tenant_Id')], 'only in case'],
  ['a tenant_id that is a list', [column('tenant_id', list)], 'list<long>'],
  ['a run_date that is a number', [column('run_date', 'int')], 'CAST(… AS DATE)'],
  ['one name twice', [column('a'), column('a')], 'two columns named "a"'],
  ['names equal but for case', [column('a'), column('A')], 'equal but for case'],
])('%s is refused', (_what, columns, reason) => {
  expect(keep(columns)).toMatchObject({ ok: false, detail: expect.stringContaining(reason) })
})

describe('partition_by', () => {
  test('takes columns of the result and system columns', () => {
    expect(keep([column('a')], ['tenant_id', 'run_date', 'a'])).toMatchObject({ ok: true })
  })
  test('refuses what the result does not have, and nested columns', () => {
    expect(keep([column('region')], ['regoin'])).toMatchObject({ ok: false, detail: expect.stringContaining('did you mean "region"?') })
    expect(keep([column('region')], ['Region'])).toMatchObject({ ok: false })
    expect(keep([column('a', list)], ['a'])).toMatchObject({ ok: false, detail: expect.stringContaining('simple type') })
  })
})

describe('types', () => {
  test('of columns that the result does not have are refused', () => {
    expect(keep([column('total')], null, { totl: 'long' })).toMatchObject({
      ok: false,
      detail: expect.stringContaining('did you mean "total"?'),
    })
  })
  test('that the engine did not follow are told', () => {
    expect(keep([column('total', 'decimal(20, 2)')], null, { total: 'decimal(20,2)' })).toMatchObject({ ok: true, warnings: [] })
    expect(keep([column('total', 'long')], null, { total: 'decimal(20,2)' })).toMatchObject({
      ok: true,
      warnings: [expect.stringContaining('describes it as long')],
    })
  })
})

test('the first difference between two results is named', () => {
  expect(columnsDiffer([column('a'), column('d', 'decimal(5, 2)')], [column('a'), column('d', 'decimal(5,2)')])).toBeNull()
  expect(columnsDiffer([column('a')], [column('a', 'string')])).toBe('column 1 is "a" long against "a" string')
  expect(columnsDiffer([column('a'), column('b')], [column('a')])).toBe('column 2 is "b" long against no such column')
  expect(columnsDiffer([column('a'), column('b')], [column('b'), column('a')])).toContain('column 1')
})

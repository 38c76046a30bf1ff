import { expect, it } from 'vitest'
import type { ParamType } from '../../contract/tasks.ts'
import type { Reference } from './plan.ts'
import { carry, type FirstRow, fillIn } from './values.ts'

const COLUMNS: FirstRow['columns'] = [
  { name: 'n', type: 'long' },
  { name: 'day', type: 'date' },
  { name: 'list', type: { type: 'list', element: 'int' } },
  { name: 'none', type: 'string' },
]
const ROW: FirstRow = { columns: COLUMNS, rows: 1, row: ['7', '2026-01-02', [1], null] }
const reference = (column: string, type: ParamType | null, index = 0): Reference => ({
  index,
  from: 'a' as Reference['from'],
  column,
  param: 'p',
  type,
})
const filled = (column: string, type: ParamType | null, row: FirstRow = ROW) =>
  fillIn([null, 'kept'], [reference(column, type)], () => carry('a', row, [column]))
const code = (answer: ReturnType<typeof filled>): string => (answer.ok ? `ok ${JSON.stringify(answer.args)}` : answer.error.code)

it('a value of the first row takes its place among the arguments', () => {
  expect(filled('n', 'bigint')).toEqual({ ok: true, args: ['7', 'kept'] })
  expect(filled('day', 'date')).toEqual({ ok: true, args: ['2026-01-02', 'kept'] })
  expect(filled('n', null)).toEqual({ ok: true, args: ['7', 'kept'] })
  expect(filled('n', 'text', { ...ROW, row: [7, null, null, null] })).toEqual({ ok: true, args: ['7', 'kept'] })
})

it('values that together are more than a job may have are refused, however small each is', () => {
  const row = { ...ROW, row: ['é'.repeat(30_000), null, null, null] }
  const references = (count: number): Reference[] => Array.from({ length: count }, (_, index) => reference('n', 'text', index))
  const fill = (count: number) => fillIn(Array<null>(count).fill(null), references(count), () => carry('a', row, ['n']))
  expect(code(fill(17))).toMatch(/^ok/)
  expect(code(fill(18))).toBe('argument_too_large')
})

it('what is not to be had has a code of its own', () => {
  expect(code(filled('none', 'text'))).toBe('argument_null')
  expect(code(filled('n', 'int', { ...ROW, rows: 0, row: null }))).toBe('argument_no_row')
  expect(code(filled('other', 'int'))).toBe('argument_no_column')
  expect(code(filled('day', 'int'))).toBe('argument_type')
  expect(code(filled('n', 'int', { ...ROW, row: ['3000000000'] }))).toBe('argument_type')
  expect(code(filled('list', null))).toBe('argument_type')
  expect(code(filled('n', 'text', { ...ROW, row: null }))).toBe('argument_too_large')
  expect(code(filled('n', 'text', { ...ROW, row: ['x'.repeat(200_000)] }))).toBe('argument_too_large')
  expect(code(filled('n', 'text', { ...ROW, row: ['x'.repeat(70_000)] }))).toBe('argument_type')
  expect(code(fillIn([null], [reference('n', 'int')], () => null))).toBe('argument_no_row')
  // Own columns only.
  expect(code(fillIn([null], [reference('constructor', 'text')], () => carry('a', ROW, ['n'])))).toBe('argument_no_row')
})

it('a message names argument, column, step and value', () => {
  const answer = filled('day', 'int')
  expect(answer.ok ? '' : answer.error.message).toBe('The argument "p" is "day" of step "a": "2026-01-02" is no int.')
})

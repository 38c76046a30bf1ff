import { expect, test } from 'bun:test'
import { Family } from '../../edge/contract/ids.ts'
import { familyOfTask, readFamily } from './family.ts'

test.each([
  ['daily_pnl', 'reports.daily_pnl'],
  ['2024', 'reports.2024'],
  ['daily pnl', 'reports.daily_pnl_fc8946'],
  ['daily-pnl', 'reports.daily_pnl_d89036'],
  ['Daily', 'reports.t_aily_b36c26'],
  ['_x', 'reports.t_x_a01e47'],
])('the task %p appends to %s', (task, family) => {
  expect(familyOfTask(task)).toBe(Family.parse(family))
})

test('names of any kind and length give families of the contract, and different names different ones', () => {
  const names = ['é', '€', '/', '//', '_', '__', 'a'.repeat(200), `${'a'.repeat(199)}b`, 'A'.repeat(200), '日本', 'a.b', 'a b']
  const families = names.map(familyOfTask)
  for (const family of families) expect(Family.safeParse(family).success).toBe(true)
  expect(new Set(families).size).toBe(names.length)
})

test('a result table is namespace.table', () => {
  expect(readFamily('payments.daily_pnl')).toEqual({ ok: true, value: Family.parse('payments.daily_pnl') })
  for (const text of ['daily_pnl', 'a.b.c', 'Payments.x', '_a.b', 'a._b', 'a-b.c', '']) {
    expect(readFamily(text)).toMatchObject({ ok: false, detail: expect.stringContaining('namespace.table') })
  }
})

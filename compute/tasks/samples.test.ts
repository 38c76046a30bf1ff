import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { Catalogue } from './catalogue.ts'

const folder = join(import.meta.dir, '../../tasks')

test('the sample reports load on a node without sources, but for the one that needs a Postgres', async () => {
  const catalogue = await Catalogue.load([folder], [])
  expect(catalogue.tasks.map((task) => String(task.name))).toEqual(['all_flights', 'daily_routes', 'flights_by_month'])
  expect(catalogue.problems).toMatchObject([{ task: 'table_inventory', severity: 'warning', code: 'source_missing' }])
  for (const task of catalogue.tasks)
    expect(task).toMatchObject({ db: ['duckdb'], warnings: [], description: expect.stringMatching(/\w+/) })
  expect(catalogue.find('daily_routes')?.params.map((param) => param.type)).toEqual(['date', 'date'])
})

test('all of them load where the warehouse is configured', async () => {
  const catalogue = await Catalogue.load([folder], [{ name: 'warehouse', type: 'postgres', dsn: 'x', maxActive: 1 }])
  expect(catalogue.problems).toEqual([])
  expect(catalogue.find('table_inventory')).toMatchObject({ db: ['warehouse'], arity: 2 })
})

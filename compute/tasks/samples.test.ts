import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNodeConfig } from '../config/node-config.ts'
import { DuckdbPool } from '../duckdb/pool.ts'
import { DuckdbEngine } from '../engines/duckdb/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { Catalogue } from './catalogue.ts'

setDefaultTimeout(PATIENCE_MS)

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

test('the flights are described and counted by DuckDB, from the files that a node may read without configuration', async () => {
  const temp = await mkdtemp(join(tmpdir(), 'scarab-samples-'))
  const pool = new DuckdbPool({ tempFolder: temp, max: 1, memoryLimitBytes: 1024 ** 3 })
  try {
    const loaded = loadNodeConfig({ file: null, env: {}, root: join(folder, '..') })
    if (!loaded.ok) throw new Error('the defaults are wrong')
    const { allowedFolders, sources } = loaded.config
    const engine = new DuckdbEngine({ pool, allowedFolders })
    const plan = (task: Parameters<typeof engine.plan>[0], source: (typeof sources)[number], signal: AbortSignal) =>
      engine.plan(task, null, source, signal)
    const catalogue = await (await Catalogue.load([folder], sources)).described({ sources, plan })

    // The engine allows the real path too; what is asked here past it has the same need.
    const allowed = await Promise.all(allowedFolders.map((path) => realpath(path)))
    const rows: Record<string, number> = {}
    for (const task of catalogue.tasks) {
      expect(task).toMatchObject({ error: null, warnings: [] })
      const sandbox = { folder: task.folder, allowed }
      const values = task.params.map((param) => ({ text: String(param.default), type: param.type.toUpperCase() }))
      const [[count] = []] = await pool.use(sandbox, new AbortController().signal, (session) =>
        session.run(`SELECT count(*) FROM (${task.sql})`, values),
      )
      rows[task.name] = Number(count)
    }
    expect(rows).toEqual({ all_flights: 3_000_000, daily_routes: 285_906, flights_by_month: 120 })
    expect(catalogue.find('flights_by_month')?.columns?.map((column) => column.name)).toEqual([
      'month',
      'origin',
      'flights',
      'late_flights',
      'late_percent',
      'mean_delay_minutes',
      'p95_delay_minutes',
      'miles',
    ])
  } finally {
    await pool.close()
    await rm(temp, { recursive: true, force: true })
  }
})

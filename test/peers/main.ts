import { deepStrictEqual, match } from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import type { Job } from '../../edge/contract/jobs.ts'
import { ROOT } from '../../edge/embedded/runtimes.mjs'
import { type System, startSystem } from '../../edge/embedded/system.ts'
import { client } from '../e2e/support/client.ts'
import { check, done, Reading, say, tally } from './check.ts'
import { openDuckDb } from './duckdb.ts'
import { checkKinds, KIND_TASKS } from './kinds.ts'
import { openPyIceberg, type PyIceberg } from './pyiceberg.ts'
import { checkSqlPeer, type SqlPeer } from './sql-peer.ts'
import { openTrino } from './trino.ts'

/**
 * `npm run test:peers [-- trino]`: PyIceberg and DuckDB's Iceberg reader, and Trino where it is asked for, which know nothing of us, read families of a running system
 * through `/iceberg/v1` with the credentials that they are given there, and must find exactly the jobs' rows.
 */

const FLIGHTS = join(ROOT, 'node_modules/vega-datasets/data/flights-3m.parquet')
const FLIGHT_ROWS = 3_000_000
const PUBLISHED_LIMIT_MS = 60_000

const TASKS = {
  ...KIND_TASKS,
  'pairs.sql': `-- name: pairs\n-- db: duckdb\n-- param: count int\nSELECT i AS n, 'pair ' || i AS label, (i / 3)::DECIMAL(18,4) AS share FROM range($1::INT) t(i)\n`,
  'flights.sql': `-- name: flights\n-- db: duckdb\n-- max_runtime: 5m\nSELECT date AS departed_at, origin, destination, distance::BIGINT AS miles, delay FROM '${FLIGHTS}'\n`,
  'orders-1.sql': `-- name: orders_1\n-- db: duckdb\n-- result_table: shop.orders\nSELECT i::INT AS id, 10::INT AS total FROM range(3) t(i)\n`,
  'orders-2.sql': `-- name: orders_2\n-- db: duckdb\n-- result_table: shop.orders\nSELECT 'later' AS note, i::INT AS id, 3000000000 AS total FROM range(2) t(i)\n`,
}

const Refusals = z.record(z.string(), z.string())

const pairsOf = (count: number): { rows: number; sum: string } => ({ rows: count, sum: String((count * (count - 1)) / 2) })

const checkAll = async (system: System, peer: PyIceberg): Promise<void> => {
  const uri = `${system.origin}/iceberg`
  const tokens = { acme: await system.token('acme'), globex: await system.token('globex') }
  const acme = client(system.origin, tokens.acme)
  const globex = client(system.origin, tokens.globex)
  const ask = async (request: { ask: string } & Record<string, unknown>, token = tokens.acme): Promise<unknown> =>
    peer.ask({ uri, token, ...request })
  const read = async (table: string, sum: string, job?: string): Promise<z.infer<typeof Reading>> =>
    Reading.parse(await ask({ ask: 'read', table, sum, ...(job === undefined ? {} : { job }) }))

  const counts = [1, 25, 400]
  const pairs: Job[] = []
  let flights: Job | null = null
  let flightMiles = ''

  await check('small results, which have travelled in their completions, are all there', async () => {
    for (const count of counts) pairs.push(await done(acme, 'pairs', [count]))
    const { jobs, rows, tenants, columns } = await read('reports.pairs', 'n')
    deepStrictEqual(jobs, Object.fromEntries(pairs.map(({ id }, at) => [id, pairsOf(counts[at] ?? 0)])))
    deepStrictEqual([rows, tenants], [426, ['acme']])
    deepStrictEqual(columns, [
      [1, 'tenant_id', 'string'],
      [2, 'job_id', 'string'],
      [3, 'run_date', 'date'],
      [4, 'n', 'long'],
      [5, 'label', 'string'],
      [6, 'share', 'decimal(18, 4)'],
    ])
  })

  await check('three million rows are exactly the job’s', async () => {
    flights = await done(acme, 'flights')
    const asked = await acme.slice(flights.id, { select: [{ fn: 'sum', col: 'miles', as: 'miles' }] })
    flightMiles = String(asked.rows[0]?.[0])
    const { jobs, rows } = await read('reports.flights', 'miles')
    deepStrictEqual([rows, jobs], [FLIGHT_ROWS, { [flights.id]: { rows: FLIGHT_ROWS, sum: flightMiles } }])
  })

  await check('a filter by job reads only the files of that job', async () => {
    const [, one] = pairs
    const { files, filtered } = await read('reports.pairs', 'n', one?.id)
    deepStrictEqual([files, filtered], [1, counts[1]])
  })

  await check('a deleted job’s rows leave, all others stay', async () => {
    const again = await done(acme, 'flights')
    const both = await read('reports.flights', 'miles')
    deepStrictEqual(both.rows, 2 * FLIGHT_ROWS)
    const [doomed, ...kept] = pairs
    for (const id of [again.id, doomed?.id]) {
      const answer = await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' })
      deepStrictEqual(answer.status, 204)
    }
    // A deletion has no event that its reader could wait for: the job is gone.
    const deadline = Date.now() + PUBLISHED_LIMIT_MS
    let left = await read('reports.flights', 'miles')
    while (left.rows !== FLIGHT_ROWS && Date.now() < deadline) left = await read('reports.flights', 'miles')
    deepStrictEqual(left.jobs, { [flights?.id ?? '']: { rows: FLIGHT_ROWS, sum: flightMiles } })
    let small = await read('reports.pairs', 'n')
    while (small.rows !== 425 && Date.now() < deadline) small = await read('reports.pairs', 'n')
    deepStrictEqual(small.jobs, Object.fromEntries(kept.map(({ id }, at) => [id, pairsOf(counts[at + 1] ?? 0)])))
  })

  await check('a family that grew by a column and a wider type reads right in its old rows and its new ones', async () => {
    const before = await done(acme, 'orders_1')
    const after = await done(acme, 'orders_2')
    const { columns, jobs, nulls, rows } = await read('shop.orders', 'total')
    deepStrictEqual(columns.slice(3), [
      [4, 'id', 'int'],
      [5, 'total', 'long'],
      [6, 'note', 'string'],
    ])
    deepStrictEqual(jobs, { [before.id]: { rows: 3, sum: '30' }, [after.id]: { rows: 2, sum: '6000000000' } })
    deepStrictEqual([rows, nulls.note, nulls.total], [5, 3, 0])
  })

  await check('the catalog lists the tenant’s families and no other', async () => {
    await done(globex, 'pairs', [7])
    deepStrictEqual(await ask({ ask: 'names' }), { tables: ['reports.flights', 'reports.pairs', 'shop.orders'] })
    deepStrictEqual(await ask({ ask: 'names' }, tokens.globex), { tables: ['reports.pairs'] })
  })

  await check('whatever writes is refused, and nothing has changed', async () => {
    const refusals = Refusals.parse(await ask({ ask: 'write', table: 'reports.pairs' }))
    for (const [attempt, how] of Object.entries(refusals))
      match(how, /403|Forbidden|ACCESS_DENIED|AccessDenied|NotImplemented|not support/i, `${attempt} was answered: ${how}`)
    deepStrictEqual((await read('reports.pairs', 'n')).rows, 425)
  })

  await check('another tenant’s table does not exist, and its objects are out of reach of our credentials', async () => {
    const { location } = z.object({ location: z.string() }).parse(await ask({ ask: 'location', table: 'reports.pairs' }))
    const found = z
      .object({ own: z.string(), table: z.string(), object: z.string(), namespaces: z.array(z.string()) })
      .parse(await ask({ ask: 'foreign', own: 'reports.pairs', table: 'shop.orders', object: location }, tokens.globex))
    deepStrictEqual([found.own, found.namespaces], ['done', ['reports']])
    match(found.table, /NoSuchTable/)
    match(found.object, /ACCESS_DENIED|403|Forbidden/i)
    const direct = await globex.ask('/iceberg/v1/acme/namespaces/reports/tables/pairs')
    const unknown = await globex.ask('/iceberg/v1/nobody/namespaces/reports/tables/pairs')
    deepStrictEqual([direct.status, await direct.text()], [404, await unknown.text()])
  })
}

const folder = mkdtempSync(join(tmpdir(), 'scarab-peers-'))
let system: System | null = null
const engines: SqlPeer[] = []
try {
  const peer = await openPyIceberg(join(ROOT, '.cache/peers'), join(import.meta.dirname, 'reader.py'), say)
  engines.push(await openDuckDb(join(ROOT, '.cache/peers'), say))
  if (process.argv.includes('trino')) engines.push(await openTrino(join(ROOT, '.cache/peers'), say))
  for (const { versions } of [peer, ...engines]) say(`peer: ${versions}`)
  const tasks = join(folder, 'tasks')
  mkdirSync(tasks)
  for (const [name, text] of Object.entries(TASKS)) writeFileSync(join(tasks, name), text)
  const config = join(folder, 'node.toml')
  writeFileSync(config, `[node]\nallowed_folders = [${JSON.stringify(tasks)}, ${JSON.stringify(dirname(FLIGHTS))}]\n`)
  system = await startSystem({ state: join(folder, 'state'), tasks: [tasks], config, drainSeconds: 1, page: false })
  await system.ready()
  await checkAll(system, peer)
  await checkKinds(system, peer, engines)
  for (const engine of engines) await checkSqlPeer(system, peer, engine)
} catch (fault) {
  tally.failed += 1
  say(`the peers could not be asked: ${fault instanceof Error ? fault.message : String(fault)}`)
} finally {
  for (const engine of engines) await engine.end()
  await system?.stop()
  rmSync(folder, { recursive: true, force: true })
}
say(`\n${tally.passed} passed, ${tally.failed} failed`)
process.exitCode = tally.failed > 0 ? 1 : 0

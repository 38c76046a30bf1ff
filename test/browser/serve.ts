import { join } from 'node:path'
import { buildPage } from '../../web/build.mjs'
import { FLIGHTS_COLUMNS, flightsSql, makeResult, TYPES_COLUMNS, TYPES_SQL } from './support-results.ts'
import { type SupportTask, startSupportServer } from './support-server.ts'

/** The page by hand, without an edge: `node test/browser/serve.ts [port]`, and open the address that it prints. */
export const sampleTasks = async (rows: number): Promise<SupportTask[]> => {
  const monthly = `SELECT CAST(date_trunc('month', day) AS DATE) AS month, origin, count(*) AS flights,
    CAST(avg(delay_min) AS DECIMAL(9,2)) AS mean_delay_min, max(delay_min) AS worst_delay_min, CAST(sum(distance_km) AS BIGINT) AS km
    FROM (${flightsSql(rows)}) GROUP BY ALL ORDER BY month, flights DESC`
  const byMonth = await makeResult(
    monthly,
    [
      { name: 'month', type: 'date' },
      { name: 'origin', type: 'string' },
      { name: 'flights', type: 'long' },
      { name: 'mean_delay_min', type: 'decimal(9,2)' },
      { name: 'worst_delay_min', type: 'int' },
      { name: 'km', type: 'long' },
    ],
    { inline: true },
  )
  const empty = await makeResult(`SELECT * FROM (${flightsSql(1)}) WHERE false`, FLIGHTS_COLUMNS, { inline: true })
  return [
    {
      name: 'flights',
      description: 'Every flight with its delay, fare and load',
      sql: 'SELECT * FROM flights WHERE day >= $1 AND day < $2',
      params: [
        { name: 'since', type: 'date', default: '2001-01-01' },
        { name: 'until', type: 'date', default: '2001-04-01' },
      ],
      result: await makeResult(flightsSql(rows), FLIGHTS_COLUMNS),
    },
    { name: 'flights_by_month', description: 'Flights, delays and distance by month and origin', sql: monthly, result: byMonth },
    {
      name: 'every type',
      description: 'One column of each type, with the awkward values',
      sql: TYPES_SQL,
      result: await makeResult(TYPES_SQL, TYPES_COLUMNS, { inline: true }),
    },
    { name: 'no rows', description: 'Finds nothing', sql: 'SELECT 1 WHERE false', result: empty },
    {
      name: 'broken',
      description: 'Fails in the middle',
      sql: 'SELECT 1/0',
      result: 'Postgres closed the connection after 41,200 rows (SQLSTATE 57P01).',
    },
    { name: 'endless', description: 'Runs until it is cancelled', sql: 'SELECT 1', result: byMonth, endless: true },
  ]
}

if (process.argv[1] === import.meta.filename) {
  const dist = join(import.meta.dirname, '../../web/dist')
  await buildPage({ outdir: dist })
  const server = await startSupportServer({
    dist,
    tasks: await sampleTasks(Number(process.argv[3] ?? 400_000)),
    stepMilliseconds: 400,
    port: Number(process.argv[2] ?? 0),
  })
  console.log(`${server.origin}/#code=${server.code}`)
}

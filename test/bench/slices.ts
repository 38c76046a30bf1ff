import { DuckDBInstance } from '@duckdb/node-api'
import { client } from '../e2e/support/client.ts'
import { type Figure, ms, quantile, timed } from './figures.ts'
import { FLIGHTS } from './flights.ts'

export const FLIGHTS_TASK = `-- name: flights
-- db: duckdb
-- max_runtime: 5m
SELECT date AS departed_at, origin, destination, distance AS miles, delay AS delay_minutes FROM '${FLIGHTS}' ORDER BY departed_at, origin;
`

const ROWS = 3_000_000
const PAGE = 100
const TURNS = 40
const WARM_UP = 5

/** Slices of a result of three million rows at the server. No two questions are the same: an answer that is known costs nothing. */
export const measureSlices = async (origin: string, token: string): Promise<Figure[]> => {
  const asker = client(origin, token)
  const job = await asker.run('flights')
  if (job.state !== 'succeeded' || job.rows !== ROWS)
    throw new Error(`flights ${job.state}, ${job.rows} rows: ${JSON.stringify(job.error)}`)
  await asker.packed(job.id)

  const page = async (turn: number): Promise<void> => {
    const { rows } = await asker.slice(job.id, { offset: (turn * 74_929) % (ROWS - PAGE), limit: PAGE })
    if (rows.length !== PAGE) throw new Error(`a page of ${rows.length} rows`)
  }
  const grouped = async (turn: number): Promise<void> => {
    const { rows } = await asker.slice(job.id, {
      where: [{ col: 'miles', op: '>', value: turn }],
      group: ['origin'],
      select: ['origin', { fn: 'count', as: 'flights' }, { fn: 'avg', col: 'delay_minutes', as: 'mean_delay' }],
      order: ['-flights'],
    })
    if (rows.length < 100) throw new Error(`${rows.length} groups`)
  }
  const first = await timed(1, page)
  await timed(WARM_UP, (turn) => page(turn + 1_000))
  const pages = await timed(TURNS, (turn) => page(turn + 1))
  await timed(WARM_UP, (turn) => grouped(turn + 1_000))
  const groups = await timed(TURNS, grouped)

  const database = await DuckDBInstance.create(':memory:', { threads: '2' })
  const peer = await database.connect()
  const scan = (turn: number): Promise<unknown> =>
    peer.runAndReadAll(
      `SELECT origin, count(*), avg(delay) FROM '${FLIGHTS}' WHERE distance > ${turn} GROUP BY origin ORDER BY 2 DESC LIMIT 1000`,
    )
  await timed(2, scan)
  const scans = await timed(10, scan)
  peer.closeSync()

  const page50 = quantile(pages, 0.5)
  const group50 = quantile(groups, 0.5)
  return [
    {
      what: `slice at the server over 3 M rows: a page of ${PAGE} rows, warm, p50`,
      measured: ms(page50),
      aim: '≤ 15 ms',
      beside: `p90 ${ms(quantile(pages, 0.9))}, the first one ${ms(first[0] ?? 0)}`,
      good: page50 <= 15,
    },
    {
      what: 'the same: a group-by, p50',
      measured: ms(group50),
      aim: '≤ 100 ms',
      beside: `p90 ${ms(quantile(groups, 0.9))}; DuckDB alone over the Parquet file ${ms(quantile(scans, 0.5))}`,
      good: group50 <= 100,
    },
  ]
}

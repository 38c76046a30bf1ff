import { deepStrictEqual } from 'node:assert/strict'
import { z } from 'zod'
import type { System } from '../../edge/embedded/system.ts'
import { client } from '../e2e/support/client.ts'
import { check, done } from './check.ts'
import type { PyIceberg } from './pyiceberg.ts'
import type { SqlPeer } from './sql-peer.ts'

const Counts = z.array(z.int())

/** One kind of column: in the task (`$1` is 1 or 2), as a condition's value in SQL, and as PyIceberg takes it. */
interface Kind {
  name: string
  task: string
  value: (n: number) => string
  /** Where DuckDB and Trino do not write it alike: Trino's. */
  trino?: (n: number) => string
  text: (n: number) => string
}

/** What `md5` gives for 1 and 2. */
const UUIDS = ['c4ca4238-a0b9-2382-0dcc-509a6f75849b', 'c81e728d-9d4c-2f63-6f06-7f89cc14862c']
const uuid = (n: number): string => UUIDS[n - 1] ?? ''

const SOME: Kind[] = [
  { name: 'k_int', task: '-$1::INT', value: (n) => `${-n}`, text: (n) => `${-n}` },
  { name: 'k_long', task: '($1::INT * 5000000000)::BIGINT', value: (n) => `${n * 5}000000000`, text: (n) => `${n * 5}000000000` },
  { name: 'k_flag', task: '$1::INT % 2 = 0', value: (n) => `${n % 2 === 0}`, text: (n) => `${n % 2 === 0}` },
  { name: 'k_float', task: '($1::INT / 8)::FLOAT', value: (n) => `${n / 8}`, text: (n) => `${n / 8}` },
  { name: 'k_double', task: '($1::INT / 3)::DOUBLE', value: (n) => `CAST('${n / 3}' AS DOUBLE)`, text: (n) => `${n / 3}` },
  { name: 'k_small', task: '$1::INT::DECIMAL(9,2)', value: (n) => `CAST('${n}.00' AS DECIMAL(9,2))`, text: (n) => `${n}.00` },
  { name: 'k_less', task: '(-$1::INT)::DECIMAL(9,2)', value: (n) => `CAST('-${n}.00' AS DECIMAL(9,2))`, text: (n) => `-${n}.00` },
  { name: 'k_date', task: `DATE '1960-01-01' + $1::INT`, value: (n) => `DATE '1960-01-0${n + 1}'`, text: (n) => `1960-01-0${n + 1}` },
]
const REST: Kind[] = [
  { name: 'k_time', task: `TIME '01:02:03.000004'`, value: () => `TIME '01:02:03.000004'`, text: () => '01:02:03.000004' },
  {
    name: 'k_local',
    task: `TIMESTAMP '1960-01-01 00:00:00.000001' + INTERVAL ($1::INT) DAY`,
    value: (n) => `TIMESTAMP '1960-01-0${n + 1} 00:00:00.000001'`,
    text: (n) => `1960-01-0${n + 1}T00:00:00.000001`,
  },
  {
    name: 'k_instant',
    task: `TIMESTAMPTZ '2020-01-01 00:00:00.000001+00' + INTERVAL ($1::INT) DAY`,
    value: (n) => `TIMESTAMPTZ '2020-01-0${n + 1} 00:00:00.000001+00'`,
    trino: (n) => `TIMESTAMP '2020-01-0${n + 1} 00:00:00.000001 UTC'`,
    text: (n) => `2020-01-0${n + 1}T00:00:00.000001+00:00`,
  },
  { name: 'k_text', task: `'größe/ =' || $1`, value: (n) => `'größe/ =${n}'`, text: (n) => `größe/ =${n}` },
  { name: 'k_uuid', task: 'md5($1::VARCHAR)::UUID', value: (n) => `UUID '${uuid(n)}'`, text: uuid },
  { name: 'k_uuid_2', task: 'md5((3 - $1::INT)::VARCHAR)::UUID', value: (n) => `UUID '${uuid(3 - n)}'`, text: (n) => uuid(3 - n) },
  {
    name: 'k_bytes',
    task: `CASE WHEN $1::INT = 1 THEN '\\x00\\xFF'::BLOB ELSE '\\xFE'::BLOB END`,
    value: (n) => `unhex('${n === 1 ? '00ff' : 'fe'}')`,
    trino: (n) => `from_hex('${n === 1 ? '00ff' : 'fe'}')`,
    text: (n) => (n === 1 ? '00ff' : 'fe'),
  },
  { name: 'k_wide', task: '$1::INT::DECIMAL(38,10) / 3', value: () => '', text: () => '' },
]

const ROWS = 40
const task = (name: string, kinds: Kind[]): string =>
  `-- name: kinds_${name}\n-- db: duckdb\n-- param: v int\n-- result_table: kinds.${name}\n-- partition_by: ${kinds.map((kind) => kind.name).join(', ')}\n` +
  `SELECT ${kinds.map((kind) => `${kind.task} AS ${kind.name}`).join(', ')}, i::INT AS n FROM range(${ROWS}) t(i)\n`

/** Two families that are divided by a column of each type; each job has one value of each in all its rows. */
export const KIND_TASKS = { 'kinds-some.sql': task('some', SOME), 'kinds-rest.sql': task('rest', REST) }

/**
 * Every reader must find by each value exactly the rows that have it: partitions, bounds and what the files say themselves
 * all have a say in it, and where one of them is wrong rows are missing without an error.
 */
export const checkKinds = async (system: System, peer: PyIceberg, engines: SqlPeer[]): Promise<void> => {
  const at = { uri: `${system.origin}/iceberg`, token: await system.token('acme'), tenant: 'acme' }
  const acme = client(system.origin, at.token)
  await check('families that are divided by columns of each type are written', async () => {
    for (const name of ['some', 'rest']) for (const value of [1, 2]) await done(acme, `kinds_${name}`, [value])
  })
  for (const [table, kinds] of [
    ['kinds.some', SOME],
    ['kinds.rest', REST],
  ] as const) {
    const asked = kinds.filter((kind) => kind.text(1) !== '').flatMap((kind) => [1, 2].map((n) => ({ kind, n })))
    const byValue = (counts: number[]) => Object.fromEntries(asked.map(({ kind, n }, at) => [`${kind.name} = ${kind.text(n)}`, counts[at]]))
    const expected = byValue(asked.map(({ kind }) => (kind.text(1) === kind.text(2) ? 2 * ROWS : ROWS)))
    await check(`PyIceberg finds by each value in ${table} the rows that have it`, async () => {
      const values = asked.map(({ kind, n }) => [kind.name, kind.text(n)])
      deepStrictEqual(byValue(Counts.parse(await peer.ask({ ...at, ask: 'find', table, values }))), expected)
    })
    for (const engine of engines)
      await check(`${engine.name} finds by each value in ${table} the rows that have it`, async () => {
        const counts = asked.map(({ kind, n }, nth) => {
          const value = engine.name === 'Trino' ? (kind.trino ?? kind.value)(n) : kind.value(n)
          return `SELECT ${nth}, count(*) FROM lake.${table} WHERE ${kind.name} = ${value}`
        })
        const found = await engine.ask(`${counts.join(' UNION ALL ')} ORDER BY 1`, at)
        deepStrictEqual(byValue(found.map(([, count]) => Number(count))), expected)
      })
  }
}

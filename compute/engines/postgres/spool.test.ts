import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PATIENCE_MS } from '../../test-patience.ts'
import type { Source } from '../engine.ts'
import { Connection } from './connection.ts'
import { parseDsn } from './dsn.ts'
import { type Fixture, openFixture } from './fixture.ts'
import { lookUp } from './query.ts'
import { Outgoing } from './wire.ts'

// A database server is started here, on a machine that may have other things to do.
setDefaultTimeout(PATIENCE_MS)

let pg: Fixture
beforeAll(async () => {
  pg = await openFixture()
})
afterAll(() => pg.close())

/** More rows than the short way takes. */
const MANY = 'from generate_series(1, 3000) as g'
const both = (value: string): [way: string, sql: string][] => [
  ['alone', `select ${value} as v`],
  ['in a spool', `select ${value} as v ${MANY}`],
]

describe('texts', () => {
  test.each(["E'a\\r\\nb'", "E'\\r'", "E'\\n'", 'E\'"\\r\\n",\\n\'', "chr(65279) || 'a'", "E'\\\\N'"])(
    '%s comes back as it is',
    async (value) => {
      const client = new Bun.SQL(pg.server.dsn(), { max: 1 })
      const [wanted] = await client.unsafe(`select md5(${value}) as md5`)
      await client.end()
      for (const [, sql] of both(value)) {
        const ran = await pg.execute(sql)
        const rows = ran.produced.rows
        expect(await pg.read(ran, `count(*)::int, min(md5(v)), max(md5(v))`)).toEqual([[rows, wanted.md5, wanted.md5]])
      }
    },
  )

  test('with lines that look like rows are read as the texts that they are', async () => {
    // Long enough that several threads begin inside of a text.
    const ran = await pg.execute(
      `select g::bigint as n, repeat(E'\\n5,a,x,1.00', 2000) as t, 'k'::text as u, 1.00::numeric(10,2) as d from generate_series(1, 700) as g`,
    )
    expect(await pg.read(ran, 'count(*)::int, sum(n)::int8::double, min(length(t))::int, max(length(t))::int, sum(d)::double')).toEqual([
      [700, 245_350, 22_000, 22_000, 700],
    ])
  })

  test('with line breaks late in a long report are found after DuckDB has begun to read it', async () => {
    const ran = await pg.execute(
      `select g::bigint as n, case when g > 60000 then repeat(E'\\n5,a,x,1.00', 20) else repeat('x', 100) end as t, 'k'::text as u, 1.00::numeric(10,2) as d from generate_series(1, 100000) as g`,
    )
    expect(await pg.read(ran, 'count(*)::int, sum(length(t))::int8::double, sum(d)::double')).toEqual([
      [100_000, 6_000_000 + 8_800_000, 100_000],
    ])
  })

  test('that are not UTF-8 are refused by the server, on both ways', async () => {
    await pg.admin(`create database raw encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0`)
    const source: Source = { ...pg.source, name: 'raw', dsn: pg.server.dsn('scarab', 'raw') }
    for (const value of ["E'caf\\xe9'", "array[E'caf\\xe9']"])
      for (const [, sql] of both(value)) {
        const failure = await pg.failure(pg.execute(sql, { source }))
        expect(failure).toMatchObject({ code: 'sql_error', class: 'sql' })
        expect(failure.message).toContain('0xe9')
      }
  })
})

test('a connection on which the last rows had to wait for the disk serves the next query', async () => {
  const dsn = parseDsn(pg.server.dsn())
  if (!dsn.ok) throw new Error(dsn.problem)
  const connection = await Connection.open(dsn.address, new AbortController().signal)
  const pause = () => connection.pause()
  // An answer in one piece ends while the reading is paused; one in several needs somebody to go on.
  const going = setInterval(() => connection.resume(), 5)
  await connection.exchange(new Outgoing().simple('select 1'), { row: pause, message: pause }, 1)
  clearInterval(going)
  expect(await lookUp(connection, 'select 42', [])).toEqual([['42']])
  connection.close()
})

describe('values', () => {
  test.each([
    ["'294247-01-10 04:00:54.775807'::timestamp", 'v', 'timestamp'],
    ['99999999999999999999.9999999999999999999::numeric', 'v', 'decimal(38,18)'],
  ])('%s has no place, and both ways say so in the same words', async (value, column, type) => {
    const [alone, spooled] = await Promise.all(both(value).map(([, sql]) => pg.failure(pg.execute(sql))))
    expect(alone?.message).toContain(`column "${column}"`)
    expect(alone?.message).toContain(`does not fit ${type}`)
    expect(spooled).toEqual(alone)
  })

  test.each([
    ['0.00012::numeric(2,5)', '0.00012'],
    ['(-0.5)::numeric(3,3)', '-0.500'],
    ["'5874897-12-31'::date", '+5874897-12-31'],
    ["'10000-01-01'::date", '+010000-01-01'],
  ])('%s is %s in the first rows of both ways', async (value, wire) => {
    for (const [, sql] of both(value)) expect((await pg.execute(sql)).produced.firstRows[0]).toEqual([wire])
  })

  test('that are refused are told of, whatever text is in them', async () => {
    const failure = await pg.failure(pg.execute(`select 'CSV' as tenant_id, g as n ${MANY}`))
    expect(failure).toMatchObject({ code: 'foreign_tenant', message: expect.stringContaining('a row has "CSV"') })
  })
})

import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { wireExpression } from '../../compute/results/rows.ts'
import type { Column, WireValue } from '../../edge/contract/columns.ts'
import { duckdbType, quoted } from '../../edge/contract/slice-sql.ts'

/** A result as a node would leave it: a Parquet file, a pack, the first rows and, for a small one, all of them. */
export interface MadeResult {
  columns: Column[]
  rows: number
  parquet: Buffer
  pack: Buffer | null
  first: WireValue[][]
  all: WireValue[][] | null
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Runs `sql` with DuckDB and makes a result of it. `columns` are its columns under Iceberg's names. */
export const makeResult = async (
  sql: string,
  columns: Column[],
  options: { pack?: boolean; inline?: boolean; inPack?: string } = {},
): Promise<MadeResult> => {
  const folder = await mkdtemp(join(tmpdir(), 'scarab-result-'))
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  try {
    const select = columns.map((column) => `CAST(${quoted(column.name)} AS ${duckdbType(column.type)}) AS ${quoted(column.name)}`)
    await connection.run("SET TimeZone = 'UTC'")
    await connection.run(`CREATE TABLE made AS SELECT ${select.join(', ')} FROM (${sql})`)
    const parquet = join(folder, 'result.parquet')
    await connection.run(`COPY made TO '${parquet}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)`)
    let pack: Buffer | null = null
    if (options.pack ?? true) {
      const path = join(folder, 'result.duckdb')
      await connection.run(`ATTACH '${path}' AS pack (STORAGE_VERSION 'v1.4.0')`)
      await connection.run('CREATE TABLE pack.result AS FROM made')
      if (options.inPack !== undefined) await connection.run(options.inPack)
      await connection.run('DETACH pack')
      pack = await readFile(path)
    }
    const cells = columns.map(
      (column) => `CASE WHEN ${quoted(column.name)} IS NULL THEN 'null' ELSE ${wireExpression(quoted(column.name), column.type)} END`,
    )
    const row = `'[' || concat_ws(',', ${cells.join(', ')}) || ']'`
    const read = async (limit: number): Promise<WireValue[][]> => {
      const reader = await connection.runAndReadAll(`SELECT ${row} FROM made LIMIT ${limit}`)
      return reader.getRows().map(([text]): WireValue[] => JSON.parse(String(text)))
    }
    const counted = await connection.runAndReadAll('SELECT count(*)::INTEGER FROM made')
    const rows = Number(counted.getRows()[0]?.[0] ?? 0)
    return {
      columns: columns.map((column, at) => ({ ...column, id: at + 4 })),
      rows,
      parquet: await readFile(parquet),
      pack,
      first: await read(200),
      all: options.inline ? await read(1_000_000) : null,
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
}

export const FLIGHTS_COLUMNS: Column[] = [
  { name: 'flight', type: 'long' },
  { name: 'departed', type: 'timestamp' },
  { name: 'day', type: 'date' },
  { name: 'origin', type: 'string' },
  { name: 'destination', type: 'string' },
  { name: 'carrier', type: 'string' },
  { name: 'distance_km', type: 'int' },
  { name: 'delay_min', type: 'int' },
  { name: 'fare', type: 'decimal(12,2)' },
  { name: 'load', type: 'double' },
]

/** Flights that never were: every figure follows from the row's number, so a test can compute what it should see. */
export const flightsSql = (rows: number): string => `
  SELECT i + 9007199254740000 AS flight,
    TIMESTAMP '2001-01-01 00:00:00' + to_microseconds(i * 10515 * 1000 + i % 1000) AS departed,
    CAST(TIMESTAMP '2001-01-01 00:00:00' + to_microseconds(i * 10515 * 1000) AS DATE) AS day,
    (['ATL', 'ORD', 'DFW', 'LAX', 'PHX', 'DEN', 'IAH', 'SFO', 'JFK', 'SEA'])[1 + (hash(i) % 10)::INT] AS origin,
    (['BOS', 'MIA', 'MSP', 'DTW', 'LAS', 'CLT', 'EWR', 'SLC'])[1 + (hash(i * 7 + 1) % 8)::INT] AS destination,
    (['AA', 'DL', 'UA', 'WN', 'US'])[1 + (hash(i * 13 + 5) % 5)::INT] AS carrier,
    150 + (hash(i * 3) % 4300)::INT AS distance_km,
    CASE WHEN i % 97 = 0 THEN NULL ELSE (hash(i * 5) % 240)::INT - 20 END AS delay_min,
    (hash(i * 11) % 120000)::DECIMAL(12,2) / 100 AS fare,
    (hash(i * 17) % 1000)::DOUBLE / 1000 AS load
  FROM range(${rows}) t(i)`

export const TYPES_COLUMNS: Column[] = [
  { name: 'long', type: 'long' },
  { name: 'exact', type: 'decimal(38,10)' },
  { name: 'moment', type: 'timestamp' },
  { name: 'zoned', type: 'timestamptz' },
  { name: 'clock', type: 'time' },
  { name: 'ratio', type: 'double' },
  { name: 'single', type: 'float' },
  { name: 'flag', type: 'boolean' },
  { name: 'key', type: 'uuid' },
  { name: 'bytes', type: 'binary' },
  { name: 'select', type: 'string' },
  { name: 'a"b', type: 'string' },
  { name: 'list', type: { type: 'list', element: 'long' } },
  {
    name: 'struct',
    type: {
      type: 'struct',
      fields: [
        { name: 'x', type: 'decimal(9,2)' },
        { name: 'y', type: { type: 'list', element: 'string' } },
      ],
    },
  },
]

export const TYPES_SQL = `
  SELECT * FROM (VALUES
    (9007199254740993::BIGINT, 1234567890123456789012345678.0123456789::DECIMAL(38,10), TIMESTAMP '1969-12-31 23:59:59.999999',
     TIMESTAMPTZ '2024-02-29 12:00:00.000001+00', TIME '23:59:59.000001', 'NaN'::DOUBLE, 0.1::FLOAT, true,
     '6f1c3b52-0000-4000-8000-0123456789ab'::UUID, '\\x00\\xFF'::BLOB, 'Grüße, "Zürich"', '', [1, NULL, 9223372036854775807],
     {'x': -1.25::DECIMAL(9,2), 'y': ['a', NULL, '']}),
    ((-9223372036854775807 - 1)::BIGINT, -0.0000000001::DECIMAL(38,10), TIMESTAMP '0001-01-01 00:00:00',
     TIMESTAMPTZ '1900-01-01 00:00:00+00', TIME '00:00:00', '-Infinity'::DOUBLE, NULL, false,
     '00000000-0000-0000-0000-000000000000'::UUID, ''::BLOB, '', NULL, []::BIGINT[], {'x': NULL, 'y': NULL}),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, E'line\\nbreak, comma', NULL, NULL)
  ) AS v("long", exact, moment, zoned, clock, ratio, single, flag, key, bytes, "select", "a""b", list, struct)`

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ColumnType, typeName, type WireValue } from '../../edge/contract/columns.ts'
import type { Job } from '../../edge/contract/jobs.ts'
import { csvOf } from '../../edge/slices/csv.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type Client, parsed, problemOf, WholeResult } from './support/client.ts'
import { readFamily } from './support/iceberg.ts'
import { columnsOf, type TypedEngine, typedQuery, wireRows } from './support/type-values.ts'
import { startWorld, type World } from './support/world.ts'

/** Enough noise that the result is a file of its own. */
const PADDING = 5_000
const task = (name: string, db: string, sql: string, more = ''): string => `-- name: ${name}\n-- db: ${db}\n${more}${sql}\n`
const source = (engine: TypedEngine): string => (engine === 'duckdb' ? 'duckdb' : 'warehouse')

/** What cannot be kept: told when the task is loaded, and by its jobs. */
const UNKEEPABLE: [name: string, db: string, sql: string, message: RegExp][] = [
  ['d_interval', 'duckdb', "SELECT INTERVAL '1 day' AS span", /span.*INTERVAL.*cannot be kept/],
  ['d_untyped', 'duckdb', 'SELECT NULL AS nothing', /nothing.*has no type/],
  ['d_union', 'duckdb', 'SELECT union_value(a := 1) AS either', /either.*union/],
  ['d_job_id', 'duckdb', 'SELECT 1 AS job_id', /job_id/],
  ['p_interval', 'warehouse', "SELECT INTERVAL '1 day' AS span", /span.*interval.*cannot be kept/],
  ['p_timetz', 'warehouse', "SELECT '12:00+02'::timetz AS clock", /clock/],
  ['p_money', 'warehouse', "SELECT '1'::money AS amount", /amount.*::numeric/],
  ['p_digits', 'warehouse', 'SELECT 1::numeric(50,2) AS amount', /amount.*38 digits/],
]
/** Values without an exact home: only the run can tell. */
const UNKEEPABLE_VALUES: [name: string, db: string, sql: string, message: RegExp][] = [
  [
    'v_huge',
    'duckdb',
    "SELECT '170141183460469231731687303715884105727'::HUGEINT AS h",
    /"h".*17014118346046923173168730371588410572.*decimal\(38,0\)/,
  ],
  ['v_nanos', 'duckdb', "SELECT TIMESTAMP_NS '2024-01-01 00:00:00.000000001' AS t", /"t".*microseconds/],
  ['v_forever', 'duckdb', "SELECT 'infinity'::TIMESTAMP AS t", /"t".*infin/i],
  ['v_nan', 'warehouse', "SELECT 'NaN'::numeric AS x", /"x".*NaN/],
  ['v_wide', 'warehouse', "SELECT (repeat('9', 39))::numeric AS x", /"x".*9999/],
  ['v_never', 'warehouse', "SELECT 'infinity'::timestamptz AS t", /"t".*infinity/],
]

let postgres: PostgresServer
let world: World
let acme: Client
beforeAll(async () => {
  postgres = await startPostgres()
  const tasks: Record<string, string> = {
    'arguments.sql': task('arguments_d', 'duckdb', 'SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f, $7 AS g', PARAMETERS),
    'arguments-p.sql': task(
      'arguments_p',
      'warehouse',
      'SELECT $1::bigint AS a, $2::numeric(38,10) AS b, $3::text AS c, $4::date AS d, $5::timestamptz AS e, $6::uuid AS f, $7::boolean AS g',
      PARAMETERS,
    ),
    'numeric.sql': task(
      'bare_numeric',
      'warehouse',
      "SELECT n, v::numeric AS v FROM (VALUES (1, '0.000000000000000001'), (2, '-12345678901234567890.5'), (3, NULL), (4, '0')) t(n, v) ORDER BY n",
    ),
    'text.sql': task(
      'kept_as_text',
      'warehouse',
      "SELECT INTERVAL '1 day 02:00' AS span, '{\"a\": 1.10}'::jsonb AS doc, 1::numeric(50,2) AS wide",
      '-- types: span=string, wide=string\n',
    ),
  }
  for (const engine of ['duckdb', 'postgres'] as const) {
    tasks[`${engine}.sql`] = task(`${engine}_small`, source(engine), typedQuery(engine))
    tasks[`${engine}-large.sql`] = task(`${engine}_large`, source(engine), typedQuery(engine, PADDING))
    const none = typedQuery(engine).replace(' ORDER BY n', ' WHERE n < 0 ORDER BY n')
    tasks[`${engine}-empty.sql`] = task(`${engine}_empty`, source(engine), none)
  }
  for (const [name, db, sql] of [...UNKEEPABLE, ...UNKEEPABLE_VALUES]) tasks[`${name}.sql`] = task(name, db, sql)
  // A raw task is not looked at before it runs.
  for (const [name, db, sql] of UNKEEPABLE) tasks[`${name}-raw.sql`] = task(`${name}_raw`, db, sql, '-- raw: 1\n')
  world = await startWorld({ tasks, nodeToml: `[db.warehouse]\ntype = "postgres"\ndsn = "${postgres.dsn()}"\n` })
  acme = await world.as('acme')
})
afterAll(async () => {
  await world?.end()
  await postgres?.stop()
})

const PARAMETERS = ['a bigint', 'b decimal', 'c text', 'd date', 'e timestamptz', 'f uuid', 'g boolean']
  .map((param) => `-- param: ${param} = null\n`)
  .join('')

const withoutIds = (type: ColumnType): ColumnType => {
  if (typeof type === 'string') return type
  if (type.type === 'list') return { type: 'list', element: withoutIds(type.element) }
  if (type.type === 'map') return { type: 'map', key: withoutIds(type.key), value: withoutIds(type.value) }
  return { type: 'struct', fields: type.fields.map(({ name, type: inner }) => ({ name, type: withoutIds(inner) })) }
}

/** Rows that stand in one query and not in the other, by a DuckDB of the test's own. */
const differences = async (parquet: Buffer, query: string): Promise<number> => {
  const folder = mkdtempSync(join(tmpdir(), 'scarab-types-'))
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  try {
    writeFileSync(join(folder, 'r.parquet'), parquet)
    await connection.run("SET TimeZone = 'UTC'")
    const file = `SELECT * EXCLUDE (tenant_id, job_id, run_date) FROM '${join(folder, 'r.parquet')}' WHERE n < 100`
    const read = await connection.runAndReadAll(
      `SELECT count(*)::INTEGER FROM ((FROM (${file}) EXCEPT ALL FROM (${query})) UNION ALL (FROM (${query}) EXCEPT ALL FROM (${file})))`,
    )
    return Number(read.getRows()[0]?.[0])
  } finally {
    connection.closeSync()
    instance.closeSync()
    rmSync(folder, { recursive: true })
  }
}

describe.each([
  ['duckdb', 'small'],
  ['duckdb', 'large'],
  ['postgres', 'small'],
  ['postgres', 'large'],
] as const)('all types of %s in a %s result', (engine, size) => {
  let job: Job
  const expected = wireRows(engine)
  const names = ['n', 'noise', ...columnsOf(engine).map(({ name }) => name)]
  const header = [
    { name: 'n', type: 'int' },
    { name: 'noise', type: 'string' },
    ...columnsOf(engine).map(({ name, type }) => ({ name, type: typeName(type) })),
  ]
  const FOUR = [{ col: 'n', op: '<', value: 100 }]
  beforeAll(async () => {
    job = await acme.run(`${engine}_${size}`)
  })

  test('the manifest has the types and the first rows', async () => {
    expect(job.error).toBeNull()
    const result = await acme.result(job.id)
    expect(result.inline).toBe(size === 'small')
    expect(result.columns.map(({ name, type }) => ({ name, type: withoutIds(type) }))).toEqual([
      { name: 'n', type: 'int' },
      { name: 'noise', type: 'string' },
      ...columnsOf(engine).map(({ name, type }) => ({ name, type })),
    ])
    expect(result.first_rows.slice(0, 4)).toEqual(expected)
  })

  test('result.json and result.csv are exact', async () => {
    const json = await parsed(await acme.made(`/v1/jobs/${job.id}/result.json`), WholeResult)
    expect(json.columns).toEqual(header)
    expect(json.rows.slice(0, 4)).toEqual(expected)
    const csv = await (await acme.made(`/v1/jobs/${job.id}/result.csv`)).text()
    const wanted = csvOf(
      names.map((name) => ({ name })),
      expected,
    )
    expect(csv.slice(0, wanted.length)).toBe(wanted)
  })

  test('slices of the Worker and of a node are exact', async () => {
    const page = await acme.slice(job.id, { where: FOUR, order: ['n'] })
    expect(page.columns).toEqual(header)
    expect(page.rows).toEqual(expected)
    const sql = await acme.slice(job.id, { sql: 'SELECT * FROM result WHERE n < 100 ORDER BY n' })
    expect(sql.columns).toEqual(header)
    expect(sql.rows).toEqual(expected)
    const csv = await acme.ask(`/v1/jobs/${job.id}/slice?format=csv`, { body: { where: FOUR, order: ['n'] } })
    expect(await csv.text()).toBe(
      csvOf(
        names.map((name) => ({ name })),
        expected,
      ),
    )
    const quoted = await acme.slice(job.id, { sql: 'SELECT "select", "a""b", "Übergröße" FROM result WHERE n = 1' })
    expect(quoted.rows).toEqual([['tab\t', ',', 'e\u0301']])
  })

  test('every value finds its own row, and NULL none', async () => {
    const find = async (name: string, wire: readonly WireValue[]): Promise<void> => {
      const nulls = await acme.slice(job.id, { where: [...FOUR, { col: name, op: 'is_null' }], select: ['n'] })
      expect(nulls.rows, name).toEqual([[2]])
      for (const row of [0, 1, 3]) {
        const value = wire[row]
        const found = await acme.slice(job.id, { where: [...FOUR, { col: name, op: '=', value }], select: ['n'], order: ['n'] })
        expect(found.rows.flat(), `${name} = ${JSON.stringify(value)}`).toEqual([0, 1, 2, 3].filter((n) => wire[n] === value))
      }
    }
    const primitive = columnsOf(engine).filter(({ type }) => typeof type === 'string')
    expect(primitive.length).toBeGreaterThan(15)
    await Promise.all(primitive.map(({ name, wire }) => find(name, wire)))
  })

  test('the Parquet file has exactly these values', async () => {
    const parquet = Buffer.from(await (await acme.ask(`/v1/jobs/${job.id}/result.parquet`)).arrayBuffer())
    const query = `SELECT ${names.map((name) => `"${name.replaceAll('"', '""')}"`).join(', ')} FROM (${typedQuery('duckdb')})`
    expect(await differences(parquet, query)).toBe(0)
    // The comparison itself can fail.
    expect(await differences(parquet, query.replace('ORDER BY n', 'WHERE n < 3'))).toBe(1)
  })

  test('an Iceberg reader finds the same rows', async () => {
    expect((await acme.published(job.id)).at(-1)?.data).toMatchObject({ publication: 'published' })
    const rows = (await readFamily(acme, 'acme', `reports.${job.task}`)).filter(({ n }) => Number(n) < 100)
    expect(rows.length).toBe(4)
    for (const [at, row] of rows.sort((a, b) => Number(a.n) - Number(b.n)).entries()) {
      expect(row).toMatchObject({ n: at, noise: 'x', tenant_id: 'acme', job_id: job.id })
      for (const { name, type, wire } of columnsOf(engine)) {
        // It looks columns up by name, other characters replaced as in Avro names.
        if (!/^\w+$/.test(name)) continue
        // This reader keeps decimals as doubles and times in milliseconds: what it keeps exactly is compared.
        if (type === 'string' || type === 'boolean' || type === 'int') expect(row[name] ?? null, name).toBe(wire[at] ?? null)
        if (type === 'long') expect(row[name] === null || row[name] === undefined ? null : String(row[name]), name).toBe(wire[at] ?? null)
        if (type === 'date') expect(row[name] instanceof Date ? row[name].toISOString().slice(0, 10) : null, name).toBe(wire[at] ?? null)
      }
    }
  })
})

test.each(['duckdb', 'postgres'] as const)('an empty result of %s keeps its types', async (engine) => {
  const job = await acme.run(`${engine}_empty`)
  expect(job).toMatchObject({ state: 'succeeded', rows: 0, error: null })
  const page = await acme.slice(job.id, {})
  expect(page.columns.slice(2)).toEqual(columnsOf(engine).map(({ name, type }) => ({ name, type: typeName(type) })))
  expect(page.rows).toEqual([])
  expect((await acme.published(job.id)).at(-1)?.data).toMatchObject({ publication: 'published' })
  expect(await readFamily(acme, 'acme', `reports.${engine}_empty`)).toEqual([])
})

test('numeric without a precision keeps eighteen digits behind the point', async () => {
  const job = await acme.run('bare_numeric')
  const page = await acme.slice(job.id, {})
  expect(page.columns).toEqual([
    { name: 'n', type: 'int' },
    { name: 'v', type: 'decimal(38,18)' },
  ])
  expect(page.rows.map(([, v]) => v)).toEqual([
    '0.000000000000000001',
    '-12345678901234567890.500000000000000000',
    null,
    '0.000000000000000000',
  ])
})

test('a types line keeps the text of what no type keeps', async () => {
  const job = await acme.run('kept_as_text')
  expect(job.error).toBeNull()
  expect((await acme.slice(job.id, {})).rows).toEqual([['1 day 02:00:00', '{"a": 1.10}', '1.00']])
})

test.each(['arguments_d', 'arguments_p'])('arguments are bound with all their digits, and NULL is not an empty text: %s', async (name) => {
  const values = [
    '-9223372036854775808',
    '12345678901234567890.0123456789',
    '',
    '0001-01-01',
    '2024-02-29T12:00:00.000001Z',
    '0b6c6a4e-7a4c-4f0e-9a53-1c2f5a7d9e11',
    false,
  ]
  const full = await acme.run(name, values)
  expect(full.error).toBeNull()
  const [row] = (await acme.slice(full.id, {})).rows
  expect(row?.[0]).toBe('-9223372036854775808')
  expect(row?.[2]).toBe('')
  expect(row?.slice(3)).toEqual(['0001-01-01', '2024-02-29T12:00:00.000001Z', '0b6c6a4e-7a4c-4f0e-9a53-1c2f5a7d9e11', false])
  expect(String(row?.[1]).replace(/0+$/, '')).toBe('12345678901234567890.0123456789')
  const empty = await acme.run(name, {})
  expect(empty.error).toBeNull()
  expect((await acme.slice(empty.id, {})).rows).toEqual([[null, null, null, null, null, null, null]])
  const quotes = await acme.run(name, { c: `'; DROP TABLE x; -- $1 ? "${'ü'.repeat(20)}` })
  expect((await acme.slice(quotes.id, { select: ['c'] })).rows).toEqual([[`'; DROP TABLE x; -- $1 ? "${'ü'.repeat(20)}`]])
})

test.each(UNKEEPABLE)('a type that cannot be kept is refused at load with its place, and at run: %s', async (name, _db, _sql, message) => {
  expect(await problemOf(await acme.ask(`/v1/tasks/${name}`))).toMatchObject({ code: 'unknown_task' })
  const told = readFileSync(join(world.system.state, 'logs/node-embedded.log'), 'utf8')
    .split('\n')
    .find((line) => line.includes(`${name}.sql:1: error: task "${name}":`))
  expect(told ?? '').toMatch(message)
  const job = await acme.run(`${name}_raw`)
  expect(job).toMatchObject({ state: 'failed', tries: 1, result: null })
  expect(job.error?.message ?? '').toMatch(message)
})

test.each(UNKEEPABLE_VALUES)('a value that cannot be kept fails the job and is named: %s', async (name, _db, _sql, message) => {
  const job = await acme.run(name)
  expect(job).toMatchObject({ state: 'failed', tries: 1, result: null })
  expect(job.error?.message ?? '').toMatch(message)
})

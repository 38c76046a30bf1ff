import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import type { ResultSchema } from '../../edge/contract/columns.ts'
import { InlineResult, NodeManifest } from '../../edge/contract/manifests.ts'
import { quoteText } from '../duckdb/sql.ts'
import { JOB, TENANT, type TryOut, tryOut, withIds } from '../engines/duckdb/fixture.ts'
import { EngineFault, type Produced } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { materialise } from './materialise.ts'

setDefaultTimeout(PATIENCE_MS)

let out: TryOut
beforeAll(async () => {
  out = await tryOut()
})
afterAll(() => out.close())

const faultOf = async (work: Promise<unknown>): Promise<EngineFault['failure']> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof EngineFault) return error.failure
  throw new Error(`expected an EngineFault, got ${String(error)}`)
}
const ask = (sql: string) => out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) => session.run(sql))
const pathOf = (produced: Produced): string => produced.files[0]?.path ?? ''
/** The manifest as the edge will check it. */
const checked = (produced: Produced, schema: ResultSchema) =>
  NodeManifest.parse({
    schema,
    rows: produced.rows,
    files: produced.files,
    first_rows: produced.firstRows,
    engine: produced.engine,
    source: null,
    seconds: { planning: 0, executing: 0, uploading: 0 },
  })

/** SQL value, Iceberg type, wire value, the same value read back by DuckDB as text. */
const TYPES: [sql: string, type: unknown, wire: unknown, text?: string][] = [
  ['true', 'boolean', true],
  ['(-128)::TINYINT', 'int', -128],
  ['255::UTINYINT', 'int', 255],
  ['(-32768)::SMALLINT', 'int', -32768],
  ['65535::USMALLINT', 'int', 65535],
  ['(-2147483648)::INTEGER', 'int', -2147483648],
  ['4294967295::UINTEGER', 'long', '4294967295'],
  ['9223372036854775807::BIGINT', 'long', '9223372036854775807'],
  ['(-9223372036854775808)::BIGINT', 'long', '-9223372036854775808'],
  ['18446744073709551615::UBIGINT', 'decimal(20,0)', '18446744073709551615'],
  ["'99999999999999999999999999999999999999'::HUGEINT", 'decimal(38,0)', '99999999999999999999999999999999999999'],
  ["'-99999999999999999999999999999999999999'::HUGEINT", 'decimal(38,0)', '-99999999999999999999999999999999999999'],
  ["'123456789012345678901234567890'::UHUGEINT", 'decimal(38,0)', '123456789012345678901234567890'],
  ["'9999999999999999999999999999.0123456789'::DECIMAL(38,10)", 'decimal(38,10)', '9999999999999999999999999999.0123456789'],
  ["'-0.01'::DECIMAL(4,2)", 'decimal(4,2)', '-0.01'],
  ['0.1::FLOAT', 'float', Math.fround(0.1)],
  ['0.1::DOUBLE', 'double', 0.1],
  ["'nan'::DOUBLE", 'double', 'NaN'],
  ["'inf'::DOUBLE", 'double', 'Infinity'],
  ["'-inf'::FLOAT", 'float', '-Infinity'],
  ['5e-324::DOUBLE', 'double', 5e-324],
  ['\'Grüße, 世界 🪲 "quoted" \\ line\nbreak\'', 'string', 'Grüße, 世界 🪲 "quoted" \\ line\nbreak'],
  ["''", 'string', ''],
  ["'a' || chr(0) || 'b'", 'string', 'a\0b'],
  ['\'{"a": 1.50}\'::JSON', 'string', '{"a": 1.50}'],
  ["'b'::ENUM('a', 'b')", 'string', 'b'],
  ["'0101'::BIT", 'string', '0101'],
  ["'\\x00\\xFFab'::BLOB", 'binary', 'AP9hYg==', '\\x00\\xFFab'],
  ["''::BLOB", 'binary', '', ''],
  ["'8d3bd1b0-3a1c-4b43-bb0a-d0fc2e7d4a4b'::UUID", 'uuid', '8d3bd1b0-3a1c-4b43-bb0a-d0fc2e7d4a4b'],
  ["DATE '2024-02-29'", 'date', '2024-02-29'],
  ["DATE '0001-01-01'", 'date', '0001-01-01'],
  ["DATE '12345-06-07'", 'date', '+012345-06-07', '12345-06-07'],
  ["DATE '0044-03-15 (BC)'", 'date', '-000043-03-15', '0044-03-15 (BC)'],
  ["TIME '23:59:59.000001'", 'time', '23:59:59.000001'],
  ["TIME '12:00:00'", 'time', '12:00:00.000000', '12:00:00'],
  ["TIMESTAMP '2024-01-02 03:04:05.000006'", 'timestamp', '2024-01-02T03:04:05.000006', '2024-01-02 03:04:05.000006'],
  ["TIMESTAMP '1969-12-31 23:59:59.999999'", 'timestamp', '1969-12-31T23:59:59.999999', '1969-12-31 23:59:59.999999'],
  ["TIMESTAMPTZ '2024-01-02 03:04:05.000006+05:30'", 'timestamptz', '2024-01-01T21:34:05.000006Z', '2024-01-01 21:34:05.000006+00'],
  ["'2024-01-02 03:04:05'::TIMESTAMP_S", 'timestamp', '2024-01-02T03:04:05.000000', '2024-01-02 03:04:05'],
  ["'2024-01-02 03:04:05.006'::TIMESTAMP_MS", 'timestamp', '2024-01-02T03:04:05.006000', '2024-01-02 03:04:05.006'],
  ["'03:04:05.000006'::TIME_NS", 'time', '03:04:05.000006', '03:04:05.000006'],
  ["'2024-01-02 03:04:05.000006'::TIMESTAMP_NS", 'timestamp', '2024-01-02T03:04:05.000006', '2024-01-02 03:04:05.000006'],
  ['NULL::INTEGER', 'int', null],
  ['[9223372036854775807, NULL]', { type: 'list', element: 'long' }, ['9223372036854775807', null]],
  ['[]::INTEGER[]', { type: 'list', element: 'int' }, []],
  ['NULL::VARCHAR[]', { type: 'list', element: 'string' }, null],
  ['array_value(1.5::DOUBLE, 2.5)', { type: 'list', element: 'double' }, [1.5, 2.5]],
  [
    "{'a': 1, 'p\"q': 'x', 'n': NULL::DATE, 'in': {'t': TIMESTAMP '2024-01-02 03:04:05'}}",
    {
      type: 'struct',
      fields: [
        { name: 'a', type: 'int' },
        { name: 'p"q', type: 'string' },
        { name: 'n', type: 'date' },
        { name: 'in', type: { type: 'struct', fields: [{ name: 't', type: 'timestamp' }] } },
      ],
    },
    { a: 1, 'p"q': 'x', n: null, in: { t: '2024-01-02T03:04:05.000000' } },
  ],
  ['NULL::STRUCT(a INTEGER)', { type: 'struct', fields: [{ name: 'a', type: 'int' }] }, null],
  [
    "MAP {'k': 1::BIGINT, 'l': NULL}",
    { type: 'map', key: 'string', value: 'long' },
    [
      { key: 'k', value: '1' },
      { key: 'l', value: null },
    ],
  ],
  [
    "{'h': 1::HUGEINT, 'm': MAP {TIMESTAMP_NS '2024-01-01': [2::UHUGEINT, NULL]}}",
    {
      type: 'struct',
      fields: [
        { name: 'h', type: 'decimal(38,0)' },
        { name: 'm', type: { type: 'map', key: 'timestamp', value: { type: 'list', element: 'decimal(38,0)' } } },
      ],
    },
    { h: '1', m: [{ key: '2024-01-01T00:00:00.000000', value: ['2', null] }] },
  ],
  ['MAP {1: 2::HUGEINT}', { type: 'map', key: 'int', value: 'decimal(38,0)' }, [{ key: 1, value: '2' }]],
  ['[[1::HUGEINT], NULL, []]', { type: 'list', element: { type: 'list', element: 'decimal(38,0)' } }, [['1'], null, []]],
  [
    "[{'m': MAP {1: ['\\xFF'::BLOB]}}]",
    {
      type: 'list',
      element: { type: 'struct', fields: [{ name: 'm', type: { type: 'map', key: 'int', value: { type: 'list', element: 'binary' } } }] },
    },
    [{ m: [{ key: 1, value: ['/w=='] }] }],
  ],
]

describe('every type', () => {
  test('comes back exactly: planned type, wire value, DuckDB, and with its null beside it', async () => {
    const select = (values: string[]) => `SELECT ${values.map((value, n) => `${value} AS c${n}`).join(', ')}`
    const sql = `${select(TYPES.map(([value]) => value))} UNION ALL ${select(TYPES.map(() => 'NULL'))}`
    const { produced, schema } = await out.run(sql)
    const withoutIds = JSON.parse(JSON.stringify(schema.columns, (key, value) => (/^(id|.*-id)$/.test(key) ? undefined : value)))
    expect(withoutIds).toEqual(TYPES.map(([, type], n) => ({ name: `c${n}`, type })))
    expect(produced.firstRows).toEqual([TYPES.map(([, , wire]) => wire), TYPES.map(() => null)] as typeof produced.firstRows)
    expect(produced.inline?.rows).toEqual(produced.firstRows)
    checked(produced, schema)

    const flat = TYPES.flatMap(([, type, wire, text], n) =>
      typeof type === 'string' && wire !== null ? [{ n, text: text ?? String(wire) }] : [],
    )
    const read = await ask(
      `SELECT ${flat.map(({ n }) => `CAST(c${n} AS VARCHAR)`).join(', ')} FROM read_parquet(${quoteText(pathOf(produced))}) LIMIT 1`,
    )
    // DuckDB's words for the special floats, and its own shortest text of a float.
    const words: Record<string, string> = { NaN: 'nan', Infinity: 'inf', '-Infinity': '-inf', [String(Math.fround(0.1))]: '0.1' }
    expect(read[0]).toEqual(flat.map(({ text }) => words[text] ?? text))
  })

  test('is read alike by an independent reader', async () => {
    const { produced } = await out.run(
      "SELECT 9007199254740993::BIGINT l, '\\x01\\xFF'::BLOB b, TIMESTAMP '2024-01-02 03:04:05.006' t, 'é' s, [1, NULL, 3] li, {'a': {'b': 'x'}} st, 12.50::DECIMAL(10,2) d, DATE '2024-02-29' da, 0.1::DOUBLE f, true bo",
    )
    const file = await asyncBufferFromFile(pathOf(produced))
    const [row] = await parquetReadObjects({ file, compressors, utf8: false })
    expect(row).toMatchObject({
      l: 9007199254740993n,
      b: new Uint8Array([1, 255]),
      t: new Date('2024-01-02T03:04:05.006Z'),
      s: 'é',
      li: [1, null, 3],
      st: { a: { b: 'x' } },
      d: 12.5,
      da: new Date('2024-02-29'),
      f: 0.1,
      bo: true,
      tenant_id: TENANT,
      job_id: JOB,
      run_date: new Date('2026-11-21'),
    })
  })

  test.each([
    ["INTERVAL '1 day'", /"x": the type INTERVAL cannot be kept/],
    ["'12:00:00+05:30'::TIMETZ", /"x": the type TIMETZ cannot be kept/],
    ['union_value(a := 1)', /"x": the type UNION cannot be kept/],
    ['NULL', /"x": the type NULL cannot be kept/],
    ['[NULL]', /"x": the type NULL cannot be kept/],
    ['row(1, 2)', /"x": its struct has a field without a name/],
    ["[{'__proto__': 1}]", /"x.element": the name of its struct's field "__proto__" is lost by readers of JSON: rename it/],
    ["{'\ufeffa': 1}", /"x": the name of its struct's field "\ufeffa" begins with U\+FEFF/],
    ['1 AS "\ufeffa", 2', /column 1: its name "\ufeffa" begins with U\+FEFF/],
    ["{'a': [INTERVAL 1 DAY]}", /"x.a.element": the type INTERVAL cannot be kept/],
  ])('%p is refused before it runs', async (sql, message) => {
    const failure = await faultOf(out.run(`SELECT ${sql} AS x`))
    expect(failure).toMatchObject({ class: 'schema', code: 'unkeepable_column' })
    expect(failure.message).toMatch(message)
  })

  test.each([
    [
      "'170141183460469231731687303715884105727'::HUGEINT",
      'column "x": the value 170141183460469231731687303715884105727 does not fit decimal(38,0)',
    ],
    [
      "[1, '-170141183460469231731687303715884105727'::HUGEINT]",
      'column "x.element": the value -170141183460469231731687303715884105727 does not fit decimal(38,0)',
    ],
    ["TIME_NS '00:00:00.000000001'", 'column "x": the value 00:00:00.000000001 does not fit microseconds'],
    ["TIMESTAMP_NS '2024-01-01 00:00:00.000000001'", 'column "x": the value 2024-01-01 00:00:00.000000001 does not fit microseconds'],
    ["DATE 'infinity'", 'column "x": an infinite date cannot be kept'],
    ["TIMESTAMPTZ '-infinity'", 'column "x": an infinite timestamptz cannot be kept'],
    ["[{'a': TIMESTAMP 'infinity'}]", 'column "x": an infinite timestamp cannot be kept'],
    ["unnest([DATE '2024-01-01', DATE '-infinity'])", 'column "x": an infinite date cannot be kept'],
  ])('the value of %p fails the job and is named', async (sql, message) => {
    const failure = await faultOf(out.run(`SELECT ${sql} AS x`))
    expect(failure).toMatchObject({ class: 'sql', code: 'unkeepable_value' })
    expect(failure.message).toContain(message)
  })
})

describe('the types directive', () => {
  test('casts a column to what it says', async () => {
    const { produced, schema } = await out.run('SELECT 1.5::DOUBLE AS total, INTERVAL 1 DAY AS span', {
      types: { total: 'DECIMAL(20, 2)', span: 'string' },
    })
    expect(schema.columns.map((column) => column.type)).toEqual(['decimal(20,2)', 'string'])
    expect(produced.firstRows).toEqual([['1.50', '1 day']])
  })

  test('names the value that does not fit', async () => {
    const failure = await faultOf(out.run('SELECT 123456 AS total', { types: { total: 'decimal(4,2)' } }))
    expect(failure.message).toBe('column "total": the value 123456 does not fit decimal(4,2)')
  })

  test.each([
    ['money', 'types: "total=money" names no type'],
    ['decimal(4,9)', 'types: "total=decimal(4,9)" names no type'],
  ])('refuses %p', async (type, message) => {
    expect((await faultOf(out.run('SELECT 1 AS total', { types: { total: type } }))).message).toStartWith(message)
  })

  test('refuses a name that the query does not yield', async () => {
    expect((await faultOf(out.run('SELECT 1 AS total', { types: { Totl: 'long' } }))).message).toBe(
      'types: the query yields no column "Totl"; did you mean "total"?',
    )
  })
})

describe('columns', () => {
  test('may be called anything that is not empty', async () => {
    const { produced } = await out.run('SELECT 1 AS "select", 2 AS "a""b", 3 AS "größe \u00a0🪲", 4 AS "x.y", 5 AS "it\'s", 6 AS "c0"')
    expect(produced.firstRows).toEqual([[1, 2, 3, 4, 5, 6]])
    const names = await ask(`SELECT name, field_id FROM parquet_schema(${quoteText(pathOf(produced))}) WHERE field_id IS NOT NULL`)
    expect(names).toEqual([
      ['select', '4'],
      ['a"b', '5'],
      ['größe \u00a0🪲', '6'],
      ['x.y', '7'],
      ["it's", '8'],
      ['c0', '9'],
      ['tenant_id', '1'],
      ['job_id', '2'],
      ['run_date', '3'],
    ])
    expect(produced.files[0]?.stats.map((column) => [column.field, column.min])).toEqual([
      [4, '1'],
      [5, '2'],
      [6, '3'],
      [7, '4'],
      [8, '5'],
      [9, '6'],
      [1, TENANT],
      [2, JOB],
      [3, '2026-11-21'],
    ])
  })

  test('nested ids are all in the file', async () => {
    const { produced, schema } = await out.run("SELECT [{'a': 1, 'b': MAP {'k': [1]}}] AS x")
    const ids = await ask(`SELECT list(field_id ORDER BY field_id) FROM parquet_schema(${quoteText(pathOf(produced))}) WHERE field_id > 3`)
    const count = JSON.stringify(schema.columns).match(/"(id|[a-z]+-id)":/g)?.length ?? 0
    expect(count).toBe(7)
    expect(ids[0]?.[0]).toEqual(Array.from({ length: count }, (_item, n) => String(n + 4)))
  })

  test.each([
    ['SELECT 1 AS a, 2 AS a', 'two columns are called "a" and "a"'],
    ['SELECT 1 AS "Größe", 2 AS "größe"', 'two columns are called'],
    ['SELECT 1 AS job_id', 'the column "job_id" would hide'],
    ['SELECT 1 AS "Tenant_Id"', 'the column "Tenant_Id" must be spelt "tenant_id"'],
    [`SELECT 1 AS "${'x'.repeat(256)}"`, 'column 1: its name has 256 characters'],
  ])('%p is refused', async (sql, message) => {
    const failure = await faultOf(out.run(sql))
    expect(failure).toMatchObject({ class: 'schema', code: 'unkeepable_column' })
    expect(failure.message).toStartWith(message)
  })

  test('that drifted from the schema are refused before anything is written', async () => {
    const schema = withIds([{ name: 'a', type: 'int' }])
    expect(await faultOf(out.run('SELECT 1 AS b', { schema }))).toMatchObject({ class: 'schema', code: 'schema_drift' })
    expect(await faultOf(out.run("SELECT 'x' AS a", { schema }))).toMatchObject({ class: 'schema', code: 'schema_drift' })
    expect(await faultOf(out.run('SELECT 1 AS a, 2 AS b', { schema }))).toMatchObject({ class: 'schema', code: 'schema_drift' })
  })

  test('are widened to the schema where Iceberg allows it', async () => {
    const schema = withIds([
      { name: 'a', type: 'long' },
      { name: 'b', type: 'decimal(20,2)' },
      { name: 'c', type: { type: 'list', element: 'double' } },
    ])
    const { produced } = await out.run('SELECT 1::INTEGER AS a, 1.25::DECIMAL(5,2) AS b, [0.5::FLOAT] AS c', { schema })
    expect(produced.firstRows).toEqual([['1', '1.25', [0.5]]])
  })
})

describe('system columns that the query yields', () => {
  test('tenant_id may be the tenant in every row', async () => {
    const { produced, schema } = await out.run("SELECT 'demo' AS tenant_id, i FROM range(3) t(i)")
    expect(schema.added).toEqual(['job_id', 'run_date'])
    expect(produced.firstRows).toEqual([
      ['demo', '0'],
      ['demo', '1'],
      ['demo', '2'],
    ])
  })

  test.each([
    ["SELECT CASE WHEN i = 70000 THEN 'evil' ELSE 'demo' END AS tenant_id FROM range(100000) t(i)", 'a row has "evil"'],
    ["SELECT CASE WHEN i > 2 THEN 'demo' END AS tenant_id FROM range(5) t(i)", 'a row has NULL'],
    ['SELECT 42 AS tenant_id', 'a row has "42"'],
    ["SELECT repeat('demo', 10000) AS tenant_id", 'a row has "demodemo'],
  ])('a foreign one fails the job: %p', async (sql, message) => {
    const failure = await faultOf(out.run(sql))
    expect(failure.code).toBe('foreign_tenant')
    expect(failure.message).toContain(message)
  })

  test('run_date makes one file a value, each in the order of the query', async () => {
    const { produced, schema } = await out.run(
      "SELECT TIMESTAMP '2024-01-03 10:00:00' - (i % 3) * INTERVAL 1 DAY AS run_date, i FROM range(9) t(i) ORDER BY i DESC",
    )
    expect(schema.columns[0]?.type).toBe('date')
    expect(schema.added).toEqual(['tenant_id', 'job_id'])
    expect(produced.files.map((file) => [file.n, file.run_date, file.rows])).toEqual([
      [0, '2024-01-01', 3],
      [1, '2024-01-02', 3],
      [2, '2024-01-03', 3],
    ])
    expect(produced.rows).toBe(9)
    expect(produced.inline).toBeNull()
    expect(produced.firstRows[0]).toEqual(['2024-01-01', '8'])
    expect(await ask(`SELECT i FROM read_parquet(${quoteText(pathOf(produced))})`)).toEqual([['8'], ['5'], ['2']])
    checked(produced, schema)
  })

  test('one run_date is one file, and small results stay inline', async () => {
    const { produced } = await out.run("SELECT '2024-01-03' AS run_date, 1 AS a")
    expect(produced.files.map((file) => file.run_date)).toEqual(['2024-01-03'])
    expect(produced.inline?.rows).toEqual([['2024-01-03', 1]])
  })

  test.each([
    ["SELECT CASE WHEN i > 0 THEN DATE '2024-01-01' END AS run_date FROM range(3) t(i)", 'null_run_date'],
    ["SELECT DATE '2020-01-01' + i::INT AS run_date FROM range(367) t(i)", 'too_many_run_dates'],
    ["SELECT 'yesterday' AS run_date", 'unkeepable_value'],
    ["SELECT DATE '12024-01-01' AS run_date", 'unkeepable_value'],
  ])('%p fails the job with %p', async (sql, code) => {
    expect((await faultOf(out.run(sql))).code).toBe(code)
  })

  test('a leap year of run_dates is allowed', async () => {
    const { produced } = await out.run("SELECT DATE '2020-01-01' + i::INT AS run_date FROM range(366) t(i)")
    expect(produced.files).toHaveLength(366)
    expect(await readdir(join(pathOf(produced), '..'))).toHaveLength(366)
  })
})

describe('a result', () => {
  test('may be empty: one file without rows, inline, with its schema', async () => {
    const { produced, schema } = await out.run("SELECT 1 AS a, 'x' AS b, [1] AS c WHERE false")
    expect(produced.rows).toBe(0)
    expect(produced.firstRows).toEqual([])
    expect(produced.files).toHaveLength(1)
    expect(produced.files[0]).toMatchObject({ rows: 0, split_offsets: [], run_date: '2026-11-21' })
    expect(produced.inline?.rows).toEqual([])
    InlineResult.parse(produced.inline)
    checked(produced, schema)
    const again = join(out.root, 'again.parquet')
    await writeFile(again, Buffer.from(produced.inline?.parquet_base64 ?? '', 'base64'))
    expect(await ask(`SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet(${quoteText(again)})) LIMIT 3`)).toEqual([
      ['a', 'INTEGER'],
      ['b', 'VARCHAR'],
      ['c', 'INTEGER[]'],
    ])
  })

  test('without rows but with a run_date of its own keeps the day of submission', async () => {
    const { produced } = await out.run('SELECT current_date AS run_date WHERE false')
    expect(produced.files).toMatchObject([{ rows: 0, run_date: '2026-11-21' }])
  })

  test('names each file by what is in it', async () => {
    const { produced } = await out.run('SELECT i, md5(i::VARCHAR) AS m FROM range(300000) t(i) ORDER BY i')
    const [file] = produced.files
    const bytes = await Bun.file(pathOf(produced)).bytes()
    expect(file?.bytes).toBe(bytes.byteLength)
    expect(file?.sha256).toBe(new Bun.CryptoHasher('sha256').update(bytes).digest('hex'))
    expect(file?.split_offsets).toHaveLength(3)
    expect(file?.split_offsets[0]).toBe(4)
    expect(file?.stats[0]).toEqual({ field: 4, bytes: expect.any(Number), values: 300_000, nulls: 0, nans: 0, min: '0', max: '299999' })
    expect(produced.inline).toBeNull()
    expect(produced.firstRows).toHaveLength(200)
    expect(produced.firstRows[199]?.[0]).toBe('199')
    expect(
      await ask(
        `SELECT count(*), sum((i = n)::INT) FROM (SELECT i, row_number() OVER () - 1 AS n FROM read_parquet(${quoteText(pathOf(produced))}))`,
      ),
    ).toEqual([['300000', '300000']])
  })

  test('travels inline by the size of its rows too, not by that of its file alone', async () => {
    const long = await out.run("SELECT repeat('x', 1000) AS a FROM range(300)")
    expect(long.produced.files[0]?.bytes).toBeLessThan(32 * 1024)
    expect(long.produced.inline).toBeNull()
    expect(JSON.stringify(long.produced.firstRows).length).toBeLessThanOrEqual(64 * 1024)
    expect(long.produced.firstRows.length).toBeGreaterThan(60)
    const many = await out.run('SELECT 1 AS a FROM range(20000)')
    expect(many.produced.inline?.rows).toHaveLength(20_000)
    expect(many.produced.firstRows).toHaveLength(200)
    const tooMany = await out.run('SELECT 1 AS a FROM range(3000000)')
    expect(tooMany.produced.inline).toBeNull()
  })

  test('whose first row alone is too long carries no first rows', async () => {
    const { produced } = await out.run("SELECT repeat('x', 100000) AS a FROM range(3)")
    expect(produced.firstRows).toEqual([])
    expect(produced.inline).toBeNull()
    expect(produced.rows).toBe(3)
  })

  test('has cut bounds of long texts, which still hold every value between them', async () => {
    const { produced } = await out.run("SELECT repeat('é', 100) AS a, repeat('\\xFF', 100)::BLOB AS b")
    const [a, b] = produced.files[0]?.stats ?? []
    expect(a?.min).toBe('é'.repeat(64))
    expect(a?.max).toBe(`${'é'.repeat(63)}ê`)
    expect(b?.max).toBeNull()
  })
})

describe('a spool of CSV', () => {
  const spooled = async (text: string, columns: { name: string; duckdbType: string; expression?: string }[]) => {
    const folder = await mkdtemp(join(out.root, 'spool-'))
    const csv = join(folder, 'rows.csv')
    await writeFile(csv, text)
    return out.pool.use({ folder, allowed: [folder] }, new AbortController().signal, async (session) => {
      const from = { csv, columns }
      const types: Record<string, string> = { BIGINT: 'long', BLOB: 'binary', 'DECIMAL(38,10)': 'decimal(38,10)' }
      const schema = withIds(
        columns.map((column) => ({
          name: column.name,
          type: column.expression === undefined ? (types[column.duckdbType] ?? 'string') : 'binary',
        })),
      )
      return materialise(session, { from, types: {}, schema, tenant: TENANT, job: JOB, runDate: '2026-11-21', folder })
    })
  }

  test('keeps NULL apart from the empty text, and everything that needs quotes', async () => {
    const made = await spooled('1,,""\n2,"a""b\nc,é\\N",x\n,"\\x","\\xff00"\n', [
      { name: 'i', duckdbType: 'BIGINT' },
      { name: 'a"b', duckdbType: 'VARCHAR' },
      { name: 'select', duckdbType: 'VARCHAR' },
    ])
    expect(made.firstRows).toEqual([
      ['1', null, ''],
      ['2', 'a"b\nc,é\\N', 'x'],
      [null, '\\x', '\\xff00'],
    ])
  })

  test('takes an expression over a column', async () => {
    const made = await spooled('\\x00ff\n\n\\x\n', [{ name: 'b', duckdbType: 'VARCHAR', expression: 'unhex("b"[3:])' }])
    expect(made.firstRows).toEqual([['AP8='], [null], ['']])
  })

  test('fails on a value that is not of its type, naming it', async () => {
    const failure = await faultOf(spooled('1\nnotanumber\n', [{ name: 'i', duckdbType: 'BIGINT' }]))
    expect(failure.class).toBe('sql')
    expect(failure.message).toContain('notanumber')
  })
})

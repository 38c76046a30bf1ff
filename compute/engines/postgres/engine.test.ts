import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PATIENCE_MS } from '../../test-patience.ts'
import { type Fixture, openFixture, RUN_DATE, TENANT } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture

beforeAll(async () => {
  pg = await openFixture()
})
afterAll(() => pg.close())

/** Every kept type: SQL type, value, Iceberg type, wire value. */
const VALUES: [string, string, string, unknown][] = [
  ['boolean', 'true', 'boolean', true],
  ['boolean', 'false', 'boolean', false],
  ['smallint', '-32768', 'int', -32768],
  ['integer', '2147483647', 'int', 2147483647],
  ['bigint', '-9223372036854775808', 'long', '-9223372036854775808'],
  ['bigint', '9223372036854775807', 'long', '9223372036854775807'],
  ['oid', '4294967295', 'long', '4294967295'],
  ['real', '0.1', 'float', Math.fround(0.1)],
  ['real', 'NaN', 'float', 'NaN'],
  ['double precision', '0.1', 'double', 0.1],
  ['double precision', '1e300', 'double', 1e300],
  ['double precision', '5e-324', 'double', 5e-324],
  ['double precision', '-Infinity', 'double', '-Infinity'],
  ['numeric(9,2)', '-1234567.89', 'decimal(9,2)', '-1234567.89'],
  ['numeric(18,4)', '99999999999999.9999', 'decimal(18,4)', '99999999999999.9999'],
  ['numeric(38,10)', '-9999999999999999999999999999.9999999999', 'decimal(38,10)', '-9999999999999999999999999999.9999999999'],
  ['numeric(3,-2)', '12300', 'decimal(5,0)', '12300'],
  ['numeric', '12345678901234567890.123456789012345678', 'decimal(38,18)', '12345678901234567890.123456789012345678'],
  ['numeric', '-0.5', 'decimal(38,18)', '-0.500000000000000000'],
  ['text', 'Grüße, "Welt"\n\t\\ 🪲', 'string', 'Grüße, "Welt"\n\t\\ 🪲'],
  ['text', '', 'string', ''],
  ['varchar(5)', 'a,b', 'string', 'a,b'],
  ['char(4)', 'ab', 'string', 'ab  '],
  ['name', 'n', 'string', 'n'],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['bytea', '\\x00ff22', 'binary', 'AP8i'],
  ['bytea', '', 'binary', ''],
  ['date', '2024-02-29', 'date', '2024-02-29'],
  ['date', '0001-01-01', 'date', '0001-01-01'],
  ['date', '12345-06-07', 'date', '+012345-06-07'],
  ['time', '23:59:59.999999', 'time', '23:59:59.999999'],
  ['timestamp', '2024-01-02 03:04:05.000006', 'timestamp', '2024-01-02T03:04:05.000006'],
  ['timestamp', '1969-12-31 23:59:59.5', 'timestamp', '1969-12-31T23:59:59.500000'],
  ['timestamptz', '2024-01-02 03:04:05.000006+05:30', 'timestamptz', '2024-01-01T21:34:05.000006Z'],
  ['json', '{"a": 1.10}', 'string', '{"a": 1.10}'],
  ['jsonb', '{"a":1.10}', 'string', '{"a": 1.10}'],
  ['inet', '10.0.0.1/8', 'string', '10.0.0.1/8'],
  ['int4range', '[1,5)', 'string', '[1,5)'],
  ['bit(3)', '101', 'string', '101'],
]

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
const one = VALUES.map(([type, text], n) => `${quoted(text)}::${type} as c${n}`).join(', ')
const none = VALUES.map(([type], n) => `null::${type} as c${n}`).join(', ')
const BOTH = `select * from (select ${one} union all select ${none}) as t order by c2 nulls last`
/** Another column that is a list sends a result the long way, whatever its size. */
const longWay = (sql: string) => `select t.*, array[1] as forced_list from (${sql}) as t`

describe('types', () => {
  test('every kept type is described with its Iceberg type, numeric with its precision', async () => {
    const { columns } = await pg.plan(BOTH)
    expect(columns.map((column) => column.type)).toEqual(VALUES.map(([, , type]) => type))
  })

  test('every value and NULL comes exactly the short way', async () => {
    const { produced } = await pg.execute(BOTH)
    expect(produced.inline?.rows).toEqual([VALUES.map(([, , , wire]) => wire), VALUES.map(() => null)] as never)
    expect(produced.rows).toBe(2)
    expect(produced.engine).toMatchObject({ name: 'postgres', version: '18.4' })
  })

  test('a numeric whose digits all stand behind the point keeps them', async () => {
    const ran = await pg.execute('select 0.0012::numeric(2,4) as n, (-0.5)::numeric(1,1) as m')
    expect(ran.run.schema.columns.map((column) => column.type)).toEqual(['decimal(4,4)', 'decimal(1,1)'])
    expect(ran.produced.inline?.rows).toEqual([['0.0012', '-0.5']])
    expect(await pg.read(ran, 'n * 10000, m * 10')).toEqual([['12.0000', '-5.0']])
  })

  test('every value and NULL comes exactly the long way', async () => {
    const { produced } = await pg.execute(longWay(BOTH))
    expect(produced.firstRows.map((row) => row.slice(0, -1))).toEqual([VALUES.map(([, , , wire]) => wire), VALUES.map(() => null)] as never)
    expect(produced.firstRows.map((row) => row.at(-1))).toEqual([[1], [1]])
  })

  test('the short and the long way write the same Parquet: types, field ids, values, statistics', async () => {
    const short = await pg.execute(BOTH)
    const long = await pg.execute(longWay(BOTH))
    const names = short.run.schema.columns.map((column) => column.name)
    const select = [...names, 'tenant_id', 'run_date'].join(', ')
    expect(await pg.read(short, select)).toEqual(await pg.read(long, select))
    const bounds = (ran: typeof short) => ran.produced.files[0]?.stats.filter((stat) => stat.field >= 4 && stat.field < 4 + names.length)
    // DuckDB says whether there is a NaN, not how many, and writes the shortest text of a real. Sizes are the writers' own.
    const real = new Set(short.run.schema.columns.filter((column) => column.type === 'float').map((column) => column.id))
    const bound = (field: number, text: string | null) => (text !== null && real.has(field) ? String(Math.fround(Number(text))) : text)
    const comparable = (ran: typeof short) =>
      bounds(ran)?.map(({ field, values, nulls, min, max }) => ({ field, values, nulls, min: bound(field, min), max: bound(field, max) }))
    expect(comparable(short)).toEqual(comparable(long) as never)
  })

  test('system columns are added where the query does not yield them', async () => {
    const ran = await pg.execute('select 1 as n')
    expect(ran.run.schema.added).toEqual(['tenant_id', 'job_id', 'run_date'])
    expect(await pg.read(ran)).toEqual([[1, TENANT, ran.run.job, RUN_DATE]])
    expect(ran.produced.inline?.rows).toEqual([[1]])
  })

  test('columns named like keywords and with quotes in them keep their names', async () => {
    for (const sql of [
      'select 1 as "select", 2 as "a""b", 3 as "Ünï", 4 as "a b"',
      'select 1 as "select", 2 as "a""b", array[3] as "Ünï"',
    ]) {
      const ran = await pg.execute(sql)
      expect(ran.produced.rows).toBe(1)
      expect(await pg.read(ran, '"select", "a""b"')).toEqual([[1, 2]])
    }
  })

  test('arrays are lists, element by element exact', async () => {
    const { produced, run } = await pg.execute(
      `select array[1, null, 3]::bigint[] as i, array['a,b', '', null, '"q"', 'NULL', E'back\\\\slash', '{x}'] as t, array[1.50, 2]::numeric(10,2)[] as d,
        array['NaN', 0.1]::float8[] as f, array[true, null] as b, array['2024-01-02 03:04:05.000006+00']::timestamptz[] as ts, '{}'::int[] as e, null::int[] as n,
        array['\\x00ff', '']::bytea[] as y, array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']::uuid[] as u, array[12345678901234567890.123456789]::numeric[] as x, array[date '2024-02-29'] as dt`,
    )
    expect(run.schema.columns[2]?.type).toMatchObject({ type: 'list', element: 'decimal(10,2)' })
    expect(produced.firstRows).toEqual([
      [
        ['1', null, '3'],
        ['a,b', '', null, '"q"', 'NULL', 'back\\slash', '{x}'],
        ['1.50', '2.00'],
        ['NaN', 0.1],
        [true, null],
        ['2024-01-02T03:04:05.000006Z'],
        [],
        null,
        ['AP8=', ''],
        ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
        ['12345678901234567890.123456789000000000'],
        ['2024-02-29'],
      ],
    ])
  })

  test('enums, domains, composites and types of extensions are kept', async () => {
    await pg.admin(
      `create type mood as enum ('sad', 'ok'); create domain money_cents as bigint; create domain price as numeric(12,3); create type pair as (a int, b text)`,
    )
    const { produced, run } = await pg.execute(
      `select 'ok'::mood as m, 5::money_cents as c, 1.5::price as p, row(1, 'x y')::pair as r, array['sad', null]::mood[] as ms, row(1, 2) as rec`,
    )
    expect(run.schema.columns.map((column) => column.type)).toMatchObject([
      'string',
      'long',
      'decimal(12,3)',
      'string',
      { type: 'list', element: 'string' },
      'string',
    ])
    expect(produced.firstRows).toEqual([['ok', '5', '1.500', '(1,"x y")', ['sad', null], '(1,2)']])
  })

  test('arrays with a text form of their own, and types without a structure here, are kept as text', async () => {
    const { produced, run } = await pg.execute(
      `select '1 2'::int2vector as v, array['(1,1),(0,0)'::box, '(2,2),(1,1)'] as b, 'pg_class'::regclass as r, point '(1,2)' as p, null as u`,
    )
    expect(run.schema.columns.map((column) => column.type)).toEqual(['string', 'string', 'string', 'string', 'string'])
    expect(produced.firstRows).toEqual([['1 2', '{(1,1),(0,0);(2,2),(1,1)}', 'pg_class', '(1,2)', null]])
  })

  test('both ways agree on hundreds of values of every kind', async () => {
    // Made of hashes: the same in every run, and everywhere in the range of each type.
    const h = (n: number) => `('x' || substr(md5('${n}' || g), 1, 16))::bit(64)::bigint`
    const maybe = (n: number, value: string) => `case when ${h(n + 50)} % 5 = 0 then null else ${value} end`
    const kinds = [
      `${h(1)}`,
      `(${h(2)} % 2147483647)::int`,
      `(${h(3)} % 32767)::smallint`,
      `${h(4)}::float8 / (${h(5)} % 1000000 + 0.5)`,
      `(${h(6)}::float8 / 1e9)::real`,
      `(${h(7)}::numeric / 10000)::numeric(19,4)`,
      `${h(8)}::numeric * ${h(9)}::numeric / 1e18::numeric`,
      `(${h(10)} % 99999999)::numeric(9,1) / 10`,
      `date '2000-01-01' + (${h(11)} % 700000)::int`,
      `timestamp '2000-01-01' + (${h(12)} % 60000000000000000) * interval '1 microsecond'`,
      `timestamptz '2000-01-01+00' + (${h(13)} % 60000000000000000) * interval '1 microsecond'`,
      `time '00:00' + (abs(${h(14)}) % 86400000000) * interval '1 microsecond'`,
      `md5('u' || g)::uuid`,
      `decode(md5('b' || g), 'hex')`,
      `substr(md5('t' || g), 1, (abs(${h(15)}) % 20)::int) || chr((abs(${h(16)}) % 50000 + 1)::int)`,
      `${h(17)} % 2 = 0`,
    ]
    const columns = kinds.map((kind, n) => `${maybe(n, kind)} as c${n}`).join(', ')
    const years = `c8 between '0001-01-01' and '9999-12-31'`
    for (let part = 0; part < 4; part += 1) {
      const sql = `select * from (select ${columns} from generate_series(${part * 80 + 1}, ${part * 80 + 80}) as g) as t where c8 is null or ${years}`
      const short = await pg.execute(sql)
      const long = await pg.execute(longWay(sql))
      expect(short.produced.inline).not.toBeNull()
      expect(long.produced.firstRows.map((row) => row.slice(0, -1))).toEqual(short.produced.firstRows)
      const names = kinds.map((_, n) => `c${n}`).join(', ')
      expect(await pg.read(long, names)).toEqual(await pg.read(short, names))
    }
  })

  test('sums and averages, which have no precision, become decimal(38,18), rounded as a cast rounds', async () => {
    const { produced } = await pg.execute(
      'select sum(n) as s, avg(n) as a, 1 / 3.0 as third, 2 / 3.0 as twothirds, -2 / 3.0 as negative from (values (1.5), (2)) as t(n)',
    )
    const expected = [
      '3.500000000000000000',
      '1.750000000000000000',
      '0.333333333333333333',
      '0.666666666666666667',
      '-0.666666666666666667',
    ]
    expect(produced.inline?.rows).toEqual([expected])
    const long = await pg.execute(
      longWay(
        'select sum(n) as s, avg(n) as a, 1 / 3.0 as third, 2 / 3.0 as twothirds, -2 / 3.0 as negative from (values (1.5), (2)) as t(n)',
      ),
    )
    expect(long.produced.firstRows[0]?.slice(0, 5)).toEqual(expected)
  })

  test('a types directive changes the precision, widens, or keeps the text', async () => {
    const types = { s: 'decimal(20,2)', i: 'long', d: 'double', t: 'string', v: 'string', b: 'string', m: 'string' }
    const sql =
      "select sum(1.005) as s, 7::int4 as i, 0.25::numeric as d, '12:00+05:30'::timetz as t, interval '1 day 2 hours' as v, true as b, array[1,2] as m"
    const { produced, run } = await pg.execute(sql, { types })
    expect(run.schema.columns.map((column) => column.type)).toEqual([
      'decimal(20,2)',
      'long',
      'double',
      'string',
      'string',
      'string',
      'string',
    ])
    const expected = [['1.01', '7', 0.25, '12:00:00+05:30', '1 day 02:00:00', 'true', '{1,2}']]
    expect(produced.inline?.rows).toEqual(expected as never)
    const long = await pg.execute(longWay(sql), { types })
    expect(long.produced.firstRows.map((row) => row.slice(0, -1))).toEqual(expected as never)
  })
})

describe('what cannot be kept', () => {
  const REFUSED: [string, string, RegExp][] = [
    ["select interval '1 day' as pause", 'unkeepable_column', /"pause".*interval.*extract.*types: pause=string/],
    ["select '12:00+01'::timetz as t", 'unkeepable_column', /"t".*timetz/],
    ['select 1::money as price', 'unkeepable_column', /"price".*money.*"price"::numeric/],
    ["select pg_notify('a', 'b') as v", 'unkeepable_column', /"v".*void/],
    ['select 1 as a, 2 as a', 'unkeepable_column', /two columns/],
    ['select 1 as a, 2 as "A"', 'unkeepable_column', /two columns/],
    ['select 1 as job_id', 'unkeepable_column', /job_id/],
    ['select 1.5::numeric(50,10) as big', 'unkeepable_column', /"big".*numeric\(50,10\).*38/],
  ]
  for (const [sql, code, message] of REFUSED) {
    test(`${sql} is refused before it runs`, async () => {
      const failure = await pg.failure(pg.plan(sql))
      expect(failure).toMatchObject({ code, class: 'schema' })
      expect(failure.message).toMatch(message)
    })
  }

  const MISFITS: [string, RegExp][] = [
    ["select 'NaN'::numeric as total", /"total".*NaN.*decimal\(38,18\)/],
    ["select 'Infinity'::numeric as total", /"total".*Infinity/],
    ["select 'NaN'::numeric(10,2) as total", /"total".*NaN.*decimal\(10,2\)/],
    ['select 123456789012345678901::numeric as total', /"total".*123456789012345678901.*decimal\(38,18\)/],
    ["select 'infinity'::timestamptz as until", /"until".*infinity.*timestamptz/],
    ["select '-infinity'::date as since", /"since".*-infinity.*date/],
    ["select '0044-03-15 BC'::date as ides", /"ides".*0044-03-15 BC.*date/],
    ["select '0044-03-15 12:00 BC'::timestamp as ides", /"ides".*BC.*timestamp/],
    ["select '294276-12-31'::timestamp as late", /"late".*294276-12-31/],
  ]
  for (const [sql, message] of MISFITS) {
    test(`${sql} fails the job both ways and names column and value`, async () => {
      for (const statement of [sql, longWay(sql)]) {
        const failure = await pg.failure(pg.execute(statement))
        expect(failure).toMatchObject({ code: 'unkeepable_value', class: 'sql' })
        expect(failure.message).toMatch(message)
      }
    })
  }

  test('an array of two dimensions, or with another first index, fails the job and names its column', async () => {
    for (const value of ['array[[1,2],[3,4]]', "'[0:1]={1,2}'::int[]"]) {
      const failure = await pg.failure(pg.execute(`select ${value} as grid`))
      expect(failure).toMatchObject({ code: 'unkeepable_value' })
      expect(failure.message).toMatch(/"grid".*list/)
    }
  })

  test('a value that does not fit in the middle of many rows stops the query at once', async () => {
    const failure = await pg.failure(
      pg.execute(`select case when g = 50000 then 'NaN'::numeric else g end as n from (select generate_series(1, 100000000) as g) as s`),
    )
    expect(failure.message).toMatch(/"n".*NaN/)
  })
})

describe('NULL and empty text', () => {
  const sql = `select * from (values (1, null), (2, ''), (3, 'x')) as t(n, v) order by n`
  test('stay apart the short way', async () => {
    expect((await pg.execute(sql)).produced.inline?.rows).toEqual([
      [1, null],
      [2, ''],
      [3, 'x'],
    ])
  })
  test('stay apart the long way', async () => {
    expect((await pg.execute(longWay(sql))).produced.firstRows.map((row) => row.slice(0, 2))).toEqual([
      [1, null],
      [2, ''],
      [3, 'x'],
    ])
  })
  test('a single column of NULLs, empty texts and line breaks keeps every row the long way', async () => {
    const ran = await pg.execute(
      `select case g % 4 when 0 then null when 1 then '' when 2 then E'\\n' else 'x' end as v from generate_series(1, 10000) as g`,
    )
    expect(ran.produced.rows).toBe(10_000)
    const counts = await pg.read(ran, `count(*) filter (v is null)::int, count(*) filter (v = '')::int, count(*) filter (v = e'\\n')::int`)
    expect(counts).toEqual([[2_500, 2_500, 2_500]])
  })
})

describe('sizes', () => {
  test('an empty result is one file without rows', async () => {
    for (const sql of ['select 1 as n, now() as t where false', 'select array[1] as n where false']) {
      const ran = await pg.execute(sql)
      expect(ran.produced).toMatchObject({ rows: 0, firstRows: [], inline: { rows: [] } })
      expect(ran.produced.files.map((file) => file.rows)).toEqual([0])
      expect(await pg.read(ran)).toEqual([])
    }
  })

  test('a text of several megabytes comes whole', async () => {
    const ran = await pg.execute(`select repeat('ab"', 3000000) as t, 1 as n`)
    expect(await pg.read(ran, "length(t)::int, t = repeat('ab\"', 3000000)")).toEqual([[9_000_000, true]])
  })

  test('a hundred thousand wide rows are the same in the file as at the server', async () => {
    await pg.admin(`create table wide as select g::int8 as id, 'name "' || g || ',' as name, (g * 1.25)::numeric(18,4) as amount, g * 0.5::float8 as f,
      timestamptz '2024-01-01' + g * interval '1.000001 second' as ts, date '2024-01-01' + (g % 1000)::int as d, g % 3 = 0 as ok, array[g, null] as list from generate_series(1, 100000) as g`)
    const ran = await pg.execute('select * from wide order by id')
    expect(ran.produced.rows).toBe(100_000)
    const [sums] = await pg.read(
      ran,
      `sum(id)::varchar, sum(amount)::varchar, md5(string_agg(name, '' order by id)), max(ts)::varchar, sum(list[1])::varchar, count(*) filter (ok)::int`,
    )
    const there = new Bun.SQL(pg.server.dsn(), { max: 1 })
    const [row] =
      await there`select sum(id)::text as a, sum(amount)::text as b, md5(string_agg(name, '' order by id)) as c, (max(ts) at time zone 'UTC')::text || '+00' as d, sum(list[1])::text as e, (count(*) filter (where ok))::int as f from wide`
    await there.end()
    expect(sums).toEqual([row.a, row.b, row.c, row.d, row.e, row.f])
  })

  test('a million rows of eight columns come whole, and their number is told on the way', async () => {
    await pg.admin(`create table million as select g::int8 as id, 'name ' || g as a, md5(g::text) as b, (g * 1.25)::numeric(18,4) as amt, g * 0.5::float8 as f,
      timestamptz '2024-01-01' + g * interval '1 second' as ts, date '2024-01-01' + (g % 1000)::int as d, g % 3 = 0 as ok from generate_series(1, 1000000) as g`)
    const run = await pg.prepare('select * from million')
    const told: (number | null)[] = []
    const produced = await pg.engine.execute(
      run,
      { started: () => undefined, progress: (_, rows) => told.push(rows) },
      new AbortController().signal,
    )
    expect(produced.rows).toBe(1_000_000)
    expect(told.length).toBeGreaterThan(0)
    expect(await pg.read({ run, produced }, 'sum(id)::varchar, sum(amt)::varchar')).toEqual([['500000500000', '625000625000.0000']])
  })
})

describe('yielded system columns', () => {
  test("a tenant_id that is the job's tenant passes, another fails", async () => {
    const ran = await pg.execute(`select '${TENANT}' as tenant_id, 1 as n`)
    expect(ran.run.schema.added).toEqual(['job_id', 'run_date'])
    expect(ran.produced.rows).toBe(1)
    expect(await pg.failure(pg.execute(`select 'other' as tenant_id, 1 as n`))).toMatchObject({ code: 'foreign_tenant' })
  })
  test('a run_date is cast to a date, one file a value', async () => {
    const ran = await pg.execute(
      `select timestamp '2024-05-06 07:08' + g * interval '1 day' as run_date, g from generate_series(0, 2) as g`,
    )
    expect(ran.produced.files.map((file) => file.run_date)).toEqual(['2024-05-06', '2024-05-07', '2024-05-08'])
  })
})

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import type { Column } from '../../edge/contract/columns.ts'
import { ResultId } from '../../edge/contract/ids.ts'
import type { SliceFile } from '../../edge/contract/slices.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { EDGE, type Fixture, fixture, messageOf, schemaOf } from './fixture.ts'
import { type SliceOutcome, Slicer } from './slicer.ts'

setDefaultTimeout(PATIENCE_MS)

const COLUMNS: Column[] = [{ id: 4, name: 'id', type: 'long' }]
const SCHEMA = schemaOf(COLUMNS)
const SECRET = 'SECRET-OF-ANOTHER-RESULT'

let made: Fixture
let slicer: Slicer
let files: SliceFile[]
let parquet: SliceFile
let other: SliceFile

const ask = (request: unknown, more: Parameters<typeof messageOf>[4] = {}, from: SliceFile[] = files): Promise<SliceOutcome> =>
  slicer.run(messageOf(request, SCHEMA, 1000, from, more))

beforeAll(async () => {
  made = await fixture()
  files = [await made.make('pack', 'CREATE TABLE made.result AS SELECT i::BIGINT AS id FROM range(1000) t(i)')]
  parquet = await made.make('parquet', "COPY (SELECT i::BIGINT AS id FROM range(1000) t(i)) TO '$FILE' (FORMAT parquet)")
  other = await made.make('parquet', `COPY (SELECT '${SECRET}' AS s) TO '$FILE' (FORMAT parquet)`)
  process.env.SCARAB_TEST_SECRET = SECRET
  slicer = new Slicer(
    { edge: EDGE, fetch: made.fetch, cacheFolder: join(made.folder, 'cache') },
    { processBytes: 1024 * 1024 * 1024, spillBytes: 64 * 1024 * 1024 },
  )
  // The other result is on this machine, in this tenant's own folder: only the sandbox stands between.
  const schema = schemaOf([{ id: 4, name: 's', type: 'string' }])
  const answer = await slicer.run(messageOf({}, schema, 1, [other], { result: ResultId.parse(`r${'1'.repeat(26)}`) }))
  expect(JSON.stringify(answer)).toContain(SECRET)
})
afterAll(async () => {
  delete process.env.SCARAB_TEST_SECRET
  await slicer.close()
  made.close()
})

const otherPath = () => join(made.folder, 'cache', 'demo', 'files', `${other.sha256}.parquet`)
const ownPath = () => join(made.folder, 'cache', 'demo', 'files', `${files[0]?.sha256}.duckdb`)

const ATTACKS: [string, () => string, RegExp][] = [
  ['a file as CSV', () => "SELECT * FROM read_csv('/etc/passwd')", /read_csv\(\) cannot stand in FROM/],
  ['a file by its bare name', () => "SELECT * FROM '/etc/passwd'", /there is no relation/],
  ['a file as text', () => "SELECT * FROM read_text('/etc/hostname')", /read_text/],
  ['the environment of the process', () => "SELECT * FROM read_blob('/proc/self/environ')", /read_blob/],
  ['a listing of files', () => "SELECT * FROM glob('/**')", /glob/],
  ['a file inside a subquery of a filter', () => "SELECT 1 FROM result WHERE id IN (SELECT 1 FROM read_csv('/etc/passwd'))", /read_csv/],
  ['a file inside WITH', () => "WITH a AS (SELECT * FROM read_text('/etc/hostname')) SELECT * FROM a", /read_text/],
  ['a file inside a lateral join', () => "SELECT * FROM result, LATERAL (SELECT * FROM read_text('/etc/hostname'))", /read_text/],
  [
    'a file by a WITH of its name in another scope',
    () => `SELECT (WITH "/etc/passwd" AS (SELECT 1) SELECT 1), * FROM "/etc/passwd"`,
    /there is no relation/,
  ],
  ['the file of another result', () => `SELECT * FROM read_parquet('${otherPath()}')`, /read_parquet/],
  ['the file of another result by name', () => `SELECT * FROM '${otherPath()}'`, /there is no relation/],
  [
    'the file of another result, through WITH',
    () => `SELECT (WITH "${otherPath()}" AS (SELECT 1) SELECT 1), * FROM "${otherPath()}"`,
    /there is no relation/,
  ],
  ['its own file', () => `SELECT * FROM read_blob('${ownPath()}')`, /read_blob/],
  ['the network', () => "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')", /read_parquet/],
  ['the network by a bare name', () => "SELECT * FROM 'https://example.org/x.csv'", /there is no relation/],
  ['a memory address', () => 'SELECT * FROM arrow_scan(1, 2, 3)', /arrow_scan/],
  ['SQL in text', () => `SELECT * FROM query('SELECT 1')`, /query/],
  ['a table by computed name', () => `SELECT * FROM query_table('duckdb_settings')`, /query_table/],
  ['serialised SQL', () => `SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))`, /json_execute_serialized_sql/],
  ['a plan of SQL in text', () => `SELECT json_serialize_plan('SELECT 1')`, /json_serialize_plan/],
  ['COPY TO', () => "COPY result TO '/tmp/stolen.csv'", /one SELECT/],
  ['COPY of a query', () => "COPY (SELECT 1) TO '/dev/stdout'", /one SELECT/],
  ['ATTACH', () => "ATTACH '/tmp/x.duckdb' AS x", /one SELECT/],
  ['ATTACH of memory', () => "ATTACH ':memory:' AS x", /one SELECT/],
  ['DETACH', () => 'DETACH pack', /one SELECT/],
  ['USE', () => 'USE pack', /one SELECT/],
  ['INSTALL', () => 'INSTALL httpfs', /one SELECT/],
  ['LOAD', () => "LOAD '/tmp/evil.duckdb_extension'", /one SELECT/],
  ['SET', () => 'SET enable_external_access = true', /one SELECT/],
  ['SET of a variable', () => 'SET VARIABLE x = 1', /one SELECT/],
  ['RESET', () => 'RESET lock_configuration', /one SELECT/],
  ['PRAGMA', () => "PRAGMA enable_profiling = 'json'", /one SELECT/],
  ['PRAGMA as a table', () => 'SELECT * FROM pragma_database_list', /there is no relation/],
  ['PRAGMA as a function', () => "SELECT * FROM pragma_table_info('result')", /pragma_table_info/],
  ['EXPORT', () => "EXPORT DATABASE '/tmp/out'", /one SELECT/],
  ['IMPORT', () => "IMPORT DATABASE '/tmp/out'", /one SELECT/],
  ['CREATE', () => 'CREATE TABLE x AS SELECT 1', /one SELECT/],
  ['a macro', () => 'CREATE MACRO sum(x) AS 1', /one SELECT/],
  ['a secret', () => "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')", /one SELECT/],
  ['DELETE', () => 'DELETE FROM result', /one SELECT/],
  ['CALL', () => 'CALL duckdb_settings()', /one SELECT/],
  ['EXPLAIN', () => 'EXPLAIN ANALYZE SELECT 1', /one SELECT/],
  ['PREPARE', () => 'PREPARE p AS SELECT 1', /one SELECT/],
  ['CHECKPOINT', () => 'CHECKPOINT', /one SELECT/],
  ['two statements', () => 'SELECT 1; SELECT 2', /holds 2 statements/],
  ['a second statement that is none', () => "SELECT 1; COPY result TO '/tmp/x'", /one SELECT/],
  ['an escape from the parentheses', () => "SELECT 1) t; COPY result TO '/tmp/x'; SELECT * FROM (SELECT 1", /Parser Error/],
  ['SHOW', () => 'SHOW ALL TABLES', /not DESCRIBE, SHOW or SUMMARIZE/],
  ['settings', () => "SELECT current_setting('temp_directory')", /current_setting\(\) is not for slices/],
  ['settings as a table', () => 'SELECT * FROM duckdb_settings()', /duckdb_settings/],
  ['secrets', () => 'SELECT * FROM duckdb_secrets()', /duckdb_secrets/],
  ['the list of databases', () => 'SELECT * FROM duckdb_databases()', /duckdb_databases/],
  ['the catalog', () => 'SELECT * FROM information_schema.tables', /there is no relation "information_schema.tables"/],
  ['the catalog of SQLite', () => 'SELECT * FROM sqlite_master', /there is no relation/],
  ['the table behind the view', () => 'SELECT * FROM pack.main.result', /there is no relation "pack.main.result"/],
  [
    'the catalog by a WITH of its name in another scope',
    () => 'SELECT (WITH duckdb_settings AS (SELECT 1) SELECT 1), * FROM pack.duckdb_settings',
    /no relation/,
  ],
  [
    'the catalog by a WITH whose body has its own name',
    () => 'WITH duckdb_settings AS (SELECT * FROM duckdb_settings) SELECT * FROM duckdb_settings',
    /no relation "duckdb_settings"/,
  ],
  [
    'the catalog by a WITH that comes later',
    () => 'WITH a AS (SELECT * FROM duckdb_settings), duckdb_settings AS (SELECT 1) SELECT * FROM a',
    /no relation "duckdb_settings"/,
  ],
  [
    'the catalog in the beginning of a recursion',
    () =>
      'WITH RECURSIVE duckdb_settings AS (SELECT name FROM duckdb_settings UNION ALL SELECT name FROM duckdb_settings) SELECT * FROM duckdb_settings',
    /no relation "duckdb_settings"/,
  ],
  [
    'the catalog after a WITH of its name in another scope',
    () => 'SELECT (WITH duckdb_settings AS (SELECT 1) SELECT 1), * FROM duckdb_settings',
    /no relation/,
  ],
  ['the environment', () => "SELECT getenv('SCARAB_TEST_SECRET')", /getenv/],
  ['a variable', () => "SELECT getvariable('x')", /getvariable/],
  ['a wait', () => 'SELECT sleep_ms(100000)', /sleep_ms/],
  ['a log entry', () => "SELECT write_log('x')", /write_log/],
  ['a parameter', () => 'SELECT $1', /takes no parameters/],
  ['no SQL at all', () => 'give me everything', /Parser Error/],
  ['a comment without end', () => 'SELECT 1 /* ', /Parser Error/],
  ['an unknown column', () => 'SELECT nothing FROM result', /Binder Error/],
  ['an unknown function', () => 'SELECT nothing(1) FROM result', /Catalog Error/],
]

for (const source of ['pack', 'parquet'] as const)
  describe(`user SQL over ${source} is refused`, () => {
    test.each(ATTACKS)('%s', async (_what, sql, message) => {
      const outcome = await ask({ sql: sql() }, {}, source === 'pack' ? files : [parquet])
      expect(outcome).toMatchObject({ ok: false, code: 'invalid_slice', detail: expect.stringMatching(message) })
      const said = JSON.stringify(outcome)
      expect(said).not.toContain(SECRET)
      expect(said.replaceAll(sql(), '')).not.toContain('root:')
    })
  })

test('what a SELECT over the result may use is not refused', async () => {
  for (const sql of [
    'FROM result',
    'SELECT * EXCLUDE (id), id FROM result LIMIT 1;',
    'WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5), u AS (FROM t) SELECT * FROM t, u',
    'SELECT * FROM (VALUES (1), (2)) v(x) JOIN RESULT r ON r.id = v.x',
    'SELECT id, row_number() OVER (ORDER BY id DESC) FROM result QUALIFY row_number() OVER (ORDER BY id) < 3',
    'SELECT list_transform([1, 2], lambda x: x + 1), unnest([1, 2]), pg_typeof(id) FROM result LIMIT 1',
    'SELECT * FROM range(3) UNION SELECT id FROM result INTERSECT SELECT 1',
    'SELECT * FROM result PIVOT (count(*) FOR id IN (1, 2))',
    'SELECT (SELECT max(r.id) FROM result r WHERE r.id < o.id) FROM result o ORDER BY ALL LIMIT 3 -- the end',
    'SELECT 1 /* a */; -- b',
  ])
    expect([sql, await ask({ sql })]).toMatchObject([sql, { ok: true }])
})

describe('a slice that asks for too much fails alone, and the node answers the next one', () => {
  const still = async () => expect(await ask({ select: [{ fn: 'count' }] })).toMatchObject({ ok: true })

  test('a query without end is stopped when its time is over', async () => {
    const outcome = await ask(
      { sql: 'WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t' },
      { timeout_seconds: 1 },
    )
    expect(outcome).toMatchObject({ ok: false, code: 'slice_timeout' })
    await still()
  })

  test('a single call that cannot be interrupted is killed with its process', async () => {
    const outcome = await ask(
      { sql: "SELECT sum(levenshtein(repeat('ab', 30000), repeat('ba', 30000 + id))) FROM result" },
      { timeout_seconds: 1 },
    )
    expect(outcome).toMatchObject({ ok: false, code: 'slice_timeout' })
    await still()
  })

  test('buffers beyond the limit', async () => {
    const outcome = await ask({ sql: 'SELECT len(list(a.id)) FROM result a, result b, result c' })
    expect(outcome).toMatchObject({ ok: false, code: 'slice_failed', detail: expect.stringContaining('emory') })
    await still()
  })

  test('string heaps that the engine does not count', async () => {
    const outcome = await ask({ sql: "SELECT max(length(repeat('x', 2000000000 + id))) FROM result" })
    expect(outcome).toMatchObject({ ok: false, code: 'slice_failed', detail: expect.stringContaining('emory') })
    await still()
  })

  test('parentheses without end', async () => {
    const outcome = await ask({ sql: `SELECT ${'('.repeat(45_000)}1${')'.repeat(45_000)}` })
    expect(outcome.ok).toBe(false)
    await still()
  })

  test('more rows than a slice may have: refused, never cut off', async () => {
    const outcome = await ask({ sql: 'SELECT 1 FROM range(100001)' })
    expect(outcome).toMatchObject({ ok: false, code: 'slice_failed', detail: expect.stringContaining('more than 100000 rows') })
    expect(await ask({ sql: 'SELECT 1 FROM range(100000)' }, { format: 'csv' })).toMatchObject({ ok: true })
  })

  test('a value that fails in the middle', async () => {
    expect(await ask({ sql: "SELECT CAST('x' || id AS INTEGER) FROM result" })).toMatchObject({
      ok: false,
      code: 'slice_failed',
      detail: expect.stringContaining('Conversion Error'),
    })
    await still()
  })
})

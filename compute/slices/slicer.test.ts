import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Column } from '../../edge/contract/columns.ts'
import { ResultId, TenantId } from '../../edge/contract/ids.ts'
import type { SliceFile } from '../../edge/contract/slices.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { EDGE, type Fixture, fixture, messageOf, schemaOf, TENANT, TEST_PART_BYTES } from './fixture.ts'
import { type SliceOutcome, Slicer } from './slicer.ts'

setDefaultTimeout(PATIENCE_MS)

const COLUMNS: Column[] = [
  { id: 4, name: 'id', type: 'long' },
  { id: 5, name: 'select', type: 'string' },
  { id: 6, name: 'a"b', type: 'decimal(38,10)' },
  { id: 7, name: 'at', type: 'timestamp' },
  { id: 8, name: 'tags', type: { type: 'list', element: 'string' } },
  { id: 10, name: 'x', type: 'double' },
  { id: 11, name: 'bytes', type: 'binary' },
]
const ROWS = 5000
const SELECT = `
  SELECT 9007199254740993 + i AS id, CASE WHEN i % 7 = 0 THEN NULL WHEN i % 7 = 1 THEN '' ELSE 'é🚀,"' || (i % 5) END AS "select",
    CAST('1234567890123456789012345678.0000000001' AS DECIMAL(38,10)) AS "a""b",
    TIMESTAMP '2024-01-02 03:04:05.000006' + to_microseconds(i) AS at, ['x', NULL, CAST(i AS VARCHAR)] AS tags,
    CASE i WHEN 0 THEN 'NaN'::DOUBLE WHEN 1 THEN '-Infinity'::DOUBLE ELSE i / 4 END AS x, '\\xAA\\x00'::BLOB AS bytes,
    'demo' AS tenant_id, 'job' AS job_id, DATE '2024-01-01' AS run_date
  FROM range(${ROWS}) t(i)`

let made: Fixture
let slicer: Slicer
let pack: SliceFile
let parquet: SliceFile[]

beforeAll(async () => {
  made = await fixture()
  pack = await made.make('pack', `CREATE TABLE made.result AS ${SELECT}`)
  parquet = [
    await made.make('parquet', `COPY (FROM (${SELECT}) LIMIT 3000) TO '$FILE' (FORMAT parquet)`),
    await made.make('parquet', `COPY (FROM (${SELECT}) OFFSET 3000) TO '$FILE' (FORMAT parquet)`),
  ]
  slicer = new Slicer({ edge: EDGE, fetch: made.fetch, cacheFolder: join(made.folder, 'cache') })
})
afterAll(async () => {
  await slicer.close()
  made.close()
})

const SCHEMA = schemaOf(COLUMNS)
const ask = (
  request: unknown,
  more: Parameters<typeof messageOf>[4] = {},
  files: SliceFile[] = [pack, ...parquet],
): Promise<SliceOutcome> => slicer.run(messageOf(request, SCHEMA, ROWS, files, more))
const bodyOf = (outcome: SliceOutcome): string => {
  if (!outcome.ok || !('body' in outcome)) throw new Error(JSON.stringify(outcome))
  return outcome.body
}

for (const source of ['pack', 'parquet'] as const)
  describe(`over ${source}`, () => {
    const files = () => (source === 'pack' ? [pack] : parquet)

    test('a page holds exact wire values, and no system column', async () => {
      const body = bodyOf(await ask({ limit: 2 }, {}, files()))
      expect(JSON.parse(body)).toEqual({
        columns: [
          { name: 'id', type: 'long' },
          { name: 'select', type: 'string' },
          { name: 'a"b', type: 'decimal(38,10)' },
          { name: 'at', type: 'timestamp' },
          { name: 'tags', type: 'list<string>' },
          { name: 'x', type: 'double' },
          { name: 'bytes', type: 'binary' },
        ],
        rows: [
          [
            '9007199254740993',
            null,
            '1234567890123456789012345678.0000000001',
            '2024-01-02T03:04:05.000006',
            ['x', null, '0'],
            'NaN',
            'qgA=',
          ],
          [
            '9007199254740994',
            '',
            '1234567890123456789012345678.0000000001',
            '2024-01-02T03:04:05.000007',
            ['x', null, '1'],
            '-Infinity',
            'qgA=',
          ],
        ],
        hash: '0'.repeat(32),
      })
    })

    test('pages follow each other to the last row, and end there', async () => {
      const ids: string[] = []
      for (let offset = 0; offset < ROWS + 1700; offset += 1700) {
        const { rows } = JSON.parse(bodyOf(await ask({ select: ['id'], offset, limit: 1700 }, {}, files())))
        ids.push(...rows.flat())
      }
      expect(ids).toEqual(Array.from({ length: ROWS }, (_, n) => String(9007199254740993n + BigInt(n))))
    })

    test('CSV tells NULL from empty text', async () => {
      const body = bodyOf(await ask({ select: ['select', 'a"b', 'x'], limit: 3 }, { format: 'csv' }, files()))
      const decimal = '1234567890123456789012345678.0000000001'
      expect(body).toBe(`select,"a""b",x\n,${decimal},NaN\n"",${decimal},-Infinity\n"é🚀,""2",${decimal},0.5\n`)
    })

    test('ties keep the order of the result', async () => {
      const body = bodyOf(
        await ask({ select: ['id'], order: ['-select'], where: [{ col: 'select', op: '=', value: 'é🚀,"4' }], limit: 3 }, {}, files()),
      )
      expect(JSON.parse(body).rows).toEqual([['9007199254740997'], ['9007199254741002'], ['9007199254741012']])
    })

    test('groups and SQL', async () => {
      const grouped = bodyOf(
        await ask({ group: ['select'], select: ['select', { fn: 'count' }, { fn: 'sum', col: 'id' }], limit: 2 }, {}, files()),
      )
      expect(JSON.parse(grouped).rows[0]).toEqual(['', '715', '6440147467141597495'])
      const sql = bodyOf(
        await ask({ sql: 'SELECT count(*) AS n, count(*), sum(id) AS s, INTERVAL 1 DAY AS i, NULL AS z FROM Result -- all' }, {}, files()),
      )
      expect(JSON.parse(sql)).toMatchObject({
        columns: [
          { name: 'n', type: 'long' },
          { name: 'count_star()', type: 'long' },
          { name: 's', type: 'decimal(38,0)' },
          { name: 'i', type: 'string' },
          { name: 'z' },
        ],
        rows: [['5000', '5000', '45035996273717462500', '1 day', null]],
      })
    })

    test('a system column that was added is not there', async () => {
      expect(await ask({ sql: 'SELECT tenant_id FROM result' }, {}, files())).toMatchObject({ ok: false, code: 'invalid_slice' })
    })

    test('the whole result as CSV and as JSON goes to the put address', async () => {
      expect(await ask({}, { scope: 'all', format: 'csv', max_body_bytes: 1000 }, files())).toMatchObject({
        ok: true,
        stored: { bytes: expect.any(Number) },
      })
      const csv = new TextDecoder().decode(made.stored.get('/put/answer'))
      expect(csv.split('\n')).toHaveLength(ROWS + 2)
      expect(await ask({}, { scope: 'all', format: 'json', max_body_bytes: 1000 }, files())).toMatchObject({ ok: true })
      const json = JSON.parse(new TextDecoder().decode(made.stored.get('/put/answer')))
      expect(Object.keys(json)).toEqual(['columns', 'rows'])
      expect(json.rows).toHaveLength(ROWS)
      expect(json.rows[4999][0]).toBe('9007199254745992')
      expect(readdirSync(join(made.folder, 'cache', 'demo', 'answers'))).toEqual([])
    })
  })

describe('an answer longer than one PUT may be', () => {
  const long = async (uploads: string | undefined): Promise<SliceOutcome> => {
    const limited = new Slicer({ edge: EDGE, fetch: made.fetch, cacheFolder: join(made.folder, 'cache') }, { singlePutBytes: 200_000 })
    const put = { url: '/put/whole', headers: {}, ...(uploads === undefined ? {} : { uploads }) }
    try {
      return await limited.run(messageOf({}, SCHEMA, ROWS, [pack], { scope: 'all', format: 'csv', max_body_bytes: 0, put }))
    } finally {
      await limited.close()
    }
  }

  test('goes in equal parts, which the edge puts together in their order', async () => {
    made.stored.clear()
    const whole = bodyOf(await ask({ limit: ROWS }, { format: 'csv', max_body_bytes: 10_000_000 }))
    const outcome = await long('/uploads')
    expect(outcome).toMatchObject({ ok: true, stored: { bytes: Buffer.byteLength(whole) } })
    expect(new TextDecoder().decode(made.stored.get('/closed'))).toBe(whole)
    const sizes = [...made.stored]
      .filter(([path]) => path.startsWith('/part/'))
      .map(([path, bytes]) => [Number(path.slice(6)), bytes.length])
    expect(sizes.length).toBeGreaterThan(3)
    const [last, ...others] = sizes.sort(([a = 0], [b = 0]) => b - a)
    expect(others.map(([, bytes]) => bytes)).toEqual(others.map(() => TEST_PART_BYTES))
    expect(last?.[1]).toBeLessThanOrEqual(TEST_PART_BYTES)
    expect(made.stored.has('/put/whole')).toBe(false)
  })

  test('is one PUT still where the edge knows of no parts', async () => {
    made.stored.clear()
    expect(await long(undefined)).toMatchObject({ ok: true })
    expect([...made.stored.keys()]).toEqual(['/put/whole'])
  })

  test('that the edge does not take is unavailable, with the reason', async () => {
    expect(await long('/refused')).toMatchObject({ ok: false, code: 'unavailable', detail: 'the answer could not be stored: status 409' })
  })
})

describe('packs', () => {
  const BAD: [string, ...string[]][] = [
    ['a view in the place of the table', `CREATE TABLE made.t AS ${SELECT}`, 'CREATE VIEW made.result AS FROM t'],
    ['a second table', `CREATE TABLE made.result AS ${SELECT}`, 'CREATE TABLE made.other(i INTEGER)'],
    ['a macro', `CREATE TABLE made.result AS ${SELECT}`, 'CREATE MACRO made.sum(x) AS 7'],
    ['fewer rows', `CREATE TABLE made.result AS FROM (${SELECT}) LIMIT 10`],
    ['another type', `CREATE TABLE made.result AS SELECT * REPLACE (CAST(id AS VARCHAR) AS id) FROM (${SELECT})`],
    ['a generated column', 'CREATE TABLE made.result(i INTEGER, id BIGINT GENERATED ALWAYS AS (i + 1))'],
    ['a schema of its own', `CREATE TABLE made.result AS ${SELECT}`, 'CREATE SCHEMA made.s'],
  ]
  test.each(BAD)('a pack with %s is not used: Parquet answers', async (what, ...statements) => {
    const bad = await made.make('pack', ...statements)
    const result = ResultId.parse(
      `r${what
        .replace(/[^a-z]/g, '0')
        .replace(/[ilou]/g, '1')
        .padEnd(26, '0')
        .slice(0, 26)}`,
    )
    expect(await ask({ sql: 'SELECT sum(x) FROM result WHERE id > 9007199254740999' }, { result }, [bad])).toMatchObject({
      ok: false,
      code: 'unavailable',
    })
    const body = bodyOf(await ask({ select: [{ fn: 'count' }] }, { result }, [bad, ...parquet]))
    expect(JSON.parse(body).rows).toEqual([[String(ROWS)]])
  })

  test('bytes that are no database are not used either', async () => {
    const junk = made.serve(
      'pack',
      Uint8Array.from({ length: 4096 }, (_, n) => (n * 31) % 251),
    )
    const result = ResultId.parse(`r${'9'.repeat(26)}`)
    expect(JSON.parse(bodyOf(await ask({ limit: 1, select: ['id'] }, { result }, [junk, ...parquet]))).rows).toEqual([['9007199254740993']])
  })
})

describe('files', () => {
  test('one download serves many slices, and bytes with another hash are refused', async () => {
    const before = made.asked.filter((path) => path === pack.url).length
    await Promise.all([ask({ limit: 1 }, {}, [pack]), ask({ limit: 2 }, {}, [pack]), ask({ limit: 3 }, {}, [pack])])
    expect(made.asked.filter((path) => path === pack.url).length).toBe(before)
    const lie = { ...made.serve('parquet', new Uint8Array([1, 2, 3])), sha256: '0'.repeat(64) }
    expect(await ask({}, {}, [lie])).toMatchObject({
      ok: false,
      code: 'unavailable',
      detail: expect.stringContaining('does not have the bytes'),
    })
    const gone = { ...pack, url: '/nowhere', sha256: '1'.repeat(64) }
    expect(await ask({}, {}, [gone])).toMatchObject({ ok: false, code: 'unavailable', detail: expect.stringContaining('404') })
  })

  test('the files used longest ago go when the cache is full', async () => {
    const cacheFolder = join(made.folder, 'small')
    const small = new Slicer({ edge: EDGE, fetch: made.fetch, cacheFolder }, { cacheBytes: pack.bytes + 10 })
    try {
      const first = await small.run(messageOf({ limit: 1 }, SCHEMA, ROWS, [pack]))
      expect(first.ok).toBe(true)
      expect((await small.run(messageOf({ limit: 1 }, SCHEMA, ROWS, parquet))).ok).toBe(true)
      expect(existsSync(join(cacheFolder, 'demo', 'files', `${pack.sha256}.duckdb`))).toBe(false)
      expect((await small.run(messageOf({ limit: 1 }, SCHEMA, ROWS, [pack]))).ok).toBe(true)
    } finally {
      await small.close()
    }
  })
})

test('each tenant has a process and a folder of its own', async () => {
  const other = TenantId.parse('other')
  const count = messageOf({ select: [{ fn: 'count' }] }, SCHEMA, ROWS, [pack])
  const both = await Promise.all([
    slicer.run(count),
    slicer.run({ ...count, tenant: other }),
    slicer.run({ ...count, tenant: TenantId.parse('third') }),
  ])
  expect(both.map((outcome) => outcome.ok)).toEqual([true, true, true])
  expect(readdirSync(join(made.folder, 'cache')).sort()).toEqual([TENANT, 'other', 'third'])
})

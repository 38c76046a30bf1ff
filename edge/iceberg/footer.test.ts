import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ResultSchema } from '../contract/columns.ts'
import { checkFooter, type FooterCheck } from './footer.ts'

let connection: DuckDBConnection
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'scarab-footer-'))
  connection = await (await DuckDBInstance.create()).connect()
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true, force: true })
})

let made = 0
const parquet = async (select: string, fieldIds: string | null, options = ''): Promise<Uint8Array> => {
  const path = join(folder, `${made++}.parquet`)
  const ids = fieldIds === null ? '' : `, FIELD_IDS {${fieldIds}}`
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet, COMPRESSION zstd${ids}${options})`)
  return new Uint8Array(readFileSync(path))
}
const check = (bytes: Uint8Array, schema: ResultSchema, rows: number): Promise<FooterCheck> =>
  checkFooter(async (offset, length) => bytes.subarray(offset, offset + length), bytes.length, schema, rows)
const words = async (bytes: Uint8Array, schema: ResultSchema, rows = 1): Promise<string> => {
  const answer = await check(bytes, schema, rows)
  return answer.ok ? 'ok' : answer.detail
}

const TYPES = [
  ['boolean', 'true'],
  ['int', '1::INTEGER'],
  ['long', '1::BIGINT'],
  ['float', '1::FLOAT'],
  ['double', '1::DOUBLE'],
  ['decimal(9,2)', '1::DECIMAL(9,2)'],
  ['decimal(18,2)', '1::DECIMAL(18,2)'],
  ['decimal(38,10)', '1::DECIMAL(38,10)'],
  ['date', "DATE '2024-01-01'"],
  ['time', "TIME '01:02:03'"],
  ['timestamp', "TIMESTAMP '2024-01-01'"],
  ['timestamptz', "TIMESTAMPTZ '2024-01-01'"],
  ['string', "'x'"],
  ['uuid', 'uuid()'],
  ['binary', "'x'::BLOB"],
] as const

test.each(TYPES)('a column of type %s written from %s fits, and fits no other type', async (type, sql) => {
  const bytes = await parquet(`SELECT ${sql} AS c`, 'c: 4')
  const schema = (other: string): ResultSchema => ({ id: 's', columns: [{ id: 4, name: 'c', type: other }], added: [] })
  expect(await words(bytes, schema(type))).toBe('ok')
  for (const [other] of TYPES) {
    if (other === type) continue
    // Wider columns may hold narrower files: readers promote them.
    const promoted =
      (type === 'int' && other === 'long') ||
      (type === 'float' && other === 'double') ||
      (type === 'decimal(9,2)' && other === 'decimal(18,2)')
    expect(await words(bytes, schema(other)), `${type} as ${other}`).toMatch(promoted ? /^ok$/ : /column "c" is stored as/)
  }
})

test.each([
  ['1::UINTEGER', 'int'],
  ['1::UBIGINT', 'long'],
  ['1::HUGEINT', 'decimal(38,0)'],
  ['1::UTINYINT', 'int'],
  ["'2024-01-01'::TIMESTAMP_MS", 'timestamp'],
  ["'2024-01-01'::TIMESTAMP_NS", 'timestamp'],
  ["INTERVAL '1 day'", 'string'],
] as const)('%s is not kept as %s: the node forgot a cast', async (sql, type) => {
  const bytes = await parquet(`SELECT ${sql} AS c`, 'c: 4')
  expect(await words(bytes, { id: 's', columns: [{ id: 4, name: 'c', type }], added: [] })).toMatch(/is stored as .*, which is not/)
})

const NESTED: ResultSchema = {
  id: 's',
  columns: [
    {
      id: 4,
      name: 'l',
      type: { type: 'list', 'element-id': 5, element: { type: 'struct', fields: [{ id: 6, name: 'x', type: 'int' }] } },
    },
    {
      id: 7,
      name: 'm',
      type: { type: 'map', 'key-id': 8, key: 'string', 'value-id': 9, value: { type: 'list', 'element-id': 10, element: 'double' } },
    },
  ],
  added: ['tenant_id', 'job_id', 'run_date'],
}
const NESTED_SQL = "SELECT [{x: 1}] AS l, MAP {'k': [1.5::DOUBLE]} AS m, 'acme' AS tenant_id, 'j' AS job_id, DATE '2024-01-01' AS run_date"
const SYSTEM = 'tenant_id: 1, job_id: 2, run_date: 3'
const NESTED_IDS = `l: {__duckdb_field_id: 4, element: {__duckdb_field_id: 5, x: 6}}, m: {__duckdb_field_id: 7, key: 8, value: {__duckdb_field_id: 9, element: 10}}`

test('nested columns with every id fit, and row groups are told', async () => {
  expect(await check(await parquet(NESTED_SQL, `${NESTED_IDS}, ${SYSTEM}`), NESTED, 1)).toEqual({
    ok: true,
    rows: 1,
    rowGroups: 1,
    splitOffsets: [4],
  })
})

test('an id that is missing or wrong, at any depth, is found', async () => {
  expect(await words(await parquet(NESTED_SQL, null), NESTED)).toMatch(/column "l" carries no field id \(it must be 4\)/)
  expect(await words(await parquet(NESTED_SQL, NESTED_IDS), NESTED)).toMatch(/column "tenant_id" carries no field id/)
  expect(await words(await parquet(NESTED_SQL, `${NESTED_IDS.replace('x: 6', 'x: 66')}, ${SYSTEM}`), NESTED)).toMatch(
    /column "l\.element\.x" carries field id 66 instead of 6/,
  )
  expect(await words(await parquet(NESTED_SQL, `${NESTED_IDS.replace(', element: 10', '')}, ${SYSTEM}`), NESTED)).toMatch(
    /carries no field id \(it must be 10\)/,
  )
})

const ONE: ResultSchema = { id: 's', columns: [{ id: 4, name: 'a', type: 'int' }], added: [] }

test('a column too many, too few, or a wrong count of rows is found', async () => {
  const bytes = await parquet('SELECT 1::INTEGER AS a', 'a: 4')
  expect(await words(bytes, ONE, 2)).toMatch(/it has 1 rows, but 2 were announced/)
  expect(await words(bytes, { ...ONE, added: ['job_id'] })).toMatch(/column "job_id" is missing/)
  expect(await words(await parquet('SELECT 1::INTEGER AS a, 2 AS b', 'a: 4, b: 5'), ONE)).toMatch(/column "b" was never ensured/)
})

test('an empty result fits, and a wide one whose footer does not come with the first read', async () => {
  expect(await check(await parquet('SELECT 1::INTEGER AS a WHERE false', 'a: 4'), ONE, 0)).toMatchObject({ ok: true, rows: 0 })
  const names = Array.from({ length: 900 }, (_, i) => `a_rather_long_column_name_${i}`)
  const wide: ResultSchema = { id: 's', columns: names.map((name, i) => ({ id: i + 4, name, type: 'int' })), added: [] }
  const bytes = await parquet(
    `SELECT ${names.map((name) => `1::INTEGER AS ${name}`).join(', ')}`,
    names.map((name, i) => `${name}: ${i + 4}`).join(', '),
  )
  expect(bytes.length).toBeGreaterThan(64 * 1024)
  expect(await check(bytes, wide, 1)).toMatchObject({ ok: true })
})

test('something that is no Parquet file, or only the end of one, is refused in words', async () => {
  const bytes = await parquet('SELECT 1::INTEGER AS a', 'a: 4')
  expect(await words(new Uint8Array(3), ONE)).toMatch(/too few/)
  expect(await words(new Uint8Array(500), ONE)).toMatch(/does not end like a Parquet file/)
  expect(await words(bytes.slice(0, -1), ONE)).toMatch(/does not end like a Parquet file/)
  expect(await words(bytes.slice(-40), ONE)).toMatch(/its footer would have/)
})

test('a damaged footer is an answer, never an exception', async () => {
  const bytes = await parquet(NESTED_SQL, `${NESTED_IDS}, ${SYSTEM}`)
  let seed = 1
  for (let i = 0; i < 2_000; i++) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    const broken = bytes.slice()
    broken[bytes.length - 9 - (seed % 900)] = (seed >>> 8) & 0xff
    expect(typeof (await check(broken, NESTED, 1)).ok).toBe('boolean')
  }
})

test('a store that fails is not mistaken for a bad file', async () => {
  await expect(checkFooter(() => Promise.reject(new Error('unavailable')), 1_000, ONE, 1)).rejects.toThrow('unavailable')
})

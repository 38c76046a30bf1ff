import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { quoteText } from '../duckdb/sql.ts'
import { type TryOut, tryOut } from '../engines/duckdb/fixture.ts'
import { PATIENCE_MS } from '../test-patience.ts'

setDefaultTimeout(PATIENCE_MS)

let out: TryOut
beforeAll(async () => {
  out = await tryOut()
})
afterAll(() => out.close())

/** A file of one value many times over: only its dictionary gets a Bloom filter. Answers how many rows a reader finds by it. */
const found = async (value: string): Promise<string> => {
  const { produced } = await out.run(`SELECT ${value} AS v, i FROM range(5000) t(i)`)
  const path = quoteText(produced.files[0]?.path ?? '')
  const [row] = await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
    session.run(`SELECT count(*) FROM read_parquet(${path}) WHERE v = ${value}`),
  )
  return String(row?.[0])
}

test.each([
  "'\\x00\\xFF'::BLOB",
  "'abc'::BLOB",
  "''::BLOB",
  "'text'",
  '5::BIGINT',
  '-1.25::DECIMAL(38,2)',
  '-0.0::DOUBLE',
  "md5('x')::UUID",
  "TIMESTAMPTZ '2020-01-01 00:00:00.5+00'",
  "{'inner': '\\x80'::BLOB}",
])('every row of a file is found by its value: %s', async (value) => {
  expect(await found(value)).toBe('5000')
})

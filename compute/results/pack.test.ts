import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { dirname, join } from 'node:path'
import { createDuckDB, NODE_RUNTIME, VoidLogger } from '@duckdb/duckdb-wasm/blocking'
import { quoteText } from '../duckdb/sql.ts'
import { type TryOut, tryOut } from '../engines/duckdb/fixture.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { makePack } from './pack.ts'

setDefaultTimeout(PATIENCE_MS)

let out: TryOut
beforeAll(async () => {
  out = await tryOut()
})
afterAll(() => out.close())

const inPack = (path: string, sql: string) =>
  out.pool.use(
    { folder: '/', allowed: null, setup: [`ATTACH ${quoteText(path)} AS p (READ_ONLY)`, 'USE p'] },
    new AbortController().signal,
    (session) => session.run(sql),
  )

describe('a pack', () => {
  test('has one table with exactly the columns and rows of the report, in its order', async () => {
    const { produced, schema } = await out.run(
      `SELECT (i * 7919) % 200003 AS "select", {'a': i::HUGEINT, 'b': [i]} AS "a""b", uuid() AS u, TIMESTAMPTZ '2024-01-01' + i * INTERVAL 1 SECOND AS t FROM range(200000) r(i)`,
    )
    const path = join(out.root, 'order.duckdb')
    const pack = await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
      makePack(session, produced.files, schema, path),
    )
    const bytes = await Bun.file(path).bytes()
    expect(pack).toEqual({ bytes: bytes.byteLength, sha256: new Bun.CryptoHasher('sha256').update(bytes).digest('hex') })
    expect(
      await inPack(
        path,
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_catalog = 'p' ORDER BY ordinal_position",
      ),
    ).toEqual([
      ['result', 'select'],
      ['result', 'a"b'],
      ['result', 'u'],
      ['result', 't'],
    ])
    const files = quoteText(produced.files[0]?.path ?? '')
    const different = `SELECT count(*) FROM (SELECT row_number() OVER () AS n, * FROM result) AS a
      POSITIONAL JOIN (SELECT row_number() OVER () AS n, * EXCLUDE (tenant_id, job_id, run_date) FROM read_parquet(${files})) AS b
      WHERE a IS DISTINCT FROM b`
    expect(await inPack(path, different)).toEqual([['0']])
    expect(await inPack(path, 'SELECT count(*) FROM result')).toEqual([['200000']])
    // DuckDB's main header: a checksum of 8 bytes, "DUCK", then the storage version; DuckDB 1.4 reads 64 to 67.
    const header = new DataView(bytes.buffer, bytes.byteOffset)
    expect(new TextDecoder().decode(bytes.subarray(8, 12))).toBe('DUCK')
    expect(Number(header.getBigUint64(12, true))).toBeLessThanOrEqual(67)
  })

  test('of a result in several files keeps the files in order', async () => {
    const { produced, schema } = await out.run("SELECT DATE '2024-01-03' - (i % 3)::INT AS run_date, i FROM range(9) t(i)")
    const path = join(out.root, 'several.duckdb')
    await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
      makePack(session, produced.files, schema, path),
    )
    expect(await inPack(path, "SELECT string_agg(i::VARCHAR, ' ') FROM result")).toEqual([['2 5 8 1 4 7 0 3 6']])
  })

  test('opens in the stock DuckDB-WASM that browsers get', async () => {
    const { produced, schema } = await out.run("SELECT i, {'a': [i::HUGEINT]} AS s, 'é' || i AS t FROM range(5000) r(i)")
    const path = join(out.root, 'browser.duckdb')
    await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
      makePack(session, produced.files, schema, path),
    )
    const dist = dirname(require.resolve('@duckdb/duckdb-wasm/dist/duckdb-node-blocking.cjs'))
    const bundle = (name: string) => ({ mainModule: join(dist, `duckdb-${name}.wasm`), mainWorker: '' })
    const wasm = await createDuckDB({ mvp: bundle('mvp'), eh: bundle('eh') }, new VoidLogger(), NODE_RUNTIME)
    await wasm.instantiate(() => undefined)
    wasm.registerFileBuffer('browser.duckdb', await Bun.file(path).bytes())
    const connection = wasm.connect()
    connection.query("ATTACH 'browser.duckdb' AS p (READ_ONLY)")
    const answer = connection.query('SELECT count(*)::INT AS n, max(t) AS t, sum(s.a[1])::DOUBLE AS a FROM p.result')
    expect(answer.toArray().map((row) => row.toJSON())).toEqual([{ n: 5000, t: 'é999', a: 12_497_500 }])
    connection.close()
  })

  test('of an empty result is an empty table', async () => {
    const { produced, schema } = await out.run('SELECT 1 AS a WHERE false')
    const path = join(out.root, 'empty.duckdb')
    await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
      makePack(session, produced.files, schema, path),
    )
    expect(await inPack(path, 'SELECT count(*), count(a) FROM result')).toEqual([['0', '0']])
  })
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Job } from '../../edge/contract/jobs.ts'
import { Manifest, ResultDocument } from '../../edge/contract/manifests.ts'
import { verifyManifest } from '../../edge/identity/signature.ts'
import { type Client, parsed, problemOf, WholeResult } from './support/client.ts'
import { startWorld, type World } from './support/world.ts'

/** More rows than a small result can have, and more than one row group. */
const ROWS = 150_000
const TASKS = {
  'small.sql': `-- name: small
-- db: duckdb
SELECT * FROM (VALUES
  (1, NULL, 'plain', [1, 2]),
  (2, '', 'with "quotes", comma', []),
  (3, 'NULL', E'two\\nlines', NULL),
  (4, ' ', 'Grüße 日本 🦆', [NULL])
) t(n, gap, text, list) ORDER BY n
`,
  // Small enough for the ledger, too large to stay there after publication.
  'middle.sql': "-- name: middle\n-- db: duckdb\nSELECT i AS n, 'row ' || i AS t FROM range(600) r(i) ORDER BY n\n",
  'empty.sql': "-- name: empty\n-- db: duckdb\nSELECT 1 AS n, 'x' AS t WHERE false\n",
  'large.sql': `-- name: large
-- db: duckdb
SELECT i AS n, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN '' ELSE 'text, "' || i || '"' END AS t, sha256(i::VARCHAR) AS noise
FROM range(${ROWS}) r(i) ORDER BY n
`,
  'days.sql': `-- name: days
-- db: duckdb
-- partition_by: run_date
SELECT DATE '2024-02-28' + (i % 3)::INT AS run_date, i AS n FROM range(9) r(i) ORDER BY run_date, n
`,
  'slow.sql': '-- name: slow\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
}

let world: World
let acme: Client
let small: Job
let large: Job
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
  ;[small, large] = await Promise.all([acme.run('small'), acme.run('large')])
})
afterAll(() => world.end())

const bytesOf = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer())
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const fileOf = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer

test('the manifest says what the result is, and its signature is the edge’s', async () => {
  const keys = z.object({ secret: z.string() }).parse(JSON.parse(readFileSync(join(world.system.state, 'keys.json'), 'utf8')))
  for (const job of [small, large]) {
    const document = await acme.result(job.id)
    expect(document).toMatchObject({
      result: `r${job.id}`,
      job: job.id,
      tenant: 'acme',
      task: job.task,
      attempt: 1,
      rows: job.rows,
      bytes: job.bytes,
    })
    expect(document.added).toEqual(['tenant_id', 'job_id', 'run_date'])
    // What the API adds is not part of what was signed.
    const manifest = Manifest.parse(document)
    expect(await verifyManifest(keys.secret, manifest)).toBe(true)
    expect(await verifyManifest(keys.secret, { ...manifest, rows: manifest.rows + 1 })).toBe(false)
  }
  const [of4, of150k] = await Promise.all([acme.result(small.id), acme.result(large.id)])
  expect([of4.inline, of4.rows, of4.first_rows.length]).toEqual([true, 4, 4])
  expect([of150k.inline, of150k.rows, of150k.first_rows.length]).toEqual([false, ROWS, 200])
  expect(of150k.files.map(({ key, n }) => [n, key])).toEqual([[0, `t/acme/reports.large/data/${large.id}/1/0.parquet`]])
  expect(of150k.files[0]?.split_offsets.length).toBeGreaterThan(1)
})

test('result.parquet is the file of the manifest, for a small result before and after its publication', async () => {
  const fresh = await acme.run('small')
  const wanted = (await acme.result(fresh.id)).files[0]
  const read = async (): Promise<string[]> => {
    const answer = await acme.ask(`/v1/jobs/${fresh.id}/result.parquet`)
    return [sha256(await bytesOf(answer)), answer.headers.get('etag') ?? '']
  }
  const before = await read()
  // Whoever has read a part of it by its tag goes on.
  expect(before).toEqual([wanted?.sha256, `"${wanted?.sha256}"`])
  await acme.published(fresh.id)
  expect(await read()).toEqual(before)
  const bytes = await bytesOf(await acme.ask(`/v1/jobs/${large.id}/result.parquet`))
  expect(sha256(bytes)).toBe((await acme.result(large.id)).files[0]?.sha256)
  const rows = await parquetReadObjects({ file: fileOf(bytes), compressors, rowStart: ROWS - 1, rowEnd: ROWS })
  expect(rows).toMatchObject([{ n: BigInt(ROWS - 1), tenant_id: 'acme', job_id: large.id, run_date: new Date(large.run_date) }])
})

test('a small result answers the same after it has left the ledger', async () => {
  const { id } = await acme.run('middle')
  expect((await acme.result(id)).inline).toBe(true)
  const read = (): Promise<string[]> =>
    Promise.all([
      acme.ask(`/v1/jobs/${id}/result.csv`).then((answer) => answer.text()),
      acme.ask(`/v1/jobs/${id}/result.json`).then((answer) => answer.text()),
      acme
        .ask(`/v1/jobs/${id}/result`)
        .then(async (answer) => JSON.stringify({ ...(await parsed(answer, ResultDocument)), pack: null, links: {} })),
      acme.slice(id, { where: [{ col: 'n', op: '>', value: 590 }], order: ['-n'] }).then((answer) => JSON.stringify(answer)),
      acme.slice(id, { offset: 400, limit: 3 }).then((answer) => JSON.stringify(answer)),
    ])
  const before = await read()
  expect((await acme.published(id)).at(-1)?.data).toMatchObject({ publication: 'published' })
  expect(await read()).toEqual(before)
})

const FORMS = ['parquet', 'csv', 'json', 'duckdb'] as const
/** A result in all four forms, each made. */
const wholes = async (job: Job): Promise<[string, Buffer][]> => {
  // The pack comes after the end of the job.
  await acme.packed(job.id)
  return Promise.all(
    FORMS.map(async (form): Promise<[string, Buffer]> => {
      const answer = await acme.made(`/v1/jobs/${job.id}/result.${form}`)
      expect(answer.status, form).toBe(200)
      return [`/v1/jobs/${job.id}/result.${form}`, await bytesOf(answer)]
    }),
  )
}

test('GET and HEAD, ranges and conditions work alike for every form of a result', async () => {
  for (const [path, whole] of await wholes(large)) {
    const size = whole.length
    const get = (headers: Record<string, string>, method = 'GET'): Promise<Response> => acme.ask(path, { method, headers })
    const head = await get({}, 'HEAD')
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')], path).toEqual([200, String(size), 'bytes'])
    expect((await bytesOf(head)).length, path).toBe(0)
    const ranges: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=100-299', 100, 300],
      ['bytes=-8', size - 8, size],
      [`bytes=${size - 1}-`, size - 1, size],
      [`bytes=5-${size + 1_000}`, 5, size],
    ]
    for (const [range, from, to] of ranges) {
      const part = await get({ range })
      expect([part.status, part.headers.get('content-range')], `${path} ${range}`).toEqual([206, `bytes ${from}-${to - 1}/${size}`])
      expect((await bytesOf(part)).equals(whole.subarray(from, to)), `${path} ${range}`).toBe(true)
      const partHead = await get({ range }, 'HEAD')
      expect([partHead.status, partHead.headers.get('content-length')], `${path} HEAD ${range}`).toEqual([206, String(to - from)])
    }
    const outside = await get({ range: `bytes=${size}-` })
    expect(outside.headers.get('content-range'), path).toBe(`bytes */${size}`)
    expect(await problemOf(outside), path).toMatchObject({ code: 'range_not_satisfiable', status: 416 })
    // RFC 9110, section 14.2: what is no valid range set is ignored.
    for (const range of ['bytes=abc', 'lines=1-2', 'bytes=9-1']) expect((await get({ range })).status, `${path} ${range}`).toBe(200)
    const etag = head.headers.get('etag') ?? ''
    expect(etag, path).toMatch(/^"[^"]+"$/)
    const same = await get({ 'if-none-match': `"other", ${etag}` })
    expect([same.status, (await bytesOf(same)).length, same.headers.get('etag')], path).toEqual([304, 0, etag])
    // RFC 9110, section 15.4.5: the 304 says how it may be kept, as the 200 did.
    for (const name of ['cache-control', 'vary']) expect(same.headers.get(name), `${path} ${name}`).toBe(head.headers.get(name))
    expect((await get({ 'if-none-match': '"other"' })).status, path).toBe(200)
    expect((await get({ range: 'bytes=0-9', 'if-range': etag })).status, path).toBe(206)
    for (const match of ['*', `"other", ${etag}`]) expect((await get({ 'if-match': match }, 'HEAD')).status, `${path} ${match}`).toBe(200)
    expect(await problemOf(await get({ 'if-match': '"other"', range: 'bytes=0-9' })), path).toMatchObject({ code: 'precondition_failed' })
    expect((await get({ range: 'bytes=0-9', 'if-range': '"other"' })).status, path).toBe(200)
  }
})

test('answers of results cannot become script, and are kept by the reader alone', async () => {
  for (const form of ['parquet', 'csv', 'json']) {
    const { headers } = await acme.ask(`/v1/jobs/${small.id}/result.${form}`)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toMatch(/sandbox; default-src 'none'/)
    expect(headers.get('content-disposition')).toBe(`attachment; filename="small-${small.id}.${form}"`)
    expect(headers.get('cache-control')).toMatch(/^private.*immutable$/)
    // Nor by whoever signs in next in the same browser.
    expect(headers.get('vary')).toBe('Authorization')
  }
})

test('CSV tells NULL from empty text and quotes what needs it', async () => {
  const answer = await acme.ask(`/v1/jobs/${small.id}/result.csv`)
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect(await answer.text()).toBe(
    [
      'n,gap,text,list',
      '1,,plain,"[1,2]"',
      '2,"","with ""quotes"", comma",[]',
      '3,NULL,"two\nlines",',
      '4, ,Grüße 日本 🦆,[null]',
      '',
    ].join('\n'),
  )
})

test('JSON of a whole result has its columns under Iceberg’s names and its rows', async () => {
  expect(await (await acme.ask(`/v1/jobs/${small.id}/result.json`)).json()).toEqual({
    columns: [
      { name: 'n', type: 'int' },
      { name: 'gap', type: 'string' },
      { name: 'text', type: 'string' },
      { name: 'list', type: 'list<int>' },
    ],
    rows: [
      [1, null, 'plain', [1, 2]],
      [2, '', 'with "quotes", comma', []],
      [3, 'NULL', 'two\nlines', null],
      [4, ' ', 'Grüße 日本 🦆', [null]],
    ],
  })
})

test('CSV and JSON of a large result are made once: 202 first, then every row', async () => {
  const fresh = await acme.run('large')
  const first = await acme.ask(`/v1/jobs/${fresh.id}/result.csv`)
  expect([first.status, first.headers.get('location'), first.headers.get('retry-after')]).toEqual([
    202,
    `/v1/jobs/${fresh.id}/result.csv`,
    '1',
  ])
  const lines = (await (await acme.made(`/v1/jobs/${fresh.id}/result.csv`)).text()).split('\n')
  expect(lines.length).toBe(ROWS + 2)
  expect(lines[0]).toBe('n,t,noise')
  expect(lines.slice(1, 4).map((line) => line.replace(/,[0-9a-f]{64}$/, ''))).toEqual(['0,', '1,""', '2,"text, ""2"""'])
  const json = await parsed(await acme.made(`/v1/jobs/${fresh.id}/result.json`), WholeResult)
  expect(json.columns).toEqual([
    { name: 'n', type: 'long' },
    { name: 't', type: 'string' },
    { name: 'noise', type: 'string' },
  ])
  expect(json.rows.length).toBe(ROWS)
  expect(json.rows.slice(-2).map((row) => row.slice(0, 2))).toEqual([
    [String(ROWS - 2), ''],
    [String(ROWS - 1), `text, "${ROWS - 1}"`],
  ])
})

test('an empty result has its columns in every form', async () => {
  const job = await acme.run('empty')
  expect(job).toMatchObject({ state: 'succeeded', rows: 0 })
  expect(await (await acme.ask(`/v1/jobs/${job.id}/result.csv`)).text()).toBe('n,t\n')
  expect(await (await acme.ask(`/v1/jobs/${job.id}/result.json`)).json()).toMatchObject({
    columns: [{ name: 'n' }, { name: 't' }],
    rows: [],
  })
  expect(await acme.slice(job.id, {})).toMatchObject({
    columns: [
      { name: 'n', type: 'int' },
      { name: 't', type: 'string' },
    ],
    rows: [],
  })
  const bytes = await bytesOf(await acme.ask(`/v1/jobs/${job.id}/result.parquet`))
  expect(await parquetReadObjects({ file: fileOf(bytes), compressors })).toEqual([])
  await acme.published(job.id)
})

const links = (document: ResultDocument): string[] => document.file_links

test('a result of several files says so, and each is served', async () => {
  const job = await acme.run('days')
  expect(job).toMatchObject({ state: 'succeeded', rows: 9 })
  const document = await acme.result(job.id)
  expect(document.files.map(({ run_date, rows }) => [run_date, rows])).toEqual([
    ['2024-02-28', 3],
    ['2024-02-29', 3],
    ['2024-03-01', 3],
  ])
  expect(links(document)).toEqual(document.files.map(({ n }) => `/v1/jobs/${job.id}/result.parquet?file=${n}`))
  const problem = await problemOf(await acme.ask(`/v1/jobs/${job.id}/result.parquet`))
  expect(problem).toMatchObject({ code: 'several_files', status: 409 })
  expect(Object.values(problem.links ?? {})).toEqual(links(document))
  expect(
    await Promise.all(links(document).map(async (link) => (await acme.ask(link, { method: 'HEAD' })).headers.get('content-disposition'))),
  ).toEqual(document.files.map(({ n }) => `attachment; filename="days-${job.id}.${n}.parquet"`))
  const rows = await Promise.all(
    links(document).map(async (link) => parquetReadObjects({ file: fileOf(await bytesOf(await acme.ask(link))), compressors })),
  )
  expect(
    rows
      .flat()
      .map(({ n }) => Number(n))
      .sort(),
  ).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
  expect(await problemOf(await acme.ask(`/v1/jobs/${job.id}/result.parquet?file=77`))).toMatchObject({ code: 'not_found' })
  expect(await problemOf(await acme.ask(`/v1/jobs/${job.id}/result.parquet?file=x`))).toMatchObject({ code: 'invalid_parameter' })
  expect((await (await acme.made(`/v1/jobs/${job.id}/result.csv`)).text()).split('\n').length).toBe(11)
  expect((await acme.slice(job.id, { group: ['run_date'], order: ['run_date'] })).rows).toEqual([
    ['2024-02-28', '3'],
    ['2024-02-29', '3'],
    ['2024-03-01', '3'],
  ])
  await acme.published(job.id)
})

test('a job that has not finished has no result yet, and says where to wait', async () => {
  const { id } = await acme.submit('slow')
  for (const path of ['result', 'result.csv', 'result.parquet', 'result.duckdb'])
    expect(await problemOf(await acme.ask(`/v1/jobs/${id}/${path}`)), path).toMatchObject({
      code: 'job_not_finished',
      links: { events: `/v1/jobs/${id}/events` },
    })
  await acme.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  await acme.ended(id)
})

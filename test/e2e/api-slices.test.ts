import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Job } from '../../edge/contract/jobs.ts'
import { SliceAnswer } from '../../edge/contract/slices.ts'
import { tagOf } from '../../edge/http/etags.ts'
import { eventually } from '../support/patience.ts'
import { type Client, parsed, problemOf } from './support/client.ts'
import { startWorld, type World } from './support/world.ts'

/** The same seven rows, alone (the Worker answers) and before rows that no question asks for (a node answers). */
const SEVEN = `
  (1, 'a', 10::BIGINT, 1.50::DECIMAL(9,2), 0.5::DOUBLE, DATE '2024-01-01'),
  (2, 'b', 20, 2.25, 'NaN', DATE '2024-01-02'),
  (3, 'a', NULL, -1.00, '-Infinity', NULL),
  (4, '', 9223372036854775807, NULL, 3, DATE '2024-01-01'),
  (5, NULL, 5, 0.00, NULL, DATE '2024-02-29'),
  (6, '100%_x', -9223372036854775808, 1.50, -0.0, DATE '1969-12-31'),
  (7, 'Ä', 7, 99.99, 1e300, DATE '9999-12-31')`
const COLUMNS = 't(id, tag, big, price, ratio, day)'
const TASKS = {
  'small.sql': `-- name: small\n-- db: duckdb\nSELECT * FROM (VALUES ${SEVEN}) ${COLUMNS} ORDER BY id\n`,
  'large.sql': `-- name: large
-- db: duckdb
SELECT * FROM (
  SELECT * FROM (VALUES ${SEVEN}) ${COLUMNS}
  UNION ALL SELECT (i + 1000)::INT, sha256(i::VARCHAR), NULL, NULL, NULL, NULL FROM range(60000) r(i)
) ORDER BY id
`,
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

const FIRST_SEVEN = { col: 'id', op: '<', value: 1000 }
/** What both places answer to a question about the seven rows. */
const ask = async (question: { where?: unknown[]; [name: string]: unknown }): Promise<{ columns: unknown; rows: unknown[][] }> => {
  const [near, far] = await Promise.all([
    acme.slice(small.id, question),
    acme.slice(large.id, { ...question, where: [...(question.where ?? []), FIRST_SEVEN] }),
  ])
  expect({ columns: far.columns, rows: far.rows }, JSON.stringify(question)).toEqual({ columns: near.columns, rows: near.rows })
  return near
}
const ids = async (...where: unknown[]): Promise<unknown[]> => (await ask({ where, select: ['id'], order: ['id'] })).rows.flat()

test('every operator filters alike in the Worker and on a node', async () => {
  expect(await ids({ col: 'big', op: '=', value: '9223372036854775807' })).toEqual([4])
  expect(await ids({ col: 'big', op: '!=', value: 10 })).toEqual([2, 4, 5, 6, 7])
  expect(await ids({ col: 'price', op: '<', value: '1.50' })).toEqual([3, 5])
  expect(await ids({ col: 'price', op: '<=', value: 1.5 })).toEqual([1, 3, 5, 6])
  expect(await ids({ col: 'day', op: '>', value: '2024-01-01' })).toEqual([2, 5, 7])
  expect(await ids({ col: 'day', op: '>=', value: '2024-01-01' })).toEqual([1, 2, 4, 5, 7])
  expect(await ids({ col: 'tag', op: 'in', value: ['a', '', 'Ä'] })).toEqual([1, 3, 4, 7])
  expect(await ids({ col: 'id', op: 'between', value: [2, 4] })).toEqual([2, 3, 4])
  expect(await ids({ col: 'tag', op: 'contains', value: '%_' })).toEqual([6])
  expect(await ids({ col: 'tag', op: 'is_null' })).toEqual([5])
  expect(await ids({ col: 'ratio', op: 'not_null' })).toEqual([1, 2, 3, 4, 6, 7])
  expect(await ids({ col: 'tag', op: '=', value: '' })).toEqual([4])
  expect(await ids({ col: 'ratio', op: '=', value: 'NaN' })).toEqual([2])
  expect(await ids({ col: 'ratio', op: '=', value: 0 })).toEqual([6])
  expect(await ids({ col: 'tag', op: '=', value: 'a' }, { col: 'id', op: '>', value: 1 })).toEqual([3])
})

test('every aggregate is the same in the Worker and on a node, and exact', async () => {
  const all = await ask({
    where: [
      { col: 'id', op: '!=', value: 2 },
      { col: 'id', op: '!=', value: 3 },
    ],
    select: [
      { fn: 'count' },
      { fn: 'count', col: 'tag', as: 'tags' },
      { fn: 'count_distinct', col: 'price' },
      { fn: 'sum', col: 'big' },
      { fn: 'sum', col: 'price' },
      { fn: 'min', col: 'day' },
      { fn: 'max', col: 'tag' },
      { fn: 'avg', col: 'id' },
    ],
  })
  expect(all.columns).toEqual([
    { name: 'count', type: 'long' },
    { name: 'tags', type: 'long' },
    { name: 'count_distinct_price', type: 'long' },
    { name: 'sum_big', type: 'decimal(38,0)' },
    { name: 'sum_price', type: 'decimal(38,2)' },
    { name: 'min_day', type: 'date' },
    { name: 'max_tag', type: 'string' },
    { name: 'avg_id', type: 'double' },
  ])
  expect(all.rows).toEqual([['5', '4', '3', '21', '102.99', '1969-12-31', 'Ä', 4.6]])
  const groups = await ask({
    group: ['day'],
    select: ['day', { fn: 'count', as: 'n' }, { fn: 'sum', col: 'price', as: 'p' }],
    order: ['-n', 'day'],
  })
  expect(groups.rows).toEqual([
    ['2024-01-01', '2', '1.50'],
    ['1969-12-31', '1', '1.50'],
    ['2024-01-02', '1', '2.25'],
    ['2024-02-29', '1', '0.00'],
    ['9999-12-31', '1', '99.99'],
    [null, '1', '-1.00'],
  ])
  expect((await ask({ group: ['tag'], order: ['tag'] })).rows).toEqual([
    ['', '1'],
    ['100%_x', '1'],
    ['a', '2'],
    ['b', '1'],
    ['Ä', '1'],
    [null, '1'],
  ])
  expect(
    (
      await ask({
        where: [{ col: 'id', op: '=', value: -1 }],
        select: [
          { fn: 'sum', col: 'big', as: 's' },
          { fn: 'count', as: 'n' },
        ],
      })
    ).rows,
  ).toEqual([[null, '0']])
})

test('rows are ordered, cut and paged alike in both places', async () => {
  expect((await ask({ select: ['id', 'ratio'], order: ['-ratio', 'id'] })).rows.map(([id]) => id)).toEqual([2, 7, 4, 1, 6, 3, 5])
  expect((await ask({ select: ['id'], order: ['-price', '-id'], limit: 3, offset: 1 })).rows).toEqual([[2], [6], [1]])
  expect((await ask({ select: ['id'], order: ['id'], limit: 0 })).rows).toEqual([])
  expect((await ask({ select: ['id'], order: ['id'], offset: 100 })).rows).toEqual([])
})

test('an empty body is the first page of a thousand rows without Scarab’s own columns', async () => {
  for (const raw of ['', '{}']) {
    const answer = await acme.ask(`/v1/jobs/${large.id}/slice`, { raw, headers: { 'content-type': 'application/json' } })
    expect(answer.status).toBe(200)
    const { columns, rows } = await parsed(answer, SliceAnswer)
    expect(columns.map(({ name }) => name)).toEqual(['id', 'tag', 'big', 'price', 'ratio', 'day'])
    expect(rows.length).toBe(1_000)
    expect(rows[0]).toEqual([1, 'a', '10', '1.50', 0.5, '2024-01-01'])
    expect(rows[1]?.[4]).toBe('NaN')
    expect(rows[2]?.[4]).toBe('-Infinity')
  }
})

test('the most rows that a slice can have come whole', async () => {
  const { rows } = await acme.slice(large.id, { limit: 100_000, select: ['id'], order: ['-id'] })
  expect([rows.length, rows[0], rows.at(-1)]).toEqual([60_007, [60_999], [1]])
  expect(await problemOf(await acme.ask(`/v1/jobs/${large.id}/slice`, { body: { limit: 100_001 } }))).toMatchObject({
    code: 'invalid_body',
  })
})

test('a POST makes the GET by its hash valid, in JSON and CSV, for ever and for nobody else', async () => {
  const other = await world.as('other')
  for (const job of [small, large]) {
    const question = { select: ['id', 'tag'], where: [FIRST_SEVEN], order: ['-id'], limit: 2 }
    const post = await acme.ask(`/v1/jobs/${job.id}/slice`, { body: question })
    const place = post.headers.get('content-location') ?? ''
    const answer = await parsed(post, SliceAnswer)
    expect(place).toBe(`/v1/results/r${job.id}/slice/${answer.hash}`)
    const get = await acme.ask(place)
    expect([get.status, get.headers.get('cache-control')]).toEqual([200, 'private, max-age=31536000, immutable'])
    expect(await get.json()).toEqual(answer)
    const csv = await acme.ask(`/v1/jobs/${job.id}/slice`, { body: question, headers: { accept: 'text/csv' } })
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    const text = await csv.text()
    expect(text).toBe('id,tag\n7,Ä\n6,100%_x\n')
    expect(csv.headers.get('content-location')).toBe(`${place}?format=csv`)
    // One address, two forms: whoever keeps one of them must not answer with it for the other.
    expect(get.headers.get('vary')).toBe('Authorization, Accept')
    for (const [accept, type] of [
      ['text/csv, */*', 'text/csv; charset=utf-8'],
      ['application/json, text/csv;q=0.5', 'application/json'],
      ['text/csv; q=0, */*', 'application/json'],
      ['application/json;q=0.1, text/csv', 'text/csv; charset=utf-8'],
    ] as const)
      expect((await acme.ask(place, { headers: { accept } })).headers.get('content-type'), accept).toBe(type)
    expect(await (await acme.ask(`${place}?format=csv`)).text()).toBe(text)
    expect((await acme.ask(place, { headers: { 'if-none-match': get.headers.get('etag') ?? '' } })).status).toBe(304)
    for (const path of [place, `${place.slice(0, -1)}${place.endsWith('0') ? '1' : '0'}`])
      expect(await problemOf(await other.ask(path))).toMatchObject({ code: 'not_found' })
  }
  expect(await problemOf(await acme.ask(`/v1/results/r${small.id}/slice/${'0'.repeat(32)}`))).toMatchObject({ code: 'not_found' })
})

test('requests of one meaning have one hash', async () => {
  const hash = async (question: unknown): Promise<string> => (await acme.slice(small.id, question)).hash
  const one = await hash({
    where: [
      { col: 'id', op: 'between', value: [1, 3] },
      { col: 'tag', op: 'in', value: ['a'] },
    ],
    limit: 1_000,
  })
  const two = await hash({
    where: [
      { col: 'tag', op: '=', value: 'a' },
      { col: 'id', op: '<=', value: '3' },
      { col: 'id', op: '>=', value: 1 },
    ],
    offset: 0,
  })
  expect(two).toBe(one)
  expect(await hash({ limit: 999 })).not.toBe(one)
})

test('one SELECT over "result" is answered, by its columns’ own types', async () => {
  for (const job of [small, large]) {
    const sql = `SELECT tag, count(*) AS n, sum(big)::HUGEINT AS s, [max(price)] AS l, 'x' AS "select", 1 AS "a""b" FROM result WHERE id IN (1, 2, 5) GROUP BY tag ORDER BY tag`
    const answer = await acme.slice(job.id, { sql })
    expect(answer.columns.map(({ name }) => name)).toEqual(['tag', 'n', 's', 'l', 'select', 'a"b'])
    expect(answer.rows.map(([tag, n]) => [tag, n])).toEqual([
      ['a', '1'],
      ['b', '1'],
      [null, '1'],
    ])
    expect(answer.rows[0]?.slice(3)).toEqual([['1.50'], 'x', 1])
  }
})

test('an own SELECT that answers anew has another tag, and one that does not keeps it', async () => {
  const tags = async (sql: string): Promise<(string | null)[]> => {
    const place = (await acme.ask(`/v1/jobs/${large.id}/slice`, { body: { sql } })).headers.get('content-location') ?? ''
    return Promise.all([1, 2].map(async () => (await acme.ask(place)).headers.get('etag')))
  }
  const [one, other] = await tags('SELECT uuid() AS u')
  expect(one).not.toBe(other)
  const [same, again] = await tags('SELECT count(*) AS n FROM result')
  expect([same, same === again]).toEqual([expect.stringMatching(/^"[0-9a-z-]+-json"$/), true])
})

test('what a node answers is tagged by its text: a sum of doubles has other last digits each time', async () => {
  const body = { group: ['day'], select: ['day', { fn: 'sum', col: 'ratio' }] }
  const place = (await acme.ask(`/v1/jobs/${large.id}/slice`, { body })).headers.get('content-location') ?? ''
  for (const [address, form] of [
    [place, 'json'],
    [`${place}?format=csv`, 'csv'],
  ] as const) {
    const answer = await acme.ask(address)
    const tag = tagOf(await answer.text()).replace(/^W\/"|"$/g, '')
    expect(answer.headers.get('etag')).toBe(`"${tag}-${form}"`)
  }
})

test('an error of execution says what is wrong, and nothing of the statement around or of settings', async () => {
  const answer = await acme.ask(`/v1/jobs/${large.id}/slice`, { body: { sql: "SELECT (tag || 'x')::INT AS n FROM result" } })
  const { code, detail } = await problemOf(answer)
  expect([code, detail]).toEqual(['slice_failed', expect.stringMatching(/^Conversion Error: Could not convert string '.*' to INT32$/)])
})

test('what does not fit the result is refused with its place and a remedy', async () => {
  const refused = async (body: unknown, job = small): Promise<{ code: string; detail: string }> =>
    problemOf(await acme.ask(`/v1/jobs/${job.id}/slice`, { body }))
  expect(await refused({ select: ['Tag'] })).toMatchObject({ code: 'invalid_slice', detail: expect.stringContaining('did you mean "tag"') })
  expect(await refused({ where: [{ col: 'id', op: '=', value: 'one' }] })).toMatchObject({ code: 'invalid_slice' })
  expect(await refused({ where: [{ col: 'big', op: '=', value: '9223372036854775808' }] })).toMatchObject({ code: 'invalid_slice' })
  expect(await refused({ where: [{ col: 'id', op: 'like', value: 'x' }] })).toMatchObject({ code: 'invalid_body' })
  expect(await refused({ select: ['id', { fn: 'count' }] })).toMatchObject({ code: 'invalid_slice' })
  expect(await refused({ order: ['none'] })).toMatchObject({ code: 'invalid_slice' })
  expect(await refused({ offset: -1 })).toMatchObject({ code: 'invalid_body' })
  expect(await refused({ sql: 'SELECT 1', where: [] })).toMatchObject({ code: 'invalid_body' })
  expect(await refused({ sql: 'SELECT nonsense FROM result' })).toMatchObject({
    code: expect.stringMatching(/^(slice_failed|invalid_slice)$/),
  })
  for (const sql of [
    'DROP TABLE result',
    'SELECT 1; SELECT 2',
    "SELECT * FROM read_csv('/etc/passwd')",
    'SET threads = 1',
    "COPY result TO '/tmp/x'",
    'SELECT FROM',
  ])
    expect(await refused({ sql }), sql).toMatchObject({ code: expect.stringMatching(/^(slice_failed|invalid_slice)$/) })
  expect(await problemOf(await acme.ask(`/v1/jobs/${small.id}/slice?format=xml`, { body: {} }))).toMatchObject({
    code: 'invalid_parameter',
  })
})

test('bodies are bounded, typed and parsed before anything is asked', async () => {
  const post = (raw: string, type = 'application/json'): Promise<Response> =>
    acme.ask(`/v1/jobs/${small.id}/slice`, { raw, headers: { 'content-type': type } })
  const filters = JSON.stringify({ where: Array.from({ length: 101 }, () => ({ col: 'id', op: 'not_null' })) })
  expect(await problemOf(await post(filters))).toMatchObject({ code: 'invalid_body' })
  expect(await problemOf(await post(JSON.stringify({ sql: `SELECT 1 AS n -- ${'x'.repeat(100_000)}` })))).toMatchObject({
    code: 'invalid_body',
  })
  expect(await problemOf(await post(' '.repeat(1024 * 1024 + 1)))).toMatchObject({ code: 'body_too_large', status: 413 })
  expect(await problemOf(await post('{}', 'application/xml'))).toMatchObject({ code: 'unsupported_media_type', status: 415 })
  expect(await problemOf(await post('{"limit": 1'))).toMatchObject({ code: 'invalid_json', status: 400 })
  const strict = await problemOf(await post('{"limt": 1}'))
  expect([strict.code, strict.detail]).toEqual(['invalid_body', expect.stringContaining('limt')])
})

test('a POST is answered whole, whatever ranges and conditions come with it', async () => {
  const question = { select: ['id'], order: ['id'], limit: 2 }
  const plain = await acme.ask(`/v1/jobs/${small.id}/slice`, { body: question })
  const headers = { range: 'bytes=0-3', 'if-none-match': plain.headers.get('etag') ?? '' }
  const odd = await acme.ask(`/v1/jobs/${small.id}/slice`, { body: question, headers })
  expect([odd.status, await odd.text()]).toEqual([200, await plain.text()])
})

/** What a question must not do: leave the result, the process or the read. */
const ATTACKS = [
  "SELECT * FROM read_text('/etc/passwd')",
  "SELECT * FROM read_parquet('/tmp/**/*.parquet')",
  "SELECT * FROM '/etc/passwd'",
  "SELECT * FROM glob('/**')",
  "SELECT * FROM read_csv('http://127.0.0.1:1/x')",
  "SELECT getenv('HOME') FROM result",
  "SELECT current_setting('temp_directory') FROM result",
  'SELECT * FROM duckdb_settings()',
  'SELECT * FROM duckdb_databases()',
  'SELECT * FROM information_schema.tables',
  'SELECT * FROM sqlite_master',
  "ATTACH '/tmp/x.duckdb'",
  'INSTALL httpfs',
  'LOAD httpfs',
  "COPY (SELECT 1) TO '/tmp/scarab-attack'",
  'SET enable_external_access = true',
  'PRAGMA database_list',
  'CREATE TABLE mine AS SELECT 1',
  'DELETE FROM result',
  "EXPORT DATABASE '/tmp/scarab-attack'",
  'WITH result AS (SELECT 1) SELECT 1; DROP TABLE result',
  "SELECT * FROM query('SELECT 1')",
  'SELECT * FROM another_result',
  'CALL pragma_version()',
  'SELECT * FROM (SELECT * FROM other.main.result)',
]
test('a question cannot leave its result, whatever it asks', async () => {
  for (const sql of ATTACKS)
    for (const job of [small, large])
      expect(await problemOf(await acme.ask(`/v1/jobs/${job.id}/slice`, { body: { sql } })), sql).toMatchObject({
        code: expect.stringMatching(/^(slice_failed|invalid_slice)$/),
        status: 422,
      })
  expect((await acme.slice(large.id, { sql: 'SELECT count(*) AS n FROM result' })).rows).toEqual([['60007']])
})

test('without a node small results are still sliced, and a question that needs one says so', async () => {
  const lone = await startWorld({ tasks: TASKS, node: false })
  try {
    // A node of its own runs the jobs, and then leaves.
    const node = await lone.system.startNode({ name: 'guest' })
    await lone.system.ready()
    const guest = await lone.as('acme')
    const [near, far] = await Promise.all([guest.run('small'), guest.run('large')])
    await guest.published(far.id)
    await node.stop(1)
    await eventually(async () =>
      expect(await problemOf(await guest.ask(`/v1/jobs/${far.id}/slice`, { body: { sql: 'SELECT 1 AS n FROM result' } }))).toMatchObject({
        code: 'no_node',
        status: 503,
      }),
    )
    expect((await guest.slice(near.id, { where: [{ col: 'id', op: '>', value: 5 }], select: ['id'], order: ['-id'] })).rows).toEqual([
      [7],
      [6],
    ])
    expect((await guest.slice(far.id, { select: [{ fn: 'count' }] })).rows).toEqual([['60007']])
    expect((await guest.slice(far.id, { limit: 2, select: ['id'] })).rows).toEqual([[1], [2]])
    const refused = await guest.ask(`/v1/jobs/${far.id}/slice`, { body: { order: ['-id'] } })
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await problemOf(refused)).toMatchObject({ code: 'no_node' })
    expect(await problemOf(await guest.ask(`/v1/jobs/${far.id}/result.csv`))).toMatchObject({ code: 'no_node' })
    await eventually(async () => expect((await fetch(`${lone.system.origin}/readyz`)).status).toBe(503))
  } finally {
    await lone.end()
  }
})

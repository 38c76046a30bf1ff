import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import type { Job } from '../../edge/contract/jobs.ts'
import { eventually } from '../support/patience.ts'
import { type Client, parsed } from './support/client.ts'
import { readFamily, rowsPerJob } from './support/iceberg.ts'
import { startWorld, type World } from './support/world.ts'

const task = (name: string, sql: string, more = ''): string => `-- name: ${name}\n-- db: duckdb\n${more}${sql}\n`
const ORDERS = '-- result_table: shop.orders\n'
const TASKS = {
  'rows.sql': task(
    'rows',
    "SELECT i AS n, 'row ' || i AS label, (i / 4)::DECIMAL(18,2) AS amount FROM range($1::INT) r(i) ORDER BY n",
    '-- param: count int\n',
  ),
  'days.sql': task(
    'days',
    "SELECT DATE '2024-02-28' + (i % 3)::INT AS run_date, i AS n FROM range(9) r(i) ORDER BY n",
    '-- partition_by: run_date\n',
  ),
  'orders-1.sql': task('orders_1', 'SELECT 1::INT AS id, 10::INT AS total', ORDERS),
  'orders-2.sql': task('orders_2', "SELECT 'later' AS note, 2::INT AS id, 20::INT AS total", ORDERS),
  'orders-3.sql': task('orders_3', 'SELECT 3::INT AS id, 9223372036854775807 AS total', ORDERS),
  'orders-drift.sql': task('orders_drift', "SELECT 4::INT AS id, 'forty' AS total", ORDERS),
  'orders-drift-raw.sql': task('orders_drift_raw', "SELECT 5::INT AS id, DATE '2024-01-01' AS note", `${ORDERS}-- raw: 1\n`),
}

let world: World
let acme: Client
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
})
afterAll(() => world.end())

const done = async (name: string, args?: unknown): Promise<Job> => {
  const job = await acme.run(name, args)
  expect(job.error).toBeNull()
  expect((await acme.published(job.id)).at(-1)?.data).toMatchObject({ publication: 'published' })
  return job
}

const Metadata = z.looseObject({
  'format-version': z.number(),
  location: z.string(),
  'current-schema-id': z.number(),
  schemas: z.array(
    z.looseObject({
      'schema-id': z.number(),
      fields: z.array(z.object({ id: z.number(), name: z.string(), type: z.unknown(), required: z.boolean() })),
    }),
  ),
  'partition-specs': z.array(z.object({ 'spec-id': z.number(), fields: z.array(z.looseObject({ name: z.string() })) })),
  properties: z.record(z.string(), z.string()),
  snapshots: z.array(z.looseObject({ summary: z.record(z.string(), z.string()) })),
})
const metadataOf = async (family: string): Promise<z.infer<typeof Metadata>> => {
  const [namespace, table] = family.split('.')
  const answer = await acme.ask(`/iceberg/v1/acme/namespaces/${namespace}/tables/${table}`)
  expect(answer.status).toBe(200)
  return (await parsed(answer, z.object({ metadata: Metadata }))).metadata
}

test('an independent reader finds exactly the rows of the jobs, small and large', async () => {
  const counts = [3, 0, 40_000, 250]
  const jobs = await Promise.all(counts.map((count) => done('rows', [count])))
  expect(await rowsPerJob(acme, 'acme', 'reports.rows')).toEqual(
    new Map(jobs.flatMap(({ id }, at): [string, number][] => (counts[at] ? [[id, counts[at]]] : []))),
  )
  const rows = (await readFamily(acme, 'acme', 'reports.rows')).filter(({ job_id }) => job_id === jobs[2]?.id)
  expect(rows.map(({ n }) => Number(n)).sort((a, b) => a - b)).toEqual(Array.from({ length: 40_000 }, (_, n) => n))
  for (const row of rows.slice(0, 50))
    expect(row).toMatchObject({
      label: `row ${row.n}`,
      amount: Math.floor(Number(row.n) * 25) / 100,
      tenant_id: 'acme',
      run_date: new Date(jobs[2]?.run_date ?? ''),
    })
})

test('a deleted job’s rows leave the table, and only they', async () => {
  const [kept, doomed, early] = await Promise.all([done('rows', [5]), done('rows', [20_000]), acme.run('rows', [7])])
  const before = await rowsPerJob(acme, 'acme', 'reports.rows')
  expect([before.get(kept.id), before.get(doomed.id)]).toEqual([5, 20_000])
  // One that is deleted while its publication may still be under way.
  for (const { id } of [doomed, early]) expect((await acme.ask(`/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(204)
  const last = await done('rows', [1])
  await eventually(async () => {
    const now = await rowsPerJob(acme, 'acme', 'reports.rows')
    expect([now.get(kept.id), now.get(doomed.id), now.get(early.id), now.get(last.id)]).toEqual([5, undefined, undefined, 1])
  })
  const wanted = new Map([...before].filter(([id]) => id !== doomed.id && id !== early.id).concat([[last.id, 1]]))
  expect(await rowsPerJob(acme, 'acme', 'reports.rows')).toEqual(wanted)
  const { snapshots } = await metadataOf('reports.rows')
  expect(snapshots.at(-1)?.summary.operation).toMatch(/^(delete|append|overwrite)$/)
  expect(snapshots.some(({ summary }) => summary.operation === 'delete')).toBe(true)
})

test('a family has both partition specs, its system columns and its protection from the first snapshot on', async () => {
  const job = await done('days')
  const metadata = await metadataOf('reports.days')
  expect(metadata['format-version']).toBe(2)
  expect(metadata.location).toBe('s3://lake/t/acme/reports.days')
  expect(metadata.properties['gc.enabled']).toBe('false')
  expect(metadata['partition-specs'].map(({ fields }) => fields.map(({ name }) => name))).toContainEqual(['tenant_id', 'run_date'])
  const schema = metadata.schemas.find((one) => one['schema-id'] === metadata['current-schema-id'])
  expect(schema?.fields.slice(0, 3)).toEqual([
    { id: 1, name: 'tenant_id', type: 'string', required: false },
    { id: 2, name: 'job_id', type: 'string', required: false },
    { id: 3, name: 'run_date', type: 'date', required: false },
  ])
  const rows = await readFamily(acme, 'acme', 'reports.days')
  expect(
    rows
      .map(({ n, run_date }) => [Number(n), run_date instanceof Date ? run_date.toISOString().slice(0, 10) : null])
      .sort(([a], [b]) => Number(a) - Number(b)),
  ).toEqual(Array.from({ length: 9 }, (_, n) => [n, ['2024-02-28', '2024-02-29', '2024-03-01'][n % 3]]))
  expect(metadata.snapshots.at(-1)?.summary).toMatchObject({ operation: 'append', 'added-records': '9' })
  expect(JSON.stringify(metadata.snapshots.at(-1)?.summary)).toContain(job.id)
})

test('a family grows by columns and widens types; older rows read as NULL', async () => {
  for (const name of ['orders_1', 'orders_2', 'orders_3', 'orders_1']) await done(name)
  const rows = await readFamily(acme, 'acme', 'shop.orders')
  const plain = rows.map(({ id, total, note }) => [Number(id), String(total), note ?? null]).sort()
  expect(plain).toEqual([
    [1, '10', null],
    [1, '10', null],
    [2, '20', 'later'],
    [3, '9223372036854775807', null],
  ])
  const metadata = await metadataOf('shop.orders')
  const current = metadata.schemas.find((one) => one['schema-id'] === metadata['current-schema-id'])
  expect(current?.fields.slice(3)).toEqual([
    { id: 4, name: 'id', type: 'int', required: false },
    { id: 5, name: 'total', type: 'long', required: false },
    { id: 6, name: 'note', type: 'string', required: false },
  ])
})

test.each([
  ['orders_drift', /"total" is long in this family, but the query yields string/],
  ['orders_drift_raw', /"note" is string in this family, but the query yields date/],
])('a query that yields another type fails its job, names the column and the remedy: %s', async (name, message) => {
  const before = await readFamily(acme, 'acme', 'shop.orders')
  const job = await acme.run(name)
  expect(job).toMatchObject({ state: 'failed', publication: 'none', error: { code: 'schema_drift' } })
  expect(job.error?.message).toMatch(message)
  expect(job.error?.message).toMatch(/cast it in the query, give it another name, or give the task another result_table/)
  expect((await readFamily(acme, 'acme', 'shop.orders')).length).toBe(before.length)
})

test('the catalog answers readers and takes no commits', async () => {
  const get = async (path: string): Promise<unknown> => (await acme.ask(`/iceberg/v1/${path}`)).json()
  expect(await get('config?warehouse=anything')).toMatchObject({ overrides: { prefix: 'acme' } })
  expect(await get('acme/namespaces')).toEqual({ namespaces: [['reports'], ['shop']] })
  expect(await get('acme/namespaces/shop')).toEqual({ namespace: ['shop'], properties: {} })
  expect(await get('acme/namespaces/shop/tables')).toEqual({ identifiers: [{ namespace: ['shop'], name: 'orders' }] })
  expect((await acme.ask('/iceberg/v1/acme/namespaces/shop/tables/orders', { method: 'HEAD' })).status).toBe(204)
  expect((await acme.ask('/iceberg/v1/acme/namespaces/shop/tables/none', { method: 'HEAD' })).status).toBe(404)
  expect(await get('acme/namespaces/shop/tables/none')).toMatchObject({ error: { type: 'NoSuchTableException', code: 404 } })
  expect(await get('acme/namespaces/shop/tables/orders/credentials')).toMatchObject({
    'storage-credentials': [{ prefix: 's3://lake/t/acme/shop.orders/', config: { 's3.access-key-id': expect.any(String) } }],
  })
  for (const [method, path] of [
    ['POST', 'acme/namespaces/shop/tables/orders'],
    ['POST', 'acme/namespaces/shop/tables'],
    ['POST', 'acme/namespaces'],
    ['POST', 'acme/transactions/commit'],
    ['DELETE', 'acme/namespaces/shop/tables/orders'],
    ['DELETE', 'acme/namespaces/shop'],
  ] as const)
    expect(
      (await acme.ask(`/iceberg/v1/${path}`, { method, ...(method === 'POST' ? { body: {} } : {}) })).status,
      `${method} ${path}`,
    ).toBe(403)
})

test('a family that never got a commit is no table yet', async () => {
  const fresh = await world.as('fresh')
  expect(await (await fresh.ask('/iceberg/v1/fresh/namespaces')).json()).toEqual({ namespaces: [] })
  expect((await fresh.ask('/iceberg/v1/fresh/namespaces/shop/tables/orders')).status).toBe(404)
})

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { icebergRead } from 'icebird'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Column, type ColumnType, type ResultSchema, SYSTEM_COLUMNS } from '../contract/columns.ts'
import type { JobId } from '../contract/ids.ts'
import type { ColumnStats, NodeFile } from '../contract/manifests.ts'
import { checkFooter } from '../iceberg/footer.ts'
import { keyOf } from '../iceberg/location.ts'
import { nodeStore } from '../storage/node-store.ts'
import { TableCore } from './core.ts'
import { type FakeOutside, fakeOutside } from './fake-outside.ts'
import { DAY, family, jobNumber, publication, tenant } from './fake-results.ts'
import { drive } from './perform.ts'

/** An independent reader (icebird) reads what the committer wrote, from real Parquet that DuckDB wrote. */
let connection: DuckDBConnection
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'scarab-table-'))
  connection = await (await DuckDBInstance.create()).connect()
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true, force: true })
  vi.unstubAllGlobals()
})

const fieldIds = (name: string, id: number | undefined, type: ColumnType): string => {
  const quoted = `"${name.replaceAll('"', '""')}"`
  if (typeof type === 'string') return `${quoted}: ${id}`
  const own = `__duckdb_field_id: ${id}`
  if (type.type === 'struct')
    return `${quoted}: {${[own, ...type.fields.map((field) => fieldIds(field.name, field.id, field.type))].join(', ')}}`
  if (type.type === 'list') return `${quoted}: {${own}, ${fieldIds('element', type['element-id'], type.element)}}`
  return `${quoted}: {${own}, ${fieldIds('key', type['key-id'], type.key)}, ${fieldIds('value', type['value-id'], type.value)}}`
}

let written = 0
/** Runs a query and answers its file as a node would: Parquet with every field id, and its statistics. */
const produce = async (schema: ResultSchema, sql: string, job: JobId): Promise<{ file: NodeFile; parquet: Uint8Array }> => {
  const added: Record<string, string> = { tenant_id: `'${tenant}'`, job_id: `'${job}'`, run_date: `DATE '${DAY}'` }
  const columns: Column[] = [...schema.columns, ...SYSTEM_COLUMNS.filter(({ name }) => schema.added.includes(name))]
  const path = join(folder, `${written++}.parquet`)
  const select = ['*', ...schema.added.map((name) => `${added[name]} AS ${name}`)].join(', ')
  const ids = columns.map(({ name, id, type }) => fieldIds(name, id, type)).join(', ')
  const reader = await connection.runAndReadAll(
    `COPY (SELECT ${select} FROM (${sql})) TO '${path}' (FORMAT parquet, COMPRESSION zstd, FIELD_IDS {${ids}}, RETURN_STATS true)`,
  )
  const [row] = reader.getRowObjectsJson()
  const stats = new Map<string, Map<string, string>>()
  const entries = (value: unknown): { key: string; value: unknown }[] => value as { key: string; value: unknown }[]
  for (const { key, value } of entries(row?.column_statistics))
    stats.set(key, new Map(entries(value).map((pair) => [pair.key, String(pair.value)])))
  const rows = Number(row?.count)
  const parquet = new Uint8Array(readFileSync(path))
  const checked = await checkFooter(async (offset, length) => parquet.subarray(offset, offset + length), parquet.length, schema, rows)
  if (!checked.ok) throw new Error(checked.detail)
  return {
    parquet,
    file: {
      n: 0,
      bytes: parquet.length,
      sha256: '0'.repeat(64),
      rows,
      run_date: DAY,
      split_offsets: checked.splitOffsets,
      stats: columns.flatMap(({ name, id, type }): ColumnStats[] => {
        const found = stats.get(`"${name}"`)
        if (id === undefined || typeof type !== 'string' || !found) return []
        return [
          {
            field: id,
            bytes: Number(found.get('column_size_bytes')),
            values: Number(found.get('num_values')),
            nulls: Number(found.get('null_count') ?? 0),
            nans: null,
            min: found.get('min') ?? null,
            max: found.get('max') ?? null,
          },
        ]
      }),
    },
  }
}

interface World {
  core: TableCore
  outside: FakeOutside
  run: () => Promise<void>
  ensure: (columns: Column[], partitionBy?: string[]) => ResultSchema
  publish: (n: number, schema: ResultSchema, sql: string) => Promise<void>
  rows: () => Promise<Record<string, unknown>[]>
}

const world = (): World => {
  let now = 1_700_000_000_000
  let id = 0x7000_0000_0000_0001n
  // icebird rounds ids to doubles: neighbours would look alike to it.
  const randomId = (): bigint => (id += 0x10_0000n)
  const outside = fakeOutside(() => now, nodeStore())
  const core = new TableCore({ store: nodeStore(), clock: () => now, randomId, uuid: () => crypto.randomUUID(), bucket: 'lake' })
  vi.stubGlobal('fetch', async (input: string | URL, init?: RequestInit) => {
    const key = new URL(String(input)).pathname.slice(1)
    const bytes = outside.bytes.get(key)
    if (!bytes) return new Response('missing', { status: 404 })
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '')
    const body = range ? bytes.slice(Number(range[1]), Number(range[2]) + 1) : bytes.slice()
    return new Response(init?.method === 'HEAD' ? null : body, {
      status: range ? 206 : 200,
      headers: { 'content-length': String(body.length), 'accept-ranges': 'bytes' },
    })
  })
  return {
    core,
    outside,
    run: async () => {
      now += 1_000
      await drive(core, outside)
    },
    ensure: (columns, partitionBy) => {
      const answer = core.ensureSchema({ tenant, family, columns, partition_by: partitionBy ?? null })
      if (!answer.ok) throw new Error(answer.detail)
      return answer.schema
    },
    publish: async (n, schema, sql) => {
      const job = jobNumber(n)
      const { file, parquet } = await produce(schema, sql, job)
      core.publish([publication({ job, schema, files: [file], parquet })])
    },
    rows: async () => {
      const metadata = outside.bytes.get(keyOf(outside.pointers.pointer(family) ?? ''))
      return icebergRead({
        tableUrl: 'https://lake.s3.amazonaws.com/t',
        metadata: JSON.parse(new TextDecoder().decode(metadata)),
      }) as Promise<Record<string, unknown>[]>
    },
  }
}

const COLUMNS: Column[] = [
  { name: 'id', type: 'int' },
  { name: 'name', type: 'string' },
  { name: 'amount', type: 'decimal(12,2)' },
]
const QUERY = "SELECT range::INTEGER AS id, 'name ' || range AS name, (range / 4)::DECIMAL(12,2) AS amount FROM range(100)"

test('icebird reads the rows of two jobs from one snapshot, each with its system columns', async () => {
  const { ensure, publish, run, rows } = world()
  const schema = ensure(COLUMNS)
  await publish(1, schema, QUERY)
  await publish(2, schema, QUERY)
  await run()
  const found = await rows()
  expect(found).toHaveLength(200)
  expect(found.filter((row) => row.job_id === jobNumber(2))).toHaveLength(100)
  expect(found[5]).toMatchObject({ id: 5, name: 'name 5', amount: 1.25, tenant_id: 'acme' })
})

test('icebird no longer finds a withdrawn job, and finds all others', async () => {
  const { core, ensure, publish, run, rows } = world()
  const schema = ensure(COLUMNS)
  for (const n of [1, 2, 3]) await publish(n, schema, QUERY)
  await run()
  core.withdraw(tenant, family, [jobNumber(2)])
  await run()
  const jobs = new Set((await rows()).map((row) => row.job_id))
  expect([...jobs].sort()).toEqual([jobNumber(1), jobNumber(3)])
})

test('icebird reads old and new files after a column was added and a type was widened', async () => {
  const { ensure, publish, run, rows } = world()
  await publish(1, ensure(COLUMNS), QUERY)
  await run()
  const wider = ensure([{ name: 'id', type: 'long' }, COLUMNS[1] as Column, COLUMNS[2] as Column, { name: 'note', type: 'string' }])
  await publish(2, wider, `SELECT id::BIGINT AS id, name, amount, 'n' AS note FROM (${QUERY})`)
  await run()
  const found = await rows()
  expect(found).toHaveLength(200)
  expect(found.filter((row) => row.note === 'n')).toHaveLength(100)
  expect(found.find((row) => row.job_id === jobNumber(2) && row.name === 'name 7')?.id).toBe(7n)
})

test('icebird reads a family whose task partitions by its own column and leaves out job_id', async () => {
  const { core, outside, ensure, publish, run, rows } = world()
  const schema = ensure([...COLUMNS, { name: 'region', type: 'string' }], ['tenant_id', 'region'])
  await publish(1, schema, `SELECT *, 'north' AS region FROM (${QUERY})`)
  await publish(2, schema, `SELECT *, 'south' AS region FROM (${QUERY})`)
  await publish(3, schema, `SELECT *, CASE WHEN id < 50 THEN 'east' ELSE 'west' END AS region FROM (${QUERY})`)
  await run()
  expect(await rows()).toHaveLength(300)
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  expect((await rows()).filter((row) => row.region === 'north')).toHaveLength(0)
  expect(await rows()).toHaveLength(200)
  expect(outside.logs).toEqual([])
})

test('icebird reads the same rows after many small manifests were joined', async () => {
  const { ensure, publish, run, rows, outside } = world()
  const schema = ensure(COLUMNS)
  for (let n = 0; n < 65; n++) {
    await publish(n, schema, `${QUERY} LIMIT 3`)
    await run()
  }
  expect(outside.logs).toEqual([])
  const metadata = JSON.parse(new TextDecoder().decode(outside.bytes.get(keyOf(outside.pointers.pointer(family) ?? ''))))
  expect(metadata.snapshots.some((snapshot: { summary: { operation: string } }) => snapshot.summary.operation === 'replace')).toBe(true)
  expect(await rows()).toHaveLength(195)
})

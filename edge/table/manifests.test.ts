import { expect, test } from 'vitest'
import { MAX_MANIFESTS, MAX_MERGED_ENTRIES } from '../iceberg/commit.ts'
import { nodeStore } from '../storage/node-store.ts'
import { TableCore } from './core.ts'
import { fakeOutside } from './fake-outside.ts'
import { fakeFile, family, jobNumber, publication, tenant } from './fake-results.ts'
import { drive } from './perform.ts'
import { readTable, type TableContents } from './read-table.ts'

/** How many manifests a commit reads and writes in a table that has many. */
const world = () => {
  let now = Date.parse('2026-11-20T00:00:00Z')
  let id = 0x7000_0000_0000_0001n
  const outside = fakeOutside(() => now, nodeStore())
  const core = new TableCore({
    store: nodeStore(),
    clock: () => now,
    randomId: () => id++,
    uuid: () => crypto.randomUUID(),
    bucket: 'lake',
  })
  const read: string[] = []
  outside.before = (request) => {
    if (request.startsWith('get ') && !request.includes('/snap-')) read.push(request)
  }
  const table = async (): Promise<TableContents> => {
    const contents = await readTable({ get: async (key) => outside.bytes.get(key) ?? null }, outside.pointers, family)
    if (!contents) throw new Error('the table was not committed')
    return contents
  }
  const run = async (afterMs = 1_000): Promise<void> => {
    now += afterMs
    await drive(core, outside)
  }
  /** One commit with one job of so many files. */
  const publish = async (job: number, files = 1, by: string | null = null, more = 0): Promise<void> => {
    const columns = [by ?? 'x', ...Array.from({ length: more }, (_, n) => `more_${n}`)].map((name) => ({ name, type: 'int' as const }))
    const answer = core.ensureSchema({ tenant, family, columns, partition_by: by === null ? null : [by] })
    if (!answer.ok) throw new Error(answer.detail)
    const { schema } = answer
    const day = `2026-11-${String(1 + (job % 28)).padStart(2, '0')}`
    const made = Array.from({ length: files }, (_, n) => fakeFile(schema, n, 10, day))
    for (const file of made) for (const stats of file.stats) if (stats.field > 3) Object.assign(stats, { min: '1', max: '1' })
    core.publish([publication({ job: jobNumber(job), schema, files: made })])
    await run()
  }
  return { core, outside, read, table, run, publish }
}

test('a withdrawal reads only the manifests that can hold the job', async () => {
  const { core, read, table, run, publish } = world()
  for (let n = 0; n < 20; n++) await publish(n)
  read.length = 0
  core.withdraw(tenant, family, [jobNumber(7), jobNumber(12)])
  await run()
  expect(read).toHaveLength(2)
  const { live, manifests } = await table()
  expect(live).toHaveLength(18)
  expect(manifests.filter(({ files }) => files.deleted > 0)).toHaveLength(2)
})

test('manifests are joined group by group: none gets too large, none is read for nothing, and all files stay', async () => {
  const { read, table, run, publish } = world()
  const files = 40
  // Alone in its spec: there is nothing to join it with, and it must not be lost.
  await publish(999, 1, 'lone')
  for (let n = 0; n < MAX_MANIFESTS; n++) await publish(n, files)
  await run()
  const { live, manifests, metadata } = await table()
  const total = MAX_MANIFESTS * files + 1
  expect(new Set(live.map(({ file }) => file.path)).size).toBe(total)
  expect(metadata.snapshots.at(-1)?.summary.operation).toBe('replace')
  expect(manifests).toHaveLength(Math.ceil(total / MAX_MERGED_ENTRIES) + 1)
  for (const { files: count } of manifests) expect(count.existing + count.added).toBeLessThanOrEqual(MAX_MERGED_ENTRIES)
  // Those that are full are not read again when the next ones are joined.
  const full = manifests.filter(({ files: count }) => count.existing > MAX_MERGED_ENTRIES / 2).map(({ path }) => path)
  expect(full.length).toBeGreaterThan(0)
  read.length = 0
  for (let n = 0; n <= MAX_MANIFESTS; n++) await publish(1_000 + n)
  expect((await table()).metadata.snapshots.filter(({ summary }) => summary.operation === 'replace')).toHaveLength(2)
  expect(full.filter((path) => read.some((request) => path.endsWith(request.slice('get '.length))))).toEqual([])
})

test('days stay together when manifests are joined, so that readers of one day skip the others', async () => {
  const { table, run, publish } = world()
  for (let n = 0; n <= MAX_MANIFESTS; n++) await publish(n, 40)
  await run()
  const dates = (await table()).manifests
    .map(({ partitions }) =>
      [partitions[2]?.lower, partitions[2]?.upper].map((bytes) =>
        bytes ? new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true) : 0,
      ),
    )
    .sort(([a = 0], [b = 0]) => a - b)
  for (const [at, [lower = 0]] of dates.entries()) if (at > 0) expect(lower).toBeGreaterThanOrEqual(dates[at - 1]?.[1] ?? 0)
})

test('manifests of many specs, of which none can be joined with another, are left alone', async () => {
  const { table, publish } = world()
  for (let n = 0; n <= MAX_MANIFESTS; n++) await publish(n, 1, `c${n}`)
  const { manifests, metadata } = await table()
  expect(manifests).toHaveLength(MAX_MANIFESTS + 1)
  expect(new Set(metadata.snapshots.map(({ summary }) => summary.operation))).toEqual(new Set(['append']))
})

test('in a wide table fewer files are joined, so that what is in memory together stays the same', async () => {
  const { table, run, publish } = world()
  for (let n = 0; n <= MAX_MANIFESTS; n++) await publish(n, 2, null, 246)
  await run()
  const { manifests, live, metadata } = await table()
  expect(metadata.snapshots.at(-1)?.summary.operation).toBe('replace')
  expect(live).toHaveLength(2 * (MAX_MANIFESTS + 1))
  expect(Math.max(...manifests.map(({ files }) => files.existing))).toBe(100)
})

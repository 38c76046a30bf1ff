import { beforeEach, expect, test } from 'vitest'
import type { ResultSchema } from '../contract/columns.ts'
import { dataKey } from '../contract/keys.ts'
import { keyOf } from '../iceberg/location.ts'
import { metadataText } from '../iceberg/metadata.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { Store } from '../storage/store.ts'
import { BACKSTOP_MS, GATHER_MAX_MS, GATHER_MS, RETRY_CAP_MS, TableCore } from './core.ts'
import { type FakeOutside, fakeOutside } from './fake-outside.ts'
import { DAY, fakeFile, family, jobNumber, publication, tenant } from './fake-results.ts'
import { HOLD_MS } from './garbage.ts'
import { MAX_BATCH_JOBS } from './intents.ts'
import { drive } from './perform.ts'
import { readTable, type TableContents } from './read-table.ts'

let now: number
let store: Store
let outside: FakeOutside
let core: TableCore
let schema: ResultSchema
let nextId: bigint

const start = (): TableCore =>
  new TableCore({ store, clock: () => now, randomId: () => nextId++, uuid: () => '00000000-0000-4000-8000-000000000001', bucket: 'lake' })

beforeEach(() => {
  now = 1_700_000_000_000
  nextId = 3937693507869937830n
  store = nodeStore()
  outside = fakeOutside(() => now, nodeStore())
  core = start()
  const answer = core.ensureSchema({ tenant, family, columns: [{ name: 'x', type: 'int' }], partition_by: null })
  if (!answer.ok) throw new Error(answer.detail)
  schema = answer.schema
})

const run = async (afterMs = 1_000): Promise<void> => {
  now += afterMs
  await drive(core, outside, { codec: 'null' })
}
const publish = (...numbers: number[]): unknown =>
  core.publish(numbers.map((n) => publication({ job: jobNumber(n), schema, files: [fakeFile(schema)] })))
const table = async (): Promise<TableContents> => {
  const contents = await readTable(outside.objects, outside.pointers, family)
  if (!contents) throw new Error('the family was never committed')
  return contents
}
const jobs = async (): Promise<string[]> => (await table()).live.map(({ file }) => file.path.split('/data/')[1]?.split('/')[0] ?? '').sort()
const told = (): string[] => outside.told.map(({ job, publication }) => `${job.slice(-2)} ${publication}`)

test('results that arrive together are appended by one snapshot, and the ledger is told its id', async () => {
  publish(1, 2)
  publish(3)
  await run()
  const { metadata, live } = await table()
  expect(metadata.snapshots).toHaveLength(1)
  expect(live).toHaveLength(3)
  expect(metadata.snapshots[0]?.summary).toMatchObject({
    operation: 'append',
    'job-ids': [1, 2, 3].map(jobNumber).join(','),
    'added-data-files': '3',
    'total-records': '30',
  })
  expect(told()).toEqual(['01 published', '02 published', '03 published'])
  expect(outside.told[0]?.snapshot).toBe('3937693507869937830')
})

test('nothing is committed before the gathering time is over', async () => {
  publish(1)
  await run(GATHER_MS - 1)
  expect(outside.pointers.pointer(family)).toBeNull()
  expect(core.nextDue()).toBe(now + 1)
  await run(1)
  expect(await jobs()).toEqual([jobNumber(1)])
})

test('while results keep coming the commit waits for a lull, but not for ever', async () => {
  const begun = now
  for (let n = 0; outside.pointers.pointer(family) === null; n++) {
    publish(n)
    await run(GATHER_MS / 2)
  }
  expect(now - begun).toBe(GATHER_MAX_MS)
  expect((await table()).metadata.snapshots).toHaveLength(1)
  expect(await jobs()).toHaveLength(GATHER_MAX_MS / (GATHER_MS / 2))
})

test('totals and sequence numbers run on from snapshot to snapshot', async () => {
  publish(1)
  await run()
  publish(2)
  await run()
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  const { metadata } = await table()
  expect(metadata.snapshots.map((one) => [one['sequence-number'], one.summary['total-records'], one.summary.operation])).toEqual([
    [1, '10', 'append'],
    [2, '20', 'append'],
    [3, '10', 'delete'],
  ])
  expect(metadata.snapshots.map((one) => one['parent-snapshot-id'])).toEqual([undefined, 3937693507869937830n, 3937693507869937831n])
  expect(metadata['last-sequence-number']).toBe(3)
  expect(metadata.refs.main).toMatchObject({ 'snapshot-id': 3937693507869937832n, type: 'branch' })
})

test('a job that is published again, by whomever, is appended once', async () => {
  publish(1)
  publish(1)
  await run()
  publish(1)
  core.publish([publication({ job: jobNumber(1), attempt: 2, schema, files: [fakeFile(schema)] })])
  await run()
  expect((await table()).metadata.snapshots).toHaveLength(1)
  expect(await jobs()).toEqual([jobNumber(1)])
  expect(told()).toEqual(['01 published', '01 published'])
})

test('an inline result becomes a file of its own at its key, before the snapshot names it', async () => {
  const parquet = new Uint8Array(1_000).fill(1)
  core.publish([publication({ job: jobNumber(1), schema, files: [fakeFile(schema)], parquet })])
  const requests: string[] = []
  outside.before = (request) => void requests.push(request)
  await run()
  const key = dataKey(tenant, family, jobNumber(1), 1, 0)
  expect(outside.bytes.get(key)).toEqual(parquet)
  expect(requests.indexOf(`put ${key}`)).toBeLessThan(requests.indexOf('commit'))
  expect((await table()).live[0]?.file.path).toBe(`s3://lake/${key}`)
})

test('a result without rows is published, and adds no file', async () => {
  const parquet = new Uint8Array(1_000)
  core.publish([publication({ job: jobNumber(1), schema, files: [fakeFile(schema, 0, 0)], parquet })])
  await run()
  expect(await jobs()).toEqual([])
  expect(told()).toEqual(['01 published'])
  expect(outside.bytes.has(dataKey(tenant, family, jobNumber(1), 1, 0))).toBe(true)
})

test('job and tenant stand in every file with full bounds, and in the partition', async () => {
  publish(1)
  await run()
  const { live, manifests } = await table()
  const text = (bytes: Uint8Array | null | undefined): string => new TextDecoder().decode(bytes ?? undefined)
  const file = live[0]?.file
  expect(file?.partition).toEqual([tenant, jobNumber(1), 20_777])
  expect(new Map(file?.lower).has(1)).toBe(true)
  expect(text(new Map(file?.lower).get(2))).toBe(jobNumber(1))
  expect(text(new Map(file?.upper).get(2))).toBe(jobNumber(1))
  expect(manifests[0]?.partitions.map(({ lower, upper }) => [text(lower).length, text(upper).length])).toEqual([
    [4, 4],
    [26, 26],
    [4, 4],
  ])
})

test('a withdrawn job leaves the table, is told of, and its files go when no kept snapshot names them', async () => {
  publish(1, 2)
  await run()
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  expect(await jobs()).toEqual([jobNumber(2)])
  expect(told()).toEqual(['01 published', '02 published', '01 withdrawn'])
  const key = dataKey(tenant, family, jobNumber(1), 1, 0)
  outside.bytes.set(key, new Uint8Array(1))
  await run(HOLD_MS * 2)
  expect(outside.bytes.has(key)).toBe(true)
  for (let n = 10; n < 112; n++) {
    publish(n)
    await run()
  }
  expect(outside.bytes.has(key)).toBe(true)
  await run(HOLD_MS)
  expect(outside.bytes.has(key)).toBe(false)
  expect(await jobs()).toHaveLength(103)
})

test('a withdrawal that comes first refuses the result whenever it arrives, and its files are garbage', async () => {
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  publish(1)
  outside.bytes.set(dataKey(tenant, family, jobNumber(1), 1, 0), new Uint8Array(1))
  await run()
  expect(outside.pointers.pointer(family)).toBeNull()
  expect(told()).toEqual(['01 withdrawn', '01 withdrawn'])
  await run(HOLD_MS)
  expect(outside.bytes.size).toBe(0)
})

test('a withdrawal of a waiting result takes it out of the queue', async () => {
  publish(1, 2)
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  expect(await jobs()).toEqual([jobNumber(2)])
  expect((await table()).metadata.snapshots).toHaveLength(1)
})

test('a withdrawal that meets a commit under way waits for it, then removes the job', async () => {
  publish(1)
  outside.before = (request) => {
    if (request === 'commit') core.withdraw(tenant, family, [jobNumber(1)])
  }
  await run()
  outside.before = () => {}
  await run()
  expect((await table()).metadata.snapshots.map((one) => one.summary.operation)).toEqual(['append', 'delete'])
  expect(await jobs()).toEqual([])
  expect(told()).toEqual(['01 withdrawn'])
})

test('the intent, with snapshot id and parent, stands in the database before the first write', async () => {
  publish(1)
  await run()
  publish(2)
  const seen: unknown[] = []
  outside.before = (request) => {
    if (seen.length === 0 && request.startsWith('put')) seen.push(...store.all('SELECT snapshot, parent, operation, tries FROM intent'))
  }
  await run()
  expect(seen).toEqual([{ snapshot: '3937693507869937831', parent: '3937693507869937830', operation: 'append', tries: 1 }])
})

test('a commit whose answer was lost is recognised by its snapshot id and not made twice', async () => {
  publish(1)
  let lost = 0
  outside.after = (request) => {
    if (request === 'commit' && lost++ === 0) throw new Error('connection reset')
  }
  await run()
  expect(told()).toEqual([])
  await run(RETRY_CAP_MS)
  expect((await table()).metadata.snapshots).toHaveLength(1)
  expect(lost).toBe(1)
  expect(told()).toEqual(['01 published'])
})

test('a failed commit is tried again with the same snapshot id and other objects', async () => {
  publish(1)
  let failures = 3
  outside.before = (request) => {
    if (request === 'commit' && failures-- > 0) throw new Error('unavailable')
  }
  for (let i = 0; i < 6; i++) await run(RETRY_CAP_MS)
  const { metadata } = await table()
  expect(metadata.snapshots.map((one) => one['snapshot-id'])).toEqual([3937693507869937830n])
  expect(metadata.snapshots[0]?.['manifest-list']).toMatch(/snap-3937693507869937830-4\.avro$/)
  await run(HOLD_MS)
  expect([...outside.bytes.keys()].filter((key) => /830-[123][-.]/.test(key))).toEqual([])
  expect(await jobs()).toEqual([jobNumber(1)])
})

test('the pointer that somebody else moved is read again, and the commit goes on top', async () => {
  publish(1)
  await run()
  const mine = (await table()).metadata
  const location = 's3://lake/t/acme/reports.pnl/metadata/00001-foreign.metadata.json'
  outside.bytes.set(keyOf(location), new TextEncoder().encode(metadataText({ ...mine, properties: { ...mine.properties, owner: 'them' } })))
  outside.pointers.commit({ family, expected: outside.pointers.pointer(family), location })
  publish(2)
  await run()
  const { metadata } = await table()
  expect(metadata.properties.owner).toBe('them')
  expect(metadata.snapshots).toHaveLength(2)
  expect(await jobs()).toEqual([jobNumber(1), jobNumber(2)])
})

test('the ledger is told again until it has understood', async () => {
  publish(1)
  let deaf = 2
  const tell = outside.tellLedger
  outside.tellLedger = async (owner, items) => (deaf-- > 0 ? { acknowledged: [] } : tell(owner, items))
  await run()
  expect(told()).toEqual([])
  for (let i = 0; i < 4; i++) await run(RETRY_CAP_MS)
  expect(told()).toEqual(['01 published'])
  await run(RETRY_CAP_MS)
  expect(told()).toEqual(['01 published'])
})

test('a withdrawal that arrives while the publication is being reported is reported after it', async () => {
  publish(1)
  const tell = outside.tellLedger
  outside.tellLedger = async (owner, items) => {
    core.withdraw(tenant, family, [jobNumber(1)])
    outside.tellLedger = tell
    return tell(owner, items)
  }
  await run()
  await run()
  expect(told()).toEqual(['01 published', '01 withdrawn'])
})

test('what is said anew while a report is under way is not taken as understood', async () => {
  const item = publication({ job: jobNumber(1), schema, files: [fakeFile(schema)] })
  core.publish([{ ...item, manifest: { ...item.manifest, schema_id: 'nobody' } }])
  const tell = outside.tellLedger
  outside.tellLedger = async (owner, items) => {
    core.withdraw(tenant, family, [jobNumber(1)])
    outside.tellLedger = tell
    return tell(owner, items)
  }
  await run()
  await run()
  expect(told()).toEqual(['01 rejected', '01 withdrawn'])
})

test.each([
  ['of an unknown schema', { schema_id: 'nobody' }, /never ensured/],
  ['of another family', { family: 'reports.other' }, /belongs to/],
  [
    'without a date',
    { files: [{ ...fakeFile({ id: 's', columns: [], added: [] }), run_date: 'soon', key: dataKey(tenant, family, jobNumber(1), 1, 0) }] },
    /run_date "soon"/,
  ],
  ['whose counts disagree', { rows: 11 }, /10 rows, but the manifest says 11/],
  ['with columns that are not the schema', { columns: [{ id: 9, name: 'x', type: 'int' }] }, /not those of schema/],
] as const)('a result %s is rejected in words and holds up nobody', async (_what, change, words) => {
  const item = publication({ job: jobNumber(1), schema, files: [fakeFile(schema)] })
  core.publish([{ ...item, manifest: { ...item.manifest, ...(change as object) } }])
  publish(2)
  await run()
  expect(await jobs()).toEqual([jobNumber(2)])
  expect(outside.told.find(({ publication }) => publication === 'rejected')?.reason).toMatch(words)
})

test('a file key that the edge did not compose is rejected', async () => {
  const item = publication({ job: jobNumber(1), schema, files: [fakeFile(schema)] })
  item.manifest.files[0] = { ...fakeFile(schema), key: dataKey(tenant, family, jobNumber(2), 1, 0) }
  core.publish([item])
  await run()
  expect(told()).toEqual(['01 rejected'])
})

test('more results than one commit takes go into several, oldest first', async () => {
  publish(...Array.from({ length: MAX_BATCH_JOBS + 5 }, (_, i) => i))
  await run()
  const { metadata, live } = await table()
  expect(metadata.snapshots.map((one) => one.summary['added-data-files'])).toEqual([String(MAX_BATCH_JOBS), '5'])
  expect(live).toHaveLength(MAX_BATCH_JOBS + 5)
})

test('at most 100 snapshots and 20 older metadata files are kept, and the rest goes after its time', async () => {
  for (let n = 0; n < 130; n++) {
    publish(n)
    await run()
  }
  const { metadata, manifests, live } = await table()
  expect(metadata.snapshots).toHaveLength(100)
  expect(metadata['metadata-log']).toHaveLength(20)
  expect(metadata['snapshot-log']).toHaveLength(100)
  expect(manifests.length).toBeLessThanOrEqual(100)
  expect(live).toHaveLength(130)
  const before = outside.bytes.size
  await run(HOLD_MS)
  for (let i = 0; i < 10; i++) await run()
  expect(outside.bytes.size).toBeLessThan(before)
  // Every kept snapshot can still be read to the end.
  for (const snapshot of metadata.snapshots) {
    const seen = await readTable(outside.objects, outside.pointers, family, () => snapshot)
    expect(seen?.live.length).toBe(Number(snapshot.summary['total-data-files']))
  }
  const named = [...outside.bytes.keys()].filter((key) => key.includes('/snap-'))
  expect(named).toHaveLength(100)
  expect([...outside.bytes.keys()].filter((key) => key.endsWith('.metadata.json'))).toHaveLength(21)
})

test('a committer that starts again after a crash goes on with what it had begun', async () => {
  publish(1)
  now += 1_000
  const effects = core.take()
  expect(effects.map(({ kind }) => kind).sort()).toEqual(['load', 'remember'])
  core.loaded(null)
  expect(core.take().map(({ kind }) => kind)).toEqual(['commit'])
  // Nothing is handed out twice while it is under way, and nothing is forgotten when the process dies.
  now += BACKSTOP_MS
  expect(core.take()).toEqual([])
  core = start()
  now += BACKSTOP_MS
  await run()
  expect((await table()).metadata.snapshots.map((one) => one['snapshot-id'])).toEqual([3937693507869937830n])
  expect(told()).toEqual(['01 published'])
})

test('schemas are stable: equal columns get equal ids, and a wider family keeps older answers', () => {
  const ask = (columns: { name: string; type: string }[]): ResultSchema => {
    const answer = core.ensureSchema({ tenant, family, columns, partition_by: null })
    if (!answer.ok) throw new Error(answer.detail)
    return answer.schema
  }
  expect(ask([{ name: 'x', type: 'int' }])).toEqual(schema)
  const wider = ask([
    { name: 'x', type: 'long' },
    { name: 'y', type: 'string' },
  ])
  expect(wider.id).not.toBe(schema.id)
  expect(ask([{ name: 'x', type: 'int' }])).toEqual(schema)
})

test('a result described before the family was widened is still appended, with bounds of the wider type', async () => {
  core.ensureSchema({ tenant, family, columns: [{ name: 'x', type: 'long' }], partition_by: null })
  const file = fakeFile(schema)
  file.stats = [{ field: 4, bytes: 80, values: 10, nulls: 0, nans: null, min: '1', max: '9' }]
  core.publish([publication({ job: jobNumber(1), schema, files: [file] })])
  await run()
  expect(new Map((await table()).live[0]?.file.lower).get(4)).toHaveLength(8)
  expect(told()).toEqual(['01 published'])
})

test('the bounds of a float file in a column that became double hold the floats themselves', async () => {
  const ask = (type: string): ResultSchema => {
    const answer = core.ensureSchema({ tenant, family, columns: [{ name: 'f', type }], partition_by: null })
    if (!answer.ok) throw new Error(answer.detail)
    return answer.schema
  }
  const narrow = ask('float')
  ask('double')
  const file = fakeFile(narrow)
  // 0.1 as a float is 0.100000001490116…, above the double that is written 0.1.
  file.stats = [{ field: 5, bytes: 40, values: 10, nulls: 0, nans: null, min: '-0.1', max: '0.1' }]
  core.publish([publication({ job: jobNumber(1), schema: narrow, files: [file] })])
  await run()
  const { file: written } = (await table()).live[0] ?? {}
  const double = (bytes: Uint8Array | undefined): number =>
    bytes ? new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true) : Number.NaN
  expect(double(new Map(written?.lower).get(5))).toBe(-Math.fround(0.1))
  expect(double(new Map(written?.upper).get(5))).toBe(Math.fround(0.1))
})

test.each([
  [['x', 'nobody'], /"nobody", which the query does not yield/],
  [['x', 'x'], /twice/],
] as const)('partition_by %j is refused in words', (wish, words) => {
  const answer = core.ensureSchema({ tenant, family, columns: [{ name: 'x', type: 'int' }], partition_by: [...wish] })
  expect(answer).toMatchObject({ ok: false, code: 'unkeepable_column', detail: expect.stringMatching(words) })
})

test('a file with several values of a partition column falls back to the default spec', async () => {
  const answer = core.ensureSchema({ tenant, family, columns: [{ name: 'x', type: 'int' }], partition_by: ['tenant_id', 'x'] })
  if (!answer.ok) throw new Error(answer.detail)
  const one = fakeFile(answer.schema)
  one.stats = [{ field: 4, bytes: 80, values: 10, nulls: 0, nans: null, min: '7', max: '7' }]
  const several = fakeFile(answer.schema, 1)
  several.stats = [{ field: 4, bytes: 80, values: 10, nulls: 0, nans: null, min: '1', max: '9' }]
  core.publish([publication({ job: jobNumber(1), schema: answer.schema, files: [one, several] })])
  await run()
  const { live, manifests, metadata } = await table()
  expect(live.map(({ file }) => file.partition).sort((a, b) => a.length - b.length)).toEqual([
    [tenant, 7],
    [tenant, jobNumber(1), 20_777],
  ])
  expect(manifests.map(({ specId }) => specId).sort()).toEqual([0, 2])
  expect(metadata['default-spec-id']).toBe(0)
})

test('the directory hears of a new family, again until it answers', async () => {
  let deaf = true
  outside.before = (request) => {
    if (request === 'remember' && deaf) throw new Error('unavailable')
  }
  await run()
  deaf = false
  await run(RETRY_CAP_MS)
  await run(RETRY_CAP_MS)
  expect(outside.tables).toEqual([`${tenant}/${family}`])
})

test('after the work is done nothing is due, and a sweep finds nothing to do', async () => {
  publish(1)
  await run()
  expect(core.nextDue()).toBeNull()
  core.sweep()
  const requests: string[] = []
  outside.before = (request) => void requests.push(request)
  await run()
  expect(requests).toEqual([])
})

test('the date of the run is the partition of each file, not the day of the commit', async () => {
  core.publish([publication({ job: jobNumber(1), schema, files: [fakeFile(schema, 0, 1, '2026-01-01'), fakeFile(schema, 1, 1, DAY)] })])
  await run()
  expect((await table()).live.map(({ file }) => file.partition[2])).toEqual([20_454, 20_777])
})

test('manifests of an expired snapshot live as long as a younger list that a reader may still hold names them', async () => {
  const names = async (): Promise<string[]> => (await table()).manifests.map(({ path }) => keyOf(path))
  publish(1)
  await run()
  const [shared = ''] = await names()
  publish(2)
  await run()
  core.withdraw(tenant, family, [jobNumber(1)])
  await run()
  expect(await names()).not.toContain(shared)
  const expired = (): number => store.all('SELECT key FROM garbage WHERE list = 1').length
  for (let n = 4; expired() === 0; n++) {
    publish(n)
    await run()
  }
  // The first snapshot has just expired; the second does an hour later, and the third no longer names the manifest.
  await run(HOLD_MS / 2)
  publish(3)
  await run()
  await run(HOLD_MS / 2)
  expect(expired()).toBe(1)
  expect(outside.bytes.has(shared)).toBe(true)
  await run(HOLD_MS / 2)
  expect(outside.bytes.has(shared)).toBe(false)
})

import { expect, test } from 'vitest'
import { readAvroFile, writeAvroFile } from './avro-file.ts'
import { ADDED, avroName, type DataFile, DELETED, type Entry, EXISTING, manifestEntries, manifestFile } from './manifest.ts'
import { listed, listedManifests, manifestListFile } from './manifest-list.ts'
import { type Field, schemaJson } from './schema.ts'
import type { PartitionValue } from './single-value.ts'
import { specBy } from './specs.ts'

const sync = new Uint8Array(16)
const SNAPSHOT = 3937693507869937830n

const dataFile = (partition: PartitionValue[], rows = 5): DataFile => ({
  path: 's3://lake/t/acme/reports.pnl/data/j/1/0.parquet',
  partition,
  rows,
  bytes: 9_007_199_254_740_991,
  columnSizes: [[4, 100]],
  valueCounts: [[4, 5]],
  nullCounts: [[4, 0]],
  nanCounts: [],
  lower: [[4, Uint8Array.of(1)]],
  upper: [[4, Uint8Array.of(255)]],
  splitOffsets: [4, 1_000],
})
const entry = (status: Entry['status'], file: DataFile, sequence: bigint | null): Entry => ({
  status,
  snapshot: SNAPSHOT,
  sequence,
  fileSequence: sequence,
  file,
})

const VALUES: [string, PartitionValue][] = [
  ['boolean', true],
  ['int', -5],
  ['long', -9223372036854775808n],
  ['float', 0.5],
  ['double', -0.1],
  ['decimal(9,2)', -12345n],
  ['decimal(38,10)', 10n ** 38n - 1n],
  ['date', 20_777],
  ['time', 86_399_999_999n],
  ['timestamp', -1n],
  ['timestamptz', 1_700_000_000_000_000n],
  ['string', 'Zürich'],
  ['uuid', new Uint8Array(16).fill(9)],
  ['binary', Uint8Array.of(0, 1)],
]

test.each(VALUES)('a manifest partitioned by %s comes back as it was, its null too', async (type, value) => {
  const fields: Field[] = [{ id: 4, name: 'odd name "1"', type }]
  const { specs, specId } = specBy({ specs: [], lastPartitionId: 999 }, [4], fields)
  const spec = specs.find((one) => one['spec-id'] === specId)
  if (!spec) throw new Error('the spec was not added')
  const schema = schemaJson(fields, 3)
  const entries = [entry(ADDED, dataFile([value]), null), entry(EXISTING, dataFile([null]), 7n), entry(DELETED, dataFile([value]), 2n)]
  const file = await readAvroFile(await writeAvroFile(manifestFile(spec, schema, entries), 'deflate', sync))
  expect(file.metadata).toMatchObject({ 'format-version': '2', content: 'data', 'schema-id': '3', 'partition-spec-id': '0' })
  expect(manifestEntries(file, spec, schema, { snapshot: SNAPSHOT, sequence: 9n })).toEqual([
    entry(ADDED, dataFile([value]), 9n),
    ...entries.slice(1),
  ])
})

test('a list keeps counts, ids and the least sequence number of what lives', async () => {
  const fields: Field[] = [{ id: 4, name: 'region', type: 'string' }]
  const { specs } = specBy({ specs: [], lastPartitionId: 999 }, [4], fields)
  const spec = specs[0]
  if (!spec) throw new Error('the spec was not added')
  const schema = schemaJson(fields, 0)
  const entries = [
    entry(ADDED, dataFile(['b'], 10), null),
    entry(EXISTING, dataFile(['\uffee'], 20), 3n),
    entry(EXISTING, dataFile(['😀'], 20), 4n),
    entry(DELETED, dataFile([null], 30), 1n),
  ]
  const manifest = listed('s3://lake/m.avro', 123, spec, schema, entries, { snapshot: SNAPSHOT, sequence: 8n })
  expect(manifest).toMatchObject({
    files: { added: 1, existing: 2, deleted: 1 },
    rows: { added: 10, existing: 40, deleted: 30 },
    sequence: 8n,
    minSequence: 3n,
  })
  // By code points the emoji is the greatest, by JavaScript's units it would not be.
  const text = new TextDecoder()
  expect(
    manifest.partitions.map(({ containsNull, lower, upper }) => [
      containsNull,
      text.decode(lower ?? undefined),
      text.decode(upper ?? undefined),
    ]),
  ).toEqual([[true, 'b', '😀']])
  const file = await readAvroFile(
    await writeAvroFile(manifestListFile({ snapshot: SNAPSHOT, parent: null, sequence: 8n }, [manifest]), 'null', sync),
  )
  expect(listedManifests(file)).toEqual([manifest])
  expect(file.metadata).toEqual({
    'snapshot-id': String(SNAPSHOT),
    'parent-snapshot-id': 'null',
    'sequence-number': '8',
    'format-version': '2',
  })
})

test('column names become names that Avro takes', () => {
  expect(['select', 'a"b', '1st', 'größe', ''].map(avroName)).toEqual(['select', 'a_x22b', '_1st', 'gr_xF6_xDFe', ''])
})

test('two partition columns of one decimal type, or of UUIDs, have two names in the Avro schema, and come back', async () => {
  const fields: Field[] = ['decimal(9,2)', 'decimal(9,2)', 'uuid', 'uuid', 'decimal(9,2)'].map((type, i) => ({
    id: 4 + i,
    name: `c${i}`,
    type,
  }))
  const { specs } = specBy({ specs: [], lastPartitionId: 999 }, [4, 5, 6, 7, 8], fields)
  const spec = specs[0]
  if (!spec) throw new Error('the spec was not added')
  const schema = schemaJson(fields, 0)
  const entries = [entry(ADDED, dataFile([1n, -2n, new Uint8Array(16).fill(3), new Uint8Array(16).fill(4), 5n]), 1n)]
  const written = manifestFile(spec, schema, entries)
  // A name that is defined twice makes a schema that Java's Avro and fastavro do not read.
  const names = [...JSON.stringify(written.schema).matchAll(/"type":"(?:fixed|record)","name":"(\w+)"/g)].map(([, name]) => name)
  expect(names).toEqual([...new Set(names)])
  expect(names.filter((name) => name?.startsWith('decimal'))).toEqual(['decimal_9_2', 'decimal_9_2_1', 'decimal_9_2_2'])
  const file = await readAvroFile(await writeAvroFile(written, 'null', sync))
  expect(manifestEntries(file, spec, schema, { snapshot: SNAPSHOT, sequence: 1n })).toEqual(entries)
})

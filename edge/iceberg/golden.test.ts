import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Column } from '../contract/columns.ts'
import { evolve } from './evolve.ts'
import { birthMetadata, metadataText, withColumns } from './metadata.ts'
import { type FamilyColumns, nameMapping, newFamilyColumns, schemaJson } from './schema.ts'
import { BIRTH_SPECS, DEFAULT_PARTITION, specBy } from './specs.ts'

/**
 * What is frozen: tables that exist were written so, and their files carry these ids. A golden file that must change
 * means that existing tables break. A missing one is written and fails the test, until it was looked at and committed.
 */
const golden = (name: string, value: unknown): void => {
  const file = new URL(`golden/${name}`, import.meta.url)
  const text = typeof value === 'string' ? value : `${JSON.stringify(value, null, 2)}\n`
  const missing = !existsSync(file)
  if (missing) writeFileSync(file, text)
  expect(missing).toBe(false)
  expect(text).toBe(readFileSync(file, 'utf8'))
}

const grow = (columns: FamilyColumns, query: Column[]): FamilyColumns => {
  const evolution = evolve(columns, query)
  if (!evolution.ok) throw new Error(evolution.detail)
  return evolution.columns
}

const FIRST: Column[] = [
  { name: 'day', type: 'date' },
  { name: 'total', type: 'decimal(20, 2)' },
  { name: 'tags', type: { type: 'list', element: 'string' } },
  {
    name: 'place',
    type: {
      type: 'struct',
      fields: [
        { name: 'city', type: 'string' },
        { name: 'spots', type: { type: 'list', element: { type: 'struct', fields: [{ name: 'x', type: 'float' }] } } },
      ],
    },
  },
  { name: 'by_key', type: { type: 'map', key: 'string', value: 'int' } },
]
const SECOND: Column[] = [
  { name: 'note', type: 'string' },
  {
    name: 'place',
    type: {
      type: 'struct',
      fields: [
        { name: 'zip', type: 'string' },
        { name: 'city', type: 'string' },
      ],
    },
  },
  { name: 'by_key', type: { type: 'map', key: 'string', value: 'long' } },
]

test('the partition specs of every family, from birth, and how others are numbered', () => {
  const columns = grow(newFamilyColumns(), [{ name: 'region', type: 'string' }])
  const birth = { specs: [...BIRTH_SPECS], lastPartitionId: 1002 }
  const own = specBy(birth, [1, 4], columns.fields)
  golden('partition-specs.json', { birth: BIRTH_SPECS, default: DEFAULT_PARTITION, 'partition_by tenant_id, region': own })
})

test('system columns have ids 1 to 3, and reports begin at 4, from left to right, with what is inside a column after it', () => {
  const first = grow(newFamilyColumns(), FIRST)
  golden('field-ids.json', {
    'new family': newFamilyColumns(),
    'first query': first,
    'second query': grow(first, SECOND),
  })
})

test('the metadata of a table at its birth, and with a second schema', () => {
  const first = grow(newFamilyColumns(), FIRST)
  const second = grow(first, SECOND)
  const birth = birthMetadata(
    '00000000-0000-4000-8000-000000000000',
    's3://lake/t/acme/reports.pnl',
    first.fields,
    first.lastId,
    1_700_000_000_000,
  )
  golden('birth.metadata.json', JSON.stringify(JSON.parse(metadataText(birth)), null, 2))
  golden('second-schema.json', withColumns(birth, second.fields, second.lastId).schemas)
})

test('schema and name mapping of nested columns', () => {
  const { fields } = grow(newFamilyColumns(), FIRST)
  golden('name-mapping.json', JSON.parse(nameMapping(fields)))
  golden('schema.json', schemaJson(fields, 0))
})

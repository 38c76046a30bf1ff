import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { breaches } from './additions.ts'
import { ids, objectKeys, problems, protocol, schemas } from './today.ts'

const golden = (name: string): unknown => JSON.parse(readFileSync(join(import.meta.dirname, 'golden', name), 'utf8'))

test('job ids are made as in version 1', () => {
  expect(ids()).toEqual(golden('ids.json'))
})

test('objects lie where they lay in version 1', () => {
  expect(objectKeys()).toEqual(golden('keys.json'))
})

test('nodes of version 1 are understood', () => {
  expect(protocol()).toEqual(golden('protocol.json'))
})

test('every problem code of version 1 has its status', () => {
  const first = z.record(z.string(), z.number()).parse(golden('problems.json'))
  expect(problems()).toMatchObject(first)
})

const FIRST = z.record(z.string(), z.unknown()).parse(golden('schemas.json'))
test.each(Object.keys(FIRST))('the schema of %s has only grown since version 1', (name) => {
  expect(breaches(FIRST[name], schemas()[name])).toEqual([])
})

const older = {
  type: 'object',
  properties: { state: { enum: ['a', 'b'] }, n: { type: 'integer', minimum: 1 } },
  required: ['state'],
}
test('additions are no breach', () => {
  expect(breaches(older, older)).toEqual([])
  expect(breaches(older, { ...older, properties: { ...older.properties, more: { type: 'string' } } })).toEqual([])
  expect(breaches(older, { ...older, properties: { ...older.properties, state: { enum: ['a', 'b', 'c'] } } })).toEqual([])
  expect(breaches({ anyOf: [older] }, { anyOf: [older, { type: 'null' }] })).toEqual([])
})

test.each([
  ['a property less', { ...older, properties: { n: older.properties.n } }],
  ['a name less', { ...older, properties: { ...older.properties, state: { enum: ['a'] } } }],
  ['a narrower bound', { ...older, properties: { ...older.properties, n: { type: 'integer', minimum: 2 } } }],
  ['a new bound', { ...older, properties: { ...older.properties, n: { type: 'integer', minimum: 1, maximum: 9 } } }],
  ['another type', { ...older, properties: { ...older.properties, n: { type: 'string', minimum: 1 } } }],
  ['more that is required', { ...older, required: ['state', 'n'] }],
  ['less that is required', { ...older, required: [] }],
  ['no further properties', { ...older, additionalProperties: false }],
])('%s is a breach', (_name, today) => {
  expect(breaches(older, today, 'X')).toHaveLength(1)
})

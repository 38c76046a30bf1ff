import { expect, test } from 'vitest'
import { AvroFault, AvroReader, type AvroRecord, type AvroValue, AvroWriter, readValue, writeValue } from './avro.ts'
import { readAvroFile, writeAvroFile } from './avro-file.ts'
import { parseLossless, writeLossless } from './json.ts'

const sync = new Uint8Array(16).fill(7)
const SCHEMA: AvroRecord = {
  type: 'record',
  name: 'r',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'text', type: ['null', 'string'] },
    { name: 'list', type: { type: 'array', items: 'int' } },
    { name: 'fixed', type: { type: 'fixed', name: 'f', size: 2 } },
    { name: 'map', type: { type: 'map', values: 'double' } },
    { name: 'flag', type: 'boolean' },
    { name: 'small', type: 'float' },
    { name: 'bytes', type: 'bytes' },
  ],
}
const record = (id: bigint): AvroValue => ({
  id,
  text: id % 2n === 0n ? null : 'Grüße 漢字',
  list: [1, -2, 2_147_483_647, -2_147_483_648],
  fixed: Uint8Array.of(1, 2),
  map: { a: 0.1, b: Number.NEGATIVE_INFINITY },
  flag: true,
  small: 0.5,
  bytes: Uint8Array.of(0, 255),
})
const EXTREMES = [0n, -1n, 63n, 64n, -65n, 3937693507869937830n, 9223372036854775807n, -9223372036854775808n]

test.each(['null', 'deflate'] as const)('a file with codec %s comes back as it was, 64-bit ids with all their digits', async (codec) => {
  const file = { schema: SCHEMA, metadata: { 'snapshot-id': '3937693507869937830' }, records: EXTREMES.map(record) }
  expect(await readAvroFile(await writeAvroFile(file, codec, sync))).toEqual(file)
})

test('thousands of records go into several blocks and come back in order', async () => {
  const records = Array.from({ length: 2_500 }, (_, i) => record(BigInt(i)))
  const bytes = await writeAvroFile({ schema: SCHEMA, metadata: {}, records }, 'deflate', sync)
  expect((await readAvroFile(bytes)).records).toEqual(records)
})

test('a file cut at any byte is refused, never read as a shorter one', async () => {
  const bytes = await writeAvroFile({ schema: SCHEMA, metadata: {}, records: EXTREMES.map(record) }, 'null', sync)
  const whole = await readAvroFile(bytes)
  for (let length = 0; length < bytes.length; length++) {
    const found = await readAvroFile(bytes.slice(0, length)).catch((fault: unknown) => fault)
    // Cut exactly between header and first block it is a valid file without records: the list says how long it must be.
    if (!(found instanceof Error)) expect(found).toMatchObject({ records: [] })
  }
  expect(whole.records).toHaveLength(EXTREMES.length)
})

test('a damaged block is refused', async () => {
  const bytes = await writeAvroFile({ schema: SCHEMA, metadata: {}, records: [record(1n)] }, 'deflate', sync)
  bytes[bytes.length - 1] = 0
  await expect(readAvroFile(bytes)).rejects.toThrow('sync marker')
})

test('integers beyond 64 bits and values of a wrong type are refused', () => {
  expect(() => new AvroWriter().long(2n ** 63n)).toThrow(AvroFault)
  expect(() => writeValue(new AvroWriter(), 'string', 1)).toThrow(AvroFault)
  expect(() => writeValue(new AvroWriter(), SCHEMA, { id: 1n })).toThrow('lacks its field')
})

test('arrays in blocks with a size, as other writers make them, are read', () => {
  const out = new AvroWriter()
  out.long(-2)
  out.long(2)
  out.long(5)
  out.long(6)
  out.long(0)
  expect(readValue(new AvroReader(out.take()), { type: 'array', items: 'int' })).toEqual([5, 6])
})

test('JSON keeps every digit of an id, and nothing else changes', () => {
  const text =
    '{"snapshot-id":3937693507869937830,"small":12,"negative":-9223372036854775808,"real":1.5e300,"text":"3937693507869937830","list":[1,null,true]}'
  const value = parseLossless(text) as Record<string, never>
  expect(value['snapshot-id']).toBe(3937693507869937830n)
  expect(value.small).toBe(12)
  expect(JSON.parse(writeLossless(value))).toEqual(JSON.parse(text))
  expect(writeLossless(value)).toContain('"snapshot-id":3937693507869937830,')
  expect(writeLossless({ gone: undefined, kept: null })).toBe('{"kept":null}')
})

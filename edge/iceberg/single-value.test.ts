import { expect, test } from 'vitest'
import { bound, partitionValue, serialise } from './single-value.ts'

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('hex'))
const lower = (type: string, text: string): string | null => hex(bound(type, text, 'lower'))

// Iceberg spec, Appendix D, "Binary single-value serialization".
test.each([
  ['boolean', 'false', '00'],
  ['boolean', 'true', '01'],
  ['int', '-2', 'feffffff'],
  ['long', '9223372036854775807', 'ffffffffffffff7f'],
  ['float', '1.5', '0000c03f'],
  ['double', '-Infinity', '000000000000f0ff'],
  ['date', '1970-01-02', '01000000'],
  ['date', '1969-12-31', 'ffffffff'],
  ['date', '2024-02-29', '464d0000'],
  ['time', '00:00:00.000001', '0100000000000000'],
  ['timestamp', '1970-01-01T00:00:01.5', '60e3160000000000'],
  ['timestamptz', '1970-01-01T00:00:00.000001Z', '0100000000000000'],
  ['string', 'é', 'c3a9'],
  ['uuid', 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 'f79c3e09677c4bbda4793f349cb785e7'],
  ['binary', 'AAH/', '0001ff'],
  ['decimal(10,2)', '1.28', '0080'],
  ['decimal(10,2)', '-1.28', '80'],
  ['decimal(38,10)', '-0.0000000001', 'ff'],
] as const)('%s %s is %s', (type, text, expected) => {
  expect(lower(type, text)).toBe(expected)
})

test.each([
  ['int', '2147483648'],
  ['int', '1.5'],
  ['long', '9223372036854775808'],
  ['date', '2023-02-29'],
  ['date', 'infinity'],
  ['date', '0044-03-15 (BC)'],
  ['timestamp', '2024-01-01'],
  ['double', 'NaN'],
  ['double', ''],
  ['decimal(4,2)', '100.00'],
  ['decimal(10,2)', '1.001'],
  ['uuid', 'nope'],
  ['boolean', '1'],
] as const)('%s %s has no bound rather than a wrong one', (type, text) => {
  expect(bound(type, text, 'lower')).toBeNull()
  expect(bound(type, text, 'upper')).toBeNull()
})

test('long texts are cut to 16 code points, and the upper bound moves up', () => {
  const text = `${'a'.repeat(15)}zb`
  expect(Buffer.from(bound('string', text, 'lower') ?? []).toString()).toBe(`${'a'.repeat(15)}z`)
  expect(Buffer.from(bound('string', text, 'upper') ?? []).toString()).toBe(`${'a'.repeat(15)}{`)
})

test('an upper bound steps over surrogates and the last character, and is left out when there is none', () => {
  expect(Buffer.from(bound('string', `${'a'.repeat(15)}\ud7ffx`, 'upper') ?? []).toString()).toBe(`${'a'.repeat(15)}\ue000`)
  expect(Buffer.from(bound('string', `${'a'.repeat(15)}\u{10ffff}x`, 'upper') ?? []).toString()).toBe(`${'a'.repeat(14)}b`)
  expect(bound('string', '\u{10ffff}'.repeat(17), 'upper')).toBeNull()
})

test('binary is cut to 16 bytes in the same way', () => {
  const text = Buffer.from([...Array(15).fill(1), 0xff, 9]).toString('base64')
  expect(hex(bound('binary', text, 'lower'))).toBe(`${'01'.repeat(15)}ff`)
  expect(hex(bound('binary', text, 'upper'))).toBe(`${'01'.repeat(14)}02`)
  expect(bound('binary', Buffer.alloc(20, 0xff).toString('base64'), 'upper')).toBeNull()
})

test('ids are never cut', () => {
  const id = '01jd3v7q8m2xk4n6p8r0s2t4v6'
  expect(Buffer.from(bound('string', id, 'upper', true) ?? []).toString()).toBe(id)
})

test('zero is negative below and positive above', () => {
  expect(hex(bound('double', '0', 'lower'))).toBe('0000000000000080')
  expect(hex(bound('double', '-0.0', 'upper'))).toBe('0000000000000000')
})

test('partition values keep their digits', () => {
  expect(partitionValue('long', '-9223372036854775808')).toBe(-9223372036854775808n)
  expect(partitionValue('decimal(38,0)', '9'.repeat(38))).toBe(10n ** 38n - 1n)
  expect(partitionValue('string', null)).toBeNull()
  expect(serialise('decimal(38,0)', 10n ** 38n - 1n)?.length).toBe(16)
})

import { describe, expect, test } from 'bun:test'
import { boundText } from './stats.ts'

describe('a bound', () => {
  test.each([
    ['1', 'boolean', 'true'],
    ['0', 'boolean', 'false'],
    ['-12', 'long', '-12'],
    ['1.20', 'decimal(4,2)', '1.20'],
    ['1e+300', 'double', '1e+300'],
    ['1.2345678901234568e+17', 'double', '123456789012345680'],
    ['-0.0', 'double', '-0'],
    ['inf', 'float', 'Infinity'],
    ['2024-01-02', 'date', '2024-01-02'],
    ['0044-03-15 (BC)', 'date', '-000043-03-15'],
    ['12345-06-07', 'date', '+012345-06-07'],
    ['12:00:00', 'time', '12:00:00.000000'],
    ['12:00:00.5', 'time', '12:00:00.500000'],
    ['2024-01-02 03:04:05', 'timestamp', '2024-01-02T03:04:05.000000'],
    ['0044-03-15 (BC) 03:04:05.000001', 'timestamp', '-000043-03-15T03:04:05.000001'],
    ['2024-01-02 03:04:05.25+00', 'timestamptz', '2024-01-02T03:04:05.250000Z'],
    ['12345-01-02 03:04:05+00', 'timestamptz', '+012345-01-02T03:04:05.000000Z'],
    ['00FF6162', 'binary', 'AP9hYg=='],
    ['', 'string', ''],
  ])('%p of %p is %p on the wire', (text, type, expected) => {
    expect(boundText(text, type, false)).toBe(expected)
    expect(boundText(text, type, true)).toBe(expected)
  })

  test('that is too long is cut below its values or raised above them', () => {
    const long = 'x'.repeat(100)
    expect(boundText(long, 'string', false)).toBe('x'.repeat(64))
    expect(boundText(long, 'string', true)).toBe(`${'x'.repeat(63)}y`)
    const last = '\u{10ffff}'.repeat(100)
    expect(boundText(last, 'string', false)).toBe('\u{10ffff}'.repeat(64))
    expect(boundText(last, 'string', true)).toBeNull()
    const beforeSurrogates = '\ud7ff'.repeat(100)
    expect(boundText(beforeSurrogates, 'string', true)).toBe(`${'\ud7ff'.repeat(63)}\ue000`)
    const bytes = `01${'ff'.repeat(99)}`
    expect(boundText(bytes, 'binary', false)).toBe(Buffer.from(bytes.slice(0, 128), 'hex').toString('base64'))
    expect(boundText(bytes, 'binary', true)).toBe('Ag==')
  })

  test('that is absent is null', () => {
    expect(boundText(undefined, 'long', false)).toBeNull()
  })
})

import { describe, expect, it } from 'vitest'
import { bytes, duration, fractionDigits, grouped, show } from './format.ts'

describe('cells as they are shown', () => {
  it('groups the digits of any number without rounding it', () => {
    expect(show('9007199254740993', 'long').text).toBe('9,007,199,254,740,993')
    expect(show('-1234567890123456789012345678.0123456789', 'decimal(38,10)').text).toBe(
      '−1,234,567,890,123,456,789,012,345,678.0123456789',
    )
    expect(show(-12, 'int').text).toBe('−12')
    expect(grouped('123')).toBe('123')
  })

  it('tells null, empty text and zero apart', () => {
    expect(show(null, 'string').kind).toBe('null')
    expect(show('', 'string').kind).toBe('empty')
    expect(show(0, 'int')).toEqual({ text: '0', kind: 'value' })
    expect(show('null', 'string')).toEqual({ text: 'null', kind: 'value' })
  })

  it('shows doubles in line and keeps the exact value for the hover', () => {
    const digits = fractionDigits('double', [1.5, 2.25, null, 3])
    expect(digits).toBe(2)
    expect(fractionDigits('double', [54.69999999999982, 63])).toBe(1)
    expect(show(1.5, 'double', digits)).toEqual({ text: '1.5\u2007', kind: 'value' })
    expect(show(63, 'double', digits)).toEqual({ text: '63\u2008\u2007\u2007', kind: 'value' })
    expect(show(63, 'double')).toEqual({ text: '63', kind: 'value' })
    expect(show(-1234.5, 'double').text).toBe('−1,234.5')
    // A row beyond those that were judged still shows its fraction.
    expect(show(2.75, 'double', 0).text).toBe('2.75')
    expect(show(1 / 3, 'double', 4)).toEqual({ text: '0.3333', kind: 'value', exact: '0.3333333333333333' })
    expect(show(1e-9, 'double', 4).text).toBe('1e-9')
    expect(show('NaN', 'double').text).toBe('NaN')
  })

  it('shows times as finely as their column needs', () => {
    const day = '2024-02-29T12:00:00.000000'
    const fine = '2024-02-29T12:00:00.000001'
    expect(fractionDigits('timestamp', [day, null])).toBe(0)
    expect(fractionDigits('timestamp', [day, '2024-02-29T12:00:00.120000'])).toBe(3)
    expect(fractionDigits('timestamp', [day, fine])).toBe(6)
    expect(show(day, 'timestamp', 0).text).toBe('2024-02-29 12:00:00')
    expect(show(day, 'timestamp', 3).text).toBe('2024-02-29 12:00:00.000')
    // A row beyond those that were judged still shows all that it has.
    expect(show(fine, 'timestamp', 0).text).toBe('2024-02-29 12:00:00.000001')
    expect(show('2024-02-29T12:00:00.000001Z', 'timestamptz').exact).toBe('2024-02-29T12:00:00.000001Z')
  })

  it('puts a cell of several lines on one', () => {
    expect(show('a\nb', 'string')).toEqual({ text: 'a ⏎ b', kind: 'value', exact: 'a\nb' })
    expect(show({ x: ['1'] }, { type: 'struct', fields: [] }).text).toBe('{"x":["1"]}')
  })
})

describe('sizes and times in words', () => {
  it('says them as one would', () => {
    expect([bytes(900), bytes(2_300), bytes(39_400_000)]).toEqual(['900 B', '2.3 kB', '39 MB'])
    expect([duration(40), duration(1_840), duration(65_000), duration(7_260_000)]).toEqual(['40 ms', '1.8 s', '1 min 5 s', '2 h 1 min'])
  })
})

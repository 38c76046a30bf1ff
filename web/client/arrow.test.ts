import { Utf8, vectorFromArray } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { cellReader, dateText, decimalText, timestampText, timeText } from './arrow.ts'

describe('values from Arrow', () => {
  it('writes every day as its own date', () => {
    expect(dateText(0)).toBe('1970-01-01')
    expect(dateText(-1)).toBe('1969-12-31')
    expect(dateText(11_016)).toBe('2000-02-29')
    expect(dateText(-719_162)).toBe('0001-01-01')
    expect(dateText(-719_163)).toBe('+000000-12-31')
    expect(dateText(-719_529)).toBe('-000001-12-31')
    expect(dateText(2_932_897)).toBe('+010000-01-01')
    for (let day = -100_000; day < 100_000; day += 37) expect(dateText(day)).toBe(new Date(day * 86_400_000).toISOString().slice(0, 10))
  })

  it('keeps microseconds on both sides of 1970, and DuckDB’s infinities', () => {
    expect(timestampText(1_709_208_000_000_001n, true)).toBe('2024-02-29T12:00:00.000001Z')
    expect(timestampText(-1n, false)).toBe('1969-12-31T23:59:59.999999')
    expect(timestampText(2n ** 63n - 1n, false)).toBe('Infinity')
    expect(timestampText(-(2n ** 63n - 1n), false)).toBe('-Infinity')
    expect(timeText(86_399_000_001n)).toBe('23:59:59.000001')
  })

  it('keeps every character of a text, U+FEFF at its beginning too', () => {
    const texts = ['\ufeffx', '', 'Grüße 🦆', '\ufeff', 'a']
    for (const some of [texts, ['\ufeff'], ['plain', '']]) {
      const [data] = vectorFromArray(some, new Utf8()).data
      if (!data) throw new Error('no batch')
      const read = cellReader(data)
      expect(some.map((_, index) => read(index))).toEqual(some)
    }
  })

  it('keeps every digit of a decimal', () => {
    const words = (value: bigint): Uint32Array =>
      new Uint32Array(new BigUint64Array([BigInt.asUintN(64, value), BigInt.asUintN(64, value >> 64n)]).buffer)
    expect(decimalText(words(125n), 2)).toBe('1.25')
    expect(decimalText(words(-5n), 3)).toBe('-0.005')
    expect(decimalText(words(0n), 0)).toBe('0')
    const large = 10n ** 38n - 1n
    expect(decimalText(words(large), 10)).toBe('9999999999999999999999999999.9999999999')
    expect(decimalText(words(-large), 0)).toBe(`-${large}`)
  })
})

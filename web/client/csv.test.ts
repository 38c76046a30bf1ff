import { describe, expect, it } from 'vitest'
import { csvHeader, csvRows, tsv } from './csv.ts'

describe('CSV', () => {
  it('tells NULL from empty text, and quotes as RFC 4180 asks', () => {
    expect(
      csvHeader([
        { name: 'a,b', type: 'string' },
        { name: 'c', type: 'long' },
      ]),
    ).toBe('"a,b",c\n')
    expect(
      csvRows([
        [null, ''],
        ['say "hi"', '1'],
        ['two\nlines', { x: ['1', null] }],
      ]),
    ).toBe(',""\n"say ""hi""",1\n"two\nlines","{""x"":[""1"",null]}"\n')
  })

  it('never lets a cell break the table on the clipboard', () => {
    expect(
      tsv([
        ['a\tb', 'c\r\nd'],
        [null, true],
      ]),
    ).toBe('a b\tc d\n\ttrue')
  })
})

import { describe, expect, it } from 'vitest'
import { contentRange, parseRange } from './range.ts'

describe('a Range header', () => {
  it.each([
    ['bytes=0-0', 10, 0, 0],
    ['bytes=2-5', 10, 2, 5],
    ['bytes=2-', 10, 2, 9],
    ['bytes=2-99', 10, 2, 9],
    ['bytes=-3', 10, 7, 9],
    ['bytes=-99', 10, 0, 9],
    ['bytes=9-9', 10, 9, 9],
    ['BYTES=1-2', 10, 1, 2],
    ['bytes = 1 - 2', 10, 1, 2],
    ['bytes=0-99999999999999999999999', 10, 0, 9],
    ['bytes=-99999999999999999999999', 10, 0, 9],
  ])('%s of %d bytes is %d to %d', (header, size, start, end) => {
    expect(parseRange(header, size)).toEqual({ kind: 'part', start, end, length: end - start + 1 })
  })

  it.each([
    ['bytes=10-', 10],
    ['bytes=10-20', 10],
    ['bytes=99999999999999999999999-', 10],
    ['bytes=-0', 10],
    ['bytes=0-', 0],
    ['bytes=-5', 0],
    ['bytes=0-0', 0],
  ])('%s of %d bytes cannot be satisfied', (header, size) => {
    expect(parseRange(header, size)).toEqual({ kind: 'unsatisfiable' })
  })

  it.each([
    null,
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'bytes=0-1, 3-4',
    'items=0-1',
    'bytes=+1-2',
    'bytes=1.5-2',
    'bytes=--1',
    '0-1',
  ])('%j is ignored', (header) => {
    expect(parseRange(header, 10)).toEqual({ kind: 'whole' })
  })

  it('is answered with its place', () => {
    expect(contentRange({ kind: 'part', start: 2, end: 5, length: 4 }, 10)).toBe('bytes 2-5/10')
    expect(contentRange({ kind: 'unsatisfiable' }, 10)).toBe('bytes */10')
  })
})

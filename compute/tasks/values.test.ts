import { describe, expect, test } from 'bun:test'
import { readBytes, readDuration, readList, readParam, readTypes } from './values.ts'

describe('a duration', () => {
  test.each([
    ['10m', 600],
    ['30d', 2_592_000],
    ['1h30m', 5_400],
    ['2w', 1_209_600],
    ['1s', 1],
  ])('%s is %d seconds', (text, seconds) => {
    expect(readDuration(text)).toEqual({ ok: true, value: seconds })
  })
  test.each(['10', 'ten minutes', '0s', '-5m', '30m1h', '1h1h', '1.5h', '500ms', '99999999999d', ''])('%p is refused', (text) => {
    expect(readDuration(text)).toMatchObject({ ok: false, detail: expect.stringContaining(JSON.stringify(text)) })
  })
})

test('bytes are whole numbers, with underscores where one likes', () => {
  expect(readBytes('50_000_000_000')).toEqual({ ok: true, value: 50_000_000_000 })
  expect(readBytes('1')).toEqual({ ok: true, value: 1 })
  for (const text of ['50GB', '0', '1__0', '_1', '1.5', '9007199254740993', '-1']) expect(readBytes(text).ok).toBe(false)
})

test("lists are DungBeetle's: trimmed, blanks dropped; nothing at all is refused", () => {
  expect(readList(' a, b ,,a')).toEqual({ ok: true, value: ['a', 'b'] })
  expect(readList(' , ').ok).toBe(false)
})

describe('a parameter', () => {
  test.each([
    ['since date', { name: 'since', type: 'date' }],
    ['since DATE = 2001-02-28', { name: 'since', type: 'date', default: '2001-02-28' }],
    ["who text = 'it''s'", { name: 'who', type: 'text', default: "it's" }],
    ['who text = a = b', { name: 'who', type: 'text', default: 'a = b' }],
    ["who text = ''", { name: 'who', type: 'text', default: '' }],
    ['who text = null', { name: 'who', type: 'text', default: null }],
    ["who text = 'null'", { name: 'who', type: 'text', default: 'null' }],
    ['n int = -7', { name: 'n', type: 'int', default: -7 }],
    ['n bigint = 9223372036854775807', { name: 'n', type: 'bigint', default: '9223372036854775807' }],
    ['x double = 1e-3', { name: 'x', type: 'double', default: 0.001 }],
    ['x decimal = 12345678901234567890.10', { name: 'x', type: 'decimal', default: '12345678901234567890.10' }],
    ['b boolean=true', { name: 'b', type: 'boolean', default: true }],
    ['t timestamp = 2001-02-28 12:30', { name: 't', type: 'timestamp', default: '2001-02-28 12:30' }],
    ["t timestamptz = '2001-02-28T12:30:00+05:30'", { name: 't', type: 'timestamptz', default: '2001-02-28T12:30:00+05:30' }],
    ['u uuid = 123E4567-e89b-12d3-a456-426614174000', { name: 'u', type: 'uuid', default: '123e4567-e89b-12d3-a456-426614174000' }],
  ])('%p is read', (text, expected) => {
    expect(readParam(text)).toEqual({ ok: true, value: JSON.parse(JSON.stringify(expected)) })
  })
  test.each([
    ['since', 'NAME TYPE'],
    ['1st date', 'cannot name a parameter'],
    ['since datte', 'did you mean "date"?'],
    ['n integer', 'did you mean "int"?'],
    ['since date = 2001-02-29', '2001-02-28'],
    ['since date = today', 'is not a date'],
    ['n int = 2147483648', 'is not a int'],
    ['n int = 1.5', 'is not a int'],
    ['n bigint = 9223372036854775808', 'is not a bigint'],
    ['x double = 1e999', 'is not a double'],
    ['x decimal = 1e5', 'is not a decimal'],
    ['b boolean = yes', 'is not a boolean'],
    ['t timestamptz = 2001-02-28 12:30', 'is not a timestamptz'],
    ['u uuid = 1', 'is not a uuid'],
    ['n int =', 'without a default'],
    ['n int 5', 'NAME TYPE'],
  ])('%p is refused: %s', (text, reason) => {
    const read = readParam(text)
    expect(read).toMatchObject({ ok: false, detail: expect.stringContaining(reason) })
  })
})

describe('types', () => {
  test('are columns with Iceberg types, whatever the column is called', () => {
    expect(readTypes('total=decimal(20, 2), "a ""b"", c" = STRING,n=long')).toEqual({
      ok: true,
      value: { total: 'decimal(20,2)', 'a "b", c': 'string', n: 'long' },
    })
  })
  test('may name a column __proto__ without touching anything else', () => {
    const read = readTypes('__proto__=int')
    expect(read.ok && Object.entries(read.value)).toEqual([['__proto__', 'int']])
  })
  test.each([
    ['total', 'COLUMN=TYPE'],
    ['total=varchar', 'did you mean "string"?'],
    ['total=decimal(39,2)', 'up to 38'],
    ['total=decimal(5,6)', 'behind the point'],
    ['total=decimal(0,0)', '1 to 38'],
    ['a=int,a=long', 'twice'],
    ['a=int b=long', 'COLUMN=TYPE'],
    [',', 'COLUMN=TYPE'],
  ])('%p is refused: %s', (text, reason) => {
    expect(readTypes(text)).toMatchObject({ ok: false, detail: expect.stringContaining(reason) })
  })
})

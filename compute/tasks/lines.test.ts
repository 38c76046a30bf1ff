import { describe, expect, test } from 'bun:test'
import { KNOWN_TAGS } from './directives.ts'
import { splitFile, splitTag } from './lines.ts'

const split = (content: string) => splitFile('a.sql', content, KNOWN_TAGS)
const firstColon = new Set(['description'])

describe('a tag line', () => {
  test.each([
    ['name: x', { name: 'name', value: 'x' }],
    ['name:x', { name: 'name', value: 'x' }],
    ['a: b: c', { name: 'a: b', value: 'c' }],
    ['a: b:', { name: 'a', value: 'b:' }],
    ['name : x', { name: 'name ', value: 'x' }],
    ['see http://example.com', { name: 'see http', value: '//example.com' }],
    ['name:', null],
    ['name', null],
    [': x', null],
  ])('%p is split as goyesql splits it', (line, expected) => {
    expect(splitTag(line, firstColon)).toEqual(expected)
  })

  test('a directive that DungBeetle does not know is split at its first colon, so that its value may hold others', () => {
    expect(splitTag('description: Daily: all trades', firstColon)).toEqual({ name: 'description', value: 'Daily: all trades' })
    expect(splitTag('description : x', firstColon)).toEqual({ name: 'description', value: 'x' })
  })
})

describe('a file', () => {
  test('holds several tasks, each with its tags, its text and their lines', () => {
    const { blocks, problems } = split(
      '-- Reports of the shop\n\n-- name: one\n-- db: shop\nSELECT 1;\n\n  --name:  two  \n\n-- raw: 1\nSELECT\n  2\n',
    )
    expect(problems).toEqual([])
    expect(blocks).toEqual([
      { name: 'one', line: 3, tags: [{ name: 'db', value: 'shop', line: 4 }], statement: 'SELECT 1;', statementLine: 5 },
      { name: 'two', line: 7, tags: [{ name: 'raw', value: '1', line: 9 }], statement: 'SELECT\n  2', statementLine: 10 },
    ])
  })

  test('keeps its line ends in the statement, so that a trailing comment swallows nothing', () => {
    const { blocks } = split('-- name: a\nSELECT 1 -- why\n  + 1 AS n\n-- in between\nFROM t\n-- the end\n\n')
    expect(blocks[0]?.statement).toBe('SELECT 1 -- why\n  + 1 AS n\n-- in between\nFROM t')
  })

  test('with Windows line ends and a byte order mark is the same file', () => {
    const unix = '-- name: a\n-- queue: q\nSELECT 1\nFROM t\n'
    expect(split(`\uFEFF${unix.replaceAll('\n', '\r\n')}`)).toEqual(split(unix))
  })

  test('may have tags in the middle of a query, which stays whole', () => {
    const { blocks } = split('-- name: a\nSELECT 1\n-- queue: late\nFROM t')
    expect(blocks[0]?.tags).toEqual([{ name: 'queue', value: 'late', line: 3 }])
    expect(blocks[0]?.statement).toBe('SELECT 1\n-- queue: late\nFROM t')
  })

  test('is cut at every name line, as DungBeetle cuts it, inside a block comment too', () => {
    const { blocks } = split('-- name: a\nSELECT 1 /*\n-- name: b\n*/ SELECT 2')
    expect(blocks.map(({ name, statement }) => [name, statement])).toEqual([
      ['a', 'SELECT 1 /*'],
      ['b', '*/ SELECT 2'],
    ])
  })

  test('with text before any name says so once, with the first line', () => {
    const { problems, blocks } = split('-- a remark\nSELECT 1\nFROM t\n-- name: a\nSELECT 2')
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ line: 2, severity: 'error', code: 'syntax' })
    expect(problems[0]?.message).toContain('-- name: …')
    expect(blocks.map((block) => block.name)).toEqual(['a'])
  })

  test('with a directive before any name says that the name comes first', () => {
    const { problems } = split('-- db: shop\n-- name: a\nSELECT 2')
    expect(problems).toMatchObject([{ line: 1, severity: 'error', message: expect.stringContaining('must be the first tag') }])
  })

  test('with a name that has no query refuses that task only', () => {
    const { problems, blocks } = split('-- name: a\n-- db: x\n\t\n-- name: b\nSELECT 1')
    expect(problems).toMatchObject([{ line: 1, task: 'a', severity: 'error', message: expect.stringContaining('no query') }])
    expect(blocks.map((block) => block.name)).toEqual(['b'])
  })

  test('may be empty', () => {
    expect(split('')).toEqual({ blocks: [], problems: [], stray: [] })
  })
})

import { describe, expect, test } from 'bun:test'
import type { Dialect } from './placeholders.ts'
import { readStatement } from './placeholders.ts'

const read = (sql: string, dialect: Dialect = 'duckdb') => {
  const statement = readStatement(sql, dialect)
  return statement.ok ? statement.value : statement.detail
}

describe('placeholders', () => {
  test.each([
    ['SELECT $1, $2, $1', 2],
    ["SELECT '$1', $1 -- $2\n/* $3 /* $4 */ $5 */", 1],
    ['SELECT "$1 ?" FROM "t""?"', 0],
    ['SELECT $$ $1 ? $$, $q$ $2 $$ $q$', 0],
    ["SELECT E'it\\'s ?', $1", 1],
    ['SELECT a$1 FROM t', 0],
    ["SELECT 'a''?' || $1", 1],
    ['SELECT 1', 0],
  ])('%p takes %d values and stays as it is', (sql, arity) => {
    expect(read(sql)).toEqual({ sql: sql.replace(/\n\/\*.*$/, '').replace(/ -- \$2$/, ''), arity, several: false })
  })

  test('written ? are numbered from left to right, outside of texts, names and comments', () => {
    expect(read('SELECT ?, \'?\', "?", /* ? */ ? -- ?\n+ ?;')).toEqual({
      sql: 'SELECT $1, \'?\', "?", /* ? */ $2 -- ?\n+ $3',
      arity: 3,
      several: false,
    })
  })

  test('written ? never grow together with what stands beside them', () => {
    expect(read('SELECT a FROM t WHERE b>?AND c IN(?,?)LIMIT?')).toMatchObject({
      sql: 'SELECT a FROM t WHERE b>$1 AND c IN($2,$3)LIMIT $4',
      arity: 4,
    })
    expect(read('SELECT?FROM t')).toMatchObject({ sql: 'SELECT $1 FROM t', arity: 1 })
    expect(read('SELECT ??')).toMatchObject({ sql: 'SELECT $1 $2', arity: 2 })
    expect(read('SELECT ?1')).toMatchObject({ sql: 'SELECT $1 1' })
    expect(read('SELECT ?AS a')).toMatchObject({ sql: 'SELECT $1 AS a' })
  })

  test("a ? behind a value is Postgres' operator there, and elsewhere a placeholder", () => {
    const sql = "SELECT data ? 'a', '{}'::jsonb ?| $1, (x) ?& $2, a[1] ? 'b', j @? '$.x' FROM t"
    expect(read(sql, 'postgres')).toEqual({ sql, arity: 2, several: false })
    expect(read('SELECT a FROM t WHERE b = ? AND c IN (?, ?) LIMIT ?', 'postgres')).toMatchObject({
      sql: 'SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) LIMIT $4',
      arity: 4,
    })
    expect(read('SELECT a ?', 'mysql')).toMatchObject({ sql: 'SELECT a $1' })
  })

  test('MySQL has backslashes in texts, # comments, backticks, and -- only before a blank', () => {
    expect(read("SELECT 'it\\'s ?', `?`, ? # ?\n, 1--?", 'mysql')).toMatchObject({
      sql: "SELECT 'it\\'s ?', `?`, $1 # ?\n, 1--$2",
      arity: 2,
    })
  })

  test.each([
    ['SELECT $1, ?', 'both "?" and "$1"'],
    ['SELECT $1, $3', 'no "$2"'],
    ['SELECT $0', '"$0"'],
    ['SELECT $1001', 'at most 1000'],
    [`SELECT $${'9'.repeat(400)}`, 'at most 1000'],
    ["SELECT 'abc", 'never closes'],
    ['SELECT 1 /* abc', 'never closes'],
    ['SELECT\n $a$ b $c$', 'on line 2'],
    ['-- nothing\n;', 'no query'],
  ])('%p is refused: %s', (sql, reason) => {
    expect(read(sql)).toContain(reason)
  })
})

describe('the end of a statement', () => {
  test.each(['SELECT 1;', 'SELECT 1 ; ;', 'SELECT 1; -- done', 'SELECT 1 -- done', 'SELECT 1 /* done */\n'])(
    '%p is cut behind its last word, so that it can stand in brackets',
    (sql) => {
      expect(read(sql)).toEqual({ sql: 'SELECT 1', arity: 0, several: false })
    },
  )
  test('is not the first of several semicolons with text between', () => {
    expect(read("SELECT ';'; SELECT 2;")).toEqual({ sql: "SELECT ';'; SELECT 2", arity: 0, several: true })
  })
})

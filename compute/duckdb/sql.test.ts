import { describe, expect, test } from 'bun:test'
import { asSubquery, quoteName, quoteText } from './sql.ts'

describe('asSubquery', () => {
  test.each([
    ['select 1;', 'select 1 \n'],
    ['select 1 ; ;', 'select 1    \n'],
    ['select \';\' as a, "b;c" from t; -- done; really', 'select \';\' as a, "b;c" from t  -- done; really\n'],
    ['select /* a ; /* b ; */ c; */ 1;', 'select /* a ; /* b ; */ c; */ 1 \n'],
    ["select e'it\\'s ;' ;", "select e'it\\'s ;'  \n"],
    ["select 'it''s ;'", "select 'it''s ;'\n"],
    ['select $$ ; $$, $tag$ ; $$ $tag$;', 'select $$ ; $$, $tag$ ; $$ $tag$ \n'],
    ['select $1;', 'select $1 \n'],
  ])('removes only the semicolons that end %p', (sql, expected) => {
    expect(asSubquery(sql)).toBe(expected)
  })
})

test('names and texts are quoted by doubling their quotes', () => {
  expect(quoteName('a"b')).toBe('"a""b"')
  expect(quoteText("it's")).toBe("'it''s'")
})

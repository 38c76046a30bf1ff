import { describe, expect, it } from 'vitest'
import { normalise } from '../../edge/contract/slice-form.ts'
import type { StructuredNormal } from '../../edge/contract/slice-sql.ts'
import { asWritten, inlined, literal, positions, rowsAt } from './sql.ts'
import type { Column } from './wire.ts'

const COLUMNS: Column[] = [
  { name: 'a"$1', type: 'string' },
  { name: 'n', type: 'long' },
]

const normal = (request: Parameters<typeof normalise>[0]): StructuredNormal => {
  const made = normalise(request, COLUMNS)
  if (!made.ok || 'sql' in made.slice) throw new Error('not a structured slice')
  return made.slice
}

describe('SQL for the engine in the browser', () => {
  it('writes a literal that no text can leave', () => {
    expect(literal("it's")).toBe("'it''s'")
    expect(literal("a\0'b")).toBe("'a' || chr(0) || '''b'")
  })

  it('replaces placeholders, but not what looks like one inside a name', () => {
    expect(
      inlined({
        sql: 'SELECT r."a""$1" FROM t WHERE x = CAST($1 AS VARCHAR) AND "y$2" = $2',
        params: [
          { value: "'; DROP", type: 'VARCHAR' },
          { value: '2', type: 'BIGINT' },
        ],
      }),
    ).toBe(`SELECT r."a""$1" FROM t WHERE x = CAST(('''; DROP') AS VARCHAR) AND "y$2" = ('2')`)
    expect(() => inlined({ sql: '$1', params: [] })).toThrow('$1')
  })

  it('asks a filtered and sorted view for row numbers only, ties in the result’s own order', () => {
    const sql = positions(normal({ where: [{ col: 'a"$1', op: '=', value: '$2' }], order: ['-n'] }), COLUMNS, 'pack.main.result')
    expect(sql).toContain('SELECT CAST(r.rowid AS INTEGER) AS position\nFROM pack.main.result AS r\nWHERE')
    expect(sql).toContain(`r."a""$1" = CAST(('$2') AS VARCHAR)`)
    expect(sql).toMatch(/ORDER BY r\."n" DESC NULLS LAST, r\.rowid ASC/)
  })

  it('tells of a fault where its author wrote it, one line above where the engine read it', () => {
    expect(asWritten('Binder Error: no "x"\n\nLINE 2: SELECT x\n               ^')).toBe(
      'Binder Error: no "x"\n\nLINE 1: SELECT x\n               ^',
    )
    expect(asWritten('Parser Error: near\n\nLINE 10: FROM\n         ^')).toBe('Parser Error: near\n\nLINE 9: FROM\n        ^')
    expect(asWritten('Out of Memory Error')).toBe('Out of Memory Error')
  })

  it('names the columns of a page one by one', () => {
    expect(rowsAt(COLUMNS, 'result', 'r.rowid IN (1)')).toBe('SELECT r.rowid, r."a""$1", r."n"\nFROM result AS r\nWHERE r.rowid IN (1)')
  })
})

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Argument } from '../../../edge/contract/tasks.ts'
import { PATIENCE_MS } from '../../test-patience.ts'
import { type Fixture, openFixture } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture

beforeAll(async () => {
  pg = await openFixture()
})
afterAll(() => pg.close())

/** A place of this type, an argument, and the text of what PostgreSQL makes of it. */
const ARGUMENTS: [string, Argument, string | null][] = [
  ['text', "Grüße'; drop table x; --", "Grüße'; drop table x; --"],
  ['text', '', ''],
  ['text', null, null],
  ['text', 'null', 'null'],
  ['text', '$1 "quoted" \\ $$', '$1 "quoted" \\ $$'],
  ['int', 7, '7'],
  ['int', null, null],
  ['bigint', '9223372036854775807', '9223372036854775807'],
  ['bigint', -5, '-5'],
  ['double precision', 0.1, '0.1'],
  ['double precision', 1e300, '1e+300'],
  ['numeric', '12345678901234567890.123456789', '12345678901234567890.123456789'],
  ['boolean', true, 'true'],
  ['boolean', 'f', 'false'],
  ['date', '2024-02-29', '2024-02-29'],
  ['timestamp', '2024-01-02T03:04:05.000006', '2024-01-02 03:04:05.000006'],
  ['timestamptz', '2024-01-02T03:04:05.000006+05:30', '2024-01-01 21:34:05.000006+00'],
  ['uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['jsonb', '{"a": [1, null]}', '{"a": [1, null]}'],
  ['int[]', '{1,2}', '{1,2}'],
  ['bytea', '\\x00ff', '\\x00ff'],
]

describe('arguments are bound, never pasted', () => {
  for (const [type, value, text] of ARGUMENTS) {
    test(`${JSON.stringify(value)} as ${type}, with few rows and with many`, async () => {
      for (const rows of [1, 5_000]) {
        const { run, produced } = await pg.execute(
          `select ($1::${type})::text as v, $1::${type} is null as n from generate_series(1, ${rows})`,
          { args: [value] },
        )
        expect(produced.rows).toBe(rows)
        expect(produced.firstRows[0]).toEqual([text, text === null])
        expect(await pg.read({ run, produced }, 'count(*)::int, count(distinct v)::int, min(v)')).toEqual([
          [rows, text === null ? 0 : 1, text],
        ])
      }
    })
  }

  test('the type of a place comes from the statement', async () => {
    await pg.admin("create table things as select g as id, g::text as code, date '2024-01-01' + g as day from generate_series(1, 10) as g")
    const plan = await pg.plan('select id from things where id = $1 and code = $2 and day < $3')
    expect(plan.parameters).toEqual(['integer', 'text', 'date'])
    const { produced } = await pg.execute('select id from things where id = $1 and code = $2 and day < $3', {
      args: [3, '3', '2024-02-01'],
    })
    expect(produced.firstRows).toEqual([[3]])
  })

  test('a declared type decides where the statement does not', async () => {
    const params = [
      { name: 'from', type: 'date' as const },
      { name: 'n', type: 'int' as const },
    ]
    const { produced, run } = await pg.execute('select $1 as day, $2 as n, $1 + $2 as later', { params, args: ['2024-01-31', 2] })
    expect(run.schema.columns.map((column) => column.type)).toEqual(['date', 'int', 'date'])
    expect(produced.firstRows).toEqual([['2024-01-31', 2, '2024-02-02']])
  })

  test('a declared type that the place does not take gives way', async () => {
    const { produced } = await pg.execute("select 'yes' as v where 'a' = lower($1)", { params: [{ name: 'n', type: 'int' }], args: ['A'] })
    expect(produced.firstRows).toEqual([['yes']])
  })

  test('a place without any type asks for a declaration', async () => {
    const failure = await pg.failure(pg.plan('select $1 + $2 as sum'))
    expect(failure.class).toBe('sql')
    expect(await pg.failure(pg.plan('select $1 is null as n'))).toMatchObject({ code: 'needs_arguments', class: 'arguments' })
  })

  test('defaults fill what was not given', async () => {
    const params = [
      { name: 'a', type: 'int' as const },
      { name: 'b', type: 'text' as const, default: '' },
    ]
    expect((await pg.execute('select $1::int as a, $2::text as b', { params, args: [1] })).produced.firstRows).toEqual([[1, '']])
  })

  const BAD: [string, Argument[], string, RegExp][] = [
    ['select $1::int as v', ['abc'], 'invalid_argument', /abc/],
    ['select $1::date as v', [''], 'invalid_argument', /date/],
    ['select $1::int as v', [3_000_000_000], 'invalid_argument', /3000000000/],
    ['select $1::int as v', [], 'missing_argument', /argument 1/],
    ['select $1::int as v', [1, 2], 'invalid_argument', /takes 1/],
    ['select $1::text as v', ['a\0b'], 'invalid_argument', /NUL/],
  ]
  for (const [sql, args, code, message] of BAD) {
    test(`${sql} with ${JSON.stringify(args)} fails as an argument`, async () => {
      const failure = await pg.failure(pg.execute(sql, { args }))
      expect(failure).toMatchObject({ code, class: 'arguments' })
      expect(failure.message).toMatch(message)
    })
  }
})

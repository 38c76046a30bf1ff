import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { PATIENCE_MS } from '../../test-patience.ts'
import type { Source } from '../engine.ts'
import { type Fixture, openFixture } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture
beforeAll(async () => {
  pg = await openFixture()
  await pg.admin(`
    create role narrow login connection limit 1;
    create function raised(code text) returns int language plpgsql as $$ begin raise exception 'told so' using errcode = code; end $$`)
})
afterAll(() => pg.close())

describe('a server with too much to do', () => {
  test('that has no connection left overloads the attempt, which may be tried again', async () => {
    const narrow: Source = { ...pg.source, name: 'narrow', dsn: pg.server.dsn('narrow'), maxActive: 2 }
    const schema = (await pg.prepare('select 1 as n')).schema
    const begun = Promise.withResolvers<void>()
    const stop = new AbortController()
    const first = pg
      .execute('select count(*)::int as n from pg_sleep(3600)', {
        source: narrow,
        schema,
        signal: stop.signal,
        hooks: { started: () => begun.resolve() },
      })
      .catch(() => undefined)
    await begun.promise
    const failure = await pg.failure(pg.execute('select 1 as n', { source: narrow, schema }))
    expect(failure).toMatchObject({ code: 'source_overloaded', class: 'overloaded' })
    expect(failure.message).toContain('source "narrow": the server has as many connections as it allows; lower max_active')
    stop.abort()
    await first
  })

  test.each(['53000', '53100', '53200', '53300', '53400', '57P03', '55P03'])('and says so by SQLSTATE %s', async (code) => {
    expect(await pg.failure(pg.execute(`select raised('${code}') as n`))).toMatchObject({ code: 'source_overloaded', class: 'overloaded' })
  })

  test.each([
    ['08006', 'lost'],
    ['57P01', 'lost'],
    ['40001', 'lost'],
    ['40P01', 'lost'],
    ['22012', 'sql'],
    ['54000', 'sql'],
    ['57014', 'source'],
    ['42501', 'source'],
  ] as const)('is another thing than SQLSTATE %s, which is of class %s', async (code, of) => {
    expect(await pg.failure(pg.execute(`select raised('${code}') as n`))).toMatchObject({ class: of })
  })
})

test('a max_runtime of more than a timer can hold is no end at once', async () => {
  const { produced } = await pg.execute('select count(*)::int as n from pg_sleep(0.05)', { maxRuntimeSeconds: 40 * 86_400 })
  expect(produced.firstRows).toEqual([[1]])
})

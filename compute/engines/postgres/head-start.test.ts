import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, type Mock, setDefaultTimeout, spyOn, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import type { DuckdbPool } from '../../duckdb/pool.ts'
import type { DuckdbSession } from '../../duckdb/session.ts'
import type { Materialised } from '../../results/materialise.ts'
import { PATIENCE_MS } from '../../test-patience.ts'
import { type Fixture, openFixture } from './fixture.ts'
import { HeadStart } from './head-start.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture
let lend: Mock<DuckdbPool['lend']>
let lending: DuckdbPool['lend']
/** Holds back what waits for the gate. */
let keeper: Bun.SQL

beforeAll(async () => {
  pg = await openFixture()
  keeper = new Bun.SQL(pg.server.dsn(), { max: 1 })
  lending = pg.duckdb.lend.bind(pg.duckdb)
  lend = spyOn(pg.duckdb, 'lend').mockImplementation(lending)
})
afterAll(async () => {
  await keeper.end()
  await pg.close()
})
beforeEach(async () => {
  lend.mockClear()
  await keeper`select pg_advisory_lock(7)`
})
const openGate = async () => {
  await keeper`select pg_advisory_unlock_all()`
}
afterEach(openGate)

const ROWS = 120_000
/** Ten megabytes and more in front of a gate, and some rows behind it. */
const GATED = `select g as n, repeat('x', 100) as pad, case when g = 100000 then pg_advisory_xact_lock(7)::text end as gate from generate_series(1, ${ROWS}) as g`

/** Lends the child as soon as the test before has let go of it. */
const lendSoon: DuckdbPool['lend'] = async (...request) => {
  for (;;) {
    const made = lending(...request)
    if (made) return made
    await new Promise((resolve) => setImmediate(resolve))
  }
}
/** A run of a query whose head start has begun. */
const start = async (sql: string, signal = new AbortController().signal) => {
  const run = await pg.prepare(sql)
  const begun = Promise.withResolvers<void>()
  lend.mockImplementationOnce((...request) => {
    begun.resolve()
    return lendSoon(...request)
  })
  const work = pg.engine.execute(run, { started: () => undefined, progress: () => undefined }, signal)
  work.catch(() => undefined)
  await begun.promise
  return { run, work }
}
/** How many rows, their sum, and whether they are in their order. */
const WHOLE = [[ROWS, (ROWS * (ROWS + 1)) / 2, true]]
const whole = (ran: Parameters<Fixture['read']>[0]) =>
  pg.read(ran, 'count(*)::int, sum(n)::int8::double, bool_and(n = file_row_number + 1)')
const answers = () =>
  pg.duckdb.use({ folder: '/', allowed: null }, new AbortController().signal, (session) => session.run('SELECT 42 AS n'))

describe('a long report, which DuckDB reads while it comes', () => {
  test('has all its rows, in their order', async () => {
    const { run, work } = await start(GATED)
    await openGate()
    const produced = await work
    expect(lend.mock.results[0]?.value).toBeInstanceOf(Promise)
    await expect(lend.mock.results[0]?.value).resolves.toMatchObject({ rows: ROWS })
    expect(produced.rows).toBe(ROWS)
    expect(await whole({ run, produced })).toEqual(WHOLE)
  })

  test('fails as lost when its source breaks, and leaves nothing at work (I5)', async () => {
    const { run, work } = await start(GATED)
    await pg.admin(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like '%generate_series(1, ${ROWS})%' and pid <> pg_backend_pid()`,
    )
    expect(await pg.failure(work)).toMatchObject({ class: 'lost' })
    await expect(lend.mock.results[0]?.value).rejects.toMatchObject({ failure: { class: 'cancelled' } })
    expect(await readdir(run.folder)).not.toContain('spool.csv')
    expect(await answers()).toEqual([[42]])
  })

  test('gives the child to work that waits for one, and is read from the start when it has come', async () => {
    const { run, work } = await start(GATED)
    // The fixture's pool has one child, and the gate is closed.
    expect(await answers()).toEqual([[42]])
    await openGate()
    expect(await whole({ run, produced: await work })).toEqual(WHOLE)
  })

  test('survives the end of the process that reads it', async () => {
    const { run, work } = await start(GATED)
    for (const pid of pg.duckdb.pids) process.kill(pid, 'SIGKILL')
    await openGate()
    expect(await whole({ run, produced: await work })).toEqual(WHOLE)
  })

  test('stops at once when the job is cancelled', async () => {
    const controller = new AbortController()
    const { run, work } = await start(GATED, controller.signal)
    controller.abort()
    expect(await pg.failure(work)).toMatchObject({ class: 'cancelled' })
    expect(pg.engine.cancelled(run)).toMatchObject({ outcome: 'confirmed' })
    expect(await answers()).toEqual([[42]])
  })

  test('may have a line longer than what a pipe is read by', async () => {
    const { run, work } = await start(
      `select g as n, case when g < 100000 then repeat('x', 100) else repeat('y', 9000000) end as pad, case when g = 100000 then pg_advisory_xact_lock(7)::text end as gate from generate_series(1, 100001) as g`,
    )
    await openGate()
    const ran = { run, produced: await work }
    expect(await pg.read(ran, 'count(*)::int, max(length(pad))::int, sum(length(pad))::int8::double')).toEqual([
      [100_001, 9_000_000, 99_999 * 100 + 18_000_000],
    ])
  })

  test('begins nothing with what was still on its way to the disk when its source failed', async () => {
    // Four slabs of a megabyte have gone to the disk then; the fifth, with which the report is long, follows when the spool is closed.
    const failure = await pg.failure(
      pg.execute(`select g as n, repeat('x', 1000) as pad, 1 / (4600 - g) as late from generate_series(1, 10000) as g`),
    )
    expect(failure).toMatchObject({ code: 'sql_error' })
    expect(lend).not.toHaveBeenCalled()
  })

  test('tells a child that it has given back nothing more: it may follow another spool', async () => {
    const made: Materialised = { rows: 1, files: [], firstRows: [], inline: null }
    const told: number[] = []
    const session: DuckdbSession = {
      version: '',
      describe: () => Promise.reject(new Error('not asked')),
      run: () => Promise.resolve([]),
      digest: () => Promise.reject(new Error('not asked')),
      follow: () => Promise.resolve(),
      grown: (bytes) => void told.push(bytes),
      onProgress: null,
    }
    const works: Promise<unknown>[] = []
    const pool: Pick<DuckdbPool, 'lend'> = {
      lend: (_sandbox, _signal, _recall, body) => {
        const work = body(session)
        works.push(work)
        return work
      },
    }
    const reading = { pool, folder: '/', allowed: [], signal: new AbortController().signal, body: () => Promise.resolve(made) }
    const head = HeadStart.begin({ path: '/spool', multiline: false }, reading)
    head?.grown({ bytes: 1, multiline: false })
    await Promise.all(works)
    // What becomes of the work is heard a turn later; a child takes longer to be ready again.
    await new Promise((resolve) => setImmediate(resolve))
    head?.grown({ bytes: 2, multiline: false })
    expect(await head?.finish({ bytes: 3, multiline: false })).toEqual(made)
    expect(told).toEqual([1])
  })

  test('does not count where the first line break in a cell came after DuckDB had begun', async () => {
    const made = { rows: 1, files: [], firstRows: [], inline: null }
    const pool = { lend: () => Promise.resolve(made) as Promise<never> }
    const reading = { pool, folder: '/', allowed: [], signal: new AbortController().signal, body: () => Promise.resolve(made) }
    const begin = (multiline: boolean) => HeadStart.begin({ path: '/spool', multiline }, reading)
    expect(await begin(false)?.finish({ bytes: 1, multiline: false })).toEqual(made)
    expect(await begin(false)?.finish({ bytes: 1, multiline: true })).toBeNull()
    expect(begin(true)).toBeNull()
  })

  test('waits until its source has ended where no child is free', async () => {
    lend.mockImplementationOnce(() => null)
    await openGate()
    const ran = await pg.execute(GATED)
    expect(lend).toHaveBeenCalledTimes(1)
    expect(await whole(ran)).toEqual(WHOLE)
  })
})

import { join } from 'node:path'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { createClient } from '../../web/client/index.ts'
import { eventually, PATIENCE_MS } from '../support/patience.ts'
import { type BuiltPage, buildForTest, launchBrowser } from './support-browser.ts'
import { FLIGHTS_COLUMNS, flightsSql, makeResult, TYPES_COLUMNS, TYPES_SQL } from './support-results.ts'
import { type SupportServer, startSupportServer } from './support-server.ts'

declare global {
  var scarab: { createClient: typeof createClient }
  var opened: Awaited<ReturnType<ReturnType<typeof createClient>['openResult']>>
}

const ROWS = 150_000
/** What somebody could have put into a pack, and what the refusal says. */
const FORGED: Record<string, { sql: string; why: string }> = {
  view: { sql: 'CREATE VIEW pack.extra AS SELECT 1', why: 'views' },
  macro: { sql: 'CREATE MACRO pack.main.count_all() AS 7', why: 'macros' },
  table: { sql: 'CREATE TABLE pack.other (x INTEGER)', why: 'tables' },
  default: { sql: 'ALTER TABLE pack.result ALTER COLUMN fare SET DEFAULT 1', why: 'column defaults' },
  other_type: { sql: 'ALTER TABLE pack.result ALTER COLUMN fare TYPE DOUBLE', why: 'DOUBLE' },
  instead: { sql: 'ALTER TABLE pack.result RENAME TO r; CREATE VIEW pack.result AS FROM pack.r', why: 'tables' },
}
let built: BuiltPage
let server: SupportServer
let browser: Browser
let page: Page

beforeAll(async () => {
  built = await buildForTest()
  await build({
    entryPoints: { harness: join(import.meta.dirname, 'harness.ts') },
    outdir: join(built.outdir, 'assets'),
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['es2022'],
    platform: 'browser',
    logLevel: 'error',
  })
  const flights = await makeResult(flightsSql(ROWS), FLIGHTS_COLUMNS)
  const types = await makeResult(TYPES_SQL, TYPES_COLUMNS, { inline: true })
  server = await startSupportServer({
    dist: built.outdir,
    stepMilliseconds: 5,
    tasks: [
      { name: 'flights', description: 'Flights', sql: 'SELECT 1', result: flights },
      { name: 'types', description: 'Types, travelling whole', sql: 'SELECT 1', result: types },
      { name: 'types packed', description: 'Types, as a pack', sql: 'SELECT 1', result: { ...types, all: null, first: [] } },
      { name: 'forged', description: 'A pack that is not what it says', sql: 'SELECT 1', result: { ...flights, rows: ROWS + 1 } },
      ...(await Promise.all(
        Object.entries(FORGED).map(async ([name, { sql }]) => ({
          name,
          description: 'A pack with more in it than a result',
          sql,
          result: await makeResult(flightsSql(10), FLIGHTS_COLUMNS, { inPack: sql }),
        })),
      )),
    ],
  })
  browser = await launchBrowser()
  page = await browser.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const faults: string[] = []
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
  await page.goto(server.origin)
  await page.addScriptTag({ type: 'module', url: '/assets/harness.js' })
  await page.waitForFunction(() => 'scarab' in globalThis)
})

afterAll(async () => {
  await browser?.close()
  await server?.close()
  await built?.remove()
})

/** Runs a task to its end and opens its result in the page; the slice stays in `window.opened`. */
const open = (task: string, options: object = {}) =>
  page.evaluate(
    async ({ task, options, assets, token }) => {
      const client = scarab.createClient({ token, assets })
      const job = await client.submit(task)
      for await (const _ of client.watch(job.id));
      const slice = await client.openResult(job.id, options)
      const errors: string[] = []
      slice.on((event) => event.type === 'error' && errors.push(event.error.message))
      const mode = await slice.settled
      Object.assign(globalThis, { opened: slice })
      return { mode, errors, rows: slice.rowCount }
    },
    { task, options, assets: built.assets, token: server.token },
  )

const close = () => page.evaluate(() => globalThis.opened.close())

describe('a result in the browser', () => {
  it('shows any row of a sorted and filtered copy without a request', async () => {
    expect(await open('flights')).toEqual({ mode: 'local', errors: [], rows: ROWS })
    server.requests.length = 0
    const seen = await page.evaluate(async (rows) => {
      const all = await globalThis.opened.view({})
      const last = await all.page(rows - 1, 10)
      const sorted = await globalThis.opened.view({ order: ['-flight'] })
      const top = await sorted.page(0, 2)
      const filtered = await globalThis.opened.view({
        where: [{ col: 'flight', op: '<', value: '9007199254740005' }],
        order: ['-flight'],
        select: ['flight'],
      })
      const few = await filtered.page(0, 100)
      const grouped = await globalThis.opened.view({ group: ['carrier'], order: ['-count'] })
      const groups = await grouped.page(0, 100)
      const typed = await globalThis.opened.sql('SELECT count(*) AS n, sum(fare) AS total FROM result WHERE delay_min IS NULL')
      return { last, top: top.map((row) => row[0]), filtered: filtered.count, few, groups: groups.map((row) => Number(row[1])), typed }
    }, ROWS)
    expect(seen.last).toHaveLength(1)
    expect(seen.last[0]?.[0]).toBe(String(9007199254740000n + BigInt(ROWS) - 1n))
    expect(seen.top).toEqual([String(9007199254740000n + BigInt(ROWS) - 1n), String(9007199254740000n + BigInt(ROWS) - 2n)])
    expect(seen.filtered).toBe(5)
    expect(seen.few.map((row) => row[0])).toEqual([4, 3, 2, 1, 0].map((n) => String(9007199254740000n + BigInt(n))))
    expect(seen.groups.reduce((sum, n) => sum + n, 0)).toBe(ROWS)
    expect(seen.typed.columns.map((column) => column.type)).toEqual(['long', 'decimal(38,2)'])
    expect(seen.typed.rows[0]?.[0]).toBe(String(Math.ceil(ROWS / 97)))
    expect(server.requests).toEqual([])
  })

  it('lets typed SQL reach neither network, nor files, nor settings', async () => {
    const outcomes = await page.evaluate(async (origin) => {
      const attempts = [
        `SELECT * FROM read_csv('${origin}/v1/tasks')`,
        "SELECT * FROM read_text('result.duckdb')",
        "SELECT * FROM 'result.duckdb'",
        'SELECT 1); SET lock_configuration = false; SELECT (1',
        "SELECT 1) ; ATTACH 'x.duckdb' AS x; SELECT * FROM (SELECT 2",
      ]
      const messages: string[] = []
      for (const sql of attempts)
        messages.push(
          await globalThis.opened.sql(sql).then(
            () => 'answered',
            (error: Error) => error.message,
          ),
        )
      return messages
    }, server.origin)
    for (const message of outcomes) expect(message).not.toBe('answered')
    expect(server.requests).toEqual([])
  })

  it('stops a statement when its signal aborts, and answers the next one', async () => {
    const name = await page.evaluate(() => {
      const stop = new AbortController()
      const long = globalThis.opened.sql('SELECT count(*) FROM range(4000000000) t(i) WHERE hash(i) % 7 = 3', { signal: stop.signal }).then(
        () => 'answered',
        (error: Error) => error.name,
      )
      setTimeout(() => stop.abort(), 50)
      return long
    })
    expect(name).toBe('AbortError')
    // Where the engine did not stop soon enough, a new one opens the copy first.
    const next = await eventually(() => page.evaluate(() => globalThis.opened.sql('SELECT 7 AS n')))
    expect(next.rows).toEqual([[7]])
  })

  it('summarises a column exactly', async () => {
    const summary = await page.evaluate(() => globalThis.opened.stats('carrier', [{ col: 'delay_min', op: 'not_null' }]))
    expect(summary.distinct).toBe(5)
    expect(summary.top).toHaveLength(5)
    expect(summary.top.reduce((sum, one) => sum + one.count, 0)).toBe(ROWS - Math.ceil(ROWS / 97))
    const bars = await page.evaluate(() => globalThis.opened.stats('departed'))
    expect(bars.bars.reduce((sum, bar) => sum + bar.count, 0)).toBe(ROWS)
    expect(bars.min).toBe('2001-01-01T00:00:00.000000')
  })

  it('exports what the view shows as CSV', async () => {
    const text = await page.evaluate(async () => {
      const blob = await globalThis.opened.exportCsv({
        where: [{ col: 'flight', op: '<=', value: '9007199254740001' }],
        select: ['flight', 'departed', 'fare', 'delay_min'],
      })
      return blob.text()
    })
    const lines = text.split('\n')
    expect(lines[0]).toBe('flight,departed,fare,delay_min')
    expect(lines[1]).toMatch(/^9007199254740000,2001-01-01T00:00:00.000000,\d+\.\d\d,$/)
    expect(lines).toHaveLength(4)
    await close()
  })

  it('keeps every type exact, from rows, from a pack and from Parquet', async () => {
    const expected = [
      [
        '9007199254740993',
        '1234567890123456789012345678.0123456789',
        '1969-12-31T23:59:59.999999',
        '2024-02-29T12:00:00.000001Z',
        '23:59:59.000001',
        'NaN',
        Math.fround(0.1),
        true,
        '6f1c3b52-0000-4000-8000-0123456789ab',
        'AP8=',
        'Grüße, "Zürich"',
        '',
        ['1', null, '9223372036854775807'],
        { x: '-1.25', y: ['a', null, ''] },
      ],
      [
        '-9223372036854775808',
        '-0.0000000001',
        '0001-01-01T00:00:00.000000',
        '1900-01-01T00:00:00.000000Z',
        '00:00:00.000000',
        '-Infinity',
        null,
        false,
        '00000000-0000-0000-0000-000000000000',
        '',
        '',
        null,
        [],
        { x: null, y: null },
      ],
      [null, null, null, null, null, null, null, null, null, null, null, 'line\nbreak, comma', null, null],
    ]
    for (const [task, options] of [
      ['types', {}],
      ['types packed', {}],
      ['types packed', { source: 'parquet' }],
    ] as const) {
      expect(await open(task, options), `${task} ${JSON.stringify(options)}`).toEqual({ mode: 'local', errors: [], rows: 3 })
      const rows = await page.evaluate(async () => (await globalThis.opened.view({})).page(0, 10))
      expect(rows, `${task} ${JSON.stringify(options)}`).toEqual(expected)
      const typed = await page.evaluate(async () => globalThis.opened.sql('SELECT * FROM result'))
      expect(typed.columns).toEqual(TYPES_COLUMNS)
      expect(typed.rows).toEqual(expected)
      await close()
    }
  })

  it('refuses a pack whose rows are not the result’s, and lets the server slice instead', async () => {
    const outcome = await open('forged')
    expect(outcome.mode).toBe('remote')
    expect(outcome.errors[0]).toContain('150000 rows')
    await close()
  })

  it('refuses a pack with anything in it but the one table', async () => {
    for (const [task, { why }] of Object.entries(FORGED)) {
      const outcome = await open(task)
      expect(outcome.mode, task).toBe('remote')
      expect(outcome.errors.join(), task).toContain(why)
      await close()
    }
    // Each refusal costs an engine.
  }, 600_000)

  it('ends an engine that does not stop a statement, and opens the copy again', async () => {
    await open('flights')
    const seen = await page.evaluate(async () => {
      const modes: string[] = []
      const again = new Promise<void>((resolve) => {
        globalThis.opened.on((event) => {
          if (event.type === 'mode') modes.push(event.mode)
          if (event.type === 'mode' && event.mode === 'local') resolve()
        })
      })
      let name = ''
      // Told before it has got that far it does stop; then once more, told later.
      for (let patience = 1_500; modes.length === 0; patience *= 2) {
        const stop = new AbortController()
        // One step of this never ends: every row of one side meets all of the other.
        const stuck = globalThis.opened
          .sql('SELECT count(*) FROM result a, result b, result c WHERE a.fare + b.fare + c.fare < 0', { signal: stop.signal })
          .then(
            () => 'answered',
            (error: Error) => error.name,
          )
        setTimeout(() => stop.abort(), patience)
        name = await stuck
        // Who listens to the engine has heard of its end as well.
        await new Promise((resolve) => setTimeout(resolve))
      }
      await again
      return { name, modes, rows: (await globalThis.opened.sql('SELECT count(*) AS n FROM result')).rows }
    })
    expect(seen).toEqual({ name: 'AbortError', modes: ['preview', 'local'], rows: [[String(ROWS)]] })
    await close()
  }, 600_000)

  it('loads the pack a second time from the browser’s own cache', async () => {
    server.requests.length = 0
    await open('flights')
    expect(server.requests.filter((request) => request.endsWith('result.duckdb'))).toEqual([])
    await close()
  })
})

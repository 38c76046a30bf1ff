import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEMO_TENANT, type System, startSystem } from '../../edge/embedded/system.ts'
import { launchBrowser } from '../browser/support-browser.ts'
import { eventually } from '../support/patience.ts'
import { client } from './support/client.ts'
import { rowsOfView, rowText, saved, seriousFaults, tabTo, untilRow, untilShown, type Visit, visit } from './support/page.ts'

const ROOT = join(import.meta.dirname, '../..')
const FLIGHTS = `'${join(ROOT, 'node_modules/vega-datasets/data/flights-3m.parquet')}'`
const ROWS = 3_000_000

const ENDLESS = `-- name: endless
-- description: Counts until somebody stops it
-- db: duckdb
-- param: until int = 3
SELECT count(*) AS n FROM range(4000000000000) t(i) WHERE hash(i) % 7 = $1
`

let folder: string
let system: System
let running: boolean
let browser: Browser
/** The visit that goes through the main flow, from test to test. */
let main: Visit
/** The address of a filtered view of the three million rows. */
let result: string
/** The truth, read from the data itself. */
let truth: (sql: string) => Promise<string[][]>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'scarab-e2e-'))
  mkdirSync(join(folder, 'tasks'))
  writeFileSync(join(folder, 'tasks/endless.sql'), ENDLESS)
  system = await startSystem({ state: join(folder, 'state'), tasks: [join(ROOT, 'tasks'), join(folder, 'tasks')], drainSeconds: 1 })
  running = true
  const [launched, instance] = await Promise.all([launchBrowser(), DuckDBInstance.create(':memory:', { threads: '1' }), system.ready()])
  browser = launched
  const connection = await instance.connect()
  truth = async (sql) => {
    const answer = await connection.runAndReadAll(sql.replaceAll('flights_data', FLIGHTS))
    return answer.getRowsJson().map((row) => row.map(String))
  }
  main = await visit(browser)
})

afterAll(async () => {
  await browser?.close()
  if (running) await system.stop()
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const run = async ({ page }: Visit, report: string): Promise<void> => {
  await page.goto(`${system.origin}/#/reports/${report}`)
  await page.click('[data-hook=run]')
}

describe('the page on the real system', () => {
  it('signs in by its address once, and refuses a code that was used', async () => {
    const address = system.pageAddress()
    const answer = await main.page.goto(address)
    expect(answer?.headers()['content-security-policy']).toContain("script-src 'self'")
    await main.page.waitForSelector('[data-report=all_flights]')
    expect(main.page.url()).toBe(`${system.origin}/#/reports`)
    const second = await visit(browser)
    await second.page.goto(address)
    await second.page.waitForSelector('[role=alert]')
    expect(await second.page.textContent('[role=alert]')).toBe('The one-time code is used up or older than a minute.')
    expect(await second.page.textContent('main')).toContain('npm run -s open')
    expect(await second.page.$('[data-report]')).toBeNull()
    await second.close()
  })

  it('takes a report from its form to its rows, by keyboard alone', async () => {
    const { page, requests } = main
    const { keyboard } = page
    await tabTo(page, '[data-report=daily_routes]')
    await keyboard.press('Enter')
    await page.waitForSelector('[data-hook=report-form]')
    await tabTo(page, 'input[name=since]')
    // A date without its month is none.
    await keyboard.press('Backspace')
    await keyboard.press('Enter')
    await page.waitForSelector('#about-0.problem')
    expect(await page.textContent('#about-0')).toContain('needed')
    expect(requests.filter((one) => one.startsWith('POST /v1/tasks'))).toEqual([])
    await keyboard.type('03')
    await page.waitForSelector('#about-0:not(.problem)')
    expect(await page.inputValue('input[name=since]')).toBe('2001-03-01')
    await tabTo(page, '[data-hook=run]')
    await keyboard.press('Enter')
    await page.waitForSelector('[data-job-state=succeeded] [data-painted]')
    expect(requests).toContainEqual(expect.stringMatching(/^GET \/v1\/jobs\/\w+\/events$/))
    const [expected] = await truth(
      "SELECT count(*) FROM (SELECT DISTINCT date::DATE, origin, destination FROM flights_data WHERE date >= '2001-03-01' AND date < '2001-04-01')",
    )
    expect((await page.textContent('[data-hook=rows]'))?.replaceAll(',', '')).toBe(`${expected?.[0]} rows`)
    await untilShown(page, '{}')
    // What workers ask for is seen as well: the engine fetches itself.
    expect(requests).toContainEqual(expect.stringMatching(/^GET \/assets\/duckdb-eh-\w+\.wasm$/))

    await tabTo(page, '[role=grid]')
    await keyboard.press('ArrowRight')
    await keyboard.press('Enter')
    await untilShown(page, '"where"')
    await tabTo(page, '.chip-off', 'Shift+Tab')
    await keyboard.press('Enter')
    await untilShown(page, '{}')
    await tabTo(page, '[data-hook=sql-toggle]')
    await keyboard.press('Enter')
    // The drawer takes the focus; its first SELECT counts the first column of text.
    await page.waitForSelector('[data-hook=sql]:focus')
    await keyboard.press('Control+Enter')
    await untilShown(page, '"sql"')
    const [busiest] = await truth(
      "SELECT origin, count(*) AS n FROM (SELECT DISTINCT date::DATE, origin, destination FROM flights_data WHERE date >= '2001-03-01' AND date < '2001-04-01') GROUP BY ALL ORDER BY n DESC LIMIT 1",
    )
    expect(await rowText(page, 0)).toEqual(busiest)
    expect(main.faults).toEqual([])
  })

  it('follows three million rows live, and lets the local copy take over without a jump', async () => {
    const { page } = main
    // The copy waits until somebody has looked at what was there before it.
    const { promise: looked, resolve: look } = Promise.withResolvers<void>()
    await page.route('**/result.duckdb', async (route) => {
      await looked
      await route.continue()
    })
    await page.evaluate(() => {
      window.shownSteps = []
      window.endShown = null
    })
    await run(main, 'all_flights')
    await page.waitForSelector('[data-step=running][data-step-state=now]')
    await page.waitForSelector('[data-job-state=succeeded] [data-painted]')
    const milliseconds = await page.evaluate(
      () => Number(document.querySelector('[data-painted]')?.getAttribute('data-painted')) - (window.endShown ?? Number.NaN),
    )
    console.log(`first rows ${milliseconds.toFixed(0)} ms after the end of the job was known`)
    expect(milliseconds).not.toBeNaN()
    const order = ['planning now', 'planning done', 'running now', 'running done']
    const steps = (await main.steps()).filter((step) => order.includes(step))
    // In this order; a step that is over when its first word arrives is never shown as the one of now.
    expect(steps).toEqual(order.filter((step) => steps.includes(step)))
    expect(steps).toEqual(expect.arrayContaining(['planning done', 'running now', 'running done']))
    expect(await page.textContent('[data-hook=rows]')).toBe('3,000,000 rows')

    await page.focus('[role=grid]')
    await page.keyboard.press('PageDown')
    await page.keyboard.press('PageDown')
    const seen = () =>
      page.evaluate(() => ({
        scrolled: document.querySelector('.grid-scroll')?.scrollTop,
        first: [...document.querySelectorAll('.grid-body [data-row]')]
          .filter((row) => row.getBoundingClientRect().top >= (document.querySelector('.grid-head')?.getBoundingClientRect().bottom ?? 0))
          .map((row) => Number(row.getAttribute('data-row')))[0],
        cells: [...document.querySelectorAll('.grid-head .grid-cell, .grid-body .grid-cell')].map(
          (cell) => `${cell.textContent} ${JSON.stringify(cell.getBoundingClientRect())}`,
        ),
      }))
    const before = await eventually(async () => {
      const [now, then] = [await seen(), await seen()]
      expect(now.first).toBeGreaterThan(20)
      expect(now.cells.length).toBeGreaterThan(150)
      // It has come to rest.
      expect(then).toEqual(now)
      return now
    })
    expect(await page.getAttribute('[data-hook=mode]', 'data-mode')).toBe('preview')
    look()
    await page.waitForSelector('[data-mode=local]')
    await untilShown(page, '{}')
    expect(await seen()).toEqual(before)
    expect(main.faults).toEqual([])
  })

  it('slices the local copy without a request: any row, order, filters, SQL and CSV as the data has them', async () => {
    const { page, requests } = main
    const { keyboard } = page
    await page.waitForSelector('[data-publication=published]')
    await page.waitForSelector('[data-column-card=delay_minutes][data-counted=true]')
    requests.length = 0

    await page.focus('[role=grid]')
    await keyboard.press('Control+End')
    await untilRow(page, ROWS - 1)
    const ordered = 'SELECT date, origin, destination, distance, delay FROM flights_data ORDER BY'
    const [last] = await truth(`${ordered} date DESC, origin DESC, destination DESC LIMIT 1`)
    expect(await rowText(page, ROWS - 1)).toEqual(last)

    // By delay, descending; the focus is in its column already.
    await keyboard.press('s')
    await untilShown(page, '"order":["delay_minutes"]')
    await keyboard.press('s')
    await untilShown(page, '"order":["-delay_minutes"]')
    await untilRow(page, 0)
    const [latest] = await truth(`${ordered} delay DESC LIMIT 1`)
    expect(await rowText(page, 0)).toEqual(latest)
    await keyboard.press('Control+End')
    await untilRow(page, ROWS - 1)
    const [earliest] = await truth(`${ordered} delay LIMIT 1`)
    expect(await rowText(page, ROWS - 1)).toEqual(earliest)

    // Enter on the origin of the most delayed flight, then a typed filter.
    await keyboard.press('Control+Home')
    await keyboard.press('ArrowRight')
    await untilRow(page, 0)
    const origin = (await rowText(page, 0))[1] ?? ''
    await keyboard.press('Enter')
    await untilShown(page, '"where"')
    expect(await rowsOfView(page)).toBe(Number((await truth(`SELECT count(*) FROM flights_data WHERE origin = '${origin}'`))[0]?.[0]))
    await page.click('[data-hook=add-filter]')
    await page.selectOption('form[aria-label=Filter] select[name=column]', 'delay_minutes')
    await page.selectOption('form[aria-label=Filter] select[name=op]', '>=')
    await page.fill('form[aria-label=Filter] input[name=value]', 'late')
    await keyboard.press('Enter')
    await page.waitForSelector('form[aria-label=Filter] [role=alert]')
    await page.fill('form[aria-label=Filter] input[name=value]', '60')
    await keyboard.press('Enter')
    await untilShown(page, '"60"')
    const exported = await truth(
      `SELECT strftime(date, '%Y-%m-%dT%H:%M:%S.%f') AS at, origin, destination, distance, delay
       FROM flights_data WHERE origin = '${origin}' AND delay >= 60`,
    )
    expect(exported.length).toBeGreaterThan(100)
    expect(await rowsOfView(page)).toBe(exported.length)

    const { name, text } = await saved(page, () => page.click('[data-hook=export]'))
    expect(name).toMatch(/^all_flights-\d{4}-\d\d-\d\d\.csv$/)
    const [head, ...lines] = text.split('\n')
    expect(head).toBe('departed_at,origin,destination,miles,delay_minutes')
    expect(lines.pop()).toBe('')
    expect([...lines].sort()).toEqual(exported.map((row) => row.join(',')).sort())
    const delays = lines.map((line) => Number(line.split(',').at(-1)))
    expect(delays).toEqual(delays.toSorted((a, b) => b - a))

    await page.click('[data-hook=sql-toggle]')
    const statement = 'SELECT destination, count(*) AS n, max(delay_minutes) AS worst FROM result GROUP BY ALL ORDER BY n DESC, destination'
    await page.fill('[data-hook=sql]', statement)
    await keyboard.press('Control+Enter')
    await untilShown(page, '"sql"')
    const answer = await truth('SELECT destination, count(*) AS n, max(delay) FROM flights_data GROUP BY ALL ORDER BY n DESC, destination')
    expect(await rowsOfView(page)).toBe(answer.length)
    expect([await rowText(page, 0), await rowText(page, 9)]).toEqual([answer[0], answer[9]])

    expect(requests).toEqual([])
    expect(main.faults).toEqual([])
  })

  it('cancels a running job, shows what a form got wrong, and gives axe nothing serious, light or dark', async () => {
    const found: string[] = []
    const check = async (where: string): Promise<void> => {
      for (const colorScheme of ['light', 'dark'] as const) {
        await main.page.emulateMedia({ colorScheme })
        for (const fault of await seriousFaults(main.page)) found.push(`${where}, ${colorScheme}: ${fault}`)
      }
    }
    const { page } = main
    await page.click('text=Back to the report')
    await untilShown(page, '{}')
    await page.focus('[role=grid]')
    await page.keyboard.press('Enter')
    await untilShown(page, '"where"')
    result = page.url()
    await check('result')

    await page.goto(`${system.origin}/#/reports/endless`)
    await page.fill('input[name=until]', 'soon')
    await page.click('[data-hook=run]')
    expect(await page.textContent('#about-0.problem')).toBe('A whole number is needed, such as 42.')
    await check('reports')
    await page.fill('input[name=until]', '3')
    await page.click('[data-hook=run]')
    await page.waitForSelector('[data-step=running][data-step-state=now]')
    await check('job')
    await page.click('[data-hook=cancel]')
    await page.waitForSelector('[data-job-state=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('confirmed that the query is dead')
    const id = /#\/jobs\/(\w+)/.exec(page.url())?.[1] ?? ''
    const job = await client(system.origin, await system.token(DEMO_TENANT)).ended(id)
    expect(job).toMatchObject({ task: 'endless', state: 'cancelled', cancel: { outcome: 'confirmed' } })

    expect(found).toEqual([])
    expect(main.faults).toEqual([])
  })

  it('says what a token does not allow', async () => {
    const guest = await visit(browser)
    await guest.page.goto(system.origin)
    await guest.page.fill('[data-hook=token]', await system.token(DEMO_TENANT, { scope: 'tasks:read' }))
    await guest.page.click('text=Sign in')
    await guest.page.waitForSelector('[data-report=daily_routes]')
    await run(guest, 'daily_routes')
    await guest.page.waitForSelector('[data-hook=report-form] [role=alert]')
    expect(await guest.page.textContent('[data-hook=report-form] [role=alert]')).toContain('jobs:submit')
    await guest.page.click('[data-place=jobs]')
    await guest.page.waitForSelector('[data-notice=forbidden]')
    expect(await guest.page.textContent('[data-notice=forbidden]')).toContain('jobs:read')
    // The browser itself notes each refusal; nothing else is wrong.
    expect(guest.faults.filter((fault) => !fault.includes('403'))).toEqual([])
    await guest.close()
  })

  it('goes on slicing when the edge is gone, and says so where it needs it', async () => {
    const { page } = main
    await page.goto(result)
    await untilShown(page, '"where"')
    running = false
    await system.stop()
    await page.focus('[role=grid]')
    await page.keyboard.press('End')
    await page.keyboard.press('s')
    await untilShown(page, '"order":["delay_minutes"]')
    await page.click('[data-place=tables]')
    await page.waitForSelector('[data-notice=offline]')
    expect(await page.textContent('[data-notice=offline]')).toContain('The server does not answer.')
    await page.click('[data-place=jobs]')
    await page.waitForSelector('.stale-note')
  })
})

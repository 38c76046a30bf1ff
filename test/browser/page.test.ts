import { createRequire } from 'node:module'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PATIENCE_MS } from '../support/patience.ts'
import { sampleTasks } from './serve.ts'
import { type BuiltPage, buildForTest, launchBrowser } from './support-browser.ts'
import { type SupportServer, startSupportServer } from './support-server.ts'

// Above 307,692 rows the scroll bar is scaled.
const ROWS = 400_000
const FIRST_FLIGHT = 9_007_199_254_740_000n
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

let built: BuiltPage
let server: SupportServer
let browser: Browser
let context: BrowserContext
let page: Page
let faults: string[]

beforeAll(async () => {
  built = await buildForTest()
  server = await startSupportServer({ dist: built.outdir, stepMilliseconds: 250, tasks: await sampleTasks(ROWS) })
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await server?.close()
  await built?.remove()
})

const openPage = async (options: { colorScheme?: 'light' | 'dark'; width?: number } = {}): Promise<void> => {
  context = await browser.newContext({
    viewport: { width: options.width ?? 1360, height: 820 },
    colorScheme: options.colorScheme ?? 'light',
    acceptDownloads: true,
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  faults = []
  // A refused script or style of the content security policy is an error of the console, too.
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  page.on('pageerror', (error) => faults.push(String(error)))
}
beforeEach(() => openPage())
afterEach(async () => {
  server.fail(null)
  server.release()
  expect(faults).toEqual([])
  await context.close()
})

const signIn = async (to = '/reports'): Promise<void> => {
  await page.goto(`${server.origin}/#code=${server.code}&to=${encodeURIComponent(to)}`)
  await page.waitForSelector('.rail')
}
const run = async (report: string): Promise<void> => {
  await page.goto(`${server.origin}/#/reports/${encodeURIComponent(report)}`)
  await page.click('[data-hook=run]')
}
const untilLocal = () => page.waitForSelector('[data-mode=local]')
/** The view that is shown has this spec (a part of its JSON), and its first rows are painted. */
const untilShown = (part: string) =>
  page.waitForFunction(
    (wanted) => {
      const shown = document.querySelector('[data-shown]')?.getAttribute('data-shown') ?? ''
      return shown.startsWith('local') && shown.includes(wanted) && document.querySelector('.grid-scroll.stale') === null
    },
    part,
    { polling: 20 },
  )
const untilRow = (row: number) => page.waitForSelector(`[data-row="${row}"]:not(.pending) .grid-cell.focused`)
const cell = (row: number, column: number) => page.textContent(`[data-row="${row}"] [data-column="${column}"]`)
const plain = (text: string | null) => (text ?? '').replaceAll(',', '')

const seriousFaults = async (): Promise<string[]> => {
  await page.addScriptTag({ path: AXE }).catch(() => undefined)
  return page.evaluate(async () => {
    // @ts-expect-error -- put there by the script above
    const { violations } = await globalThis.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    })
    return violations.flatMap((one: { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] }) =>
      one.impact === 'serious' || one.impact === 'critical' || one.impact === 'moderate'
        ? one.nodes.map((node) => `${one.impact} ${one.id}: ${node.target.join(' ')} ${node.failureSummary}`)
        : [],
    )
  })
}

describe('the page', () => {
  it('takes a report from its form to any row of the result, without a request while slicing', async () => {
    await signIn()
    expect(page.url()).not.toContain(server.code)
    const { promise: looked, resolve: look } = Promise.withResolvers<void>()
    await page.route('**/result.duckdb', async (route) => {
      await looked
      await route.continue()
    })
    server.hold()
    await run('flights')
    await page.waitForSelector('[data-step=running][data-step-state=now] progress[value="65"]')
    server.release()
    // The first rows come with the end of the job: they wait for no copy.
    await page.waitForSelector('[data-job-state=succeeded] [data-painted]')
    expect(await page.getAttribute('[data-hook=mode]', 'data-mode')).toBe('preview')
    expect(await page.textContent('[data-hook=rows]')).toBe('400,000 rows')
    look()
    await untilLocal()
    await page.unroute('**/result.duckdb')
    await untilShown('{}')
    await page.waitForSelector('[data-publication=published]')
    // The explorer's figures come from the copy as well.
    await page.waitForSelector('[data-column-card=flight][data-counted=true]')
    server.requests.length = 0

    await page.focus('[role=grid]')
    await page.keyboard.press('Control+End')
    await untilRow(ROWS - 1)
    expect(await page.getAttribute('[role=grid]', 'aria-rowcount')).toBe(String(ROWS + 1))
    await page.keyboard.press('Control+ArrowLeft')
    await untilRow(ROWS - 1)
    expect(plain(await cell(ROWS - 1, 0))).toBe(String(FIRST_FLIGHT + BigInt(ROWS) - 1n))

    // Sort by the first column, twice: descending.
    await page.keyboard.press('s')
    await untilShown('"order":["flight"]')
    await page.keyboard.press('s')
    await untilShown('"order":["-flight"]')
    await untilRow(0)
    expect(plain(await cell(0, 0))).toBe(String(FIRST_FLIGHT + BigInt(ROWS) - 1n))
    expect(await page.getAttribute('[role=columnheader][aria-sort]', 'aria-sort')).toBe('descending')

    // Filter by a cell, seen as a chip, and in the count.
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight')
    const carrier = await cell(0, 5)
    await page.keyboard.press('Enter')
    await untilShown('"where"')
    const filtered = Number(await page.getAttribute('[data-hook=row-count]', 'data-count'))
    expect(filtered).toBeGreaterThan(ROWS / 6)
    expect(filtered).toBeLessThan(ROWS / 4)
    expect(await page.textContent('[data-chip=filter]')).toContain(String(carrier))

    // The address is the view: it leads here again.
    expect(decodeURIComponent(page.url())).toContain(`["carrier","=","${carrier}"]`)
    await page.click('[data-chip=filter] .chip-off')
    await untilShown('"order":["-flight"]')

    // SQL over the same copy.
    await page.click('[data-hook=sql-toggle]')
    await page.fill('[data-hook=sql]', 'SELECT carrier, count(*) AS n, sum(fare) AS total FROM result GROUP BY carrier ORDER BY carrier')
    await page.keyboard.press('Control+Enter')
    await untilShown('"sql"')
    expect(await page.getAttribute('[data-hook=row-count]', 'data-count')).toBe('5')
    expect(await cell(0, 0)).toBe('AA')
    await page.fill('[data-hook=sql]', 'SELECT nothing FROM result')
    await page.click('[data-hook=run-sql]')
    expect(await page.textContent('[data-hook=sql-error]')).toContain('LINE 1: SELECT nothing FROM result')
    expect(await page.textContent('[data-hook=row-count]')).toBe('The rows are those from before')
    await page.click('text=Back to the report')
    await untilShown('{}')

    // Group, then into a group.
    await page.focus('[role=grid]')
    await page.keyboard.press('Home')
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight')
    await page.keyboard.press('g')
    await untilShown('"group":["origin"]')
    expect(await page.getAttribute('[data-hook=row-count]', 'data-count')).toBe('10')
    await page.keyboard.press('Home')
    await page.keyboard.press('Enter')
    await untilShown('"where"')

    // Export what is seen.
    const download = page.waitForEvent('download')
    await page.click('[data-hook=export]')
    const file = await download
    expect(file.suggestedFilename()).toMatch(/^flights-.*\.csv$/)
    const chunks: Buffer[] = []
    for await (const chunk of await file.createReadStream()) chunks.push(Buffer.from(chunk))
    const lines = Buffer.concat(chunks).toString().split('\n')
    expect(lines[0]).toBe('flight,departed,day,origin,destination,carrier,distance_km,delay_min,fare,load')
    expect(lines).toHaveLength(Number(await page.getAttribute('[data-hook=row-count]', 'data-count')) + 2)

    // The clipboard gets the selection as a spreadsheet wants it.
    await page.focus('[role=grid]')
    await page.keyboard.press('Home')
    await page.keyboard.press('Shift+ArrowRight')
    await page.keyboard.press('Shift+ArrowDown')
    await page.keyboard.press('Control+c')
    // The word about the export may still be there.
    await page.waitForSelector('.toast:has-text("Copied 2")')
    expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^\d+\t2001-01-01T\S+\n\d+\t2001-01-01T\S+$/)

    expect(server.requests).toEqual([])
  })

  it('shows the first rows, then the local copy, without moving anything', async () => {
    await signIn()
    await run('flights')
    await page.waitForSelector('[data-painted]')
    const look = () =>
      page.evaluate(() => ({
        top: document.querySelector('.grid-scroll')?.scrollTop,
        cells: [...document.querySelectorAll('.grid-body .grid-cell')]
          .slice(0, 60)
          .map((one) => `${one.textContent} ${JSON.stringify(one.getBoundingClientRect())}`),
      }))
    const before = await look()
    expect(before.cells.length).toBe(60)
    await untilLocal()
    await untilShown('{}')
    expect(await look()).toEqual(before)
  })

  it('opens the same view from its address, in the browser’s own copy', async () => {
    await signIn()
    await run('flights')
    await untilLocal()
    await page.focus('[role=grid]')
    await page.keyboard.press('s')
    await page.keyboard.press('s')
    await untilShown('"order":["-flight"]')
    const address = page.url()
    await page.goto('about:blank')
    server.requests.length = 0
    await page.goto(address)
    await untilLocal()
    await untilShown('"order":["-flight"]')
    expect(plain(await cell(0, 0))).toBe(String(FIRST_FLIGHT + BigInt(ROWS) - 1n))
    expect(server.requests.filter((request) => request.endsWith('result.duckdb'))).toEqual([])
  })

  it('follows a job through broken connections to its end', async () => {
    await signIn()
    server.hold()
    await run('flights_by_month')
    await page.waitForSelector('[data-job-state=running]')
    server.dropStreams()
    server.release()
    await page.waitForSelector('[data-job-state=succeeded]')
    await page.waitForSelector('[data-publication=published]')
    await untilLocal()
  })

  it('cancels, and says what the engine said', async () => {
    await signIn()
    await run('endless')
    await page.waitForSelector('[data-step=running][data-step-state=now]')
    await page.click('[data-hook=cancel]')
    await page.waitForSelector('[data-job-state=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('confirmed that the query is dead')
  })

  it('has words and one thing to do where there is nothing to show', async () => {
    await page.goto(server.origin)
    expect(await page.textContent('main')).toContain('npm run -s open')
    await page.goto(`${server.origin}/#code=wrong`)
    await page.waitForSelector('[role=alert]')
    await page.fill('[data-hook=token]', 'not-a-token')
    await page.click('text=Sign in')
    await page.waitForSelector('text=Your sign-in has ended.')
    await signIn()
    // What is wrong in a form is where one is led.
    await page.goto(`${server.origin}/#/reports/flights`)
    await page.fill('[name=since]', '')
    await page.focus('[name=until]')
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('[name=since][aria-invalid=true]:focus')
    await run('broken')
    await page.waitForSelector('[data-notice=failed]')
    expect(await page.textContent('[data-notice=failed]')).toContain('41,200 rows')
    await run('no rows')
    await page.waitForSelector('[data-notice=empty]')
    await page.goto(`${server.origin}/#/jobs/00000000000000000000000000`)
    await page.waitForSelector('[data-notice=missing]')
    server.fail(403)
    await page.goto(`${server.origin}/#/tables`)
    await page.goto(`${server.origin}/#/jobs/00000000000000000000000001`)
    await page.waitForSelector('[data-notice=forbidden]')
    server.fail(410)
    await page.goto(`${server.origin}/#/jobs/00000000000000000000000002`)
    await page.waitForSelector('[data-notice=gone]')
    server.fail(null)
    await page.click('text=Look at the jobs')
    await page.waitForSelector('[data-job]')
    await context.setOffline(true)
    await page.waitForSelector('.offline-bar')
    await page.click('[data-place=tables]')
    await context.setOffline(false)
  })

  it('submits once what was asked for twice because the answer got lost', async () => {
    await signIn()
    await page.goto(`${server.origin}/#/reports/flights`)
    const keys: (string | undefined)[] = []
    await page.route('**/v1/tasks/flights/jobs', async (route) => {
      keys.push(route.request().headers()['idempotency-key'])
      // The server takes it, and a proxy does not wait for its answer; then the line breaks.
      await route.fetch()
      await (keys.length === 1 ? route.fulfill({ status: 504, body: '' }) : route.abort())
    })
    await page.click('[data-hook=run]')
    await page.waitForSelector('text=The server answered 504')
    await page.click('[data-hook=run]')
    await page.waitForSelector('text=it is submitted once')
    await page.unroute('**/v1/tasks/flights/jobs')
    page.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/jobs')) keys.push(request.headers()['idempotency-key'])
    })
    await page.click('[data-hook=run]')
    await page.waitForSelector('[data-job-state]')
    expect(keys).toEqual([expect.any(String), keys[0], keys[0]])
    // What is listed already stays, and says that it may be old.
    await page.goto(`${server.origin}/#/reports`)
    await page.waitForSelector('[data-report]')
    await page.route('**/v1/tasks', (route) => route.abort())
    // More than once: the page may be waiting for an answer that was asked for before.
    await page.waitForFunction(
      () => {
        dispatchEvent(new Event('focus'))
        return document.body.innerText.includes('This list may be old.')
      },
      null,
      { polling: 100 },
    )
    expect(await page.isVisible('[data-report=flights]')).toBe(true)
  })

  it('finds reports by a few letters and tells its keys', async () => {
    await signIn()
    await page.waitForSelector('[data-report]')
    await page.keyboard.press('Control+k')
    await page.waitForSelector('[data-hook=finder]')
    await page.keyboard.type('fbm')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-hook=report-form]')
    expect(page.url()).toContain('flights_by_month')
    // By keyboard one is in the form then, and back at its report when it is closed.
    await page.waitForSelector('.form-side:focus')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-report=flights_by_month]:focus')
    await page.focus('#main')
    await page.keyboard.press('?')
    await page.waitForSelector('[data-hook=keys]')
    await page.keyboard.press('Escape')
    await page.waitForSelector('[data-hook=keys]', { state: 'detached' })
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`gives axe nothing serious to find, ${colorScheme}`, async () => {
      await context.close()
      await openPage({ colorScheme })
      // axe is put into the page by the test, past the policy that the page itself keeps.
      await context.close()
      context = await browser.newContext({ viewport: { width: 1360, height: 820 }, colorScheme, bypassCSP: true, reducedMotion: 'reduce' })
      page = await context.newPage()
      page.setDefaultTimeout(PATIENCE_MS)
      const found: string[] = []
      const check = async (where: string): Promise<void> => {
        for (const fault of await seriousFaults()) found.push(`${where}: ${fault}`)
      }
      await page.goto(server.origin)
      await check('sign-in')
      await signIn()
      await page.waitForSelector('[data-report]')
      await check('reports')
      server.hold()
      await run('flights')
      await page.waitForSelector('[data-step=running][data-step-state=now] progress')
      await check('running')
      server.release()
      await untilLocal()
      await page.waitForSelector('[data-column-card=carrier][data-counted=true]')
      await page.click('[data-hook=sql-toggle]')
      await page.focus('[role=grid]')
      await page.keyboard.press('Enter')
      await untilShown('"where"')
      await page.click('[data-hook=add-filter]')
      await check('result')
      await run('broken')
      await page.waitForSelector('[data-notice=failed]')
      await check('failed')
      await page.goto(`${server.origin}/#/jobs`)
      await page.waitForSelector('[data-job]')
      await check('jobs')
      await page.goto(`${server.origin}/#/tables/reports.flights`)
      await page.waitForSelector('.snapshot')
      await check('tables')
      await page.keyboard.press('Control+k')
      await page.waitForSelector('.found')
      await check('finder')
      await page.keyboard.press('Escape')
      expect(found).toEqual([])
    })
  }
})

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../e2e/support/world.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { launchBrowser } from './support-browser.ts'

/*
 * The page against the whole real system: workerd, Durable Objects, R2, a Bun node with DuckDB. 3 million rows of real data, as a
 * stranger sees them after `npm start`.
 */
const DATA = join(import.meta.dirname, '../../node_modules/vega-datasets/data')
const TASKS = join(import.meta.dirname, '../../tasks/flights')
const real = (file: string): string => readFileSync(join(TASKS, file), 'utf8').replaceAll('../../node_modules/vega-datasets/data', DATA)

let world: World
let browser: Browser
let page: Page
const requests: string[] = []
const faults: string[] = []

beforeAll(async () => {
  world = await startWorld({
    page: true,
    tasks: { 'all.sql': real('all.sql'), 'summary.sql': real('summary.sql') },
    nodeToml: `[node]\nallowed_folders = [${JSON.stringify(DATA)}]\n`,
  })
  browser = await launchBrowser()
  page = await (await browser.newContext({ viewport: { width: 1360, height: 820 }, acceptDownloads: true })).newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  page.on('request', (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`))
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  page.on('pageerror', (error) => faults.push(String(error)))
})
afterAll(async () => {
  await browser?.close()
  await world?.end()
})

const untilShown = (part: string) =>
  page.waitForFunction(
    (wanted) => {
      const shown = document.querySelector('[data-shown]')?.getAttribute('data-shown') ?? ''
      return shown.startsWith('local') && shown.includes(wanted) && document.querySelector('.grid-scroll.stale') === null
    },
    part,
    { polling: 20 },
  )
const cell = (row: number, column: number) => page.textContent(`[data-row="${row}"] [data-column="${column}"]`)
const untilRow = (row: number) => page.waitForSelector(`[data-row="${row}"]:not(.pending) .grid-cell.focused`)

describe('the page on the real edge', () => {
  it('signs in once by a code, and leaves none in the address', async () => {
    const address = world.system.pageAddress()
    await page.goto(address)
    await page.waitForSelector('[data-report=all_flights]')
    expect(page.url()).not.toContain('code=')
    const other = await browser.newPage()
    other.setDefaultTimeout(PATIENCE_MS)
    await other.goto(address)
    await other.waitForSelector('[role=alert]')
    await other.close()
  })

  it('runs a report over three million rows and slices all of it without a request', async () => {
    await page.click('[data-report=all_flights]')
    await page.click('[data-hook=run]')
    await page.waitForSelector('[data-job-state=succeeded] [data-painted]')
    await page.waitForSelector('[data-mode=local]')
    await untilShown('{}')
    await page.waitForSelector('[data-publication=published]')
    expect(await page.textContent('[data-hook=rows]')).toBe('3,000,000 rows')
    requests.length = 0

    await page.focus('[role=grid]')
    await page.keyboard.press('Control+End')
    await untilRow(2_999_999)
    // The data's last departure.
    expect(await cell(2_999_999, 0)).toBe('2001-07-01 00:00:00')

    await page.keyboard.press('s')
    await untilShown('"order":["delay_minutes"]')
    await untilRow(0)
    expect(await cell(0, 4)).toBe('−1,116')

    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Enter')
    await untilShown('"where"')
    const origin = await cell(0, 1)
    const filtered = Number(await page.getAttribute('[data-hook=row-count]', 'data-count'))

    await page.click('[data-hook=sql-toggle]')
    await page.fill('[data-hook=sql]', `SELECT count(*) AS n FROM result WHERE origin = '${origin}'`)
    await page.keyboard.press('Control+Enter')
    await untilShown('"sql"')
    expect((await cell(0, 0))?.replaceAll(',', '')).toBe(String(filtered))

    const download = page.waitForEvent('download')
    await page.click('[data-hook=export]')
    const chunks: Buffer[] = []
    for await (const chunk of await (await download).createReadStream()) chunks.push(Buffer.from(chunk))
    expect(Buffer.concat(chunks).toString()).toBe(`n\n${filtered}\n`)
    expect(requests).toEqual([])
  })

  it('gives the same answer from the server as from the copy', async () => {
    const job = /jobs\/([0-9a-z]{26})/.exec(page.url())?.[1] ?? ''
    const sort = '?order=-delay_minutes&order=departed_at&order=origin&order=destination'
    const rows = async (mode: string): Promise<string[]> => {
      await page.waitForFunction(
        (wanted) => document.querySelector('[data-shown]')?.getAttribute('data-shown')?.startsWith(wanted),
        `${mode} {"order"`,
      )
      await page.waitForFunction(
        () => document.querySelector('.grid-scroll.stale') === null && document.querySelector('[data-row="19"]:not(.pending)') !== null,
      )
      return page.$$eval('.grid-body .grid-row', (list) =>
        list.slice(0, 20).map((row) => [...row.querySelectorAll('[data-column]')].map((one) => one.textContent).join('|')),
      )
    }
    await page.goto(`${world.system.origin}/#/jobs/${job}${sort}`)
    const local = await rows('local')
    await page.goto(`${world.system.origin}/#/jobs/${job}${sort}&source=server`)
    expect(await rows('remote')).toEqual(local)
    await page.goto(`${world.system.origin}/#/jobs/${job}${sort}&source=parquet`)
    expect(await rows('local')).toEqual(local)
    expect(faults).toEqual([])
  })
})

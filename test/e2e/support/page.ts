import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { PATIENCE_MS } from '../../support/patience.ts'

/** A page of the browser that remembers what it asked for and what it complained of. */
export interface Visit {
  context: BrowserContext
  page: Page
  /** `METHOD path` of every request that left the browser, whichever thread sent it. */
  requests: string[]
  /** Errors of the console, uncaught ones, and refusals of the content security policy. */
  faults: string[]
  /** Steps of jobs as they were shown: `NAME STATE`, each once in a row. */
  steps(): Promise<string[]>
  close(): Promise<void>
}

declare global {
  interface Window {
    shownSteps: string[]
    /** `performance.now()` when the job's end was shown. */
    endShown: number | null
    axe: { run(where: Document, options: object): Promise<{ violations: Violation[] }> }
  }
}

interface Violation {
  id: string
  impact: string
  nodes: { target: string[]; failureSummary: string }[]
}

export const visit = async (browser: Browser, colorScheme: 'light' | 'dark' = 'light'): Promise<Visit> => {
  const context = await browser.newContext({ viewport: { width: 1360, height: 850 }, colorScheme, acceptDownloads: true })
  const page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const requests: string[] = []
  const faults: string[] = []
  context.on('request', (request) => {
    const url = new URL(request.url())
    // Bytes that the page hands to itself: a download, a worker.
    if (url.protocol !== 'blob:' && url.protocol !== 'data:') requests.push(`${request.method()} ${url.pathname}`)
  })
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  await page.addInitScript(() => {
    window.shownSteps = []
    window.endShown = null
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(
        `content security policy: ${event.violatedDirective} ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}:${event.columnNumber}`,
      ),
    )
    new MutationObserver(() => {
      for (const step of document.querySelectorAll('[data-step]')) {
        const text = `${step.getAttribute('data-step')} ${step.getAttribute('data-step-state')}`
        const name = text.split(' ')[0]
        if (window.shownSteps.findLast((one) => one.startsWith(`${name} `)) !== text) window.shownSteps.push(text)
      }
      window.endShown ??= document.querySelector('[data-job-state=succeeded]') === null ? null : performance.now()
    }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-step-state', 'data-job-state'] })
  })
  return {
    context,
    page,
    requests,
    faults,
    steps: () => page.evaluate(() => window.shownSteps),
    close: () => context.close(),
  }
}

/** The view that is shown comes from the local copy, has this spec (a part of its JSON), and its first rows are painted. */
export const untilShown = async (page: Page, part: string): Promise<void> => {
  await page.waitForFunction(
    (wanted) => {
      const shown = document.querySelector('[data-shown]')?.getAttribute('data-shown') ?? ''
      return shown.startsWith('local') && shown.includes(wanted) && document.querySelector('.grid-scroll.stale') === null
    },
    part,
    { polling: 20 },
  )
}

/** A row is here, and holds the focused cell. */
export const untilRow = async (page: Page, row: number): Promise<void> => {
  await page.waitForSelector(`[data-row="${row}"]:not(.pending) .grid-cell.focused`)
}

/** The cells of a row without digit groups, typographic minus signs and blanks that only serve the eye. */
export const rowText = (page: Page, row: number): Promise<string[]> =>
  page.$$eval(`[data-row="${row}"] [role=gridcell]`, (cells) =>
    cells.map((cell) => (cell.textContent ?? '').replaceAll(',', '').replaceAll('−', '-').trim()),
  )

export const rowsOfView = async (page: Page): Promise<number> => Number(await page.getAttribute('[data-hook=row-count]', 'data-count'))

const MAX_TABS = 80

/** Goes on with Tab (or Shift-Tab) until this has the focus, as somebody without a mouse does. */
export const tabTo = async (page: Page, selector: string, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> => {
  for (let pressed = 0; pressed < MAX_TABS; pressed++) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return
    await page.keyboard.press(key)
  }
  throw new Error(`no ${selector} within ${MAX_TABS} presses of ${key}`)
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe calls serious or critical in the page as it is now. */
export const seriousFaults = async (page: Page): Promise<string[]> => {
  // Not as a script of the page, which its policy would refuse.
  await page.evaluate(AXE)
  // A transition is no colour. One whose element goes away meanwhile is over, too.
  await page.evaluate(() =>
    Promise.allSettled(document.getAnimations().map((one) => (one.effect?.getTiming().iterations === Infinity ? null : one.finished))),
  )
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    })
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')} ${node.failureSummary}`))
  })
}

/** The text of the file that `act` makes the page save, with its name. */
export const saved = async (page: Page, act: () => Promise<void>): Promise<{ name: string; text: string }> => {
  const download = page.waitForEvent('download')
  await act()
  const file = await download
  const chunks: Buffer[] = []
  for await (const chunk of await file.createReadStream()) chunks.push(Buffer.from(chunk))
  return { name: file.suggestedFilename(), text: Buffer.concat(chunks).toString('utf8') }
}

import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { StepInfo } from '../../edge/contract/groups.ts'
import { seriousFaults, tabTo } from '../e2e/support/page.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { sampleTasks } from './serve.ts'
import { type BuiltPage, buildForTest, launchBrowser } from './support-browser.ts'
import { type SupportServer, startSupportServer } from './support-server.ts'
import { type SupportWork, startSupportWork } from './support-work.ts'

let built: BuiltPage
let work: SupportWork
let server: SupportServer
let browser: Browser
let context: BrowserContext
let page: Page
let faults: string[]

beforeAll(async () => {
  built = await buildForTest()
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await built?.remove()
})
beforeEach(async () => {
  work = startSupportWork()
  server = await startSupportServer({ dist: built.outdir, tasks: await sampleTasks(100), work })
  context = await browser.newContext({ viewport: { width: 1360, height: 820 }, timezoneId: 'Europe/Berlin', locale: 'en-GB' })
  page = await context.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  faults = []
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
  })
  page.on('pageerror', (error) => faults.push(String(error)))
})
afterEach(async () => {
  expect(faults).toEqual([])
  await context.close()
  await server.close()
})

const open = async (to: string): Promise<void> => {
  await page.goto(`${server.origin}/#code=${server.code}&to=${encodeURIComponent(to)}`)
  await page.waitForSelector('.rail')
}
const needs = (...names: string[]): StepInfo['needs'] => names as StepInfo['needs']
const asked = (message: string): StepInfo['approval'] => ({
  by: ['ann@example.com'],
  deadline_at: null,
  default: 'reject',
  message,
  decided_by: null,
})
/** A, then B and C, a person's word, then D; something undone and an alert if it fails. */
const releaseGroup = (): string =>
  work.group('nightly', {
    a: {},
    b: { needs: needs('a') },
    c: { needs: needs('a') },
    release: { kind: 'approval', needs: needs('b', 'c'), approval: asked('Three payments are open. Publish?') },
    d: { needs: needs('release') },
    undo_b: { kind: 'compensation', compensates: needs('b')[0] ?? null, job: null },
    alert: { kind: 'alert', job: null },
  })
const untilStep = (step: string, state: string) => page.waitForSelector(`.dag [data-step=${step}][data-step-state=${state}]`)
/** Where every box of the picture is. */
const places = () =>
  page.$$eval('.dag [data-step]', (boxes) =>
    boxes.map((box) => `${box.getAttribute('data-step')} ${JSON.stringify(box.getBoundingClientRect())}`),
  )

describe('groups', () => {
  it('are pictures that live: states change where they are, and a person decides by keyboard', async () => {
    const group = releaseGroup()
    await open('/groups')
    await page.click(`[data-group="${group}"] a`)
    await untilStep('a', 'waiting')
    const before = await places()
    expect(before).toHaveLength(7)
    // Its deadline is not known before it is asked for.
    expect(await page.textContent('[data-line=release]')).toContain('ann@example.com decides.')
    expect(await page.textContent('[data-line=release]')).not.toContain('deadline')
    work.happen(group, 'a', 'running')
    await untilStep('a', 'running')
    work.happen(group, 'a', 'succeeded')
    work.happen(group, 'b', 'running')
    await untilStep('b', 'running')
    work.happen(group, 'b', 'succeeded')
    work.happen(group, 'c', 'succeeded')
    work.happen(group, 'release', 'approval')
    await untilStep('release', 'approval')
    expect(await places()).toEqual(before)
    expect(await page.textContent('.group-note')).toBe('3 of 5 steps ended · release is to be decided')

    // From the box of the step to its line in words, and there to its answer.
    await tabTo(page, '.dag [data-step=release]')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.getAttribute('data-hook'))).toBe('approve')
    expect(await page.textContent('[data-line=release]')).toContain('Three payments are open. Publish?')
    // Events do not tell the deadline: the group is looked at anew.
    await page.waitForSelector('[data-line=release] :text-matches("Unless somebody does, it counts as rejected in 2[0-5] min\\\\.")')
    await page.keyboard.press('Enter')
    await untilStep('release', 'succeeded')
    expect(await page.textContent('[data-line=release]')).toContain('Approved by ann@example.com.')
    expect(work.changes.map(({ line }) => line)).toEqual([`POST /v1/groups/${group}/steps/release/approve`])

    work.happen(group, 'd', 'running')
    work.happen(group, 'd', 'failed', 'compensating', 'column "fare" not found')
    await page.waitForSelector('[data-group-state=compensating]')
    work.happen(group, 'undo_b', 'succeeded')
    work.happen(group, null, null, 'failed')
    await page.waitForSelector('[data-group-state=failed]')
    expect(await page.textContent('[data-line=d]')).toContain('column "fare" not found')
    expect(await places()).toEqual(before)
    // What failed runs again in a group of its own, which knows where it comes from.
    await page.click('[data-hook=retry-group]')
    await page.waitForSelector('[data-group-state=running]')
    expect(page.url()).not.toContain(group)
    expect(await page.getAttribute('.group-facts a', 'href')).toBe(`#/groups/${group}`)
  })

  it('move by arrows, lead to jobs, and are cancelled only when one says so twice', async () => {
    const group = releaseGroup()
    await open(`/groups/${group}`)
    await page.focus('.dag [data-step=a]')
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-step'))
    for (const [key, step] of [
      ['ArrowRight', 'b'],
      ['ArrowDown', 'c'],
      ['ArrowRight', 'release'],
      ['ArrowRight', 'd'],
      ['ArrowLeft', 'release'],
    ] as const) {
      await page.keyboard.press(key)
      expect(await focused(), key).toBe(step)
    }
    expect(await page.getAttribute('.dag [data-step=b]', 'href')).toMatch(/^#\/jobs\/[0-9a-z]{26}$/)
    await page.click('[data-hook=cancel-group]')
    await page.waitForSelector('[data-hook=ask][open]')
    await page.keyboard.press('Escape')
    await page.waitForSelector('[data-hook=ask]', { state: 'detached' })
    expect(work.changes).toEqual([])
    await page.click('[data-hook=cancel-group]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-group-state=cancelled]')
    await page.click('[data-hook=delete-group]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-notice=empty]')
  })

  it('goes on with the picture across a broken stream', async () => {
    const group = releaseGroup()
    await open(`/groups/${group}`)
    await untilStep('a', 'waiting')
    work.dropStreams()
    work.happen(group, 'a', 'succeeded')
    await untilStep('a', 'succeeded')
  })
})

describe('lanes', () => {
  it('are paused, resumed and changed; the rest of their settings stays', async () => {
    work.queue('heavy', { waiting: 10_400, held: 5, concurrency: 5, weight: 3 })
    work.queue('default', { waiting: 2 })
    await open('/lanes')
    await page.click('[data-lane=heavy] [data-hook=pause-lane]')
    await page.waitForSelector('[data-lane=heavy][data-paused=true]')
    expect(work.changes).toEqual([
      { line: 'PUT /v1/queues/heavy', body: { priority: 0, concurrency: 5, paused: true, weight: 3, reserve: 0 } },
    ])
    await page.click('[data-lane=heavy] [data-hook=edit-lane]')
    await page.fill('#lane-concurrency', '')
    await page.fill('#lane-priority', '-101')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#about-lane-priority.problem')
    expect(work.changes).toHaveLength(1)
    await page.fill('#lane-priority', '-5')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-hook=lane-form]', { state: 'detached' })
    expect(work.changes[1]?.body).toEqual({ priority: -5, concurrency: null, paused: true, weight: 3, reserve: 0 })
    expect(await page.textContent('[data-lane=heavy]')).toContain('−5')
    await page.click('[data-lane=heavy] [data-hook=pause-lane]')
    await page.waitForSelector('[data-lane=heavy][data-paused=false]')
  })

  it('say why a change was refused, in the line that it was meant for', async () => {
    work.queue('heavy', {})
    await open('/lanes')
    await page.waitForSelector('[data-lane=heavy]')
    work.refuse(true)
    await page.click('[data-lane=heavy] [data-hook=pause-lane]')
    await page.waitForSelector('[data-lane=heavy] [role=alert]')
    expect(await page.getAttribute('[data-lane=heavy]', 'data-paused')).toBe('false')
  })
})

describe('schedules', () => {
  it('are made from a form that shows their next times, and deleted when one says so twice', async () => {
    await open('/reports/flights')
    await page.click('text=Run it by the clock')
    await page.waitForSelector('[data-hook=next-times] li')
    await page.fill('#schedule-cron', '61 * * * *')
    await page.waitForSelector('[data-hook=next-times] .problem')
    await page.click('[data-hook=create-schedule]')
    expect(work.changes).toEqual([])
    await page.fill('#schedule-cron', '30 6 * * mon-fri')
    await page.fill('#schedule-tz', 'America/New_York')
    expect(await page.$$eval('[data-hook=next-times] li', (lines) => lines.map((line) => line.textContent))).toEqual(
      Array.from({ length: 3 }, () =>
        expect.stringMatching(/^(Mon|Tue|Wed|Thu|Fri),? \d+ \w+, 06:30 · here \w+,? \d+ \w+, (11|12|13):30$/),
      ),
    )
    await page.selectOption('#choice-overlap', 'queue')
    await page.click('[data-hook=create-schedule]')
    await page.waitForSelector('[data-schedule]')
    expect(work.changes[0]).toEqual({
      line: 'POST /v1/schedules',
      body: {
        task: 'flights',
        cron: '30 6 * * mon-fri',
        tz: 'America/New_York',
        missed: 'latest',
        overlap: 'queue',
        args: ['2001-01-01', '2001-04-01'],
      },
    })
    expect(await page.textContent('[data-schedule]')).toContain('there')
    await page.click('[data-hook=delete-schedule]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-notice=empty]')
    expect(work.changes[1]?.line).toMatch(/^DELETE \/v1\/schedules\/s/)
  })
})

describe('dead letters', () => {
  it('say what happened and what helps, and lead to the job that runs them again', async () => {
    const job = work.dead('broken', 'sql_error', 'column "fare" not found')
    await open('/dead')
    const line = `[data-dead="${job}"]`
    await page.waitForSelector(line)
    expect(await page.textContent(line)).toContain('column "fare" not found')
    expect(await page.textContent(line)).toContain('Correct the report, then run it again.')
    await page.click(`${line} [data-hook=redrive]`)
    await page.waitForSelector(`${line} [data-hook=redriven]`)
    expect(await page.getAttribute(`${line} [data-hook=redriven]`, 'href')).toMatch(/^#\/jobs\/[0-9a-z]{26}$/)
    expect(work.changes).toEqual([{ line: `POST /v1/jobs/${job}/retry`, body: null }])
  })
})

describe('all of them', () => {
  it.each(['light', 'dark'] as const)('give axe nothing serious to find, wide and narrow, %s', async (colorScheme) => {
    const group = releaseGroup()
    work.happen(group, 'a', 'succeeded')
    work.happen(group, 'b', 'failed', undefined, 'no')
    work.happen(group, 'c', 'running')
    work.happen(group, 'release', 'approval')
    work.queue('heavy', { waiting: 10_400, held: 5, concurrency: 5, paused: true })
    work.schedule('flights', { notice: 'The run of 14:15 was left out.', skipped: 1, next_at: '2026-12-01T06:00:00.000Z' })
    work.dead('broken', 'sql_error', 'column "fare" not found')
    await page.emulateMedia({ colorScheme })
    await open('/groups')
    const found: string[] = []
    for (const width of [1360, 390]) {
      await page.setViewportSize({ width, height: 800 })
      for (const [to, what] of [
        ['groups', '[data-group]'],
        [`groups/${group}`, '[data-step=d]'],
        ['lanes', '[data-lane]'],
        ['schedules', '[data-schedule]'],
        ['schedules/new?task=flights', '[data-hook=next-times]'],
        ['dead', '[data-dead]'],
      ] as const) {
        await page.goto(`${server.origin}/#/${to}`)
        await page.waitForSelector(what)
        for (const fault of await seriousFaults(page)) found.push(`${to}, ${width}: ${fault}`)
      }
    }
    await page.goto(`${server.origin}/#/lanes`)
    await page.click('[data-hook=edit-lane]')
    for (const fault of await seriousFaults(page)) found.push(`lane form: ${fault}`)
    expect(found).toEqual([])
  })

  it('have words where there is nothing, and where the server says no', async () => {
    await open('/groups')
    for (const place of ['groups', 'schedules', 'lanes', 'dead']) {
      await page.click(`[data-tab=${place}]`)
      await page.waitForSelector(`[data-tab=${place}][aria-current=page]`)
      await page.waitForSelector('[data-notice=empty]')
    }
    await page.goto(`${server.origin}/#/groups/g01kaj5m0w5svpp0r0000000099`)
    await page.waitForSelector('[data-notice=missing]')
    work.refuse(true)
    for (const place of ['groups', 'schedules', 'lanes', 'dead']) {
      await page.goto(`${server.origin}/#/${place}`)
      await page.waitForSelector('[data-notice=forbidden]')
      expect(await page.textContent('[data-notice=forbidden]'), place).toContain('Ask for a token with more rights.')
    }
  })
})

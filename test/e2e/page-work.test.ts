import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Group } from '../../edge/contract/groups.ts'
import { Job, page as listOf } from '../../edge/contract/jobs.ts'
import { Queue } from '../../edge/contract/queues.ts'
import { Schedule } from '../../edge/contract/schedules.ts'
import { DEMO_TENANT } from '../../edge/embedded/system.ts'
import { launchBrowser } from '../browser/support-browser.ts'
import { eventually } from '../support/patience.ts'
import { type Client, parsed } from './support/client.ts'
import { seriousFaults, tabTo, type Visit, visit } from './support/page.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'work.sql': `
-- name: orders
-- description: What came in
-- db: duckdb
SELECT 7 AS n

-- name: doubled
-- db: duckdb
-- param: n int
SELECT 2 * $1::INT AS n

-- name: broken
-- db: duckdb
-- param: text text = 'x'
SELECT $1::INT AS n

-- name: endless
-- db: duckdb
SELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1
`,
}
/** Pictures of what was seen, where somebody wants to look at them. */
const SHOTS = process.env.SCARAB_SHOTS

let world: World
let demo: Client
let browser: Browser
let seen: Visit
let page: Page
let origin: string

beforeAll(async () => {
  const [launched, started] = await Promise.all([launchBrowser(), startWorld({ tasks: TASKS, page: true })])
  browser = launched
  world = started
  origin = world.system.origin
  demo = await world.as(DEMO_TENANT)
  seen = await visit(browser)
  page = seen.page
  await page.goto(world.system.pageAddress())
  await page.waitForSelector('.rail')
})
afterAll(async () => {
  await browser?.close()
  await world?.end()
})

const go = (to: string) => page.goto(`${origin}/#/${to}`)
const untilStep = (step: string, state: string) => page.waitForSelector(`.dag [data-step="${step}"][data-step-state=${state}]`)
const submitGroup = async (body: unknown): Promise<Group> => parsed(await demo.ask('/v1/groups', { body }), Group)
const places = () =>
  page.$$eval('.dag [data-step]', (boxes) =>
    boxes.map((box) => `${box.getAttribute('data-step')} ${JSON.stringify(box.getBoundingClientRect())}`),
  )

/** Looks at what is shown in both schemes, wide and narrow, and answers what axe calls serious. */
const look = async (name: string): Promise<string[]> => {
  const found: string[] = []
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [1360, 390]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 850 })
      for (const fault of await seriousFaults(page)) found.push(`${name}, ${colorScheme}, ${width}: ${fault}`)
      if (SHOTS === undefined) continue
      mkdirSync(SHOTS, { recursive: true })
      writeFileSync(join(SHOTS, `${name}-${colorScheme}-${width}.png`), await page.screenshot())
    }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1360, height: 850 })
  return found
}

describe('groups on the real system', () => {
  it('are followed as a picture to a person’s word and to their end, and run again from what failed', async () => {
    const group = await submitGroup({
      alias: 'nightly-close',
      deadline: '1h',
      steps: {
        orders: { task: 'orders' },
        doubled: { task: 'doubled', args: { n: { from: 'orders', column: 'n' } }, needs: ['orders'] },
        again: { task: 'doubled', args: [21], needs: ['orders'] },
        release: { approval: { message: 'Publish all the same?', deadline: '30m' }, needs: ['doubled', 'again'] },
        publish: { task: 'broken', needs: ['release'] },
        tell: { task: 'orders', needs: ['publish'], when: 'failed' },
        clean: { task: 'orders', needs: ['publish', 'again'], when: 'always' },
        undo: { task: 'orders', compensates: 'doubled' },
      },
      alert: { task: 'orders' },
    })
    await go('groups')
    await page.click(`[data-group="${group.id}"] a`)
    await untilStep('release', 'approval')
    const before = await places()
    expect(before.map((place) => place.split(' ')[0]).sort()).toEqual(Object.keys(group.steps).sort())
    expect(await look('group-approval')).toEqual([])

    await tabTo(page, '.dag [data-step=release]')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Enter')
    await untilStep('release', 'succeeded')
    await page.waitForSelector('[data-group-state=failed]')
    for (const [step, state] of [
      ['publish', 'failed'],
      ['tell', 'succeeded'],
      ['clean', 'succeeded'],
      ['undo', 'succeeded'],
    ] as const)
      await untilStep(step, state)
    await eventually(async () => expect(await places()).toEqual(before))
    expect(await page.textContent('[data-line=publish] .step-error')).toContain('Could not convert')
    expect(await page.textContent('[data-line=release]')).toContain('Approved by')
    expect(await page.textContent('[data-line=orders] td:last-child')).toMatch(/\d/)
    expect(await look('group-failed')).toEqual([])

    await page.click('.dag [data-step=publish]')
    await page.waitForSelector('[data-job-state=failed]')
    expect(await page.textContent('[data-hook=job-facts]')).toContain('step publish of its group')
    expect(await look('job-of-group')).toEqual([])
    await page.click('[data-hook=job-facts] a')
    await page.click('[data-hook=retry-group]')
    await page.waitForFunction((id) => !location.hash.includes(id), group.id)
    await untilStep('orders', 'succeeded')
    await page.waitForSelector('[data-group-state=failed], [data-step=release][data-step-state=approval]')
    expect(await page.getAttribute('.group-facts a', 'href')).toBe(`#/groups/${group.id}`)
    expect(await look('group-again')).toEqual([])
    expect(seen.faults).toEqual([])
  })

  it('are cancelled from the picture, down to the engine', async () => {
    const group = await submitGroup({ steps: { long: { task: 'endless' }, after: { task: 'orders', needs: ['long'] } } })
    await go(`groups/${group.id}`)
    await untilStep('long', 'running')
    await page.click('[data-hook=cancel-group]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-group-state=cancelled]')
    await untilStep('long', 'cancelled')
    await page.click('.dag [data-step=long]')
    await page.waitForSelector('[data-notice=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('confirmed that the query is dead')
    expect(seen.faults).toEqual([])
  })
})

describe('a step that somebody else decides', () => {
  it('says so to who tries, and stays to be decided', async () => {
    const group = await submitGroup({ steps: { ok: { approval: { by: ['chief@elsewhere'] } }, next: { task: 'orders', needs: ['ok'] } } })
    await go(`groups/${group.id}`)
    await untilStep('ok', 'approval')
    expect(await page.textContent('[data-line=ok]')).toContain('chief@elsewhere decides. There is no deadline.')
    await page.click('[data-line=ok] [data-hook=approve]')
    await page.waitForSelector('[data-line=ok] [role=alert]')
    expect(await page.textContent('[data-line=ok] [role=alert]')).toContain('chief@elsewhere')
    await untilStep('ok', 'approval')
    await page.click('[data-hook=cancel-group]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-group-state=cancelled]')
    // The browser itself notes the refusal; nothing else is wrong.
    expect(seen.faults.splice(0).filter((fault) => !fault.includes('403'))).toEqual([])
  })
})

describe('schedules and dead letters on the real system', () => {
  it('runs a report by the clock from its form, and forgets it when told so', async () => {
    await go('reports/doubled')
    await page.waitForSelector('[data-hook=report-form]')
    await page.click('text=Run it by the clock')
    await page.fill('[data-hook=schedule-form] input[name=n]', '21')
    await page.fill('#schedule-cron', '0 6 * * mon-fri')
    await page.fill('#schedule-tz', 'America/New_York')
    const previewed = await page.getAttribute('[data-hook=next-times] li', 'title')
    expect(await look('schedule-form')).toEqual([])
    await page.click('[data-hook=create-schedule]')
    await page.waitForSelector('[data-schedule]')
    // What the page has computed is what the ledger will do.
    const { items } = await parsed(await demo.ask('/v1/schedules'), listOf(Schedule))
    expect(items).toMatchObject([{ task: 'doubled', args: [21], cron: '0 6 * * mon-fri', tz: 'America/New_York', source: 'api' }])
    expect(previewed).toContain(`(${items[0]?.next_at})`)
    expect(await look('schedules')).toEqual([])
    await go('reports')
    await page.waitForSelector('[data-report=doubled] .next-run')
    await go('schedules')
    await page.click('[data-hook=pause-schedule]')
    await page.waitForSelector('[data-schedule][data-paused=true]')
    expect((await parsed(await demo.ask('/v1/schedules'), listOf(Schedule))).items).toMatchObject([{ paused: true, next_at: null }])
    expect(await look('schedules-paused')).toEqual([])
    await page.click('[data-hook=pause-schedule]')
    await page.waitForSelector('[data-schedule][data-paused=false]')
    expect((await parsed(await demo.ask('/v1/schedules'), listOf(Schedule))).items).toMatchObject([{ next_at: items[0]?.next_at }])
    await page.click('[data-hook=delete-schedule]')
    await page.click('[data-hook=ask-yes]')
    await page.waitForSelector('[data-notice=empty]')
    expect((await parsed(await demo.ask('/v1/schedules'), listOf(Schedule))).items).toEqual([])
    expect(seen.faults).toEqual([])
  })

  it('shows what is dead with its reason, and runs it again', async () => {
    const job = await demo.run('broken', ['seven'])
    await go('dead')
    const line = `[data-dead="${job.id}"]`
    await page.waitForSelector(line)
    expect(await page.textContent(line)).toContain("Could not convert string 'seven' to INT32")
    expect(await page.textContent(line)).toContain('run the job again')
    expect(await look('dead')).toEqual([])
    await page.click(`${line} [data-hook=redrive]`)
    await page.click(`${line} [data-hook=redriven]`)
    await page.waitForSelector('[data-job-state=failed] [data-notice=failed]')
    expect(await page.textContent('[data-hook=remedy]')).toContain("Correct the task's SQL")
    expect(page.url()).not.toContain(job.id)
    expect(await page.getAttribute('[data-hook=job-facts] a', 'href')).toBe(`#/jobs/${job.id}`)
    await page.click('[data-hook=job-facts] a')
    await page.waitForFunction((id) => location.hash.includes(id), job.id)
    await page.waitForSelector('text=Was run again')
    expect(await page.isVisible('text=Run it again as it was')).toBe(false)
    expect(await look('job-run-again')).toEqual([])
    expect(seen.faults).toEqual([])
  })
})

describe('jobs on the real system', () => {
  it('tell what they wait for, where, and until when', async () => {
    const eta = new Date(Date.now() + 7_200_000).toISOString()
    const job = await demo.submit('orders', { queue: 'nightly', priority: 5, tags: ['close', 'q4'], eta, ttl: '1d', retention: '2d' })
    await go(`jobs/${job.id}`)
    await page.waitForSelector('[data-hook=job-facts]')
    const facts = await page.$$eval('[data-hook=job-facts] > div', (lines) =>
      lines.map((line) => [...line.children].map((part) => part.textContent?.trim()).join(': ')),
    )
    expect(facts).toEqual([
      expect.stringMatching(/^Not before: (at|on) /),
      expect.stringMatching(/^Expires: on .*, unless a node has begun it$/),
      'Lane: nightly',
      'Priority: 5',
      'Tags: closeq4',
      'Kept for: 2 days',
    ])
    expect(await look('job-scheduled')).toEqual([])
    await page.click('[data-hook=cancel]')
    await page.waitForSelector('[data-notice=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('It had not started.')
    expect(seen.faults).toEqual([])
  })

  it('tell whose execution they share and whose result they took, and leave the others alone when cancelled', async () => {
    const first = await demo.submit('endless')
    const second = await demo.submit('endless')
    await go(`jobs/${second.id}`)
    await page.waitForSelector('[data-hook=job-facts] :text("Shares")')
    expect(await page.$$eval('[data-hook=job-facts] a', (links) => links.map((link) => link.getAttribute('href')))).toEqual([
      `#/jobs/${first.id}`,
    ])
    expect(await look('job-shares')).toEqual([])
    await page.click('[data-hook=cancel]')
    await page.waitForSelector('[data-notice=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('goes on for that one')
    await go(`jobs/${first.id}`)
    await page.waitForSelector('[data-step=running][data-step-state=now]')
    await page.click('[data-hook=cancel]')
    await page.waitForSelector('[data-notice=cancelled]')
    expect(await page.textContent('[data-notice=cancelled]')).toContain('confirmed that the query is dead')

    const done = await demo.run('doubled', [4])
    const reused = await demo.submit('doubled', { args: [4], reuse: { max_age: '1h' } })
    await go(`jobs/${reused.id}`)
    await page.waitForSelector('[data-job-state=succeeded] [data-painted]')
    expect(await page.getAttribute('text=reused result', 'href')).toBe(`#/jobs/${done.id}`)
    await page.click('button:text("Steps")')
    expect(await page.textContent('[data-hook=job-facts]')).toContain(`the result of ${done.id}`)
    expect(await look('job-reused')).toEqual([])
    expect(seen.faults).toEqual([])
  })
})

describe('lanes on the real system', () => {
  it('hold what waits while they are paused, and give it out when they go on', async () => {
    await demo.run('orders')
    await go('lanes')
    await page.click('[data-lane=default] [data-hook=pause-lane]')
    await page.waitForSelector('[data-lane=default][data-paused=true]')
    const held = await demo.submit('doubled', { args: [1_000], fresh: true })
    await page.waitForSelector('[data-lane=default] [data-hook=waiting]:text-is("1")')
    expect((await demo.ask(`/v1/jobs/${held.id}`).then((answer) => parsed(answer, Job))).state).toBe('waiting')
    expect(await look('lanes')).toEqual([])
    await page.click('[data-lane=default] [data-hook=edit-lane]')
    await page.fill('#lane-concurrency', '5')
    await page.fill('#lane-weight', '3')
    expect(await look('lane-form')).toEqual([])
    await page.click('[data-hook=save-lane]')
    await page.waitForSelector('[data-hook=lane-form]', { state: 'detached' })
    const { items } = await parsed(await demo.ask('/v1/queues'), listOf(Queue))
    expect(items.find(({ name }) => name === 'default')).toMatchObject({ paused: true, concurrency: 5, weight: 3, waiting: 1 })
    await page.click('[data-lane=default] [data-hook=pause-lane]')
    await page.waitForSelector('[data-lane=default][data-paused=false]')
    expect((await demo.ended(held.id)).state).toBe('succeeded')
    await page.waitForSelector('[data-lane=default] [data-hook=waiting]:text-is("0")')
    expect(seen.faults).toEqual([])
  })
})

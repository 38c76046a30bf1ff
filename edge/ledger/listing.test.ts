import { describe, expect, it, vi } from 'vitest'
import { CROCKFORD } from '../contract/ids.ts'
import { JOB_STATES, type JobState } from '../contract/jobs.ts'
import { cancel } from './cancel.ts'
import { commit, type LedgerContext } from './context.ts'
import { submission, testLedger } from './fixture.ts'
import { collect, cut, recall } from './housekeeping.ts'
import { findJob } from './jobs.ts'
import { LIST_PAGES_OPENED, LIST_SCAN_ROWS } from './limits.ts'
import { above, type ListQuery, listEverywhere } from './listing.ts'
import { decodePage, type MovedJob, paginate } from './pages.ts'
import { INNER_STATES, SHOWN } from './states.ts'
import { submit } from './submit.ts'

/** Mulberry32: the same numbers every time. */
const chance = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

it('the id above another one is the next there is', () => {
  expect(above('01kdyak3se2ztwde0000012345')).toBe('01kdyak3se2ztwde0000012346')
  expect(above('01kdyak3se2ztwde00000123zz')).toBe('01kdyak3se2ztwde0000012400')
  expect(above('z'.repeat(26)) > 'z'.repeat(26)).toBe(true)
  const digits = [...CROCKFORD]
  expect(digits).toEqual([...digits].sort())
})

/** A ledger of so many jobs in all states, some deleted, some moved to pages and some of those back again. */
const crowd = (jobs: number, seed: number) => {
  const bench = testLedger()
  const { context } = bench
  const random = chance(seed)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  const taken = commit(context, (inner) => submit(inner, submission(), 0))
  const model = findJob(context, taken.ok ? taken.job.id : '')
  if (!model) throw new Error('no such job')
  context.store.run('DELETE FROM jobs')
  context.memory.forget()
  const columns = Object.keys(model)
  const rows = Array.from({ length: jobs }, (_, index) => {
    const state = random() < 0.9 ? 'succeeded' : pick(INNER_STATES)
    return {
      ...model,
      id: `01kdyak3se2ztwde${String(index).padStart(10, '0')}`,
      task: random() < 0.01 ? 'rare' : 'daily',
      alias: random() < 0.01 ? pick(['feb', 'mar']) : null,
      state,
      session: 'session',
      finished_at: ['succeeded', 'failed', 'cancelled'].includes(state) ? 1 : null,
      deleted_at: random() < 0.1 ? 1 : null,
    }
  })
  commit(context, (inner) => {
    for (const row of rows)
      inner.store.run(`INSERT INTO jobs (${columns.join()}) VALUES (${columns.map(() => '?').join()})`, ...(Object.values(row) as string[]))
  })
  // Half of them, in runs of their own, so that pages and rows lie between each other.
  const old = rows.filter(({ finished_at }, index) => finished_at !== null && Math.floor(index / 700) % 2 === 0 && random() < 0.9)
  const texts = new Map<string, string>()
  const moved: MovedJob[] = []
  commit(context, (inner) => {
    for (let from = 0; from < old.length; from += 400) {
      const jobsOf = collect(
        inner,
        old.slice(from, from + 400).map(({ id }) => id),
      )
      moved.push(...jobsOf)
      const pages = paginate(jobsOf).map(({ text, ...page }) => ({ ...page, bytes: text.length, key: page.last, text }))
      for (const { key, text } of pages) texts.set(key, text)
      if (!cut(inner, jobsOf, null, pages)) throw new Error('not cut')
    }
    for (const job of moved) if (random() < 0.05) recall(inner, job)
  })
  let opened = 0
  return {
    context,
    rows,
    pages: texts.size,
    opened: () => opened,
    list: (query: ListQuery) =>
      listEverywhere(context, query, ({ key }) => {
        opened++
        return Promise.resolve(decodePage(texts.get(key) ?? ''))
      }),
  }
}

it.each([1, 2])('lists each job once and in order, from the database and from pages, by any filter (%i)', async (seed) => {
  const one = crowd(2 * LIST_SCAN_ROWS + 500, seed)
  expect(one.pages).toBeGreaterThan(LIST_PAGES_OPENED)
  const states: (JobState | null)[] = [null, ...JOB_STATES]
  for (const state of states)
    for (const task of [null, 'rare'])
      for (const alias of [null, 'feb']) {
        const wanted = one.rows
          .filter((row) => row.deleted_at === null && (state === null || SHOWN[row.state] === state))
          .filter((row) => (task === null || row.task === task) && (alias === null || row.alias === alias))
          .map(({ id }) => id)
          .reverse()
        const found: string[] = []
        let before: string | null = null
        do {
          const was = one.opened()
          const answer = await one.list({ state, task, alias, before, limit: 500 })
          // Bounded work, and each request gets somewhere.
          expect(one.opened() - was).toBeLessThanOrEqual(LIST_PAGES_OPENED)
          expect(answer.rows.length).toBeLessThanOrEqual(500)
          if (answer.next !== null && before !== null) expect(answer.next < before).toBe(true)
          found.push(...answer.rows.map(({ id }) => id))
          before = answer.next
        } while (before !== null)
        expect(found).toEqual(wanted)
      }
})

describe('while a page is read', () => {
  const texts = new Map<string, string>()
  const write = (text: string): string => {
    const key = `page ${texts.size}`
    texts.set(key, text)
    return key
  }
  /** Three ended jobs, the newer two of them in a page. `meanwhile` happens while that is read. */
  const listed = async (
    meanwhile: (context: LedgerContext, move: (ids: string[]) => void, page: MovedJob[]) => void,
  ): Promise<string[]> => {
    const { context } = testLedger()
    const ids = Array.from({ length: 3 }, () => {
      const taken = commit(context, (inner) => submit(inner, submission(), 0))
      if (!taken.ok) throw new Error(taken.detail)
      const row = findJob(context, taken.job.id)
      if (row) commit(context, (inner) => cancel(inner, row, 'no'))
      return String(taken.job.id)
    })
    const move = (those: string[]): void =>
      commit(context, (inner) => {
        const jobs = collect(inner, those)
        const pages = paginate(jobs).map(({ text, ...page }) => ({ ...page, bytes: text.length, key: write(text) }))
        if (!cut(inner, jobs, null, pages)) throw new Error('not cut')
      })
    move(ids.slice(1))
    let first = true
    const query = { state: null, task: null, alias: null, before: null, limit: 50 }
    const { rows } = await listEverywhere(context, query, async ({ key }) => {
      const page = decodePage(texts.get(key) ?? '')
      if (first) meanwhile(context, move, page)
      first = false
      return page
    })
    return rows.map(({ id }) => String(ids.indexOf(id)))
  }

  it('a job that moves then is listed once', async () => {
    expect(await listed((context, move) => move(context.store.all<{ id: string }>('SELECT id FROM jobs').map(({ id }) => id)))).toEqual([
      '2',
      '1',
      '0',
    ])
  })

  it('a page that is cut in two then lists none of its jobs twice', async () => {
    const split = (context: LedgerContext, _move: unknown, page: MovedJob[]): void =>
      commit(context, (inner) => {
        inner.store.run('DELETE FROM pages')
        for (const job of page) {
          const [part] = paginate([job])
          if (part) cut(inner, [], null, [{ ...part, bytes: 0, key: write(part.text) }])
        }
      })
    expect(await listed(split)).toEqual(['2', '1', '0'])
  })

  it('a job that comes back then is listed too, and one that is deleted then is not', async () => {
    const back = (deleted_at: number | null) => (context: LedgerContext, _move: unknown, page: MovedJob[]) =>
      commit(context, (inner) => {
        for (const job of page.slice(0, 1)) recall(inner, { ...job, row: { ...job.row, deleted_at } })
      })
    expect(await listed(back(null))).toEqual(['2', '1', '0'])
    expect(await listed(back(7))).toEqual(['2', '0'])
  })
})

it('jobs that are alive are looked for in the database only', async () => {
  const one = crowd(3_000, 3)
  const looks = vi.spyOn(one.context.store, 'all')
  const alive = await one.list({ state: 'scheduled', task: null, alias: null, before: null, limit: 500 })
  expect(alive.next).toBeNull()
  expect(looks.mock.calls.filter(([query]) => /FROM pages/.test(query))).toEqual([])
})

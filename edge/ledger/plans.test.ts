import { expect, it } from 'vitest'
import { JOB_STATES } from '../contract/jobs.ts'
import type { SqlValue, Store } from '../storage/store.ts'
import { commit } from './context.ts'
import { groupBacklog, isOver, jobBacklog, tenantPage } from './events.ts'
import { submission, testLedger } from './fixture.ts'
import { census, collect, cut, litter, movable, nextPage, trimEvents } from './housekeeping.ts'
import { findJob } from './jobs.ts'
import { listEverywhere, listJobs } from './listing.ts'
import { submit } from './submit.ts'

/** Indexes over few of millions of rows: their parts may be walked, up to a LIMIT. */
const FEW = /USING (COVERING )?INDEX (jobs_lane|jobs_held|jobs_parked|jobs_stopped|jobs_dead)\b/
const TABLES = /^SCAN (jobs|events|results|slices|pages|outbox|timers|keys|groups|group_events)\b/

/** A ledger that notes every statement, and what SQLite would do for it. */
const watched = () => {
  const bench = testLedger()
  const { store } = bench.context
  const scans: string[] = []
  const seen = new Set<string>()
  const look = (query: string, values: SqlValue[]): void => {
    if (seen.has(query) || !/^\s*(SELECT|UPDATE|DELETE)/.test(query)) return
    seen.add(query)
    for (const { detail } of store.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`, ...values)) {
      if (TABLES.test(detail) && !FEW.test(detail)) scans.push(`${detail}: ${query}`)
      // Sorting what an index could give in order takes all of it first.
      if (/USE TEMP B-TREE FOR ORDER BY/.test(detail) && !/json_each/.test(query)) scans.push(`${detail}: ${query}`)
    }
  }
  const spy: Store = {
    ...store,
    all: <R extends object>(query: string, ...values: SqlValue[]): R[] => {
      look(query, values)
      return store.all<R>(query, ...values)
    },
    run: (query, ...values) => {
      look(query, values)
      return store.run(query, ...values)
    },
  }
  const context = { ...bench.context, store: spy }
  const taken = commit(bench.context, (inner) => submit(inner, submission(), 0))
  if (!taken.ok) throw new Error(taken.detail)
  const row = findJob(bench.context, taken.job.id)
  if (!row) throw new Error('no such job')
  return { context, scans, seen, row }
}

it('no list walks a table, whatever it is filtered by and wherever it goes on', async () => {
  const { context, scans, seen, row } = watched()
  for (const state of [null, ...JOB_STATES])
    for (const task of [null, 'daily'])
      for (const alias of [null, 'feb'])
        for (const before of [null, row.id]) {
          const query = { state, task, alias, before, limit: 50 }
          listJobs(context, query)
          await listEverywhere(context, query, () => Promise.resolve([]))
        }
  expect(scans).toEqual([])
  expect(seen.size).toBeGreaterThan(20)
})

it('no stream of events walks a table', () => {
  const { context, scans, row } = watched()
  for (const until of ['ended', 'published', 'pack'] as const) jobBacklog(context, row, 0, until)
  isOver(context, { ...row, state: 'succeeded', publication: 'published', finished_at: context.now() }, 'pack')
  groupBacklog(context, { id: 'g1', state: 'running', seq: 0, finished_at: null, deleted_at: null }, 0)
  tenantPage(context, { task: [], queue: [], tag: [], state: [] }, 0)
  expect(scans).toEqual([])
})

it('no step of the housekeeping walks a table', () => {
  const { context, scans, row } = watched()
  census(context, '', 4_096)
  movable(context, '', 0)
  nextPage(context, [row.id])
  const moved = collect(context, [row.id])
  trimEvents(context)
  cut(context, moved, null, [])
  litter(context, 10)
  expect(scans).toEqual([])
})

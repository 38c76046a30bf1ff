import { expect, it } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { archiveResult } from './archive.ts'
import { commit } from './context.ts'
import { isOver } from './events.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { Housekeeper } from './housekeeper.ts'
import { JobDesk } from './job-desk.ts'
import { findJob } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { MovedJobs } from './moved.ts'
import { publicationOutcome } from './publication.ts'
import { submit } from './submit.ts'
import { fireTimers } from './timers.ts'

const BOUNDS = { most_jobs: 200, kept_jobs: 100, stay_seconds: 1_200, pressed_seconds: 60, begin_seconds: 600 }

/** A ledger in which a second passes at a time, with its housekeeping. */
const bench = () => {
  const ledger = testLedger()
  const { context } = ledger
  let noise = 0
  context.random = (bytes) => new Uint8Array(bytes).map(() => noise++ % 256)
  const objects = new Map<string, string>()
  const bucket = {
    put: async (key: string, text: string) => void objects.set(key, text),
    get: async (key: string) => ({ arrayBuffer: async () => new TextEncoder().encode(objects.get(key)).buffer }),
    delete: async (keys: string[]) => {
      for (const key of keys) objects.delete(key)
    },
  } as unknown as R2Bucket
  const moved = new MovedJobs(context, bucket)
  const own = { context, commit: <T>(body: (inner: typeof context) => T): T => commit(context, body), moved }
  const env = { RESULTS: bucket, SCARAB_HOUSEKEEPING: JSON.stringify(BOUNDS) } as unknown as Env
  const keeper = new Housekeeper({ ...own, env })
  const desk = new JobDesk({ ...own, bucket, live: new Map(), untilEnded: () => Promise.resolve() })
  let steps = 0
  return {
    context,
    bucket,
    end: (how: 'small' | 'large' | 'unpublished' = 'small'): JobId => {
      commit(context, (inner) => submit(inner, submission(), 0))
      const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
      if (!lease) throw new Error('nothing was offered')
      const { job, attempt } = lease
      commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
      const done = completion(job, attempt)
      commit(context, (inner) => complete(inner, HOLDER, [how === 'large' ? { ...done, inline: null } : done]))
      if (how === 'unpublished') return job
      commit(context, (inner) => publicationOutcome(inner, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
      context.store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', job)
      context.store.run(`DELETE FROM timers WHERE kind = 'purge'`)
      return job
    },
    second: async (): Promise<void> => {
      ledger.pass(1_000)
      fireTimers(context)
      for (const effect of ledger.take()) {
        if (effect.kind === 'events' && effect.ended) keeper.expect()
        if (effect.kind === 'housekeeping') {
          steps++
          await keeper.step()
        }
      }
    },
    steps: (): number => steps,
    here: (): string[] => context.store.all<{ id: string }>('SELECT id FROM jobs ORDER BY id').map(({ id }) => id),
    list: async (): Promise<string[]> => {
      const ids: string[] = []
      for (let before: string | null = null; ; ) {
        const page: Awaited<ReturnType<JobDesk['list']>> = await desk.list({ alias: null, task: null, state: null, before, limit: 100 })
        ids.push(...page.items.map(({ id }) => id))
        if (page.next === null) return ids
        before = page.next
      }
    },
  }
}

it('the bound of the database holds when more jobs end than could stay for their time, and all of them are listed', async () => {
  const one = bench()
  const ids: string[] = []
  let most = 0
  for (let second = 0; second < 1_200; second++) {
    ids.push(one.end())
    await one.second()
    most = Math.max(most, one.here().length)
  }
  // In twenty minutes none is old enough to go; what is a minute old may.
  expect(most).toBeLessThan(BOUNDS.most_jobs + 10)
  expect(await one.list()).toEqual(ids.reverse())
})

it('a job stays while its pack may come, and one without work left is not kept for it', async () => {
  const one = bench()
  const large = Array.from({ length: 5 }, () => one.end('large'))
  for (let n = 0; n < 300; n++) one.end()
  for (let second = 0; second < 120; second++) await one.second()
  expect(one.here().length).toBe(BOUNDS.kept_jobs)
  expect(one.here()).toEqual(expect.arrayContaining(large))
  one.context.store.run('UPDATE results SET pack_bytes = 7, pack_sha256 = ? WHERE job = ?', 'a'.repeat(64), large[0] ?? '')
  for (let n = 0; n < 300; n++) one.end()
  for (let second = 0; second < 120; second++) await one.second()
  expect(one.here()).not.toContain(large[0])
  expect(one.here()).toEqual(expect.arrayContaining(large.slice(1)))
})

it('too many jobs that cannot go are looked at now and then, not all the time', async () => {
  const one = bench()
  for (let n = 0; n < 300; n++) one.end('unpublished')
  for (let second = 0; second < 60; second++) {
    one.end('unpublished')
    await one.second()
  }
  expect(one.here().length).toBe(360)
  // A count and two walks at first, and again when a minute is over.
  expect(one.steps()).toBeLessThan(8)
})

it('a result whose rows were kept whole and have moved to its object is known to have no pack', async () => {
  const one = bench()
  const id = one.end()
  one.context.store.run('UPDATE results SET inline_rows = ? WHERE job = ?', JSON.stringify([['x'.repeat(5_000)]]), id)
  await archiveResult(one.context, one.bucket, id)
  const row = findJob(one.context, id)
  if (!row) throw new Error('it is not here')
  expect(one.context.store.all('SELECT inline_rows, archived IS NOT NULL AS away FROM results')).toEqual([{ inline_rows: null, away: 1 }])
  expect(isOver(one.context, row, 'pack')).toBe(true)
})

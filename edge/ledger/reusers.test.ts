import { expect, test } from 'vitest'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { accept, offer } from './leases.ts'
import { MAX_REUSERS } from './limits.ts'
import { submit } from './submit.ts'

test('a result is taken by a bounded number of jobs: the next one runs', () => {
  const { context } = testLedger()
  const take = (reuse_seconds: number | null) => {
    const submitted = commit(context, (inner) => submit(inner, submission({ sameness: 'same', reuse_seconds }), 0))
    if (!submitted.ok) throw new Error(submitted.detail)
    return submitted.job
  }
  const writer = take(null).id
  const [offered] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  commit(context, (inner) => accept(inner, HOLDER, [{ job: offered.job, attempt: offered.attempt, start: true }]))
  commit(context, (inner) => complete(inner, HOLDER, [completion(offered.job, offered.attempt)]))
  const taker = take(60)
  expect(taker.reused_from).toBe(writer)
  context.store.run(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO jobs (id, task, args, queue, pool, family, run_date, state, publication, attempt, tries, seq, created_at, reused_from)
     SELECT 'y' || i, task, args, queue, pool, family, run_date, 'succeeded', 'pending', 0, 0, 1, 0, ? FROM n, jobs WHERE id = ?`,
    MAX_REUSERS - 2,
    writer,
    taker.id,
  )
  expect(take(60).reused_from).toBe(writer)
  expect(take(60)).toMatchObject({ state: 'waiting', reused_from: null })
})

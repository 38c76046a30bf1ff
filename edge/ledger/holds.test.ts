import { expect, test } from 'vitest'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { HOLDER, OTHER, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { accept, endSession, holds, offer } from './leases.ts'
import { submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>

const run = (bench: Bench, holder: typeof HOLDER): { job: string; attempt: number } => {
  const [offered] = commit(bench.context, (context) => offer(context, request(holder, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const lease = { job: offered.job, attempt: offered.attempt }
  commit(bench.context, (context) => accept(context, holder, [{ ...lease, start: true }]))
  return lease
}

test('only the session that holds the current attempt may upload for it (I2)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  const first = run(bench, HOLDER)
  expect(holds(bench.context, HOLDER.session, first.job, first.attempt)).toBe(true)
  expect(holds(bench.context, OTHER.session, first.job, first.attempt)).toBe(false)
  expect(holds(bench.context, HOLDER.session, first.job, first.attempt + 1)).toBe(false)
  commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
  expect(holds(bench.context, HOLDER.session, first.job, first.attempt)).toBe(false)
  bench.pass(31_000)
  fireTimers(bench.context)
  const second = run(bench, OTHER)
  expect(holds(bench.context, OTHER.session, second.job, second.attempt)).toBe(true)
  expect(holds(bench.context, HOLDER.session, first.job, first.attempt)).toBe(false)
  expect(holds(bench.context, OTHER.session, first.job, first.attempt)).toBe(false)
})

test('what is to be cancelled uploads nothing more', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  const { job, attempt } = run(bench, HOLDER)
  commit(bench.context, (context) => {
    const row = findJob(context, job)
    if (row) cancel(context, row, 'enough')
  })
  expect(holds(bench.context, HOLDER.session, job, attempt)).toBe(false)
})

test('a cancel does not say confirmed when an attempt was lost with its node (I8)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  const { job } = run(bench, HOLDER)
  commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
  const row = findJob(bench.context, job)
  if (!row) throw new Error('no such job')
  expect(commit(bench.context, (context) => cancel(context, row, 'enough'))).toBe('cancelled')
  expect(findJob(bench.context, job)).toMatchObject({ state: 'cancelled', cancel_outcome: 'not_confirmed' })
})

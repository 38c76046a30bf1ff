import { afterEach, expect, it, vi } from 'vitest'
import { setTimer } from '../storage/timers.ts'
import { commit } from './context.ts'
import { submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { REPEAT_LAST_MS } from './limits.ts'
import { submit } from './submit.ts'
import { fireTimers } from './timers.ts'

afterEach(() => vi.restoreAllMocks())

it('a timer that cannot be handled is put off, and holds up none of the others', () => {
  vi.spyOn(console, 'warn').mockReturnValue()
  const told = vi.spyOn(console, 'error').mockReturnValue()
  const { context, pass } = testLedger()
  const taken = commit(context, (inner) => submit(inner, submission({ ttl_seconds: 5 }), 0))
  if (!taken.ok) throw new Error(taken.detail)
  const id = 's'.padEnd(27, '0')
  context.store.run(
    `INSERT INTO schedules (id, task, source, body, next_at, skipped, created_at) VALUES (?, 'daily', 'api', 'no JSON', 0, 0, 0)`,
    id,
  )
  setTimer(context.store, 'schedule', id, context.now())
  pass(5_000)
  fireTimers(context)
  expect(findJob(context, taken.job.id)).toMatchObject({ state: 'failed', error_code: 'expired' })
  expect(context.store.all(`SELECT due FROM timers WHERE kind = 'schedule'`)).toEqual([{ due: context.now() + REPEAT_LAST_MS }])
  expect(told.mock.calls.length).toBe(1)
})

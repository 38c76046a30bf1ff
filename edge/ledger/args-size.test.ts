import { expect, it } from 'vitest'
import { plainTask } from '../contract/fixture.ts'
import { oversize } from './args-size.ts'
import { POOL } from './fixture.ts'
import { MAX_JOB_ARGS_BYTES } from './limits.ts'
import { prepareSubmission } from './prepare.ts'

it('the arguments of a job are measured together, in bytes', () => {
  const quotes = 4
  expect(oversize(['x'.repeat(MAX_JOB_ARGS_BYTES - quotes)])).toBeNull()
  expect(oversize(['x'.repeat(MAX_JOB_ARGS_BYTES - quotes + 1)])).toContain(`${MAX_JOB_ARGS_BYTES + 1} bytes`)
  expect(oversize(['€'.repeat(MAX_JOB_ARGS_BYTES / 3)])).not.toBeNull()
  expect(oversize([1, null, true])).toBeNull()
})

it('a job whose arguments are too many is refused before it is queued: one of a batch would take all of it along', () => {
  const task = {
    ...plainTask('daily', { arity: 20 }),
    pools: [POOL],
    available: true,
    notice: null,
    last_seen_at: '2026-01-01T00:00:00.000Z',
  }
  const prepare = (length: number) => prepareSubmission({ scopes: [] }, task, { args: Array<string>(20).fill('x'.repeat(length)) }, null)
  expect(prepare(50_000)).toMatchObject({ ok: true })
  expect(prepare(60_000)).toMatchObject({ ok: false, code: 'invalid_arguments' })
})

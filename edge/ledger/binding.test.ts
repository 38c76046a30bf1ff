import { describe, expect, test } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import { commit } from './context.ts'
import { HOLDER, request, submission, testLedger } from './fixture.ts'
import { findJob, type JobRow } from './jobs.ts'
import { offer } from './leases.ts'
import { showJob } from './read.ts'
import { submit } from './submit.ts'

type Bench = ReturnType<typeof testLedger>

const row = (bench: Bench, id: JobId): JobRow => {
  const found = findJob(bench.context, id)
  if (!found) throw new Error(`no job ${id}`)
  return found
}

describe('a task that was redefined', () => {
  const tasks = (hash: string, signature: string, since: number) => ({ daily: { hash: hash.repeat(64), signature, since } })
  const waiting = ({ context }: Bench): JobId => {
    const wanted = submission({ submitted_hash: 'a'.repeat(64), signature: 'p.c' })
    const submitted = commit(context, (inner) => submit(inner, wanted, 0))
    if (!submitted.ok) throw new Error(submitted.detail)
    return submitted.job.id
  }

  test('with the same parameters and columns runs by its new text', () => {
    const bench = testLedger()
    const id = waiting(bench)
    for (const signature of ['p.c', 'p.-'])
      expect(commit(bench.context, (context) => offer(context, request(HOLDER, 0, tasks('b', signature, 9e15)))).drained).toBeNull()
    commit(bench.context, (context) => offer(context, request(HOLDER, 1, tasks('b', 'p.-', 9e15))))
    expect(row(bench, id)).toMatchObject({ state: 'offered', task_hash: 'b'.repeat(64) })
  })

  test.each(['q.c', 'p.d'])('with others (%s) fails the job that was checked against the old ones', (signature) => {
    const bench = testLedger()
    const id = waiting(bench)
    const answer = commit(bench.context, (context) => offer(context, request(HOLDER, 5, tasks('b', signature, 9e15))))
    expect(answer).toMatchObject({ offers: [], drained: 1 })
    expect(showJob(row(bench, id))).toMatchObject({ state: 'failed', error: { code: 'task_changed' } })
  })

  test('is not run by a node that has not heard of it yet, and no job fails for that', () => {
    const bench = testLedger()
    const id = waiting(bench)
    const answer = commit(bench.context, (context) => offer(context, request(HOLDER, 5, tasks('b', 'q.c', 0))))
    expect(answer).toEqual({ offers: [], drained: null })
    expect(row(bench, id).state).toBe('waiting')
  })
})

import { expect, it } from 'vitest'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { isOver } from './events.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, OTHER, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { PACK_SECONDS } from './limits.ts'
import { hasPack, mayPack, recordPack } from './packs.ts'
import { publicationOutcome } from './publication.ts'
import { remove } from './remove.ts'
import { submit } from './submit.ts'

const PACK = { bytes: 10, sha256: 'a'.repeat(64) }
const ANOTHER = { bytes: 10, sha256: 'b'.repeat(64) }

const finished = () => {
  const bench = testLedger()
  const { context } = bench
  commit(context, (inner) => submit(inner, submission(), 0))
  const [offered] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const { job, attempt } = offered
  commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
  const before = mayPack(context, HOLDER, job, attempt)
  commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
  return { ...bench, job, attempt, before }
}

it('lets the winning attempt bring one pack, after it has won and not long after', () => {
  const { context, job, attempt, before, pass } = finished()
  expect(before).toBe(false)
  expect(mayPack(context, HOLDER, job, attempt)).toBe(true)
  expect(mayPack(context, OTHER, job, attempt)).toBe(false)
  expect(mayPack(context, HOLDER, job, attempt + 1)).toBe(false)
  pass(PACK_SECONDS * 1000)
  expect(mayPack(context, HOLDER, job, attempt)).toBe(false)
  expect(recordPack(context, HOLDER, job, attempt, PACK)).toBe(false)
})

it('keeps the first pack: another is neither granted nor recorded, and the same word again is known', () => {
  const { context, job, attempt } = finished()
  expect(hasPack(context, HOLDER, job, attempt, PACK)).toBe(false)
  expect(recordPack(context, HOLDER, job, attempt, PACK)).toBe(true)
  expect(mayPack(context, HOLDER, job, attempt)).toBe(false)
  expect(recordPack(context, HOLDER, job, attempt, ANOTHER)).toBe(false)
  expect(hasPack(context, HOLDER, job, attempt, PACK)).toBe(true)
  expect(hasPack(context, HOLDER, job, attempt, ANOTHER)).toBe(false)
  expect(hasPack(context, OTHER, job, attempt, PACK)).toBe(false)
})

it('takes no pack of a deleted result', () => {
  const { context, job, attempt } = finished()
  const row = findJob(context, job)
  if (!row) throw new Error('no such job')
  commit(context, (inner) => remove(inner, row))
  expect(mayPack(context, HOLDER, job, attempt)).toBe(false)
  expect(recordPack(context, HOLDER, job, attempt, PACK)).toBe(false)
})

it('takes the pack of an execution whose submitter has left and deleted it, for those that joined it', () => {
  const { context } = testLedger()
  const [leader] = [0, 1].map(() => {
    const taken = commit(context, (inner) => submit(inner, submission({ sameness: 'same' }), 0))
    if (!taken.ok) throw new Error(taken.detail)
    return taken.job.id
  })
  const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
  const row = findJob(context, leader ?? '')
  if (!lease || !row) throw new Error('nothing was offered')
  const { job, attempt } = lease
  commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
  commit(context, (inner) => cancel(inner, row, 'enough'))
  commit(context, (inner) => remove(inner, row))
  expect(recordPack(context, HOLDER, job, attempt, PACK)).toBe(false)
  commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
  expect(recordPack(context, HOLDER, job, attempt, PACK)).toBe(true)
})

it('is told to all that share the result, and ends the streams that wait for it', () => {
  const { context, pass } = testLedger()
  const take = (reuse_seconds: number | null = null) => {
    const taken = commit(context, (inner) => submit(inner, submission({ sameness: 'same', reuse_seconds }), 0))
    if (!taken.ok) throw new Error(taken.detail)
    return taken.job.id
  }
  const rowOf = (id: string) => {
    const row = findJob(context, id)
    if (!row) throw new Error('no such job')
    return row
  }
  const [leader, other] = [take(), take()]
  const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
  const { job, attempt } = lease ?? { job: leader, attempt: 0 }
  commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
  commit(context, (inner) => complete(inner, HOLDER, [{ ...completion(job, attempt), inline: null }]))
  commit(context, (inner) => publicationOutcome(inner, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
  const waits = (id: string) => !isOver(context, rowOf(id), 'pack')
  expect([leader, other].map(waits)).toEqual([true, true])
  commit(context, (inner) => recordPack(inner, HOLDER, job, attempt, PACK))
  expect([leader, other].map(waits)).toEqual([false, false])
  expect(context.store.all(`SELECT job FROM events WHERE type = 'pack' ORDER BY job`)).toEqual([{ job: leader }, { job: other }])
  expect(waits(take(3_600))).toBe(false)
  context.store.run('UPDATE results SET pack_bytes = NULL')
  expect(waits(take(3_600))).toBe(true)
  pass(PACK_SECONDS * 1000)
  // Nobody brings one any more, though this one has just come.
  expect(waits(take(3_600))).toBe(false)
})

import { expect, it } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import { type ArchivedResult, archiveResult, argsOf } from './archive.ts'
import { commit } from './context.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { census } from './housekeeping.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { MAX_KEPT_BYTES } from './limits.ts'
import { publicationOutcome } from './publication.ts'
import { findResult, showJob } from './read.ts'
import { submit } from './submit.ts'

const HEAVY = ['x'.repeat(MAX_KEPT_BYTES)]

const bench = () => {
  const { context } = testLedger()
  const objects = new Map<string, string>()
  const bucket = {
    put: (key: string, text: string) => Promise.resolve(objects.set(key, text)),
    get: (key: string) => Promise.resolve({ arrayBuffer: () => Promise.resolve(new TextEncoder().encode(objects.get(key)).buffer) }),
  } as unknown as R2Bucket
  const run = (args: string[], how: 'published' | 'rejected' | 'failed'): JobId => {
    const taken = commit(context, (inner) => submit(inner, submission({ args }), 0))
    if (!taken.ok) throw new Error(taken.detail)
    const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
    if (!lease) throw new Error('nothing was offered')
    const { job, attempt } = lease
    commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
    const failure = { class: 'sql', code: 'sql_error', message: 'no' } as const
    if (how === 'failed') commit(context, (inner) => fail(inner, HOLDER, [{ job, attempt, failure }]))
    else {
      commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
      commit(context, (inner) => publicationOutcome(inner, [{ job, attempt, publication: how, snapshot: null, reason: null }]))
    }
    return job
  }
  const rowOf = (id: string): JobRow => {
    const row = findJob(context, id)
    if (!row) throw new Error('no such job')
    return row
  }
  const archived = (): ArchivedResult => JSON.parse([...objects.values()][0] ?? 'null')
  return { context, objects, bucket, run, rowOf, archived }
}

it('a small published result stays in the database without its Parquet, and nothing goes anywhere', async () => {
  const one = bench()
  const id = one.run(['a'], 'published')
  await archiveResult(one.context, one.bucket, id)
  expect(findResult(one.context, id)).toMatchObject({ manifest: expect.any(String), inline_parquet: null, archived: null })
  expect([one.objects.size, one.rowOf(id).args]).toEqual([0, '["a"]'])
})

it('arguments that are more than a finished job keeps go to the object of its result, and come from there', async () => {
  const one = bench()
  const id = one.run(HEAVY, 'published')
  await archiveResult(one.context, one.bucket, id)
  expect(findResult(one.context, id)).toMatchObject({ manifest: null, inline_rows: null, archived: [...one.objects.keys()][0] })
  expect(one.archived()).toMatchObject({ manifest: expect.any(String), args: JSON.stringify(HEAVY), parquet: null })
  const row = one.rowOf(id)
  expect(showJob(row)).toMatchObject({ args: [], args_omitted: true })
  expect(await argsOf(one.context, one.bucket, row)).toBe(JSON.stringify(HEAVY))
  one.context.memory.forget()
  expect(one.rowOf(id).args).toBe('')
})

it('so do those of a job without a result, which the count of the housekeeping finds', async () => {
  const one = bench()
  const [light, heavy] = [one.run([], 'failed'), one.run(HEAVY, 'failed')]
  expect(census(one.context, '', MAX_KEPT_BYTES)).toMatchObject({ finished: 2, dead: 2, heavy: [heavy] })
  for (const id of [light, heavy]) await archiveResult(one.context, one.bucket, id)
  expect(one.objects.size).toBe(1)
  expect(await argsOf(one.context, one.bucket, one.rowOf(heavy))).toBe(JSON.stringify(HEAVY))
  expect(census(one.context, '', MAX_KEPT_BYTES).heavy).toEqual([])
})

it('the file of a result that no table has taken goes to its object, for nobody else has it', async () => {
  const one = bench()
  const id = one.run([], 'rejected')
  await archiveResult(one.context, one.bucket, id)
  expect(findResult(one.context, id)).toMatchObject({ inline_parquet: null, archived: expect.any(String) })
  expect(one.archived().parquet).toBe(btoa(String.fromCharCode(1, 2, 3)))
})

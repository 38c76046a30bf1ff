import { beforeEach, describe, expect, test } from 'vitest'
import { type JobId, resultOf } from '../contract/ids.ts'
import { packKey, resultKey } from '../contract/keys.ts'
import type { Env } from '../env.ts'
import { cancel } from './cancel.ts'
import { commit } from './context.ts'
import { Errands } from './errands.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, request, submission, testLedger } from './fixture.ts'
import { JobDesk } from './job-desk.ts'
import { findJob, type JobRow, updateJob } from './jobs.ts'
import { accept, offer } from './leases.ts'
import { MAX_KEPT_BYTES } from './limits.ts'
import { MovedJobs } from './moved.ts'
import { publicationOutcome } from './publication.ts'
import { findResult } from './read.ts'
import { remove } from './remove.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

/** Object storage, as far as results use it; `meanwhile` happens while it is listed. */
class Bucket {
  readonly objects = new Map<string, string>()
  meanwhile: () => void = () => undefined
  put(key: string, text: string): Promise<void> {
    this.objects.set(key, text)
    return Promise.resolve()
  }
  get(key: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null> {
    const text = this.objects.get(key)
    return Promise.resolve(text === undefined ? null : { arrayBuffer: () => Promise.resolve(new TextEncoder().encode(text).buffer) })
  }
  delete(keys: string | string[]): Promise<void> {
    for (const key of [keys].flat()) this.objects.delete(key)
    return Promise.resolve()
  }
  list({ prefix }: { prefix: string }): Promise<{ objects: { key: string }[]; truncated: boolean }> {
    this.meanwhile()
    return Promise.resolve({
      objects: [...this.objects.keys()].filter((key) => key.startsWith(prefix)).map((key) => ({ key })),
      truncated: false,
    })
  }
}

const bench = () => {
  const ledger = testLedger()
  const { context } = ledger
  const bucket = new Bucket()
  const desk = { context, commit: <T>(body: (inner: typeof context) => T): T => commit(context, body) }
  const r2 = bucket as unknown as R2Bucket
  const errands = new Errands({ RESULTS: bucket } as unknown as Env, desk)
  const moved = new MovedJobs(context, r2)
  const jobs = new JobDesk({ ...desk, bucket: r2, moved, live: new Map(), untilEnded: () => Promise.resolve() })
  const row = (id: JobId): JobRow => {
    const found = findJob(context, id)
    if (!found) throw new Error(`no job ${id}`)
    return found
  }
  return {
    ...ledger,
    bucket,
    errands,
    jobs,
    row,
    take: (change: Partial<Submission> = {}): JobId => {
      const submitted = commit(context, (inner) => submit(inner, submission({ sameness: 'same', ...change }), 0))
      if (!submitted.ok) throw new Error(submitted.detail)
      return submitted.job.id
    },
    run: (): { job: JobId; attempt: number } => {
      const [offered] = commit(context, (inner) => offer(inner, request(HOLDER, 1))).offers
      if (!offered) throw new Error('nothing was offered')
      const lease = { job: offered.job, attempt: offered.attempt }
      commit(context, (inner) => accept(inner, HOLDER, [{ ...lease, start: true }]))
      return lease
    },
    finish: ({ job, attempt }: { job: JobId; attempt: number }): unknown =>
      commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)])),
    publish: (job: JobId): void => {
      commit(context, (inner) => publicationOutcome(inner, [{ job, attempt: 1, publication: 'published', snapshot: '1', reason: null }]))
    },
    stop: (id: JobId): unknown => commit(context, (inner) => cancel(inner, row(id), 'enough')),
    drop: (id: JobId): void => commit(context, (inner) => remove(inner, row(id))),
    purging: (): string[] => context.store.all<{ ref: string }>(`SELECT ref FROM timers WHERE kind = 'purge'`).map(({ ref }) => ref),
    args: async (id: JobId): Promise<unknown> => {
      const answer = await jobs.job(id, 0)
      return answer.found === 'yes' ? answer.job.args : answer.found
    },
  }
}

let one = bench()
beforeEach(() => {
  one = bench()
})
const LARGE = ['x'.repeat(MAX_KEPT_BYTES)]

describe('a job that was cancelled and deleted while a node runs it for another', () => {
  const left = (args: string[] = []) => {
    const [leader, other] = [one.take({ args }), one.take({ args })]
    const lease = one.run()
    one.stop(leader)
    return { leader, other, lease }
  }

  test('loses nothing of what it writes to a purge that its deletion began', async () => {
    const { leader, other, lease } = left()
    one.drop(leader)
    one.bucket.meanwhile = () => {
      one.bucket.meanwhile = () => undefined
      one.finish(lease)
    }
    await one.errands.settle(leader)
    if (one.row(leader).state === 'carrying') one.finish(lease)
    expect(one.row(other).state).toBe('succeeded')
    expect(findResult(one.context, leader)).toMatchObject({ job: leader })
  })

  test('keeps its arguments when it is looked at before it has ended', async () => {
    const { leader, other, lease } = left(LARGE)
    await one.errands.settle(leader)
    one.finish(lease)
    one.publish(leader)
    await one.errands.settle(leader)
    expect(await one.args(leader)).toEqual(LARGE)
    expect(await one.jobs.result(other)).toMatchObject({ archived: resultKey(one.context.tenant, resultOf(leader)) })
  })
})

describe('arguments that are too many for the database', () => {
  test('outlive the result, as long as the job is shown', async () => {
    const id = one.take({ args: LARGE, retention_seconds: 60 })
    one.finish(one.run())
    one.publish(id)
    await one.errands.settle(id)
    expect(one.row(id).args).toBe('')
    one.pass(60_000)
    fireTimers(one.context)
    one.bucket.objects.set(packKey(one.context.tenant, resultOf(id)), 'pack')
    await one.errands.settle(id)
    expect(await one.args(id)).toEqual(LARGE)
    expect([...one.bucket.objects.keys()]).toEqual([resultKey(one.context.tenant, resultOf(id))])
    expect(one.bucket.objects.get(resultKey(one.context.tenant, resultOf(id)))).toContain('"manifest":""')
    one.drop(id)
    await one.errands.settle(id)
    expect(one.bucket.objects.size).toBe(0)
    expect(one.purging()).toEqual([])
  })

  test('leave the database also of a job that was cancelled', async () => {
    const id = one.take({ args: LARGE })
    one.stop(id)
    await one.errands.settle(id)
    expect(one.row(id).args).toBe('')
    expect(await one.args(id)).toEqual(LARGE)
  })

  test('are not put back by a look that a deletion has overtaken', async () => {
    const id = one.take({ args: LARGE })
    one.stop(id)
    const put = one.bucket.put.bind(one.bucket)
    one.bucket.put = (key, text) => {
      one.drop(id)
      return put(key, text)
    }
    await one.errands.settle(id)
    expect(one.bucket.objects.size).toBe(0)
    expect(one.purging()).toEqual([id])
  })
})

test('of a result that is archived while its job is deleted, the purge is done again, whatever the size of its arguments', async () => {
  const id = one.take({ args: LARGE })
  one.finish(one.run())
  one.publish(id)
  const put = one.bucket.put.bind(one.bucket)
  one.bucket.put = async (key, text) => {
    await put(key, text)
    one.drop(id)
  }
  await one.errands.settle(id)
  expect(one.bucket.objects.size).toBe(0)
  expect(one.purging()).toEqual([id])
})

test('a writer that was deleted keeps its result for the one that joined and has yet to end with it', () => {
  const [leader, other] = [one.take(), one.take()]
  one.finish(one.run())
  // As between two turns of a thousand.
  updateJob(one.context, one.row(other), { state: 'joined', finished_at: null })
  one.take()
  one.drop(leader)
  expect(one.context.store.all('SELECT kind FROM outbox')).toEqual([{ kind: 'publish' }])
})

test('what is derived from a result is kept while anybody may read it, whether or not its writer is deleted', async () => {
  const [leader, other] = [one.take({ retention_seconds: 60 }), one.take({ retention_seconds: 60 })]
  one.finish(one.run())
  one.publish(leader)
  one.drop(leader)
  expect(await one.jobs.isReadable(leader)).toBe(true)
  one.pass(60_000)
  fireTimers(one.context)
  expect(one.row(other).publication).toBe('expired')
  expect(await one.jobs.isReadable(leader)).toBe(false)
})

import { beforeEach, describe, expect, it, vi } from 'vitest'
import { type JobId, PoolName, QueueName } from '../contract/ids.ts'
import { QueueSettings } from '../contract/queues.ts'
import { cancel } from './cancel.ts'
import { commit, type LedgerEffect } from './context.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, OTHER, POOL, QUEUE, request, submission, testLedger } from './fixture.ts'
import { findJob } from './jobs.ts'
import { laneAcknowledged, loadLanes } from './lanes.ts'
import { accept, endSession, handBack, offer } from './leases.ts'
import { MAX_QUEUE_SETTINGS } from './limits.ts'
import { LedgerMemory } from './memory.ts'
import { listQueues, putQueue, resetQueue, showQueue } from './queues.ts'
import { submit } from './submit.ts'
import { fireTimers } from './timers.ts'

let ledger: ReturnType<typeof testLedger>
beforeEach(() => {
  ledger = testLedger()
})
const put = (settings: Partial<QueueSettings>, name: QueueName = QUEUE): void => {
  expect(commit(ledger.context, (inner) => putQueue(inner, name, QueueSettings.parse(settings)))).toMatchObject({ ok: true })
}
const jobs = (count: number, change: Parameters<typeof submission>[0] = {}): JobId[] =>
  Array.from({ length: count }, () => {
    const submitted = commit(ledger.context, (inner) => submit(inner, submission(change), 0))
    if (!submitted.ok) throw new Error(submitted.detail)
    return submitted.job.id
  })
const asked = (want = 10, holder = HOLDER): ReturnType<typeof offer> =>
  commit(ledger.context, (inner) => offer(inner, request(holder, want)))
const ends = (id: JobId): void => {
  commit(ledger.context, (inner) => accept(inner, HOLDER, [{ job: id, attempt: 1, start: true }]))
  expect(commit(ledger.context, (inner) => complete(inner, HOLDER, [completion(id, 1)]))).toEqual(['ok'])
}
const of = <Kind extends LedgerEffect['kind']>(kind: Kind): Extract<LedgerEffect, { kind: Kind }>[] =>
  ledger.take().filter((effect): effect is Extract<LedgerEffect, { kind: Kind }> => effect.kind === kind)

describe('a paused queue', () => {
  it('takes jobs and gives none out; what was held goes on; all of it goes on when it ends', () => {
    const [first] = jobs(2)
    asked(1)
    put({ paused: true })
    ledger.take()
    jobs(3)
    expect(of('ready')).toEqual([])
    const answer = asked()
    expect(answer.offers).toEqual([])
    expect(answer.drained).toBeGreaterThan(0)
    if (first) ends(first)
    expect(of('ready')).toEqual([])
    put({})
    expect(of('ready')).toMatchObject([{ queue: 'default', seq: (answer.drained ?? 0) + 1 }])
    expect(asked().offers).toHaveLength(4)
  })

  it('stays paused in the next life of the ledger, which finds its lane although it was never announced', () => {
    put({ paused: true })
    jobs(2)
    const { context } = ledger
    const next = { ...context, memory: new LedgerMemory() }
    ledger.take()
    commit(next, loadLanes)
    expect(of('ready')).toEqual([])
    commit(next, (inner) => putQueue(inner, QUEUE, QueueSettings.parse({})))
    expect(of('ready')).toMatchObject([{ queue: 'default', pool: 'default' }])
    expect(commit(next, (inner) => offer(inner, request(HOLDER))).offers).toHaveLength(2)
  })

  it('keeps no slots free', () => {
    jobs(1)
    put({ paused: true, reserve: 3 })
    expect(of('ready').at(-1)).toMatchObject({ settings: { reserve: 0 } })
    put({ reserve: 3 })
    expect(of('ready').at(-1)).toMatchObject({ settings: { reserve: 3 }, held: 0 })
  })
})

describe('a concurrency', () => {
  it('bounds what nodes hold, and the lane is announced anew when a job ends', () => {
    put({ concurrency: 2 })
    const [first] = jobs(4)
    ledger.take()
    const answer = asked()
    expect(answer.offers).toHaveLength(2)
    expect(answer.drained).toBeGreaterThan(0)
    jobs(1)
    expect(of('ready')).toEqual([])
    expect(asked(10, OTHER).offers).toEqual([])
    if (first) ends(first)
    expect(of('ready')).toMatchObject([{ seq: (answer.drained ?? 0) + 1 }])
    expect(asked(10, OTHER).offers).toHaveLength(1)
  })

  it('is filled again by the offers that ride on a completion, without an announcement', () => {
    put({ concurrency: 1 })
    const [first = '' as JobId] = jobs(3)
    asked()
    ledger.take()
    commit(ledger.context, (inner) => accept(inner, HOLDER, [{ job: first, attempt: 1, start: true }]))
    const next = commit(ledger.context, (inner) => {
      complete(inner, HOLDER, [completion(first, 1)])
      return offer(inner, request(HOLDER, 1))
    })
    expect(next.offers).toHaveLength(1)
    expect(of('ready')).toEqual([])
  })

  it.each(['handed back', 'cancelled', 'lapsed', 'lost with its node'])('is free again when a job is %s', (how) => {
    put({ concurrency: 1 })
    const [first = '' as JobId] = jobs(2)
    asked()
    ledger.take()
    const { context } = ledger
    const row = findJob(context, first)
    if (how === 'handed back') commit(context, (inner) => handBack(inner, HOLDER, [{ job: first, attempt: 1, reason: 'full' }]))
    else if (how === 'cancelled' && row) commit(context, (inner) => cancel(inner, row, 'no'))
    else if (how === 'lapsed') {
      ledger.pass(5_001)
      fireTimers(context)
    } else commit(context, (inner) => endSession(inner, HOLDER.session, 'gone'))
    expect(of('ready').length).toBeGreaterThan(0)
    expect(asked().offers).toHaveLength(1)
  })

  it('counts all pools together, and opens the lanes of each', () => {
    put({ concurrency: 2 })
    const heavy = PoolName.parse('heavy')
    const [first] = jobs(3)
    jobs(2, { pool: heavy })
    const elsewhere = (): ReturnType<typeof offer> => commit(ledger.context, (inner) => offer(inner, { ...request(OTHER, 1), pool: heavy }))
    expect(asked(1).offers).toHaveLength(1)
    expect(elsewhere().offers).toHaveLength(1)
    expect(asked().offers).toEqual([])
    expect(elsewhere().offers).toEqual([])
    ledger.take()
    if (first) ends(first)
    expect(
      of('ready')
        .map(({ pool }) => pool)
        .sort(),
    ).toEqual([POOL, heavy])
    expect(elsewhere().offers).toHaveLength(1)
    expect(asked().offers).toEqual([])
  })

  it('that is lowered takes nothing away, and gives nothing out until there is room', () => {
    jobs(6)
    const held = asked(4).offers.map(({ job }) => job)
    put({ concurrency: 3 })
    expect(asked().offers).toEqual([])
    held.slice(0, 1).forEach(ends)
    expect(asked().offers).toEqual([])
    held.slice(1, 2).forEach(ends)
    expect(asked().offers).toHaveLength(1)
  })

  it('is counted anew when a transaction was rolled back', () => {
    put({ concurrency: 2 })
    const [first = '' as JobId] = jobs(3)
    asked()
    expect(() =>
      commit(ledger.context, (inner) => {
        accept(inner, HOLDER, [{ job: first, attempt: 1, start: true }])
        complete(inner, HOLDER, [completion(first, 1)])
        throw new Error('the disk is full')
      }),
    ).toThrow('full')
    expect(asked().offers).toEqual([])
    ends(first)
    expect(asked().offers).toHaveLength(1)
  })
})

describe('what the pool hears', () => {
  it('is nothing but the announcement where nobody has set the queue', () => {
    jobs(1)
    expect(of('ready')).toEqual([{ kind: 'ready', pool: POOL, queue: QUEUE, seq: 1 }])
  })

  it('is priority, weight and reserve with each announcement, also of an empty lane, which is drained when asked', () => {
    jobs(1)
    asked()
    laneAcknowledged(ledger.context, POOL, QUEUE, 1)
    ledger.take()
    put({ priority: 7, weight: 3, reserve: 2 })
    const [anew] = of('ready')
    expect(anew).toMatchObject({ seq: 2, settings: { priority: 7, weight: 3, reserve: 2 }, held: 1 })
    expect(asked()).toEqual({ offers: [], drained: 2 })
    commit(ledger.context, (inner) => resetQueue(inner, QUEUE))
    const [plain] = of('ready')
    expect(plain).toEqual({ kind: 'ready', pool: POOL, queue: QUEUE, seq: 3 })
  })

  it('is how many slots a queue with a reserve holds, once for a transaction', () => {
    put({ reserve: 4 })
    const [first] = jobs(1, { weight: 3 })
    jobs(1)
    ledger.take()
    asked()
    expect(of('held')).toMatchObject([{ pool: POOL, queue: QUEUE, held: 4 }])
    if (first) ends(first)
    expect(of('held').map(({ held }) => held)).toEqual([1])
  })
})

describe('a pool that has forgotten what is held', () => {
  it('hears it again when it asks, also when nothing changes', () => {
    put({ reserve: 4 })
    jobs(2)
    asked()
    ledger.take()
    expect(asked().offers).toEqual([])
    expect(of('held')).toMatchObject([{ held: 2 }])
  })
})

describe('the list', () => {
  it('has queues that were set or used, by name, page by page, with what waits and what is held', () => {
    jobs(3)
    asked(1)
    put({ weight: 5 }, QueueName.parse('zebra'))
    put({ priority: -1 }, QueueName.parse('alpha'))
    expect(listQueues(ledger.context, { after: null, limit: 2 })).toMatchObject({
      items: [
        { name: 'alpha', priority: -1, waiting: 0, held: 0, updated_at: expect.any(String) },
        { name: 'default', priority: 0, concurrency: null, paused: false, weight: 1, reserve: 0, waiting: 2, held: 1, updated_at: null },
      ],
      next: 'default',
    })
    expect(listQueues(ledger.context, { after: 'default', limit: 2 })).toMatchObject({ items: [{ name: 'zebra', weight: 5 }], next: null })
    expect(showQueue(ledger.context, 'default')).toMatchObject({ waiting: 2, held: 1 })
    expect(showQueue(ledger.context, 'nobody')).toBeNull()
  })

  it('counts once what waits and is held, and keeps count from then on', () => {
    jobs(3)
    expect(showQueue(ledger.context, 'default')).toMatchObject({ waiting: 3, held: 0 })
    const looks = vi.spyOn(ledger.context.store, 'all')
    jobs(2)
    const { offers } = asked(2)
    looks.mockClear()
    expect(showQueue(ledger.context, 'default')).toMatchObject({ waiting: 3, held: 2 })
    expect(listQueues(ledger.context, { after: null, limit: 9 }).items).toMatchObject([{ waiting: 3, held: 2 }])
    expect(looks.mock.calls.filter(([query]) => /FROM jobs/.test(query))).toEqual([])
    for (const { job } of offers.slice(0, 1)) ends(job)
    expect(showQueue(ledger.context, 'default')).toMatchObject({ waiting: 3, held: 1 })
    // What is rolled back was not.
    expect(() =>
      commit(ledger.context, (context) => {
        submit(context, submission(), 0)
        throw new Error('broken')
      }),
    ).toThrow('broken')
    expect(showQueue(ledger.context, 'default')).toMatchObject({ waiting: 3, held: 1 })
  })

  it('is bounded, and what was set goes back to the defaults', () => {
    const { context } = ledger
    for (let n = 0; n < MAX_QUEUE_SETTINGS; n++) context.store.run('INSERT INTO queues VALUES (?, 0, NULL, 0, 1, 0, 1)', `q${n}`)
    expect(commit(context, (inner) => putQueue(inner, QUEUE, QueueSettings.parse({})))).toMatchObject({ ok: false, code: 'limit_reached' })
    put({ weight: 2 }, QueueName.parse('q5'))
    expect(commit(context, (inner) => resetQueue(inner, QueueName.parse('q5')))).toBe(true)
    expect(commit(context, (inner) => resetQueue(inner, QueueName.parse('q5')))).toBe(false)
    put({})
  })
})

import { describe, expect, it } from 'vitest'
import type { JobId } from '../contract/ids.ts'
import { cancel, cancelAnswered } from './cancel.ts'
import { commit } from './context.ts'
import { complete, fail } from './finish.ts'
import { completion, HOLDER, nodeTask, OTHER, request, submission, testLedger } from './fixture.ts'
import { jobIds, ledgerTag, timeOfJob } from './ids.ts'
import { findJob, type JobRow } from './jobs.ts'
import { accept, endSession, handBack, offer, renewSession, resumeSession, start } from './leases.ts'
import { DEFAULT_RETRIES } from './limits.ts'
import { listJobs } from './listing.ts'
import { handedOver, handover, publicationOutcome } from './publication.ts'
import { eventsAfter, lookUp, showJob } from './read.ts'
import { remove } from './remove.ts'
import { INNER_STATES, isEnded, JOB_INPUTS, JOB_TABLE, SHOWN } from './states.ts'
import { type Submission, submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>

const take = (bench: Bench, change: Partial<Submission> = {}): JobId => {
  const answer = commit(bench.context, (context) => submit(context, submission(change), 0))
  if (!answer.ok) throw new Error(answer.detail)
  return answer.job.id
}
const row = (bench: Bench, id: JobId): JobRow => {
  const found = findJob(bench.context, id)
  if (!found) throw new Error('no such job')
  return found
}
const give = (bench: Bench, holder = HOLDER): { job: JobId; attempt: number } => {
  const [offered] = commit(bench.context, (context) => offer(context, request(holder, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  return { job: offered.job, attempt: offered.attempt }
}
const run = (bench: Bench, holder = HOLDER): { job: JobId; attempt: number } => {
  const lease = give(bench, holder)
  expect(commit(bench.context, (context) => accept(context, holder, [{ ...lease, start: true }]))).toEqual(['ok'])
  return lease
}

describe('the table of states', () => {
  it('has no way out of an ended state (I1)', () => {
    for (const state of INNER_STATES)
      if (isEnded(state)) for (const input of JOB_INPUTS) expect(typeof JOB_TABLE[state][input]).toBe('string')
  })

  it('leads from every state that a job can be in to an ended one', () => {
    const reach = (from: (typeof INNER_STATES)[number], seen = new Set<string>()): boolean => {
      if (isEnded(from)) return true
      if (seen.has(from)) return false
      seen.add(from)
      return JOB_INPUTS.some((input) => {
        const next = JOB_TABLE[from][input]
        return typeof next !== 'string' && reach(next.to, seen)
      })
    }
    for (const state of INNER_STATES) expect(reach(state), state).toBe(true)
  })

  it('lets only a holder complete', () => {
    for (const state of INNER_STATES) {
      const next = JOB_TABLE[state].complete
      expect(typeof next !== 'string' && next.to === 'succeeded', state).toBe(state === 'leased' || state === 'running')
    }
  })
})

describe('job ids', () => {
  it('rise also when the clock stands still or runs backwards', () => {
    let at = 1_000_000
    const next = jobIds(
      'acme' as never,
      null,
      () => at,
      (n) => new Uint8Array(n),
    )
    const ids = Array.from({ length: 100 }, (_, i) => {
      at -= i % 3
      return next()
    })
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(100)
  })

  it('go on after the last one of an earlier life', () => {
    const clock = (): number => 5
    const noise = (n: number): Uint8Array => new Uint8Array(n)
    const last = jobIds('acme' as never, null, () => 9_000, noise)()
    const after = jobIds('acme' as never, last, clock, noise)()
    expect(after > last).toBe(true)
    expect(timeOfJob(after)).toBe(9_000)
  })

  it('carry the tag of their ledger', () => {
    const id = jobIds(
      'acme' as never,
      null,
      () => 1,
      (n) => new Uint8Array(n),
    )()
    expect(id.slice(10, 16)).toBe(ledgerTag('acme' as never))
    expect(ledgerTag('acme' as never)).not.toBe(ledgerTag('acme2' as never))
  })
})

describe('a job', () => {
  it('is taken, offered, run and completed, with events numbered without gaps (I9)', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = run(bench)
    expect(lease.job).toBe(id)
    expect(commit(bench.context, (context) => complete(context, HOLDER, [completion(id, lease.attempt)]))).toEqual(['ok'])
    const events = eventsAfter(bench.context, id, 0)
    expect(events.map(({ seq, state }) => [seq, state])).toEqual([
      [1, 'waiting'],
      [2, 'leased'],
      [3, 'running'],
      [4, 'succeeded'],
    ])
    expect(events.at(-1)).toMatchObject({ publication: 'pending', rows: 1, attempt: 1 })
    expect(showJob(row(bench, id))).toMatchObject({ state: 'succeeded', tries: 1, attempt: 1, result: { id: `r${id}` } })
  })

  it('answers a repeated completion as the first time, and changes nothing', () => {
    const bench = testLedger()
    const id = take(bench)
    const { attempt } = run(bench)
    commit(bench.context, (context) => complete(context, HOLDER, [completion(id, attempt)]))
    const before = row(bench, id)
    expect(commit(bench.context, (context) => complete(context, HOLDER, [completion(id, attempt)]))).toEqual(['ok'])
    expect(row(bench, id)).toEqual(before)
  })

  it("refuses a zombie's completion, failure and hand-back (I2)", () => {
    const bench = testLedger()
    const id = take(bench)
    const old = run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'gone'))
    bench.pass(31_000)
    fireTimers(bench.context)
    const fresh = run(bench, OTHER)
    expect(fresh.attempt).toBeGreaterThan(old.attempt)
    const failure = { code: 'x', message: 'x', class: 'sql' as const }
    commit(bench.context, (context) => {
      expect(complete(context, HOLDER, [completion(id, old.attempt)])).toEqual(['fenced'])
      expect(complete(context, HOLDER, [completion(id, fresh.attempt)])).toEqual(['fenced'])
      expect(fail(context, HOLDER, [{ job: id, attempt: old.attempt, failure }])).toEqual(['fenced'])
      expect(handBack(context, HOLDER, [{ job: id, attempt: old.attempt, reason: 'x' }])).toEqual(['fenced'])
    })
    expect(row(bench, id).state).toBe('running')
  })

  it('goes back to its lane when an offer is not taken in time, and the late accept is fenced', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = give(bench)
    bench.take()
    bench.pass(5_001)
    fireTimers(bench.context)
    expect(row(bench, id).state).toBe('waiting')
    expect(bench.take()).toContainEqual(expect.objectContaining({ kind: 'ready' }))
    expect(commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))).toEqual(['fenced'])
  })

  it('is tried again after a lost node with a growing pause, at most so often, then fails', () => {
    const bench = testLedger()
    const id = take(bench)
    for (let n = 1; n <= DEFAULT_RETRIES; n++) {
      run(bench)
      commit(bench.context, (context) => endSession(context, HOLDER.session, 'The node was lost.'))
      expect(row(bench, id).state).toBe('scheduled')
      bench.pass(31_000)
      fireTimers(bench.context)
      expect(row(bench, id)).toMatchObject({ state: 'waiting', tries: n })
    }
    run(bench)
    commit(bench.context, (context) => endSession(context, HOLDER.session, 'The node was lost.'))
    expect(row(bench, id)).toMatchObject({ state: 'failed', error_code: 'node_lost' })
  })

  it('burns no try when a drain hands it back', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = run(bench)
    expect(row(bench, id).tries).toBe(1)
    commit(bench.context, (context) => handBack(context, HOLDER, [{ ...lease, reason: 'drain' }]))
    expect(row(bench, id)).toMatchObject({ state: 'waiting', tries: 0 })
  })

  it('does not retry an error of the statement', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = run(bench)
    commit(bench.context, (context) =>
      fail(context, HOLDER, [{ ...lease, failure: { code: 'sql_error', message: 'no table', class: 'sql' } }]),
    )
    expect(showJob(row(bench, id))).toMatchObject({ state: 'failed', error: { code: 'sql_error', message: 'no table' } })
  })
})

describe('cancelling', () => {
  it('ends a waiting job at once, and it never runs', () => {
    const bench = testLedger()
    const id = take(bench)
    expect(commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))).toBe('cancelled')
    expect(commit(bench.context, (context) => offer(context, request(HOLDER))).offers).toEqual([])
    expect(showJob(row(bench, id)).cancel).toMatchObject({ outcome: 'confirmed' })
  })

  it('makes an open offer void: the accept is told so', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = give(bench)
    commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    expect(commit(bench.context, (context) => accept(context, HOLDER, [{ ...lease, start: true }]))).toEqual(['cancelled'])
  })

  it('asks the node of a running job and ends with what the engine said (I8)', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = run(bench)
    bench.take()
    expect(commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))).toBe('asked')
    expect(bench.take()).toContainEqual(expect.objectContaining({ kind: 'cancel', node: HOLDER.node }))
    expect(row(bench, id).state).toBe('running')
    commit(bench.context, (context) => cancelAnswered(context, HOLDER, { ...lease, outcome: 'confirmed', reason: null }))
    expect(showJob(row(bench, id))).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed' } })
  })

  it('says that nobody confirmed it when the node stays silent', () => {
    const bench = testLedger()
    const id = take(bench)
    run(bench)
    commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    bench.pass(15_001)
    fireTimers(bench.context)
    expect(showJob(row(bench, id))).toMatchObject({ state: 'cancelled', cancel: { outcome: 'not_confirmed' } })
  })

  it('has one winner against a completion', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = run(bench)
    commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    expect(commit(bench.context, (context) => complete(context, HOLDER, [completion(id, lease.attempt)]))).toEqual(['ok'])
    expect(showJob(row(bench, id))).toMatchObject({ state: 'succeeded', cancel: { outcome: 'too_late' } })
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(row(bench, id).state).toBe('succeeded')
  })
})

describe('a session that comes back', () => {
  it('keeps what it holds, is told what it lost, and gives back what it does not know of', () => {
    const bench = testLedger()
    const kept = take(bench)
    const unknown = take(bench)
    const a = run(bench)
    run(bench)
    const lost = { tenant: bench.context.tenant, job: kept, attempt: 99, running: true }
    const fenced = commit(bench.context, (context) =>
      resumeSession(context, HOLDER, [{ tenant: context.tenant, ...a, running: true }, lost]),
    )
    expect(fenced).toEqual([{ tenant: bench.context.tenant, job: kept, attempt: 99 }])
    expect(row(bench, kept).state).toBe('running')
    expect(row(bench, unknown)).toMatchObject({ state: 'waiting', tries: 0 })
  })

  it('takes nothing from a session by a second copy of what it said when it came back (I8)', () => {
    const bench = testLedger()
    const word = (): unknown => commit(bench.context, (context) => resumeSession(context, HOLDER, [], '1-1'))
    word()
    // Also in another life, and when the session held nothing for a while.
    expect(commit(bench.context, (context) => renewSession(context, HOLDER))).toBe(false)
    const id = take(bench)
    run(bench)
    bench.context.memory.forget()
    word()
    expect(row(bench, id).state).toBe('running')
    commit(bench.context, (context) => resumeSession(context, HOLDER, [], '2-2'))
    expect(row(bench, id).state).toBe('waiting')
  })

  it('counts an accept whose answer was lost', () => {
    const bench = testLedger()
    const id = take(bench)
    const lease = give(bench)
    commit(bench.context, (context) => resumeSession(context, HOLDER, [{ tenant: context.tenant, ...lease, running: false }]))
    expect(row(bench, id).state).toBe('leased')
    expect(commit(bench.context, (context) => start(context, HOLDER, [lease]))).toEqual(['ok'])
  })
})

describe('submitting', () => {
  it('answers the same idempotency key and body with the same job, another body with 422', () => {
    const bench = testLedger()
    const idempotency = { key: 'k', body: 'b1' }
    const id = take(bench, { idempotency })
    expect(take(bench, { idempotency })).toBe(id)
    const other = commit(bench.context, (context) => submit(context, submission({ idempotency: { key: 'k', body: 'b2' } }), 0))
    expect(other).toMatchObject({ ok: false, code: 'idempotency_mismatch' })
    bench.pass(24 * 3600 * 1000 + 1)
    fireTimers(bench.context)
    expect(take(bench, { idempotency: { key: 'k', body: 'b2' } })).not.toBe(id)
  })

  it('keeps an alias to one live job, and lets the next one have it', () => {
    const bench = testLedger()
    const alias = 'mine' as Submission['alias']
    const id = take(bench, { alias })
    expect(take(bench, { alias })).toBe(id)
    for (const other of [{ args: ['x'] }, { fresh: true }, { reuse_seconds: 60 }])
      expect(commit(bench.context, (context) => submit(context, submission({ alias, ...other }), 0))).toMatchObject({
        ok: false,
        code: 'alias_in_use',
      })
    commit(bench.context, (context) => cancel(context, row(bench, id), 'enough'))
    const fresh = { alias, args: ['x'], fresh: true }
    expect(take(bench, fresh)).not.toBe(id)
    expect(take(bench, fresh)).toBe(take(bench, fresh))
  })

  it('announces a lane once, and again only after it was drained', () => {
    const bench = testLedger()
    take(bench)
    take(bench)
    expect(bench.take().filter(({ kind }) => kind === 'ready')).toHaveLength(1)
    const answer = commit(bench.context, (context) => offer(context, request(HOLDER)))
    expect(answer.offers).toHaveLength(2)
    expect(answer.drained).toBe(1)
    take(bench)
    expect(bench.take().filter(({ kind }) => kind === 'ready')).toEqual([expect.objectContaining({ seq: 2 })])
  })

  it('offers only tasks that the node has, and says that the lane is not empty', () => {
    const bench = testLedger()
    take(bench)
    const answer = commit(bench.context, (context) => offer(context, request(HOLDER, 10, { other: nodeTask('c') })))
    expect(answer).toEqual({ offers: [], drained: null })
  })
})

describe('lists', () => {
  it('page by keyset, newest first, without the deleted', () => {
    const bench = testLedger()
    const ids = Array.from({ length: 5 }, () => take(bench)).reverse()
    const first = listJobs(bench.context, { alias: null, task: null, state: null, before: null, limit: 2 })
    expect(first.rows.map(({ id }) => id)).toEqual(ids.slice(0, 2))
    const second = listJobs(bench.context, { alias: null, task: null, state: null, before: first.next, limit: 10 })
    expect(second.rows.map(({ id }) => id)).toEqual(ids.slice(2))
    expect(second.next).toBeNull()
  })
})

describe('publication', () => {
  const finished = (bench: Bench): JobId => {
    const id = take(bench)
    const { attempt } = run(bench)
    commit(bench.context, (context) => complete(context, HOLDER, [completion(id, attempt)]))
    return id
  }

  it('hands a result over until it is accepted, and ends with what the table says', () => {
    const bench = testLedger()
    const id = finished(bench)
    const family = row(bench, id).family as never
    const { publish } = handover(bench.context, family)
    expect(publish).toHaveLength(1)
    expect(publish[0]?.manifest).toMatchObject({ job: id, inline: true, tenant: 'acme' })
    expect(handover(bench.context, family).publish).toHaveLength(1)
    commit(bench.context, (context) => handedOver(context, 'publish', [id]))
    expect(handover(bench.context, family).publish).toHaveLength(0)
    const outcome = { job: id, attempt: 1, publication: 'published' as const, snapshot: '42', reason: null }
    expect(commit(bench.context, (context) => publicationOutcome(context, [outcome]))).toEqual([id])
    commit(bench.context, (context) => publicationOutcome(context, [outcome]))
    expect(eventsAfter(bench.context, id, 4)).toEqual([
      expect.objectContaining({ seq: 5, type: 'publication', publication: 'published', snapshot: '42' }),
    ])
  })

  it('withdraws a deleted job, also when the news of its publication comes late', () => {
    const bench = testLedger()
    const id = finished(bench)
    commit(bench.context, (context) => remove(context, row(bench, id)))
    expect(lookUp(bench.context, id).found).toBe('gone')
    const published = { job: id, attempt: 1, publication: 'published' as const, snapshot: '42', reason: null }
    commit(bench.context, (context) => publicationOutcome(context, [published]))
    expect(handover(bench.context, row(bench, id).family as never).withdraw).toEqual([id])
    commit(bench.context, (context) => publicationOutcome(context, [{ ...published, publication: 'withdrawn' }]))
    expect(row(bench, id).publication).toBe('withdrawn')
    expect(handover(bench.context, row(bench, id).family as never).withdraw).toEqual([])
  })
})

it('shows every inner state as one of the contract', () => {
  expect(Object.keys(SHOWN).sort()).toEqual([...INNER_STATES].sort())
})

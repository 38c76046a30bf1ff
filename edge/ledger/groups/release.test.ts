import { describe, expect, it } from 'vitest'
import type { Group } from '../../contract/groups.ts'
import { cancel } from '../cancel.ts'
import { commit } from '../context.ts'
import { ask, begin, events, jobOf, publish, show, states, submissionOf, succeed, take, testLedger } from '../fixture.ts'
import { findJob, type JobRow } from '../jobs.ts'
import { fireTimers } from '../timers.ts'

type Bench = ReturnType<typeof testLedger>
const HASH = 'a'.repeat(64)

/** A group whose jobs may be shared, or have what `change` says besides. */
const takeShared = (bench: Bench, body: unknown, change: object = {}): Group =>
  take(bench, body, {
    steps: submissionOf(body).steps.map(({ plan, job }) => ({
      plan,
      job: job && { ...job, submitted_hash: HASH, signature: 'p.c', sameness: 'shared', ...change },
    })),
  })
const jobs = (bench: Bench, group: Group, ...steps: string[]): (JobRow | undefined)[] =>
  steps.map((step) => findJob(bench.context, jobOf(group, step)))

describe('a step that begins to wait', () => {
  it('shares the execution of an identical job, in its own group and in others', () => {
    const bench = testLedger()
    const one = takeShared(bench, { steps: { a: { task: 'daily' }, b: { task: 'daily' } } })
    const other = takeShared(bench, { steps: { c: { task: 'daily' }, d: { task: 'daily', needs: ['c'], after: 'published' } } })
    expect(
      jobs(bench, one, 'a', 'b')
        .concat(jobs(bench, other, 'c'))
        .map((row) => row?.state),
    ).toEqual(['waiting', 'joined', 'joined'])
    const running = begin(bench)
    expect([...running.keys()]).toEqual(['a'])
    succeed(bench, running.get('a'))
    expect(show(bench, one).state).toBe('succeeded')
    expect(events(bench, one)).toEqual(['running', 'a running', 'a succeeded', 'b succeeded', 'succeeded'])
    expect(jobs(bench, other, 'c')[0]).toMatchObject({ state: 'succeeded', coalesced_with: jobOf(one, 'a'), publication: 'pending' })
    // The table speaks of the job that ran; who waits for it in another group hears it.
    expect(states(show(bench, other)).d).toBe('waiting')
    publish(bench, jobOf(one, 'a'), 'published')
    expect([...begin(bench).keys()]).toEqual(['d'])
  })

  it('is identical only with the values that its parents bring', () => {
    const bench = testLedger()
    const alone = (n: string) => takeShared(bench, { steps: { x: { task: 'number', args: [7] } } }, { args: [n] })
    const [seven, eight] = [alone('7'), alone('8')]
    const sameness = [seven, eight].map((group) => jobs(bench, group, 'x')[0]?.sameness)
    expect(sameness[0]).toMatch(/ \["7"\]$/)
    expect(sameness[0]).not.toBe(sameness[1])
    const late = takeShared(bench, {
      steps: {
        ok: { approval: {} },
        a: { task: 'daily', needs: ['ok'] },
        b: { task: 'number', needs: ['a'], args: [{ from: 'a', column: 'n' }] },
      },
    })
    expect(jobs(bench, late, 'b')[0]?.sameness).toBeNull()
    ask(bench, late, { do: 'decide', step: 'ok', decision: 'approve', subject: 'ann' })
    succeed(bench, begin(bench).get('a'), [['8']])
    expect(jobs(bench, late, 'b')[0]).toMatchObject({ state: 'joined', args: '["8"]', coalesced_with: jobOf(eight, 'x') })
  })

  it('has its result at once where a finished one may be taken', () => {
    const bench = testLedger()
    const first = takeShared(bench, { steps: { a: { task: 'daily' } } })
    succeed(bench, begin(bench).get('a'), [['9']])
    const group = takeShared(
      bench,
      {
        steps: { a: { task: 'daily' }, b: { task: 'number', needs: ['a'], args: [{ from: 'a', column: 'n' }] } },
      },
      { reuse_seconds: 60 },
    )
    expect(jobs(bench, group, 'a')[0]).toMatchObject({
      state: 'succeeded',
      reused_from: jobOf(first, 'a'),
      attempt: 0,
      finished_at: bench.context.now(),
    })
    expect(jobs(bench, group, 'b')[0]?.args).toBe('["9"]')
    expect(events(bench, group)).toEqual(['running', 'a succeeded'])
  })

  it('has its time to live from then on', () => {
    const bench = testLedger()
    const group = takeShared(bench, { steps: { ok: { approval: {} }, a: { task: 'daily', needs: ['ok'] } } }, { ttl_seconds: 60 })
    bench.pass(3_600_000)
    fireTimers(bench.context)
    expect(states(show(bench, group)).a).toBe('waiting')
    ask(bench, group, { do: 'decide', step: 'ok', decision: 'approve', subject: 'ann' })
    expect(jobs(bench, group, 'a')[0]?.expires_at).toBe(bench.context.now() + 60_000)
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(show(bench, group)).toMatchObject({ state: 'failed', steps: { a: { state: 'failed', error: { code: 'expired' } } } })
  })

  it('and is cancelled while others share it has ended for its group, and runs on for them', () => {
    const bench = testLedger()
    const one = takeShared(bench, { steps: { a: { task: 'daily' } } })
    const other = takeShared(bench, { steps: { b: { task: 'daily' } } })
    const running = begin(bench)
    commit(bench.context, (context) => {
      const row = findJob(context, jobOf(one, 'a'))
      if (row) cancel(context, row, 'by hand')
    })
    expect(show(bench, one)).toMatchObject({ state: 'failed', steps: { a: { state: 'cancelled' } } })
    succeed(bench, running.get('a'))
    expect(show(bench, one)).toMatchObject({ state: 'failed', steps: { a: { state: 'cancelled' } } })
    expect(show(bench, other)).toMatchObject({ state: 'succeeded' })
  })
})

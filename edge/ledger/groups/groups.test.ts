import { describe, expect, it } from 'vitest'
import { cancel, cancelAnswered } from '../cancel.ts'
import { commit } from '../context.ts'
import {
  ask,
  begin,
  break_,
  codeOf,
  desk,
  events,
  HOLDER,
  jobOf,
  offered,
  publish,
  show,
  states,
  submissionOf,
  submit,
  succeed,
  take,
  testLedger,
} from '../fixture.ts'
import { findJob } from '../jobs.ts'
import { laneReady } from '../lanes.ts'
import { MAX_LANES } from '../limits.ts'
import { countLive } from '../submit.ts'
import { fireTimers } from '../timers.ts'
import type { GroupDeed } from './desk.ts'
import { askGroup, takeGroup } from './desk.ts'

const DIAMOND = {
  steps: {
    a: { task: 'daily' },
    b: { task: 'daily', needs: ['a'] },
    c: { task: 'daily', needs: ['a'] },
    d: { task: 'daily', needs: ['b', 'c'] },
  },
  alert: { task: 'daily' },
}

describe('A, then B and C in parallel, then D if both succeeded, otherwise alert', () => {
  it('runs D and not the alert when both succeed', () => {
    const bench = testLedger()
    const group = take(bench, DIAMOND)
    expect(states(group)).toEqual({ a: 'waiting', b: 'waiting', c: 'waiting', d: 'waiting', alert: 'waiting' })
    const first = begin(bench)
    expect([...first.keys()]).toEqual(['a'])
    succeed(bench, first.get('a'))
    const second = begin(bench)
    expect([...second.keys()]).toEqual(['b', 'c'])
    succeed(bench, second.get('c'))
    expect([...begin(bench).keys()]).toEqual([])
    succeed(bench, second.get('b'))
    const third = begin(bench)
    expect([...third.keys()]).toEqual(['d'])
    expect(show(bench, group)).toMatchObject({ state: 'running', finished_at: null, links: { cancel: expect.any(String) } })
    succeed(bench, third.get('d'))
    const ended = show(bench, group)
    expect(ended).toMatchObject({ state: 'succeeded', error: null, finished_at: expect.any(String) })
    expect(states(ended)).toEqual({ a: 'succeeded', b: 'succeeded', c: 'succeeded', d: 'succeeded', alert: 'skipped' })
    expect(events(bench, group)).toEqual([
      'running',
      ...['a running', 'a succeeded', 'b running', 'c running', 'c succeeded', 'b succeeded', 'd running', 'd succeeded'],
      'alert skipped',
      'succeeded',
    ])
    // Every job has ended, the alert's as skipped.
    expect(countLive(bench.context)).toBe(0)
    const alert = findJob(bench.context, jobOf(ended, 'alert'))
    expect(alert).toMatchObject({ state: 'cancelled', error_code: 'step_skipped', cancel_at: null })
  })

  it('skips D and alerts when one fails', () => {
    const bench = testLedger()
    const group = take(bench, DIAMOND)
    succeed(bench, begin(bench).get('a'))
    const second = begin(bench)
    break_(bench, second.get('b'))
    expect(states(show(bench, group))).toMatchObject({ b: 'failed', c: 'running', d: 'waiting' })
    succeed(bench, second.get('c'))
    expect(show(bench, group)).toMatchObject({
      state: 'compensating',
      error: { code: 'step_failed', message: 'The step "b" failed: no such table' },
    })
    const third = begin(bench)
    expect([...third.keys()]).toEqual(['alert'])
    succeed(bench, third.get('alert'))
    const ended = show(bench, group)
    expect(ended).toMatchObject({
      state: 'failed',
      steps: { d: { state: 'skipped', error: { code: 'upstream_failed' } }, b: { error: { code: 'bad_sql' } } },
    })
    expect(states(ended)).toMatchObject({ alert: 'succeeded' })
    expect(ended.links.retry).toBe(`/v1/groups/${group.id}/retry`)
    expect(countLive(bench.context)).toBe(0)
  })
})

describe('a group', () => {
  it('is taken once for a key, and once for an alias while it lives', () => {
    const bench = testLedger()
    const key = (body: string) => ({ idempotency: { key: 'k', body } })
    const body = { steps: { a: { task: 'daily' } }, alias: 'nightly' }
    const group = take(bench, body, key('1'))
    expect(take(bench, body, key('1')).id).toBe(group.id)
    expect(codeOf(submit(bench, body, key('2')))).toBe('idempotency_mismatch')
    expect(take(bench, body).id).toBe(group.id)
    expect(codeOf(submit(bench, { ...body, steps: { b: { task: 'daily' } } }))).toBe('alias_in_use')
    expect(countLive(bench.context)).toBe(1)
    succeed(bench, begin(bench).get('a'))
    expect(take(bench, body).id).not.toBe(group.id)
    expect(take(bench, body, key('1')).id).toBe(group.id)
  })

  it('refuses what would be too much', () => {
    const bench = testLedger()
    const answer = takeGroup(desk(bench), submissionOf(DIAMOND), 199_996, () => undefined)
    expect(answer).toMatchObject({ ok: false, code: 'too_many_jobs' })
    bench.context.store.run(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
       INSERT INTO groups (id, request, state, seq, created_at, bytes) SELECT 'g' || i, '', 'running', 1, 0, 0 FROM n`,
    )
    expect(codeOf(submit(bench, DIAMOND))).toBe('limit_reached')
  })

  it('whose step would need one queue too many fails', () => {
    const bench = testLedger()
    const group = take(bench, { steps: { ok: { approval: {} }, a: { task: 'daily', needs: ['ok'] } } })
    commit(bench.context, (context) => {
      for (let n = 0; n < MAX_LANES; n++) laneReady(context, 'default', `q${n}`)
    })
    ask(bench, group, { do: 'decide', step: 'ok', decision: 'approve', subject: 'ann' })
    expect(show(bench, group)).toMatchObject({ state: 'failed', steps: { a: { state: 'failed', error: { code: 'limit_reached' } } } })
  })

  it('that is cancelled ends its steps, undoes what succeeded and ends', () => {
    const bench = testLedger()
    const group = take(bench, {
      steps: {
        a: { task: 'daily' },
        b: { task: 'daily', needs: ['a'] },
        c: { task: 'daily', needs: ['b'] },
        undo: { task: 'daily', compensates: 'a' },
      },
      alert: { task: 'daily' },
    })
    succeed(bench, begin(bench).get('a'))
    const lease = begin(bench).get('b')
    expect(ask(bench, group, { do: 'cancel' })).toMatchObject({ ok: true, group: { state: 'running', stop: 'cancel' } })
    expect(codeOf(ask(bench, group, { do: 'cancel' }))).toBe('ok')
    expect(states(show(bench, group))).toMatchObject({ b: 'running', c: 'cancelled', undo: 'waiting' })
    if (!lease) throw new Error('b does not run')
    commit(bench.context, (context) => cancelAnswered(context, HOLDER, { ...lease, outcome: 'confirmed', reason: null }))
    expect(show(bench, group)).toMatchObject({ state: 'compensating' })
    succeed(bench, begin(bench).get('undo'))
    const ended = show(bench, group)
    expect(ended).toMatchObject({
      state: 'cancelled',
      error: { code: 'group_cancelled' },
      steps: { b: { state: 'cancelled', error: { code: 'group_cancelled' } } },
    })
    expect(states(ended)).toEqual({ a: 'succeeded', b: 'cancelled', c: 'cancelled', undo: 'succeeded', alert: 'skipped' })
    expect(codeOf(ask(bench, group, { do: 'cancel' }))).toBe('group_finished')
    expect(countLive(bench.context)).toBe(0)
  })

  it('of which one job is cancelled goes on without it', () => {
    const bench = testLedger()
    const group = take(bench, {
      steps: { a: { task: 'daily' }, b: { task: 'daily', needs: ['a'] }, c: { task: 'daily', needs: ['a'], when: 'failed' } },
    })
    commit(bench.context, (context) => {
      const row = findJob(context, jobOf(group, 'a'))
      if (row) cancel(context, row, 'by hand')
    })
    expect(states(show(bench, group))).toEqual({ a: 'cancelled', b: 'skipped', c: 'waiting' })
    expect([...begin(bench).keys()]).toEqual(['c'])
  })

  it('fails at its deadline, with what is left cancelled, and alerts', () => {
    const bench = testLedger()
    const group = take(bench, { ...DIAMOND, deadline: 60 })
    expect(group.deadline_at).toBe('2026-01-02T03:05:05.000Z')
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(show(bench, group)).toMatchObject({ state: 'compensating', stop: 'deadline' })
    succeed(bench, begin(bench).get('alert'))
    expect(show(bench, group)).toMatchObject({
      state: 'failed',
      error: { code: 'group_deadline' },
      steps: { a: { state: 'cancelled', error: { code: 'group_deadline' } } },
    })
    expect(countLive(bench.context)).toBe(0)
  })

  it('that waits for the table goes on when it stands there, and fails when it is refused', () => {
    for (const publication of ['published', 'rejected'] as const) {
      const bench = testLedger()
      const group = take(bench, { steps: { a: { task: 'daily' }, b: { task: 'daily', needs: ['a'], after: 'published' } } })
      succeed(bench, begin(bench).get('a'))
      expect(begin(bench).size).toBe(0)
      publish(bench, jobOf(group, 'a'), publication)
      if (publication === 'published') {
        succeed(bench, begin(bench).get('b'))
        expect(show(bench, group).state).toBe('succeeded')
      } else
        expect(show(bench, group)).toMatchObject({ state: 'failed', steps: { b: { state: 'skipped' } }, error: { code: 'step_failed' } })
    }
  })

  it('is deleted with its jobs once it has ended', () => {
    const bench = testLedger()
    const group = take(bench, { steps: { a: { task: 'daily' } } })
    expect(codeOf(ask(bench, group, { do: 'remove' }))).toBe('group_not_finished')
    succeed(bench, begin(bench).get('a'))
    expect(codeOf(ask(bench, group, { do: 'remove' }))).toBe('ok')
    expect(codeOf(ask(bench, group, { do: 'show' }))).toBe('gone')
    expect(findJob(bench.context, jobOf(group, 'a'))?.deleted_at).not.toBeNull()
    expect(codeOf(askGroup(desk(bench), 'g'.padEnd(27, '0'), { do: 'show' }))).toBe('not_found')
  })
})

describe('an approval', () => {
  const body = (approval: object) => ({
    steps: { a: { task: 'daily' }, ok: { approval, needs: ['a'] }, b: { task: 'daily', needs: ['ok'] } },
  })
  const word = (decision: 'approve' | 'reject', subject = 'ann', step = 'ok'): GroupDeed => ({ do: 'decide', step, decision, subject })

  it('waits for a person who may, once', () => {
    const bench = testLedger()
    const group = take(bench, body({ by: ['ann', 'bob'], message: 'Look at it' }))
    expect(codeOf(ask(bench, group, word('approve')))).toBe('not_awaiting_approval')
    succeed(bench, begin(bench).get('a'))
    expect(show(bench, group).steps).toMatchObject({
      ok: { state: 'approval', approval: { by: ['ann', 'bob'], message: 'Look at it', deadline_at: null, decided_by: null } },
    })
    expect(codeOf(ask(bench, group, word('approve', 'eve')))).toBe('not_an_approver')
    expect(codeOf(ask(bench, group, word('approve', 'ann', 'a')))).toBe('not_awaiting_approval')
    expect(codeOf(ask(bench, group, word('approve', 'ann', 'x')))).toBe('not_found')
    expect(offered(ask(bench, group, word('approve'))).steps).toMatchObject({ ok: { state: 'succeeded', approval: { decided_by: 'ann' } } })
    expect(codeOf(ask(bench, group, word('approve')))).toBe('ok')
    expect(codeOf(ask(bench, group, word('reject')))).toBe('not_awaiting_approval')
    expect(codeOf(ask(bench, group, word('approve', 'bob')))).toBe('not_awaiting_approval')
    expect([...begin(bench).keys()]).toEqual(['b'])
  })

  it('that is rejected has failed', () => {
    const bench = testLedger()
    const group = take(bench, body({}))
    succeed(bench, begin(bench).get('a'))
    expect(offered(ask(bench, group, word('reject', 'anybody')))).toMatchObject({
      state: 'failed',
      steps: { ok: { state: 'failed', error: { code: 'rejected' } }, b: { state: 'skipped' } },
    })
  })

  it('that nobody gives in time goes as its default says', () => {
    for (const approval of [{ deadline: '1m' }, { deadline: '1m', default: 'approve' }]) {
      const bench = testLedger()
      const group = take(bench, body(approval))
      succeed(bench, begin(bench).get('a'))
      bench.pass(59_999)
      fireTimers(bench.context)
      expect(states(show(bench, group)).ok).toBe('approval')
      bench.pass(1)
      fireTimers(bench.context)
      expect(show(bench, group).steps).toMatchObject(
        approval.default === 'approve'
          ? { ok: { state: 'succeeded', approval: { decided_by: null } } }
          : { ok: { state: 'failed', error: { code: 'approval_timeout' } } },
      )
      expect(codeOf(ask(bench, group, word('approve')))).toBe('not_awaiting_approval')
    }
  })

  it.each([
    [
      { deadline: 50, default: 'approve' },
      { ok: { state: 'succeeded', approval: { decided_by: null } }, b: { state: 'waiting' } },
    ],
    [
      { deadline: 90, default: 'approve' },
      { ok: { state: 'cancelled', error: { code: 'group_deadline' } }, b: { state: 'cancelled' } },
    ],
  ])('that comes after the time for it, and before the timer, counts for nothing: %j', (approval, steps) => {
    const bench = testLedger()
    const group = take(bench, { ...body(approval), deadline: 60 })
    succeed(bench, begin(bench).get('a'))
    bench.pass(70_000)
    expect(codeOf(ask(bench, group, word('reject')))).toBe('not_awaiting_approval')
    expect(show(bench, group).steps).toMatchObject(steps)
  })

  it('whose time and whose group’s end come at once is not decided after the end', () => {
    const bench = testLedger()
    const group = take(bench, { steps: { ok: { approval: { deadline: 90, default: 'approve' } }, a: { task: 'daily' } }, deadline: 60 })
    begin(bench)
    bench.pass(100_000)
    fireTimers(bench.context)
    expect(show(bench, group)).toMatchObject({
      state: 'running',
      steps: { ok: { state: 'cancelled', error: { code: 'group_deadline' } }, a: { state: 'running' } },
    })
  })

  it('is not asked for any more when its group is cancelled', () => {
    const bench = testLedger()
    const group = take(bench, body({ deadline: 60 }))
    succeed(bench, begin(bench).get('a'))
    expect(offered(ask(bench, group, { do: 'cancel' }))).toMatchObject({ state: 'cancelled', steps: { ok: { state: 'cancelled' } } })
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(codeOf(ask(bench, group, word('approve')))).toBe('not_awaiting_approval')
  })
})

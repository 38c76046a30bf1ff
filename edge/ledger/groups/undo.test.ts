import { describe, expect, it } from 'vitest'
import { cancelAnswered } from '../cancel.ts'
import { commit } from '../context.ts'
import { ask, begin, break_, codeOf, events, HOLDER, show, states, succeed, take, testLedger } from '../fixture.ts'
import { UNDO_SECONDS } from '../limits.ts'
import { countLive } from '../submit.ts'
import { fireTimers } from '../timers.ts'

const BODY = {
  steps: {
    a: { task: 'daily' },
    b: { task: 'daily', needs: ['a'] },
    c: { task: 'daily', needs: ['b'] },
    'undo-a': { task: 'daily', compensates: 'a' },
    'undo-b': { task: 'daily', compensates: 'b' },
  },
  alert: { task: 'daily' },
}

/** A group whose last step fails: two steps are to be undone, and the alert runs. */
const failing = (more: object = {}) => {
  const bench = testLedger()
  const group = take(bench, { ...BODY, ...more })
  succeed(bench, begin(bench).get('a'))
  succeed(bench, begin(bench).get('b'))
  break_(bench, begin(bench).get('c'))
  return { bench, group }
}

describe('what undoes a group, and its alert', () => {
  it('that nobody serves ends with its time, and the group with it', () => {
    const { bench, group } = failing()
    expect(show(bench, group)).toMatchObject({ state: 'compensating', compensation_deadline_at: '2026-01-02T04:04:05.000Z' })
    bench.pass(UNDO_SECONDS * 1000 - 1)
    fireTimers(bench.context)
    expect(show(bench, group).state).toBe('compensating')
    bench.pass(1)
    fireTimers(bench.context)
    const ended = show(bench, group)
    expect(ended).toMatchObject({
      state: 'failed',
      stop: null,
      error: {
        code: 'step_failed',
        message: 'The step "c" failed: no such table Its compensation failed: "undo-a", "undo-b".',
      },
      steps: { alert: { error: { code: 'group_deadline' } }, 'undo-a': { error: { code: 'group_deadline' } } },
    })
    expect(states(ended)).toMatchObject({ 'undo-a': 'cancelled', 'undo-b': 'cancelled', alert: 'cancelled' })
    expect(events(bench, group).at(-1)).toBe('failed')
    expect(countLive(bench.context)).toBe(0)
  })

  it('that a node runs is asked to end, and the group says what it has said', () => {
    const { bench, group } = failing({ compensation_deadline: 60 })
    const leases = begin(bench)
    expect([...leases.keys()].sort()).toEqual(['alert', 'undo-b'])
    const undo = leases.get('undo-b')
    succeed(bench, leases.get('alert'))
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(show(bench, group)).toMatchObject({ state: 'compensating', steps: { 'undo-a': { state: 'cancelled' } } })
    if (!undo) throw new Error('nothing undoes b')
    commit(bench.context, (context) => cancelAnswered(context, HOLDER, { ...undo, outcome: 'confirmed', reason: null }))
    expect(show(bench, group)).toMatchObject({
      state: 'failed',
      steps: { 'undo-b': { state: 'cancelled', error: { code: 'group_deadline' } }, alert: { state: 'succeeded' } },
    })
  })

  it('has its own time when it ends before', () => {
    const { bench, group } = failing({ deadline: 30, compensation_deadline: 60 })
    for (let left = 2; left > 0; left--) {
      const leases = begin(bench)
      bench.pass(29_000)
      fireTimers(bench.context)
      for (const lease of leases.values()) succeed(bench, lease)
    }
    expect(show(bench, group)).toMatchObject({ state: 'failed', stop: null })
    expect(states(show(bench, group))).toMatchObject({ 'undo-a': 'succeeded', 'undo-b': 'succeeded', alert: 'succeeded' })
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(bench.context.store.all(`SELECT ref FROM timers WHERE kind = 'group'`)).toEqual([])
  })

  it('is named by a cancelled group too when it fails', () => {
    const bench = testLedger()
    const group = take(bench, BODY)
    succeed(bench, begin(bench).get('a'))
    expect(codeOf(ask(bench, group, { do: 'cancel' }))).toBe('ok')
    expect(show(bench, group).state).toBe('compensating')
    break_(bench, begin(bench).get('undo-a'))
    expect(show(bench, group)).toMatchObject({
      state: 'cancelled',
      error: { code: 'group_cancelled', message: 'The group was cancelled. Its compensation failed: "undo-a".' },
    })
  })
})

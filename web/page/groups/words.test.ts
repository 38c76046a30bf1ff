import { describe, expect, it } from 'vitest'
import type { Group, GroupEvent, StepInfo } from '../../client/wire.ts'
import { applyEvent, applyTimes, conditionWords, type StepTimes, stepWord, summaryWords } from './words.ts'

const step = (more: Partial<Record<keyof StepInfo, unknown>> = {}): StepInfo =>
  ({
    job: null,
    state: 'waiting',
    needs: [],
    when: 'succeeded',
    after: 'result',
    kind: 'job',
    task: 't',
    compensates: null,
    error: null,
    approval: null,
    ...more,
  }) as StepInfo

const group = (steps: Record<string, StepInfo>, more: Partial<Group> = {}): Group =>
  ({
    id: 'g',
    alias: null,
    state: 'running',
    steps,
    created_at: 'x',
    finished_at: null,
    deadline_at: null,
    seq: 3,
    error: null,
    links: {},
    ...more,
  }) as Group

const event = (seq: number, more: object): GroupEvent =>
  ({ seq, group: 'g', type: 'step', state: 'running', at: '2026-01-01T00:00:10.000Z', ...more }) as GroupEvent

describe('a group in words', () => {
  it('says when a step runs', () => {
    expect(conditionWords(step())).toBe('at once')
    expect(conditionWords(step({ needs: ['a'] }))).toBe('when a has succeeded')
    expect(conditionWords(step({ needs: ['a', 'b', 'c'], after: 'published' }))).toBe(
      'when a, b and c have succeeded and stand in their tables',
    )
    expect(conditionWords(step({ needs: ['a', 'b'], when: 'failed' }))).toBe('when a or b did not succeed')
    expect(conditionWords(step({ needs: ['a'], when: 'always' }))).toBe('when a has ended, however')
    expect(conditionWords(step({ kind: 'compensation', compensates: 'pay' }))).toContain('undoes pay')
    expect(conditionWords(step({ kind: 'alert' }))).toBe('when the group has failed')
  })

  it('calls an approval given or refused, and a compensation not needed', () => {
    expect(stepWord(step({ kind: 'approval', state: 'succeeded' }))).toBe('Approved')
    expect(stepWord(step({ kind: 'approval', state: 'failed' }))).toBe('Rejected')
    expect(stepWord(step({ kind: 'compensation', state: 'skipped' }))).toBe('Not needed')
    expect(stepWord(step({ state: 'failed' }))).toBe('Failed')
  })

  it('counts what has ended, and names what failed or waits for a person', () => {
    const steps = {
      a: step({ state: 'succeeded' }),
      b: step({ state: 'failed' }),
      ok: step({ kind: 'approval', state: 'approval' }),
      undo: step({ kind: 'compensation', state: 'waiting' }),
    }
    expect(summaryWords(group(steps))).toBe('2 of 3 steps ended · ok is to be decided · b failed')
  })
})

describe('a group after an event', () => {
  it('has the step’s new state, job and error, and leaves the others alone', () => {
    const before = group({ a: step({ state: 'running' }), b: step() })
    const after = applyEvent(before, event(4, { step: 'a', step_state: 'failed', error: { code: 'sql_error', message: 'no' } }))
    expect(after).toMatchObject({ seq: 4, steps: { a: { state: 'failed', error: { message: 'no' } }, b: { state: 'waiting' } } })
    expect(before).toMatchObject({ seq: 3, steps: { a: { state: 'running' } } })
  })

  it('is not changed by what it knew already, nor broken by a step it does not know', () => {
    const before = group({ a: step({ state: 'running' }) })
    expect(applyEvent(before, event(3, { step: 'a', step_state: 'waiting' }))).toBe(before)
    expect(applyEvent(before, event(4, { step: 'toString', step_state: 'failed' })).steps).toEqual(before.steps)
    expect(applyEvent(before, event(4, { type: 'group', state: 'failed', error: { code: 'x', message: 'late' } }))).toMatchObject({
      state: 'failed',
      error: { message: 'late' },
    })
  })

  it('tells how long a step ran, from its last beginning', () => {
    let times: ReadonlyMap<string, StepTimes> = new Map()
    const at = (second: number, state: string): void => {
      times = applyTimes(times, event(second, { step: 'a', step_state: state, at: new Date(second * 1_000).toISOString() }))
    }
    at(1, 'running')
    at(2, 'scheduled')
    expect(times.get('a')).toEqual({ started: null, ended: null })
    at(5, 'running')
    at(9, 'succeeded')
    expect(times.get('a')).toEqual({ started: 5_000, ended: 9_000 })
    expect(applyTimes(times, event(10, { type: 'group' }))).toBe(times)
  })
})

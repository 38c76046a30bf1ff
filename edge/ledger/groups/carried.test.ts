import { describe, expect, it } from 'vitest'
import { GroupBody } from '../../contract/groups.ts'
import { commit } from '../context.ts'
import { ask, begin, break_, codeOf, desk, events, jobOf, show, states, submit, succeed, take, testLedger } from '../fixture.ts'
import { findJob, move } from '../jobs.ts'
import { showJob } from '../read.ts'
import { fireTimers } from '../timers.ts'
import { fetchCarried, groupBody } from './desk.ts'

describe('an argument from a parent', () => {
  const body = (task: string, param: string) => ({
    steps: { a: { task: 'daily' }, b: { task, needs: ['a'], args: { [param]: { from: 'a', column: 'n' } } } },
  })

  it('comes from its first row', () => {
    const bench = testLedger()
    const group = take(bench, body('number', 'n'))
    succeed(bench, begin(bench).get('a'), [['41'], ['42']])
    const job = findJob(bench.context, jobOf(group, 'b'))
    expect(job && showJob(job).args).toEqual(['41'])
    expect([...begin(bench).keys()]).toEqual(['b'])
  })

  const rows: [string, string, (string | null)[][], string][] = [
    ['number', 'n', [], 'argument_no_row'],
    ['number', 'n', [[null]], 'argument_null'],
    ['day', 'day', [['7']], 'argument_type'],
  ]
  it.each(rows)('of %s.%s from %j fails the step with %s', (task, param, given, code) => {
    const bench = testLedger()
    const group = take(bench, body(task, param))
    succeed(bench, begin(bench).get('a'), given)
    expect(show(bench, group)).toMatchObject({
      state: 'failed',
      steps: { a: { state: 'succeeded' }, b: { state: 'failed', error: { code } } },
    })
    expect(findJob(bench.context, jobOf(group, 'b'))).toMatchObject({ state: 'failed', error_code: code, attempt: 0 })
  })
})

describe('a result that has moved to object storage', () => {
  const moved = () => {
    const bench = testLedger()
    const other = take(bench, { steps: { x: { task: 'daily' } } })
    succeed(bench, begin(bench).get('x'), [['33']])
    const source = jobOf(other, 'x')
    const [kept] = bench.context.store.all<{ manifest: string; inline_rows: string }>('SELECT * FROM results WHERE job = ?', source)
    bench.context.store.run(`UPDATE results SET manifest = NULL, inline_rows = NULL, archived = 'k' WHERE job = ?`, source)
    const group = take(bench, {
      steps: {
        ok: { approval: {} },
        a: { task: 'daily', needs: ['ok'] },
        b: { task: 'number', needs: ['a'], args: [{ from: 'a', column: 'n' }] },
      },
    })
    commit(bench.context, (context) => {
      const row = findJob(context, jobOf(group, 'a'))
      if (row) move(context, row, 'share', { reused_from: source, rows: 1 })
    })
    bench.take()
    return { bench, group, archived: JSON.stringify({ manifest: kept?.manifest, rows: kept?.inline_rows }) }
  }
  const bucket = (text: string | null) =>
    ({ get: async () => (text === null ? null : { json: async () => JSON.parse(text) as unknown }) }) as unknown as R2Bucket

  it('is read there, again and again until it is, and its children wait', async () => {
    const { bench, group, archived } = moved()
    expect(states(show(bench, group))).toMatchObject({ a: 'succeeded', b: 'waiting' })
    for (const pause of [0, 30_000]) {
      bench.pass(pause)
      fireTimers(bench.context)
      expect(bench.take().filter(({ kind }) => kind === 'carry')).toEqual([{ kind: 'carry', group: group.id, step: 'a' }])
    }
    await fetchCarried(desk(bench), bucket(archived), group.id, 'a')
    expect(findJob(bench.context, jobOf(group, 'b'))).toMatchObject({ state: 'waiting', args: '["33"]' })
    bench.pass(60_000)
    fireTimers(bench.context)
    expect(bench.take().filter(({ kind }) => kind === 'carry')).toEqual([])
  })

  it('is no row when it is not there any more', async () => {
    const { bench, group } = moved()
    await fetchCarried(desk(bench), bucket(null), group.id, 'a')
    expect(show(bench, group)).toMatchObject({ steps: { b: { state: 'failed', error: { code: 'argument_no_row' } } } })
  })
})

describe('compensations', () => {
  it('undo what succeeded, the last first, and the group fails with a word about one that failed', () => {
    const bench = testLedger()
    const group = take(bench, {
      steps: {
        a: { task: 'daily' },
        b: { task: 'daily', needs: ['a'] },
        c: { task: 'daily', needs: ['b'] },
        'undo-a': { task: 'daily', compensates: 'a' },
        'undo-b': { task: 'number', args: { n: { from: 'b', column: 'n' } }, compensates: 'b' },
        'undo-c': { task: 'daily', compensates: 'c' },
      },
    })
    succeed(bench, begin(bench).get('a'))
    succeed(bench, begin(bench).get('b'), [['12']])
    break_(bench, begin(bench).get('c'))
    expect(states(show(bench, group))).toMatchObject({ 'undo-c': 'skipped' })
    expect(findJob(bench.context, jobOf(group, 'undo-b'))?.args).toBe('["12"]')
    const second = begin(bench)
    expect([...second.keys()]).toEqual(['undo-b'])
    break_(bench, second.get('undo-b'))
    expect(codeOf(ask(bench, group, { do: 'cancel' }))).toBe('group_finished')
    succeed(bench, begin(bench).get('undo-a'))
    expect(show(bench, group)).toMatchObject({
      state: 'failed',
      error: { message: 'The step "c" failed: no such table Its compensation failed: "undo-b".' },
    })
  })
})

describe('a retry', () => {
  const body = {
    steps: {
      a: { task: 'daily' },
      ok: { approval: {}, needs: ['a'] },
      b: { task: 'number', needs: ['a', 'ok'], args: { n: { from: 'a', column: 'n' } } },
      c: { task: 'daily', needs: ['b'] },
      side: { task: 'daily', needs: ['a'] },
      tail: { task: 'daily', needs: ['side'] },
      'undo-side': { task: 'daily', compensates: 'side' },
    },
  }

  it('takes over what succeeded and was not undone, and runs the rest as new jobs', () => {
    const bench = testLedger()
    const group = take(bench, body)
    const first = begin(bench)
    succeed(bench, first.get('a'), [['5']])
    ask(bench, group, { do: 'decide', step: 'ok', decision: 'approve', subject: 'ann' })
    const second = begin(bench)
    succeed(bench, second.get('side'))
    succeed(bench, begin(bench).get('tail'))
    break_(bench, second.get('b'))
    expect(codeOf(submit(bench, body, { retries: group.id }))).toBe('group_not_finished')
    succeed(bench, begin(bench).get('undo-side'))
    const old = show(bench, group)
    expect(old.state).toBe('failed')
    const kept = groupBody(bench.context, group.id)
    expect(GroupBody.parse(kept.ok ? JSON.parse(kept.body) : null)).toEqual(GroupBody.parse(body))

    const again = take(bench, body, { retries: group.id })
    expect(again).toMatchObject({ retried_from: group.id, state: 'running' })
    expect(states(again)).toEqual({
      a: 'succeeded',
      ok: 'succeeded',
      b: 'waiting',
      c: 'waiting',
      side: 'waiting',
      tail: 'waiting',
      'undo-side': 'waiting',
    })
    expect(jobOf(again, 'a')).toBe(jobOf(old, 'a'))
    // What came after a step that was undone is not as it was.
    expect(jobOf(again, 'tail')).not.toBe(jobOf(old, 'tail'))
    expect(jobOf(again, 'b')).not.toBe(jobOf(old, 'b'))
    expect(findJob(bench.context, jobOf(old, 'b'))).toMatchObject({ state: 'failed', retried_as: jobOf(again, 'b') })
    expect(findJob(bench.context, jobOf(again, 'b'))).toMatchObject({ retried_from: jobOf(old, 'b'), args: '["5"]' })
    expect(show(bench, group).retried_as).toBe(again.id)
    expect(codeOf(submit(bench, body, { retries: group.id }))).toBe('not_retryable')

    const third = begin(bench)
    expect([...third.keys()].sort()).toEqual(['b', 'side'])
    succeed(bench, third.get('b'))
    succeed(bench, third.get('side'))
    const fourth = begin(bench)
    succeed(bench, fourth.get('tail'))
    succeed(bench, fourth.get('c'))
    expect(show(bench, again).state).toBe('succeeded')
    expect(events(bench, again)).toHaveLength(again.seq + 10)
    expect(codeOf(submit(bench, body, { retries: again.id }))).toBe('not_retryable')

    // What the new group has taken over stays with it.
    expect(codeOf(ask(bench, group, { do: 'remove' }))).toBe('ok')
    expect(findJob(bench.context, jobOf(again, 'a'))?.deleted_at).toBeNull()
    expect(findJob(bench.context, jobOf(old, 'b'))?.deleted_at).not.toBeNull()
    expect(codeOf(ask(bench, again, { do: 'remove' }))).toBe('ok')
    expect(findJob(bench.context, jobOf(again, 'a'))?.deleted_at).not.toBeNull()
  })
})

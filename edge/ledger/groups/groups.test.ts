import { describe, expect, it } from 'vitest'
import { type Group, GroupBody, GroupEvent } from '../../contract/groups.ts'
import type { JobId } from '../../contract/ids.ts'
import { TaskName } from '../../contract/ids.ts'
import type { Param } from '../../contract/tasks.ts'
import { cancel, cancelAnswered } from '../cancel.ts'
import { commit } from '../context.ts'
import { complete, fail } from '../finish.ts'
import { completion, HOLDER, request, submission, testLedger } from '../fixture.ts'
import { findJob } from '../jobs.ts'
import { accept, offer } from '../leases.ts'
import { publicationOutcome } from '../publication.ts'
import { showJob } from '../read.ts'
import { countLive } from '../submit.ts'
import { fireTimers } from '../timers.ts'
import { askGroup, type GroupAnswer, type GroupDeed, groupBody, takeGroup } from './desk.ts'
import { planGroup } from './plan.ts'
import { groupEventsAfter } from './rows.ts'
import type { GroupSubmission } from './submit.ts'

type Bench = ReturnType<typeof testLedger>

const INT: Param[] = [{ name: 'n', type: 'int' }]
const DATE: Param[] = [{ name: 'day', type: 'date' }]
const TASKS: Record<string, Param[]> = { daily: [], number: INT, day: DATE }

const desk = (bench: Bench) => ({
  context: bench.context,
  commit: <T>(body: (inner: Bench['context']) => T): T => commit(bench.context, body),
})
const offered = (answer: GroupAnswer): Group => {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`)
  return answer.group
}
const codeOf = (answer: GroupAnswer): string => (answer.ok ? 'ok' : answer.code)

const submissionOf = (body: unknown, change: Partial<GroupSubmission> = {}): GroupSubmission => {
  const parsed = GroupBody.parse(body)
  const planned = planGroup(parsed, (name) =>
    TASKS[name] ? { name, params: TASKS[name], arity: TASKS[name].length, db: [], columns: null } : null,
  )
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
  return {
    alias: parsed.alias ?? null,
    deadline_seconds: typeof parsed.deadline === 'number' ? parsed.deadline : null,
    request: JSON.stringify(body),
    idempotency: null,
    retries: null,
    rights: [],
    steps: planned.steps.map(({ plan, job }) => ({ plan, job: job && submission({ task: TaskName.parse('daily'), args: job.args }) })),
    ...change,
  }
}
const submit = (bench: Bench, body: unknown, change: Partial<GroupSubmission> = {}): GroupAnswer =>
  takeGroup(desk(bench), submissionOf(body, change), countLive(bench.context), () => undefined)
const take = (bench: Bench, body: unknown, change: Partial<GroupSubmission> = {}): Group => offered(submit(bench, body, change))
const ask = (bench: Bench, { id }: Group, deed: GroupDeed): GroupAnswer => askGroup(desk(bench), id, deed)
const show = (bench: Bench, group: Group): Group => offered(ask(bench, group, { do: 'show' }))
const jobOf = (group: Group, step: string): JobId => {
  const job = group.steps[step as keyof Group['steps']]?.job
  if (!job) throw new Error(`no job of ${step}`)
  return job
}
/** Jobs that begin to run, by their steps. */
const begin = (bench: Bench): Map<string, { job: JobId; attempt: number }> => {
  const { offers } = commit(bench.context, (context) => offer(context, request(HOLDER, 100)))
  const leases = offers.map(({ job, attempt }) => ({ job, attempt }))
  commit(bench.context, (context) =>
    accept(
      context,
      HOLDER,
      leases.map((lease) => ({ ...lease, start: true })),
    ),
  )
  return new Map(leases.map((lease) => [findJob(bench.context, lease.job)?.step ?? '', lease]))
}
const succeed = (bench: Bench, lease: { job: JobId; attempt: number } | undefined, rows: (string | null)[][] = [['7']]): void => {
  if (!lease) throw new Error('not running')
  const done = completion(lease.job, lease.attempt)
  const manifest = { ...done.manifest, rows: rows.length }
  expect(
    commit(bench.context, (context) => complete(context, HOLDER, [{ ...done, manifest, inline: { parquet: new Uint8Array(1), rows } }])),
  ).toEqual(['ok'])
}
const break_ = (bench: Bench, lease: { job: JobId; attempt: number } | undefined): void => {
  if (!lease) throw new Error('not running')
  const failure = { class: 'sql', code: 'bad_sql', message: 'no such table' } as const
  expect(commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure }]))).toEqual(['ok'])
}
const publish = (bench: Bench, job: JobId, publication: 'published' | 'rejected'): void => {
  commit(bench.context, (context) => publicationOutcome(context, [{ job, attempt: 1, publication, snapshot: null, reason: null }]))
}
const states = (group: Group): Record<string, string> =>
  Object.fromEntries(Object.entries(group.steps).map(([name, { state }]) => [name, state]))
/** I9, and nothing in the stream that the contract does not know. */
const events = (bench: Bench, { id }: Group): string[] => {
  const all = groupEventsAfter(bench.context, id, 0).map((event) => GroupEvent.parse(event))
  expect(all.map(({ seq }) => seq)).toEqual(all.map((_, index) => index + 1))
  return all.map(({ type, state, step, step_state }) => (type === 'group' ? state : `${step} ${step_state}`))
}

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
      error: { message: 'The step "c" failed: no such table Its compensation failed too: "undo-b".' },
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
    break_(bench, second.get('b'))
    expect(codeOf(submit(bench, body, { retries: group.id }))).toBe('group_not_finished')
    succeed(bench, begin(bench).get('undo-side'))
    const old = show(bench, group)
    expect(old.state).toBe('failed')
    const kept = groupBody(bench.context, group.id)
    expect(GroupBody.parse(kept.ok ? JSON.parse(kept.body) : null)).toEqual(GroupBody.parse(body))

    const again = take(bench, body, { retries: group.id })
    expect(again).toMatchObject({ retried_from: group.id, state: 'running' })
    expect(states(again)).toEqual({ a: 'succeeded', ok: 'succeeded', b: 'waiting', c: 'waiting', side: 'waiting', 'undo-side': 'waiting' })
    expect(jobOf(again, 'a')).toBe(jobOf(old, 'a'))
    expect(jobOf(again, 'b')).not.toBe(jobOf(old, 'b'))
    expect(findJob(bench.context, jobOf(old, 'b'))).toMatchObject({ state: 'failed', retried_as: jobOf(again, 'b') })
    expect(findJob(bench.context, jobOf(again, 'b'))).toMatchObject({ retried_from: jobOf(old, 'b'), args: '["5"]' })
    expect(show(bench, group).retried_as).toBe(again.id)
    expect(codeOf(submit(bench, body, { retries: group.id }))).toBe('not_retryable')

    const third = begin(bench)
    expect([...third.keys()].sort()).toEqual(['b', 'side'])
    succeed(bench, third.get('b'))
    succeed(bench, third.get('side'))
    succeed(bench, begin(bench).get('c'))
    expect(show(bench, again).state).toBe('succeeded')
    expect(events(bench, again)).toHaveLength(again.seq + 8)
    expect(codeOf(submit(bench, body, { retries: again.id }))).toBe('not_retryable')

    // What the new group has taken over stays with it.
    expect(codeOf(ask(bench, group, { do: 'remove' }))).toBe('ok')
    expect(findJob(bench.context, jobOf(again, 'a'))?.deleted_at).toBeNull()
    expect(findJob(bench.context, jobOf(old, 'b'))?.deleted_at).not.toBeNull()
    expect(codeOf(ask(bench, again, { do: 'remove' }))).toBe('ok')
    expect(findJob(bench.context, jobOf(again, 'a'))?.deleted_at).not.toBeNull()
  })
})

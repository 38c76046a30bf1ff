import { expect, it } from 'vitest'
import { testLedger } from '../fixture.ts'
import { GROUP_DAYS, MAX_GROUP_BYTES, MAX_KEPT_GROUPS } from '../limits.ts'
import { fireTimers } from '../timers.ts'
import { expectForgetting, forgetGroups } from './retention.ts'

const HOUR = 3_600_000
const bench = () => {
  const ledger = testLedger()
  const { store, now } = ledger.context
  return {
    ...ledger,
    /** Groups that ended one second after the other, the last of them now. */
    end: (count: number, bytes = 100): void => {
      store.run(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO groups (id, request, state, seq, created_at, finished_at, bytes) SELECT printf('g%06d', i), '', 'failed', 1, 0, ? - (? - i) * 1000, ? FROM n`,
        count,
        now(),
        count,
        bytes,
      )
      store.run(`INSERT INTO steps (grp, name, plan, phase, state, stopping) SELECT id, 'a', '{}', 'ended', 'failed', 0 FROM groups`)
      store.run(`INSERT INTO group_events (grp, seq, at, body) SELECT id, 1, 0, '{}' FROM groups`)
    },
    left: (): number[] =>
      ['groups', 'steps', 'group_events'].map((table) => store.all<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)[0]?.n ?? -1),
    due: (): number | undefined => store.all<{ due: number }>(`SELECT due FROM timers WHERE kind = 'groups'`)[0]?.due,
  }
}

it('a group that ended is forgotten when its days are over, with its steps and events', () => {
  const one = bench()
  one.end(3)
  expectForgetting(one.context)
  expect(one.due()).toBe(one.context.now() + HOUR)
  one.pass(HOUR)
  fireTimers(one.context)
  expect(one.left()).toEqual([3, 3, 3])
  // The oldest ended two seconds before the last.
  expect(one.due()).toBe(one.context.now() - HOUR - 2_000 + GROUP_DAYS * 24 * HOUR)
  one.pass(GROUP_DAYS * 24 * HOUR - HOUR - 1_000)
  fireTimers(one.context)
  expect(one.left()).toEqual([1, 1, 1])
  one.pass(1_000)
  fireTimers(one.context)
  expect([one.left(), one.due()]).toEqual([[0, 0, 0], undefined])
})

it('beyond their number the oldest go, some at a time, and live ones never', () => {
  const one = bench()
  one.end(MAX_KEPT_GROUPS + 150)
  one.context.store.run(`INSERT INTO groups (id, request, state, seq, created_at, bytes) VALUES ('g0', '', 'running', 1, 0, 0)`)
  forgetGroups(one.context)
  expect(one.left()[0]).toBe(MAX_KEPT_GROUPS + 150 - 101 + 1)
  expect(one.due()).toBe(one.context.now() + 1_000)
  forgetGroups(one.context)
  expect(one.left()).toEqual([MAX_KEPT_GROUPS + 1, MAX_KEPT_GROUPS, MAX_KEPT_GROUPS])
  expect(one.due()).toBeGreaterThan(one.context.now() + 24 * HOUR)
  expect(one.context.store.all(`SELECT 1 FROM groups WHERE id = 'g0'`)).toHaveLength(1)
})

it('beyond their bytes too', () => {
  const one = bench()
  one.end(4, MAX_GROUP_BYTES / 3)
  forgetGroups(one.context)
  expect(one.left()).toEqual([2, 2, 2])
})

import { beforeEach, describe, expect, test } from 'vitest'
import { QueueName } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, BOB, nodeNamed, QUEUE, TestPool } from './fixture.ts'
import { FORGET_MS, fireTimers, held, match } from './pool.ts'

const QUICK = QueueName.parse('quick')
const SLOW = QueueName.parse('slow')

let pool: TestPool
beforeEach(() => {
  pool = new TestPool(nodeStore())
})
const slots = (queue: QueueName): number =>
  pool.dispatches().reduce((sum, dispatch) => sum + (dispatch.queue === queue ? dispatch.count : 0), 0)
/** The lane has a reserve and nothing waits in it. */
const keep = (reserve: number, taken: number): void => {
  pool.announce(ACME, 1, QUICK, { reserve }, taken)
  pool.report(1, 0, { drained: [{ tenant: ACME, queue: QUICK, seq: 1 }] })
}

describe('what is kept free', () => {
  test('is the reserve without what the lane holds of it', () => {
    pool.enter(1, 0)
    keep(3, 1)
    pool.announce(ACME, 1, SLOW)
    pool.report(1, 8)
    expect(slots(SLOW)).toBe(6)
  })

  test('grows when a job of the lane ends, by the latest word of its ledger', () => {
    pool.enter(1, 0)
    keep(3, 3)
    held(pool.context, { tenant: ACME, queue: QUICK, held: 1, at: 20 })
    // Of before, and overtaken.
    held(pool.context, { tenant: ACME, queue: QUICK, held: 3, at: 10 })
    pool.announce(ACME, 1, SLOW)
    pool.report(1, 8)
    expect(slots(SLOW)).toBe(6)
    // Another job of it begins: what was kept for it is for others now.
    held(pool.context, { tenant: ACME, queue: QUICK, held: 2, at: 30 })
    expect(slots(SLOW)).toBe(1)
  })

  test('are idle slots: what a node could hold ahead of its slots keeps nothing free', () => {
    pool.enter(1, 0)
    keep(2, 0)
    pool.announce(ACME, 1, SLOW)
    pool.report(1, 12, { idle: 4 })
    expect(slots(SLOW)).toBe(2)
  })

  test('goes to the lane itself, to the last one', () => {
    pool.enter(1, 0)
    keep(2, 0)
    pool.announce(ACME, 2, QUICK, { reserve: 2 }, 0)
    pool.announce(ACME, 1, SLOW)
    pool.report(1, 2)
    expect(slots(SLOW)).toBe(0)
    pool.report(1, 2)
    expect(slots(QUICK)).toBe(2)
  })

  test('is taken from the nodes that listen to the lane, all together', () => {
    pool.enter(1, 0, [QUICK, SLOW])
    pool.enter(2, 0, [SLOW])
    pool.enter(3, 0)
    keep(3, 0)
    pool.announce(ACME, 1, SLOW)
    pool.report(2, 5)
    expect(slots(SLOW)).toBe(5)
    pool.report(1, 2)
    expect(slots(SLOW)).toBe(0)
    pool.report(3, 2)
    expect(slots(SLOW)).toBe(1)
  })

  test('suffices for two lanes with reserves together', () => {
    pool.enter(1, 0)
    keep(2, 0)
    pool.announce(ACME, 1, QUEUE, { reserve: 3 }, 0)
    pool.report(1, 0, { drained: [{ tenant: ACME, queue: QUEUE, seq: 1 }] })
    pool.announce(ACME, 1, SLOW)
    pool.report(1, 6)
    expect(slots(SLOW)).toBe(1)
  })
})

test('a reserve outlasts its waiting jobs, and ends when the ledger says so', () => {
  keep(2, 0)
  pool.now += FORGET_MS
  fireTimers(pool.context)
  expect(pool.context.memory.reserved.size).toBe(1)
  expect(pool.context.memory.wakeAt).toBeNull()
  pool.announce(ACME, 2, QUICK)
  expect(pool.context.memory.reserved.size).toBe(0)
  pool.restarted()
  expect(pool.context.memory.reserved.size).toBe(0)
  pool.announce(ACME, 3, QUICK, { reserve: 1 }, 0)
  pool.restarted()
  expect([...pool.context.memory.reserved].map(({ settings }) => settings.reserve)).toEqual([1])
})

describe('offers ride on completions', () => {
  const rides = (): boolean[] => pool.dispatches().map(({ ride }) => ride)
  const told = (): object[] => pool.effects.splice(0).filter(({ kind }) => kind === 'unride')
  const HIGH = QueueName.parse('high')

  test('only while the node serves one waiting lane, whatever waits for other nodes', () => {
    pool.enter(1, 0)
    pool.enter(2, 0, [HIGH])
    pool.announce(ACME, 1)
    pool.report(1, 1)
    expect(rides()).toEqual([true])
    pool.announce(ACME, 1, HIGH)
    pool.report(2, 1)
    expect(rides()).toEqual([true])
    pool.report(1, 1)
    expect(rides()).toEqual([false])
  })

  test('also beside a lane that had nothing for the node lately', () => {
    pool.enter(1, 0)
    pool.announce(ACME, 1)
    pool.announce(BOB, 1)
    pool.report(1, 2)
    expect(rides()).toEqual([false, false])
    pool.report(1, 1, { unsuitable: [{ tenant: BOB, queue: QUEUE, seq: 1 }] })
    expect(rides()).toEqual([true])
    // Until it says that it has something new.
    pool.announce(BOB, 2)
    expect(told()).toEqual([{ kind: 'unride', ...nodeNamed(1), strict: false }])
  })

  test('until another lane waits, of which the link is told at once', () => {
    pool.enter(1, 1)
    pool.enter(2, 1, [HIGH])
    pool.announce(ACME, 1)
    expect(rides()).toEqual([true])
    pool.announce(BOB, 1)
    expect(told()).toEqual([{ kind: 'unride', ...nodeNamed(1), strict: false }])
    // Once.
    pool.announce(BOB, 1, SLOW)
    expect(told()).toEqual([])
  })

  test('not beside a lane with a reserve, which each link is told of', () => {
    pool.enter(1, 4)
    pool.enter(2, 4, [HIGH])
    pool.announce(ACME, 1)
    expect(rides()).toEqual([true])
    pool.announce(ACME, 1, QUICK, { reserve: 1 }, 0)
    expect(told()).toEqual([{ kind: 'unride', ...nodeNamed(1), strict: true }])
    pool.report(1, 0, { drained: [{ tenant: ACME, queue: QUICK, seq: 1 }] })
    pool.report(1, 4)
    expect(pool.dispatches().map(({ ride, strict, count }) => ({ ride, strict, count }))).toEqual([{ ride: false, strict: true, count: 3 }])
  })
})

test('slots of a lane that found no job are not held against the lane either', () => {
  pool.enter(1, 0)
  pool.announce(ACME, 1)
  pool.announce(ACME, 1, SLOW)
  pool.report(1, 10)
  pool.dispatches()
  pool.report(1, 0, { unused: [{ tenant: ACME, queue: QUEUE, count: 5 }] })
  pool.report(1, 4)
  expect(pool.dispatches().map(({ queue, count }) => [queue, count])).toEqual([[QUEUE, 4]])
})

test('a thousand lanes with a reserve cost a report little, whoever has set them', () => {
  const nodes = 20
  for (let n = 1; n <= nodes; n++) pool.enter(n, 0)
  for (let n = 0; n < 1_000; n++) pool.announce(ACME, 1, QueueName.parse(`q${n}`), { reserve: 5 }, 0)
  pool.announce(BOB, 1, QUEUE)
  const idle = new Map<object, number>()
  // What is looked at for the needs of others: it must not grow with lanes times nodes times slots.
  let looks = 0
  for (const node of pool.context.memory.nodes.values()) {
    idle.set(node, 4)
    Object.defineProperty(node, 'idle', {
      get: () => {
        looks += 1
        return idle.get(node)
      },
      set: (count: number) => void idle.set(node, count),
    })
    node.free = 4
  }
  match(pool.context)
  expect(pool.dispatches().some(({ tenant }) => tenant === BOB)).toBe(true)
  expect(looks).toBeLessThan(10_000)
})

test.each([
  // One slot of either node would do for each lane, but not for both.
  { first: 2, second: 1, quick: 2, rare: 1 },
  // All slots together would do, but not those of the only node that serves the rare lane.
  { first: 1, second: 4, quick: 1, rare: 1 },
])('a node gives nothing that lanes with other nodes need of it: %j', ({ first, second, quick, rare }) => {
  const RARE = QueueName.parse('rare')
  pool.enter(1, 0)
  pool.enter(2, 0, [QUICK])
  pool.announce(ACME, 1, QUICK, { reserve: quick }, 0)
  pool.announce(ACME, 1, RARE, { reserve: rare }, 0)
  pool.report(2, 0, { drained: [{ tenant: ACME, queue: QUICK, seq: 1 }] })
  pool.report(1, 0, { drained: [{ tenant: ACME, queue: RARE, seq: 1 }] })
  pool.report(2, second)
  pool.announce(ACME, 1, SLOW)
  pool.report(1, first)
  expect(slots(SLOW)).toBe(0)
  pool.report(1, first + 1)
  expect(slots(SLOW)).toBe(1)
})

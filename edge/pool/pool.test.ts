import { beforeEach, expect, test } from 'vitest'
import { QueueName, TenantId } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, BOB, QUEUE, TestPool } from './fixture.ts'
import { fireTimers, match, UNSUITABLE_MS } from './pool.ts'

let pool: TestPool
beforeEach(() => {
  pool = new TestPool(nodeStore())
})

test('what a tenant was given while it was alone is not held against it when another comes', () => {
  pool.enter(1, 1)
  for (let seq = 1; seq <= 50; seq++) {
    pool.announce(ACME, seq)
    expect(pool.given()).toEqual([['acme', 1]])
    pool.fetched(ACME, seq, 1, 1, 1)
  }
  // No room while both come, so that the choice is between them.
  pool.report(1, 0)
  pool.announce(BOB, 1)
  pool.announce(ACME, 51)
  pool.report(1, 2)
  expect(pool.given().sort()).toEqual([
    ['acme', 1],
    ['bob', 1],
  ])
})

test('who comes to a full pool gets the next slot, before the tenant that was served last', () => {
  pool.enter(1, 3)
  pool.announce(ACME, 1)
  pool.given()
  pool.announce(BOB, 1)
  pool.report(1, 1)
  expect(pool.given()).toEqual([['bob', 1]])
})

test('a tenant that waits keeps its claim when another of its lanes becomes ready', () => {
  pool.enter(1, 0)
  pool.announce(ACME, 1)
  pool.announce(BOB, 1)
  pool.report(1, 8)
  expect(pool.given().sort()).toEqual([
    ['acme', 4],
    ['bob', 4],
  ])
  // Nothing of what Bob was given found a job: he is below his share.
  pool.report(1, 0, { unused: [{ tenant: BOB, count: 4 }] })
  pool.announce(BOB, 1, QueueName.parse('another'))
  pool.report(1, 4)
  expect(pool.given()).toEqual([
    ['bob', 2],
    ['bob', 2],
  ])
})

test('slots that found no job are not charged', () => {
  pool.enter(1, 10)
  pool.announce(ACME, 1)
  expect(pool.given()).toEqual([['acme', 10]])
  pool.fetched(ACME, 1, 10, 1, 0)
  expect(pool.context.memory.tenants.get(ACME)?.used).toBe(1)
})

test('a lane with nothing for the node pauses, but a job that was announced meanwhile does not wait for that', () => {
  pool.enter(1, 4)
  pool.announce(ACME, 1)
  pool.given()
  const nothing = (seq: number): void =>
    pool.report(1, 4, { unsuitable: [{ tenant: ACME, queue: QUEUE, seq }], unused: [{ tenant: ACME, count: 4 }] })
  nothing(1)
  expect(pool.given()).toEqual([])
  expect(pool.context.memory.wakeAt).toBe(pool.now + UNSUITABLE_MS)
  pool.now += UNSUITABLE_MS
  fireTimers(pool.context)
  expect(pool.given()).toEqual([['acme', 4]])
  // The announcement overtakes the report of what was seen before it.
  pool.announce(ACME, 2)
  nothing(1)
  expect(pool.given()).toEqual([['acme', 4]])
})

test('thousands of lanes that nobody can serve keep nobody waiting', () => {
  // As many queues as tenants may have, of twenty.
  pool.context.store.transaction(() => {
    for (let n = 0; n < 20_000; n++) pool.announce(TenantId.parse(`mallory-${Math.floor(n / 1_000)}`), 1, QueueName.parse(`q${n % 1_000}`))
  })
  pool.announce(ACME, 1)
  pool.enter(1, 0, [QUEUE])
  const [node] = pool.context.memory.nodes.values()
  if (!node) throw new Error('no node')
  node.free = 100
  // Each lane is held against the node's queues, and against other lanes, some times: not for each slot, nor against all others.
  let looks = 0
  const count = <Of extends object, Key extends keyof Of>(of: Of, key: Key): void => {
    const value = of[key]
    Object.defineProperty(of, key, {
      get: () => {
        looks += 1
        return value
      },
    })
  }
  count(node, 'queues')
  for (const lane of pool.context.memory.ready) count(lane, 'settings')
  match(pool.context)
  expect(pool.given()).toEqual([['acme', 100]])
  expect(looks).toBeGreaterThan(20_000)
  expect(looks).toBeLessThan(20 * 20_000)
})

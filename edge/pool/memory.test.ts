import { beforeEach, expect, test } from 'vitest'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, BOB, nodeNamed, QUEUE, TestPool } from './fixture.ts'
import { FORGET_MS, fireTimers, join, leave } from './pool.ts'

let pool: TestPool
beforeEach(() => {
  pool = new TestPool(nodeStore())
})
const onDisk = (): object[] => pool.context.store.all('SELECT tenant, seq, ready FROM lanes ORDER BY tenant')

test('a stream of small jobs writes nothing and reads nothing', () => {
  pool.enter(1, 8)
  pool.announce(ACME, 1)
  pool.fetched(ACME, 1, 8, 1, 8)
  pool.statements = 0
  for (let seq = 2; seq < 200; seq++) {
    pool.now += 10
    pool.announce(ACME, seq)
    expect(pool.given().length).toBeGreaterThan(0)
    pool.fetched(ACME, seq, 8, 1, 7)
    pool.report(1, 8)
    if (seq % 60 === 0) join(pool.context, { ...nodeNamed(1), free: 8, queues: null, tenants: ['*'] })
  }
  expect(pool.statements).toBe(0)
})

test('a lane whose announcement was acknowledged is ready in the next life, with whatever number', () => {
  for (let seq = 1; seq <= 3; seq++) {
    pool.announce(ACME, seq)
    if (seq < 3) pool.fetched(ACME, seq, 1, 1, 0)
  }
  pool.restarted()
  pool.enter(1, 1)
  expect(pool.given()).toEqual([['acme', 1]])
})

test('a lane that stays drained leaves the disk, and its tenant the memory', () => {
  pool.announce(ACME, 1)
  pool.fetched(ACME, 1, 1, 1, 0)
  expect(onDisk()).toEqual([{ tenant: 'acme', seq: 1, ready: 1 }])
  expect(pool.context.memory.wakeAt).toBe(pool.now + FORGET_MS)
  pool.now += FORGET_MS - 1
  pool.announce(BOB, 1)
  fireTimers(pool.context)
  expect(onDisk()).toHaveLength(2)
  pool.now += 1
  fireTimers(pool.context)
  expect(onDisk()).toEqual([{ tenant: 'bob', seq: 1, ready: 1 }])
  expect([...pool.context.memory.tenants.keys()]).toEqual([BOB])
  expect(pool.context.memory.wakeAt).toBeNull()
  // It comes back like a new one.
  pool.announce(ACME, 2)
  pool.restarted()
  expect([...pool.context.memory.ready].map(({ tenant }) => tenant.id).sort()).toEqual([ACME, BOB])
})

test('`drained` that overtook its `ready` wins over it', () => {
  pool.enter(1, 1)
  pool.fetched(ACME, 4, 0, 0, 1)
  pool.announce(ACME, 4)
  expect(pool.given()).toEqual([])
  pool.announce(ACME, 5)
  expect(pool.given()).toEqual([['acme', 1]])
})

test('after a restart a late `drained` of before takes no wake-up away', () => {
  pool.announce(ACME, 1)
  pool.fetched(ACME, 1, 1, 1, 0)
  // Acknowledged, and not written: the disk says 1.
  pool.announce(ACME, 9)
  pool.restarted()
  pool.fetched(ACME, 7, 1, 1, 0)
  pool.enter(1, 1)
  expect(pool.given()).toEqual([['acme', 1]])
  // Now this node was asked, so it knows.
  pool.fetched(ACME, 9, 1, 1, 1)
  expect(pool.given()).toEqual([])
})

test('the next life believes in at least as much room as there was', () => {
  pool.enter(1, 2)
  pool.report(1, 6)
  pool.report(1, 1)
  pool.enter(2, 3)
  leave(pool.context, nodeNamed(2).node, nodeNamed(2).session)
  pool.restarted()
  expect([...pool.context.memory.nodes.values()]).toMatchObject([{ node: 'n1', free: 6, session: nodeNamed(1).session }])
})

test('a session that is over says nothing about its successor', () => {
  pool.enter(1, 2)
  join(pool.context, { ...nodeNamed(5), node: nodeNamed(1).node, free: 3, queues: [QUEUE], tenants: ['acme'] })
  pool.report(1, 9)
  leave(pool.context, nodeNamed(1).node, nodeNamed(1).session)
  pool.restarted()
  expect([...pool.context.memory.nodes.values()]).toMatchObject([
    { node: 'n1', free: 3, session: nodeNamed(5).session, queues: [QUEUE], tenants: ['acme'] },
  ])
})

test('a node that starts anew with less room is written down: its old session would be asked for ever', () => {
  pool.enter(1, 5)
  join(pool.context, { ...nodeNamed(5), node: nodeNamed(1).node, free: 1, queues: null, tenants: ['*'] })
  pool.restarted()
  expect([...pool.context.memory.nodes.values()]).toMatchObject([{ free: 1, session: nodeNamed(5).session }])
})

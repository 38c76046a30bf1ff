import { beforeEach, expect, test } from 'vitest'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, nodeNamed, TestPool } from './fixture.ts'
import { type Dispatch, fireTimers, join, leave, UNSUITABLE_MS, unreachable } from './pool.ts'

let pool: TestPool
beforeEach(() => {
  pool = new TestPool(nodeStore())
})
const only = (): Dispatch => {
  const [effect, ...others] = pool.dispatches()
  if (!effect || others.length > 0) throw new Error(`one dispatch was expected, not ${others.length + (effect ? 1 : 0)}`)
  return effect
}
const free = (): number[] => [...pool.context.memory.nodes.values()].map((node) => node.free)

test('the slots of a link that did not answer are not lost, and are tried again after a pause', () => {
  pool.enter(1, 3)
  pool.announce(ACME, 1)
  unreachable(pool.context, only())
  expect(pool.effects).toEqual([])
  expect(free()).toEqual([3])
  pool.now += UNSUITABLE_MS
  fireTimers(pool.context)
  expect(only()).toMatchObject({ node: 'n1', count: 3 })
})

test('meanwhile another node gets the lane', () => {
  pool.enter(1, 3)
  pool.announce(ACME, 1)
  const lost = only()
  pool.enter(2, 2)
  pool.effects.splice(0)
  pool.report(2, 2)
  pool.effects.splice(0)
  // Both nodes had room, and only the second one answers.
  pool.report(2, 0)
  unreachable(pool.context, lost)
  expect(pool.effects).toEqual([])
  pool.report(2, 2)
  expect(only()).toMatchObject({ node: 'n2', count: 2 })
})

test('slots of a session that is over are given back to nobody', () => {
  pool.enter(1, 3)
  pool.announce(ACME, 1)
  const lost = only()
  leave(pool.context, nodeNamed(1).node, nodeNamed(1).session)
  join(pool.context, { ...nodeNamed(9), node: nodeNamed(1).node, free: 0, queues: null, tenants: ['*'] })
  unreachable(pool.context, lost)
  expect(free()).toEqual([0])
})

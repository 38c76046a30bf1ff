import { beforeEach, describe, expect, test } from 'vitest'
import { QueueName, TenantId } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, BOB, nodeNamed, QUEUE, TestPool } from './fixture.ts'
import { leave } from './pool.ts'

/** Nobody has a claim on slots for the time when it did not compete for them. */

const CAROL = TenantId.parse('carol')
const NOBODY = QueueName.parse('nobody')
const OTHER = QueueName.parse('other')

let pool: TestPool
beforeEach(() => {
  pool = new TestPool(nodeStore())
})
/** So many slots become free, one after the other. */
const release = (count: number): void => {
  for (let n = 0; n < count; n++) pool.report(1, 1)
}
const tenants = (): [string, number][] => pool.given().sort()
const lanes = (): [string, number][] =>
  pool
    .dispatches()
    .map(({ queue, count }): [string, number] => [queue, count])
    .sort()

describe('a tenant', () => {
  test('that no node can serve gathers no claim, and gives none to those who come later', () => {
    pool.enter(1, 0, [QUEUE])
    pool.announce(CAROL, 1, NOBODY)
    pool.announce(ACME, 1)
    release(50)
    expect(pool.given()).toHaveLength(50)
    // Who comes now starts where Acme is, not where Carol is, who was never served.
    pool.announce(BOB, 1)
    pool.report(1, 10)
    expect(tenants()).toEqual([
      ['acme', 5],
      ['bob', 5],
    ])
    pool.enter(2, 0)
    pool.report(2, 9)
    expect(tenants()).toEqual([
      ['acme', 3],
      ['bob', 3],
      ['carol', 3],
    ])
  })

  test('whose node was away for a while gathers none either', () => {
    pool.enter(1, 0, [QUEUE])
    pool.enter(2, 0)
    pool.announce(CAROL, 1, NOBODY)
    pool.announce(ACME, 1)
    pool.report(2, 2)
    expect(tenants()).toEqual([
      ['acme', 1],
      ['carol', 1],
    ])
    leave(pool.context, nodeNamed(2).node, nodeNamed(2).session)
    release(50)
    pool.given()
    pool.enter(2, 8)
    expect(tenants()).toEqual([
      ['acme', 4],
      ['carol', 4],
    ])
  })

  test('that had nothing waiting for a while gathers none either', () => {
    pool.enter(1, 0)
    pool.announce(ACME, 1)
    pool.announce(BOB, 1)
    pool.report(1, 2)
    pool.report(1, 0, { drained: [{ tenant: BOB, queue: QUEUE, seq: 1 }] })
    release(50)
    pool.given()
    pool.announce(BOB, 2)
    pool.report(1, 8)
    expect(tenants()).toEqual([
      ['acme', 4],
      ['bob', 4],
    ])
  })
})

describe("a tenant's lane", () => {
  test('that no node listens to gathers no claim', () => {
    pool.enter(1, 0, [QUEUE, OTHER])
    pool.announce(ACME, 1, NOBODY)
    pool.announce(ACME, 1)
    release(50)
    pool.given()
    pool.announce(ACME, 1, OTHER)
    pool.report(1, 10)
    expect(lanes()).toEqual([
      [QUEUE, 5],
      [OTHER, 5],
    ])
  })

  test('whose node was away for a while gathers none either', () => {
    pool.enter(1, 0, [QUEUE])
    pool.enter(2, 2)
    pool.announce(ACME, 1, NOBODY)
    pool.announce(ACME, 1)
    pool.report(2, 2)
    pool.given()
    leave(pool.context, nodeNamed(2).node, nodeNamed(2).session)
    release(50)
    pool.given()
    pool.enter(2, 8)
    expect(lanes()).toEqual([
      [QUEUE, 4],
      [NOBODY, 4],
    ])
  })

  test('that was empty for a while gathers none either', () => {
    pool.enter(1, 0)
    pool.announce(ACME, 1)
    pool.announce(ACME, 1, OTHER)
    pool.report(1, 2)
    pool.report(1, 0, { drained: [{ tenant: ACME, queue: OTHER, seq: 1 }] })
    release(50)
    pool.given()
    pool.announce(ACME, 2, OTHER)
    pool.report(1, 8)
    expect(lanes()).toEqual([
      [QUEUE, 4],
      [OTHER, 4],
    ])
  })

  test('of another priority from now on has no claim among its new neighbours', () => {
    pool.enter(1, 0)
    pool.announce(ACME, 1, OTHER, { priority: -1 })
    pool.announce(ACME, 1)
    release(50)
    pool.given()
    pool.announce(ACME, 2, OTHER)
    pool.report(1, 8)
    expect(lanes()).toEqual([
      [QUEUE, 4],
      [OTHER, 4],
    ])
  })
})

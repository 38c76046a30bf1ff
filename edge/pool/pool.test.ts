import { beforeEach, expect, test } from 'vitest'
import { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import { fireTimers, join, type PoolContext, type PoolEffect, ready, report, UNSUITABLE_MS } from './pool.ts'
import { POOL_MIGRATIONS } from './schema.ts'

const ACME = TenantId.parse('acme')
const BOB = TenantId.parse('bob')
const QUEUE = QueueName.parse('default')
const at = { node: NodeId.parse('n1'), session: SessionId.parse('session-0000000001') }

let now: number
let effects: PoolEffect[]
let pool: PoolContext
beforeEach(() => {
  const store = nodeStore()
  migrate(store, POOL_MIGRATIONS)
  now = 1_000_000
  effects = []
  pool = { store, now: () => now, unsuitable: new Map(), emit: (effect) => effects.push(effect) }
})

const announce = (tenant: TenantId, seq: number): void => ready(pool, { tenant, queue: QUEUE, seq })
const given = (): [string, number][] => effects.splice(0).map(({ tenant, count }) => [tenant, count])
const enter = (free: number): void => join(pool, { ...at, free, queues: null, tenants: ['*'] })
/** The link fetched `found` of `count` offers, the lane ran dry, and the node has room for `free` again. */
const fetched = (tenant: TenantId, seq: number, count: number, found: number, free: number): void =>
  report(pool, {
    ...at,
    free,
    drained: [{ tenant, queue: QUEUE, seq }],
    unsuitable: [],
    unused: [{ tenant, count: count - found }],
  })

test('what a tenant was given while it was alone is not held against it when another comes', () => {
  enter(1)
  for (let seq = 1; seq <= 50; seq++) {
    announce(ACME, seq)
    expect(given()).toEqual([['acme', 1]])
    fetched(ACME, seq, 1, 1, 1)
  }
  // No room while both come, so that the choice is between them.
  report(pool, { ...at, free: 0, drained: [], unsuitable: [] })
  announce(BOB, 1)
  announce(ACME, 51)
  report(pool, { ...at, free: 2, drained: [], unsuitable: [] })
  expect(given().sort()).toEqual([
    ['acme', 1],
    ['bob', 1],
  ])
})

test('slots that found no job are not charged', () => {
  enter(10)
  announce(ACME, 1)
  expect(given()).toEqual([['acme', 10]])
  fetched(ACME, 1, 10, 1, 0)
  expect(pool.store.all('SELECT tenant, used FROM shares')).toEqual([{ tenant: 'acme', used: 1 }])
})

test('a lane with nothing for the node pauses, but a job that was announced meanwhile does not wait for that', () => {
  enter(4)
  announce(ACME, 1)
  given()
  const nothing = (seq: number): void =>
    report(pool, { ...at, free: 4, drained: [], unsuitable: [{ tenant: ACME, queue: QUEUE, seq }], unused: [{ tenant: ACME, count: 4 }] })
  nothing(1)
  expect(given()).toEqual([])
  now += UNSUITABLE_MS
  fireTimers(pool)
  expect(given()).toEqual([['acme', 4]])
  // The announcement overtakes the report of what was seen before it.
  announce(ACME, 2)
  nothing(1)
  expect(given()).toEqual([['acme', 4]])
})

test('thousands of lanes that nobody can serve keep nobody waiting', () => {
  const mallory = TenantId.parse('mallory')
  pool.store.transaction(() => {
    for (let n = 0; n < 20_000; n++)
      pool.store.run('INSERT INTO lanes (tenant, queue, seq, ready, since) VALUES (?, ?, 1, 1, ?)', mallory, `q${n}`, n)
  })
  announce(ACME, 1)
  const began = performance.now()
  join(pool, { ...at, free: 8, queues: [QUEUE], tenants: ['*'] })
  expect(given()).toEqual([['acme', 8]])
  expect(performance.now() - began).toBeLessThan(2_000)
})

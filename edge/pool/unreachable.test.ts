import { beforeEach, expect, test } from 'vitest'
import { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import { fireTimers, join, type PoolContext, type PoolEffect, ready, UNSUITABLE_MS, unreachable } from './pool.ts'
import { POOL_MIGRATIONS } from './schema.ts'

const ACME = TenantId.parse('acme')
const QUEUE = QueueName.parse('default')

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
const enter = (n: number, free: number): void =>
  join(pool, {
    node: NodeId.parse(`n${n}`),
    session: SessionId.parse(`session-000000000${n}`),
    free,
    queues: null,
    tenants: ['*'],
  })
const only = (): PoolEffect => {
  const [effect, ...others] = effects.splice(0)
  if (!effect || others.length > 0) throw new Error(`one dispatch was expected, not ${others.length + (effect ? 1 : 0)}`)
  return effect
}

test('the slots of a link that did not answer are not lost, and are tried again after a pause', () => {
  enter(1, 3)
  ready(pool, { tenant: ACME, queue: QUEUE, seq: 1 })
  unreachable(pool, only())
  expect(effects).toEqual([])
  expect(pool.store.all('SELECT free FROM nodes')).toEqual([{ free: 3 }])
  now += UNSUITABLE_MS
  fireTimers(pool)
  expect(only()).toMatchObject({ node: 'n1', count: 3 })
})

test('meanwhile another node gets the lane', () => {
  enter(1, 3)
  ready(pool, { tenant: ACME, queue: QUEUE, seq: 1 })
  const lost = only()
  pool.store.run("INSERT INTO nodes (node, session, free, queues, tenants) VALUES ('n2', 'session-0000000002', 2, NULL, '[\"*\"]')")
  unreachable(pool, lost)
  expect(only()).toMatchObject({ node: 'n2', count: 2 })
})

test('slots of a session that is over are given back to nobody', () => {
  enter(1, 3)
  ready(pool, { tenant: ACME, queue: QUEUE, seq: 1 })
  const lost = only()
  pool.store.run("UPDATE nodes SET session = 'session-0000000009', free = 0")
  unreachable(pool, lost)
  expect(pool.store.all('SELECT free FROM nodes')).toEqual([{ free: 0 }])
})

import { describe, expect, it } from 'vitest'
import { plainTask } from '../contract/fixture.ts'
import { NodeId, PoolName, SessionId, TenantId } from '../contract/ids.ts'
import type { AnnouncedTask } from '../contract/tasks.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { Store } from '../storage/store.ts'
import { type Announcement, announce } from './catalogue.ts'
import { nodeGone, nodeSeen } from './nodes.ts'
import { dueTenants, fileSchedules, mustTell, noteSchedules, TELL_AGAIN_MS, tellLater, told } from './schedules.ts'
import { MIGRATIONS } from './schema.ts'
import { armTimers, FORGET_NODE_SECONDS, PRUNE_EVERY_SECONDS, runTimers } from './sweep.ts'
import { remember } from './tenants.ts'

const acme = TenantId.parse('acme')
const globex = TenantId.parse('globex')
const NOW = Date.UTC(2026, 0, 1)
const open = (): Store => {
  const store = nodeStore()
  migrate(store, MIGRATIONS)
  return store
}
const daily = (name: string, cron = '@daily', more: Partial<AnnouncedTask> = {}): AnnouncedTask =>
  plainTask(name, {
    // Another line is another text, and so another hash.
    hash: cron.padEnd(64, '0').replace(/[^0-9a-f]/g, 'a'),
    schedule: { cron, tz: 'Europe/Berlin', missed: 'all', overlap: 'queue' },
    ...more,
  })
const announced = (store: Store, node: string, tasks: AnnouncedTask[], more: Partial<Announcement> = {}, at = NOW): void => {
  announce(store, at, {
    node: NodeId.parse(node),
    session: SessionId.parse('s'.repeat(16)),
    pool: PoolName.parse('default'),
    tenants: ['acme'],
    patterns: ['*'],
    tasks,
    first: true,
    last: true,
    ...more,
  })
}
const seen = (store: Store, tenants: string[]): void =>
  nodeSeen(store, NOW, {
    node: NodeId.parse('n1'),
    session: SessionId.parse('s'.repeat(16)),
    pool: PoolName.parse('default'),
    tenants,
    slots: 1,
    engines: [],
    labels: {},
  })
const names = (store: Store, tenant: TenantId): string[] => fileSchedules(store, tenant).map(({ task }) => task)

describe('schedules of files', () => {
  it('are those of tasks with a line, for the tenants that the token names', () => {
    const store = open()
    announced(store, 'n1', [daily('a'), plainTask('b')], { tenants: ['acme', '*'] })
    announced(store, 'n2', [daily('c')], { tenants: ['*'] })
    expect(fileSchedules(store, acme)).toMatchObject([
      {
        task: 'a',
        source: 'file',
        wanted: { cron: '@daily', tz: 'Europe/Berlin', missed: 'all', overlap: 'queue' },
        run: { task: 'a', args: [], pool: 'default', queue: 'default', fresh: true },
        rights: [],
      },
    ])
    expect(names(store, globex)).toEqual([])
  })

  it('start only what can run with its defaults', () => {
    const store = open()
    announced(store, 'n1', [
      daily('a', '@daily', { params: [{ name: 'n', type: 'int' }], arity: 1 }),
      daily('b', '@daily', { params: [{ name: 'n', type: 'int', default: 3 }], arity: 1 }),
    ])
    expect(fileSchedules(store, acme)).toMatchObject([{ task: 'b', run: { args: [3] } }])
  })

  it('are those of the newest definition, and of a connected node before one that is gone', () => {
    const store = open()
    const cron = (): string[] => fileSchedules(store, acme).map(({ wanted }) => wanted.cron)
    announced(store, 'n1', [daily('a', '@daily')], {}, NOW)
    announced(store, 'n2', [daily('a', '@hourly')], {}, NOW + 1)
    expect(cron()).toEqual(['@hourly'])
    nodeGone(store, { node: NodeId.parse('n2'), session: SessionId.parse('s'.repeat(16)) })
    expect(cron()).toEqual(['@daily'])
    announced(store, 'n1', [plainTask('a')], {}, NOW + 2)
    expect(cron()).toEqual([])
  })
})

describe('a ledger is told', () => {
  it('after each announcement, and again until it has heard', () => {
    const store = open()
    announced(store, 'n1', [daily('a')], { last: false })
    expect(dueTenants(store, NOW)).toEqual([])
    announced(store, 'n1', [daily('b')], { first: false, tenants: ['acme', 'globex', '*'] })
    expect(dueTenants(store, NOW)).toEqual(['acme', 'globex'])
    tellLater(store, NOW, acme)
    const due = tellLater(store, NOW, globex)
    expect(dueTenants(store, NOW)).toEqual([])
    told(store, globex, due)
    expect(dueTenants(store, NOW + TELL_AGAIN_MS)).toEqual(['acme'])
  })

  it('once more when the list changed while it was being told', () => {
    const store = open()
    noteSchedules(store, NOW, ['acme'])
    const due = tellLater(store, NOW, acme)
    noteSchedules(store, NOW + 5, ['acme'])
    told(store, acme, due)
    expect(dueTenants(store, NOW + 5)).toEqual(['acme'])
  })

  it('when a node is no more for its tenant, and when it is forgotten', () => {
    const store = open()
    armTimers(store, NOW)
    seen(store, ['acme'])
    expect(dueTenants(store, NOW)).toEqual([])
    seen(store, ['globex'])
    expect(dueTenants(store, NOW)).toEqual(['acme'])
    told(store, acme, NOW)
    nodeGone(store, { node: NodeId.parse('n1'), session: SessionId.parse('s'.repeat(16)) })
    const later = NOW + (FORGET_NODE_SECONDS + PRUNE_EVERY_SECONDS) * 1_000
    runTimers(store, later)
    expect(dueTenants(store, later)).toEqual(['globex'])
  })

  it('also after other timers have run: they do not take it away', () => {
    const store = open()
    noteSchedules(store, NOW, ['acme'])
    runTimers(store, NOW)
    expect(dueTenants(store, NOW)).toEqual(['acme'])
  })

  it('not where it was never used and there is nothing to tell', () => {
    const store = open()
    announced(store, 'n1', [plainTask('a')])
    expect(mustTell(store, acme, fileSchedules(store, acme))).toBe(false)
    remember(store, NOW, { ledger: 'acme' })
    expect(mustTell(store, acme, [])).toBe(true)
    announced(store, 'n1', [daily('a')])
    expect(mustTell(store, globex, fileSchedules(store, acme))).toBe(true)
  })
})

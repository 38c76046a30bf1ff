import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { plainTask } from '../contract/fixture.ts'
import { NodeId, PoolName, SessionId, TaskName, TenantId } from '../contract/ids.ts'
import type { AnnouncedTask } from '../contract/tasks.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { Store } from '../storage/store.ts'
import { nextDue } from '../storage/timers.ts'
import { DirectoryCache } from './cache.ts'
import { type Announcement, announce, poolsOf, task, tasks } from './catalogue.ts'
import { storedKeys } from './keys.ts'
import { nodeGone, nodeSeen, nodes } from './nodes.ts'
import { MIGRATIONS } from './schema.ts'
import { armTimers, FORGET_NODE_SECONDS, PRUNE_EVERY_SECONDS, runTimers } from './sweep.ts'
import { lists, mapTenant, remember, tenantOf } from './tenants.ts'

const open = (): Store => {
  const store = nodeStore()
  migrate(store, MIGRATIONS)
  return store
}
const acme = TenantId.parse('acme')
const globex = TenantId.parse('globex')
const NOW = Date.UTC(2026, 0, 1)
const session = (letter: string) => SessionId.parse(letter.repeat(16))

const announced = (name: string, hash = 'a', more: Partial<AnnouncedTask> = {}): AnnouncedTask =>
  plainTask(name, { hash: hash.repeat(64), sql: `select '${hash}'`, family: 'reports.t', ...more })

const announcement = (node: string, list: AnnouncedTask[], more: Partial<Announcement> = {}): Announcement => ({
  node: NodeId.parse(node),
  session: session('s'),
  pool: PoolName.parse('default'),
  tenants: ['*'],
  patterns: ['*'],
  tasks: list,
  first: true,
  last: true,
  ...more,
})

const gone = (node: string, letter = 's') => ({ node: NodeId.parse(node), session: session(letter) })
const find = (store: Store, tenant: TenantId, name: string) => task(store, tenant, TaskName.parse(name))

describe('tenants', () => {
  it('are created at first use where the issuer may name any, and only valid names', () => {
    const store = open()
    expect(tenantOf(store, NOW, { issuer: 'dev', claim: 'acme', any: true })).toBe('acme')
    expect(tenantOf(store, NOW, { issuer: 'dev', claim: 'acme', any: true })).toBe('acme')
    for (const claim of ['', 'Acme', '-a', 'a/b', '../b', 'a'.repeat(64), 'ä'])
      expect(tenantOf(store, NOW, { issuer: 'dev', claim, any: true }), claim).toBe(null)
    expect(lists(store).tenants).toEqual(['acme'])
  })

  it('come only from the table for other issuers', () => {
    const store = open()
    expect(tenantOf(store, NOW, { issuer: 'idp', claim: 'acme', any: false })).toBe(null)
    mapTenant(store, NOW, { issuer: 'idp', claim: '4711', tenant: acme })
    expect(tenantOf(store, NOW, { issuer: 'idp', claim: '4711', any: false })).toBe('acme')
    expect(tenantOf(store, NOW, { issuer: 'other', claim: '4711', any: false })).toBe(null)
  })

  it('that one issuer named cannot be named by another that may name any', () => {
    const store = open()
    mapTenant(store, NOW, { issuer: 'idp', claim: 'x', tenant: acme })
    expect(tenantOf(store, NOW, { issuer: 'dev', claim: 'acme', any: true })).toBe(null)
    expect(tenantOf(store, NOW, { issuer: 'dev', claim: 'globex', any: true })).toBe('globex')
  })

  it('named freely are lost with the right to name them', () => {
    const store = open()
    tenantOf(store, NOW, { issuer: 'dev', claim: 'acme', any: true })
    expect(tenantOf(store, NOW, { issuer: 'dev', claim: 'acme', any: false })).toBe(null)
  })
})

describe('the lists for sweeps', () => {
  it('hold what was remembered, once', () => {
    const store = open()
    for (let twice = 0; twice < 2; twice += 1) {
      remember(store, NOW, { ledger: 'acme' })
      remember(store, NOW, { table: 'acme/reports.a' })
      remember(store, NOW, { table: { tenant: 'globex', family: 'reports.b' } })
    }
    announce(store, NOW, announcement('n1', []))
    expect(lists(store)).toEqual({
      tenants: ['acme', 'globex'],
      ledgers: ['acme'],
      tables: [
        { tenant: 'acme', family: 'reports.a' },
        { tenant: 'globex', family: 'reports.b' },
      ],
      pools: ['default'],
      nodes: ['n1'],
    })
  })

  it('refuse names that are none', () => {
    const store = open()
    for (const memory of [{ tenant: 'A' }, { ledger: 'a/b' }, { table: 'acme' }, { table: 'acme/_slices' }, { table: '/a.b' }])
      expect(() => remember(store, NOW, memory), JSON.stringify(memory)).toThrow()
    expect(lists(store).tenants).toEqual([])
  })
})

describe('announcing', () => {
  it("refuses each task outside the token's patterns and takes the rest", () => {
    const store = open()
    const answer = announce(
      store,
      NOW,
      announcement('n1', [announced('pay.a'), announced('hr.b'), announced('pay')], { patterns: ['pay.*', 'x*y'] }),
    )
    expect(answer.accepted).toBe(1)
    expect(answer.refused.map(({ task, code }) => [task, code])).toEqual([
      ['hr.b', 'insufficient_scope'],
      ['pay', 'insufficient_scope'],
    ])
    expect(tasks(store, acme).map(({ name }) => name)).toEqual(['pay.a'])
  })

  it('accepts nothing without patterns or tenants', () => {
    const store = open()
    expect(announce(store, NOW, announcement('n1', [announced('a')], { patterns: [] })).accepted).toBe(0)
    expect(announce(store, NOW, announcement('n1', [announced('a')], { tenants: [] })).accepted).toBe(0)
    expect(tasks(store, acme)).toEqual([])
  })

  it('refuses a task that no row can hold, and keeps the others', () => {
    const store = open()
    const columns = Array.from({ length: 20_000 }, (_, n) => ({ name: `column_${n}`.padEnd(90, 'x'), type: 'string' }))
    const answer = announce(store, NOW, announcement('n1', [announced('big', 'a', { columns }), announced('small')]))
    expect(answer).toMatchObject({ accepted: 1, refused: [{ task: 'big', code: 'too_large' }] })
  })

  it('in parts is complete with the last one, and forgets what the node no longer has only then', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('old'), announced('kept')]))
    announce(store, NOW, announcement('n1', [announced('kept')], { last: false }))
    expect(tasks(store, acme).map(({ name }) => name)).toEqual(['kept', 'old'])
    announce(store, NOW, announcement('n1', [announced('new')], { first: false }))
    expect(tasks(store, acme).map(({ name }) => name)).toEqual(['kept', 'new'])
    expect(store.all('SELECT name FROM definitions ORDER BY name')).toMatchObject([{ name: 'kept' }, { name: 'new' }])
  })

  it('twice changes nothing', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('a')]))
    const before = tasks(store, acme)
    announce(store, NOW, announcement('n1', [announced('a')]))
    expect(tasks(store, acme)).toEqual(before)
  })

  it('by a session that another one replaced is refused', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('a')], { session: session('o') }))
    nodeSeen(store, NOW, {
      node: NodeId.parse('n1'),
      session: session('n'),
      pool: PoolName.parse('default'),
      tenants: ['*'],
      slots: 2,
      engines: ['duckdb'],
      labels: {},
    })
    const late = announce(store, NOW, announcement('n1', [announced('zombie')], { session: session('o') }))
    expect(late).toMatchObject({ accepted: 0, refused: [{ task: 'zombie', code: 'fenced' }] })
    nodeGone(store, gone('n1', 'o'))
    expect(find(store, acme, 'a')?.available).toBe(true)
  })
})

describe('the catalogue', () => {
  it('keeps a task whose nodes are all gone, and says so', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('a')]))
    announce(store, NOW, announcement('n2', [announced('a')]))
    nodeGone(store, gone('n1'))
    expect(find(store, acme, 'a')).toMatchObject({ available: true, notice: null })
    nodeGone(store, gone('n2'))
    const lost = find(store, acme, 'a')
    expect(lost).toMatchObject({ available: false, pools: ['default'] })
    expect(lost?.notice).toMatch(/No node/)
    announce(store, NOW + 1, announcement('n2', [announced('a')], { session: session('t') }))
    expect(find(store, acme, 'a')).toMatchObject({ available: true, notice: null })
  })

  it('shows a tenant only what nodes announced that serve it', () => {
    const store = open()
    const secret = announced('pnl', 'a', { sql: 'select secret_of_acme', description: 'acme' })
    announce(store, NOW, announcement('na', [secret, announced('only-acme')], { tenants: ['acme'], pool: PoolName.parse('acme-pool') }))
    announce(store, NOW + 5, announcement('ng', [announced('pnl', 'b')], { tenants: ['globex'] }))
    expect(find(store, acme, 'pnl')).toMatchObject({ hash: 'a'.repeat(64), pools: ['acme-pool'], notice: null })
    expect(find(store, globex, 'pnl')).toMatchObject({ hash: 'b'.repeat(64), pools: ['default'], notice: null })
    expect(find(store, globex, 'only-acme')).toBe(null)
    expect(tasks(store, globex).map(({ name }) => name)).toEqual(['pnl'])
    expect(JSON.stringify(tasks(store, globex))).not.toMatch(/acme/)
    expect(nodes(store, globex).map(({ node }) => node)).toEqual(['ng'])
    expect(find(store, TenantId.parse('acme2'), 'pnl')).toBe(null)
    // Last seen of a hidden node must not show through either.
    expect(find(store, acme, 'pnl')?.last_seen_at).toBe(new Date(NOW).toISOString())
  })

  it('takes the newest of several definitions and says that they differ', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('a', 'a')]))
    announce(store, NOW + 10, announcement('n2', [announced('a', 'b')], { pool: PoolName.parse('second') }))
    expect(find(store, acme, 'a')).toMatchObject({ hash: 'b'.repeat(64), pools: ['second'] })
    expect(find(store, acme, 'a')?.notice).toMatch(/different definition/)
    // The older one announced again is still the older one.
    announce(store, NOW + 20, announcement('n1', [announced('a', 'a')]))
    expect(find(store, acme, 'a')?.hash).toBe('b'.repeat(64))
    // A definition that can run goes before a newer one that cannot.
    nodeGone(store, gone('n2'))
    expect(find(store, acme, 'a')).toMatchObject({ hash: 'a'.repeat(64), notice: null, available: true })
  })

  it('keeps one definition for many nodes, and passes on why a task could not be described', () => {
    const store = open()
    for (const node of ['n1', 'n2', 'n3']) announce(store, NOW, announcement(node, [announced('a', 'a', { error: 'no such table: t' })]))
    expect(store.all('SELECT id FROM definitions')).toHaveLength(1)
    expect(find(store, acme, 'a')?.notice).toMatch(/no such table/)
  })

  it('forgets a node that was away for a month, and only such', () => {
    const store = open()
    armTimers(store, NOW)
    armTimers(store, NOW + 1)
    announce(store, NOW, announcement('n1', [announced('a')]))
    announce(store, NOW, announcement('n2', [announced('b')]))
    nodeGone(store, gone('n1'))
    runTimers(store, NOW + PRUNE_EVERY_SECONDS * 1_000)
    expect(tasks(store, acme)).toHaveLength(2)
    const month = NOW + FORGET_NODE_SECONDS * 1_000 + PRUNE_EVERY_SECONDS * 1_000
    runTimers(store, month)
    expect(tasks(store, acme).map(({ name }) => name)).toEqual(['b'])
    expect(nextDue(store)).toBe(month + PRUNE_EVERY_SECONDS * 1_000)
  })
})

describe('the pools of tasks', () => {
  it('are those of connected nodes that have the newest definition, and follow them', () => {
    const store = open()
    const pool = (name: string) => ({ pool: PoolName.parse(name) })
    announce(store, NOW, announcement('n1', [announced('a'), announced('b')], pool('one')))
    announce(store, NOW, announcement('n2', [announced('b')], pool('two')))
    expect(poolsOf(store, acme, ['a', 'b', 'c'])).toEqual([['one'], ['one', 'two'], []])
    nodeGone(store, gone('n1'))
    expect(poolsOf(store, acme, ['a', 'b'])).toEqual([[], ['two']])
    announce(store, NOW, announcement('n1', [announced('a')], pool('three')))
    expect(poolsOf(store, acme, ['b', 'a'])).toEqual([['two'], ['three']])
  })

  it('are no business of a tenant whom the node does not serve', () => {
    const store = open()
    announce(store, NOW, announcement('n1', [announced('a')], { tenants: ['acme'] }))
    expect(poolsOf(store, globex, ['a'])).toEqual([[]])
  })
})

describe('the database of version 1', () => {
  const shape = (store: Store) =>
    store.all("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name")

  it('still opens, with everything in it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'directory-'))
    const path = join(folder, 'v1.sqlite')
    copyFileSync(new URL('golden/v1.sqlite', import.meta.url), path)
    const store = nodeStore(path)
    migrate(store, MIGRATIONS)
    expect(lists(store)).toEqual({
      tenants: ['acme', 'globex'],
      ledgers: ['acme'],
      tables: [{ tenant: 'acme', family: 'reports.a' }],
      pools: ['default'],
      nodes: ['n1'],
    })
    expect(tenantOf(store, NOW, { issuer: 'idp', claim: '4711', any: false })).toBe('globex')
    expect(find(store, acme, 'a')).toMatchObject({ hash: 'a'.repeat(64), available: false, columns: [{ name: 'n', type: 'long' }] })
    expect(storedKeys(store).read('idp')).toEqual({ keys: [{ kty: 'EC', kid: '1' }], fetched_at: NOW })
    expect(shape(store)).toEqual(shape(open()))
    store.close()
    rmSync(folder, { recursive: true })
  })
})

describe("issuers' keys", () => {
  it('are kept, and what cannot be read counts as absent', () => {
    const store = open()
    const keys = storedKeys(store)
    expect(keys.read('i')).toBe(null)
    keys.write('i', { keys: [{ kty: 'EC', kid: '1' }], fetched_at: 7 })
    expect(keys.read('i')).toEqual({ keys: [{ kty: 'EC', kid: '1' }], fetched_at: 7 })
    store.run(`UPDATE issuer_keys SET body = '{}'`)
    expect(keys.read('i')).toBe(null)
  })
})

describe('the cache', () => {
  const setUp = () => {
    const store = open()
    const asked: string[] = []
    let now = NOW
    const cache = new DirectoryCache({
      now: () => now,
      directory: () => ({
        tenantOf: async (question) => {
          asked.push(`tenant ${question.claim}`)
          return tenantOf(store, now, question)
        },
        tasks: async (tenant) => tasks(store, tenant),
        task: async (tenant, name) => {
          asked.push(`task ${name}`)
          return task(store, tenant, name)
        },
      }),
    })
    return {
      store,
      cache,
      asked,
      pass: (ms: number) => {
        now += ms
      },
    }
  }

  it('asks once in 30 s for what is there, and each time for what is not', async () => {
    const { store, cache, asked, pass } = setUp()
    const a = TaskName.parse('a')
    expect(await cache.task(acme, a)).toBe(null)
    announce(store, NOW, announcement('n1', [announced('a')]))
    expect((await cache.task(acme, a))?.available).toBe(true)
    expect((await cache.task(acme, a))?.available).toBe(true)
    expect(asked).toEqual(['task a', 'task a'])
    pass(30_001)
    nodeGone(store, gone('n1'))
    expect((await cache.task(acme, a))?.available).toBe(false)
    announce(store, NOW, announcement('n1', [announced('a')]))
    expect((await cache.task(acme, a))?.available).toBe(true)
    expect(asked).toHaveLength(4)
  })

  it('never mixes tenants', async () => {
    const { store, cache } = setUp()
    announce(store, NOW, announcement('n1', [announced('a')], { tenants: ['acme'] }))
    const a = TaskName.parse('a')
    expect(await cache.task(acme, a)).not.toBe(null)
    expect(await cache.task(globex, a)).toBe(null)
  })

  it('keeps tenants, but not the absence of one', async () => {
    const { store, cache, asked } = setUp()
    const question = { issuer: 'idp', claim: 'c', any: false }
    expect(await cache.tenantOf(question)).toBe(null)
    mapTenant(store, NOW, { issuer: 'idp', claim: 'c', tenant: acme })
    expect(await cache.tenantOf(question)).toBe('acme')
    expect(await cache.tenantOf(question)).toBe('acme')
    expect(asked).toHaveLength(2)
  })
})

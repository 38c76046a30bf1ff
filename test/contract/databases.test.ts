import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { CatalogCore } from '../../edge/catalog/catalog.ts'
import { Family, JobId, NodeId, PoolName, QueueName, SessionId, TaskName, TenantId } from '../../edge/contract/ids.ts'
import { isTerminal, Job } from '../../edge/contract/jobs.ts'
import { Manifest } from '../../edge/contract/manifests.ts'
import { tasks } from '../../edge/directory/catalogue.ts'
import { lists } from '../../edge/directory/tenants.ts'
import type { LedgerContext } from '../../edge/ledger/context.ts'
import { jobIds } from '../../edge/ledger/ids.ts'
import { listJobs } from '../../edge/ledger/listing.ts'
import { LedgerMemory } from '../../edge/ledger/memory.ts'
import { eventNumbers } from '../../edge/ledger/numbers.ts'
import { eventsAfter, findResult, lookUp, showJob } from '../../edge/ledger/read.ts'
import { LEDGER_MIGRATIONS } from '../../edge/ledger/schema.ts'
import { settle } from '../../edge/ledger/settle.ts'
import { jobOfAlias, submit } from '../../edge/ledger/submit.ts'
import { loadPool } from '../../edge/pool/memory.ts'
import { join as joinPool, type PoolEffect } from '../../edge/pool/pool.ts'
import { migrate } from '../../edge/storage/migrate.ts'
import { nodeStore } from '../../edge/storage/node-store.ts'
import { first, type Store } from '../../edge/storage/store.ts'
import { nextDue } from '../../edge/storage/timers.ts'
import { TableCore } from '../../edge/table/core.ts'
import { DATABASES, firstShapes, shapeAfter, shapeOf } from './databases.ts'

const GOLDEN = join(import.meta.dirname, 'golden')
const acme = TenantId.parse('acme')
const cleaners: (() => void)[] = []
afterEach(() => {
  for (const clean of cleaners.splice(0)) clean()
})

/** A copy of a database that an edge of version 1 left behind, brought to today's schema. */
const opened = (name: string): Store => {
  const folder = mkdtempSync(join(tmpdir(), 'scarab-v1-'))
  const path = join(folder, 'v1.sqlite')
  copyFileSync(join(GOLDEN, 'databases', `${name}.v1.sqlite`), path)
  const store = nodeStore(path)
  cleaners.push(() => {
    store.close()
    rmSync(folder, { recursive: true })
  })
  migrate(store, DATABASES[name] ?? [])
  return store
}

test('the first migration of every object is the one of version 1', () => {
  expect(firstShapes()).toEqual(JSON.parse(readFileSync(join(GOLDEN, 'databases.json'), 'utf8')))
})

test.each(Object.keys(DATABASES))('a %s of version 1 gets the shape of a new one', (name) => {
  const migrations = DATABASES[name] ?? []
  const store = opened(name)
  expect(shapeOf(store)).toEqual(shapeAfter(migrations, migrations.length))
  expect(first<{ version: number }>(store, 'SELECT version FROM schema_version')?.version).toBe(migrations.length)
})

const ledgerOf = (store: Store): LedgerContext => {
  const random = (count: number): Uint8Array => new Uint8Array(count)
  const last = JobId.parse(first<{ id: string }>(store, 'SELECT max(id) AS id FROM jobs')?.id)
  const now = (): number => Date.UTC(2030, 0, 1)
  return {
    store,
    memory: new LedgerMemory(),
    tenant: acme,
    now,
    random,
    newJobId: jobIds(acme, last, now, random),
    numbers: eventNumbers(store),
    emit: () => undefined,
    settle,
  }
}

test('a ledger of version 1 still has its jobs, events, results, aliases and idempotency keys', () => {
  const context = ledgerOf(opened('ledger'))
  const { rows } = listJobs(context, { alias: null, task: null, state: null, before: null, limit: 100 })
  const jobs = rows.map((row) => Job.parse(showJob(row)))
  const count = (wanted: Job['state']): number => jobs.filter(({ state }) => state === wanted).length
  expect([count('succeeded'), count('failed'), count('cancelled')]).toEqual([expect.any(Number), 1, 1])
  expect(count('succeeded')).toBeGreaterThanOrEqual(4)
  expect(jobs.some(({ state }) => !isTerminal(state))).toBe(true)
  for (const job of jobs) {
    const events = eventsAfter(context, job.id, 0)
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, n) => n + 1))
    expect(events.at(-1)).toMatchObject({ seq: job.seq, state: job.state })
    const result = findResult(context, job.id)
    if (job.state !== 'succeeded') continue
    expect(result?.manifest !== null || result?.archived !== null).toBe(true)
    if (typeof result?.manifest === 'string')
      expect(Manifest.omit({ signature: true }).parse({ ...JSON.parse(result.manifest), first_rows: [] })).toMatchObject({
        job: job.id,
        rows: job.rows,
      })
  }
  expect(jobOfAlias(context, Job.shape.alias.unwrap().parse('nightly'))).toMatchObject({ task: 'small', queue: 'night' })
  const deleted = first<{ id: string }>(context.store, 'SELECT id FROM jobs WHERE deleted_at IS NOT NULL')
  expect(lookUp(context, deleted?.id ?? '')).toEqual({ found: 'gone' })
  expect(first(context.store, 'SELECT key FROM keys')).toBeDefined()
  expect(nextDue(context.store)).toBeTypeOf('number')
  const submitted = submit(
    context,
    {
      task: TaskName.parse('small'),
      args: [1],
      alias: null,
      queue: QueueName.parse('default'),
      pool: PoolName.parse('default'),
      db: null,
      engine_hint: null,
      family: Family.parse('reports.small'),
      max_runtime_seconds: null,
      idempotency: null,
    },
    0,
  )
  expect(submitted).toMatchObject({ ok: true, created: true })
  expect(submitted.ok && jobs.every(({ id }) => id < submitted.job.id)).toBe(true)
})

test('a group of version 2 that is being undone gets a time for that', () => {
  const store = nodeStore()
  migrate(store, LEDGER_MIGRATIONS.slice(0, 2))
  const group = (id: string, state: string): void => {
    store.run(`INSERT INTO groups (id, request, state, seq, created_at) VALUES (?, '', ?, 1, 0)`, id, state)
    store.run(`INSERT INTO timers (kind, ref, due) VALUES ('group', ?, 7)`, id)
  }
  group('g1', 'compensating')
  group('g2', 'running')
  const before = Date.now()
  migrate(store, LEDGER_MIGRATIONS)
  const [one, two] = store.all<{ undo_by: number | null; due: number }>(
    `SELECT undo_by, due FROM groups JOIN timers ON ref = id WHERE kind = 'group' ORDER BY id`,
  )
  expect(one?.undo_by).toBeGreaterThan(before)
  expect(one?.due).toBe(one?.undo_by)
  expect(two).toEqual({ undo_by: null, due: 7 })
  store.close()
})

test('a directory of version 1 still knows its tenants, nodes and tasks', () => {
  const store = opened('directory')
  expect(lists(store)).toMatchObject({ tenants: ['acme'], ledgers: ['acme'], pools: ['default'], nodes: ['embedded'] })
  expect(tasks(store, acme).map(({ name }) => name)).toEqual(['broken', 'days', 'large', 'slow', 'small'])
})

test('a catalog of version 1 still names its tables and moves them on', () => {
  const catalog = new CatalogCore(opened('catalog'), Date.now)
  expect(catalog.families()).toEqual(['reports.days', 'reports.large', 'reports.small'])
  const family = Family.parse('reports.small')
  const expected = catalog.pointer(family)
  expect(expected).toMatch(/^s3:\/\/lake\/t\/acme\/reports\.small\/metadata\//)
  expect(catalog.commit({ family, expected, location: 's3://lake/t/acme/reports.small/metadata/next.json' })).toEqual({ ok: true })
})

test('a table of version 1 keeps its field ids, and what it appended', () => {
  const store = opened('table')
  const table = new TableCore({ store, clock: Date.now, randomId: () => 1n, uuid: () => crypto.randomUUID(), bucket: 'lake' })
  const family = Family.parse('reports.small')
  const columns = [
    { name: 'n', type: 'long' },
    { name: 'label', type: 'string' },
  ]
  const known = table.ensureSchema({ tenant: acme, family, columns, partition_by: null })
  expect(known).toMatchObject({ ok: true, schema: { columns: [{ id: 4 }, { id: 5 }], added: ['tenant_id', 'job_id', 'run_date'] } })
  expect(known.ok && first(store, 'SELECT id FROM schemas WHERE id = ?', known.schema.id)).toBeDefined()
  const grown = table.ensureSchema({ tenant: acme, family, columns: [...columns, { name: 'more', type: 'date' }], partition_by: null })
  expect(grown).toMatchObject({ ok: true, schema: { columns: [{ id: 4 }, { id: 5 }, { id: 6 }] } })
  const states = store.all<{ state: string }>('SELECT state FROM results').map(({ state }) => state)
  expect(states).toContain('published')
  expect(states).toContain('withdrawn')
})

test('a pool of version 1 still gives its waiting lanes to a node that joins', () => {
  const given: PoolEffect[] = []
  const store = opened('pool')
  // Its node left when it was stopped, and the lane was drained: what it would have left behind with a job waiting.
  expect(store.all('SELECT tenant, queue FROM lanes')).toContainEqual({ tenant: 'acme', queue: 'night' })
  store.run(`UPDATE lanes SET ready = 1 WHERE queue = 'night'`)
  const weightOf = (): number => 1
  const context = { store, memory: loadPool(store, weightOf), weightOf, now: Date.now, emit: (effect: PoolEffect) => given.push(effect) }
  const node = NodeId.parse('new-node')
  joinPool(context, { node, session: SessionId.parse('session-0000000009'), free: 4, queues: null, tenants: ['*'] })
  expect(first(store, 'SELECT node FROM nodes WHERE node = ?', node)).toBeDefined()
  expect(given).toContainEqual(expect.objectContaining({ tenant: 'acme', queue: 'night' }))
})

test('a link of version 1 still has its session and tasks', () => {
  const store = opened('link')
  expect(first(store, 'SELECT node, pool FROM session')).toEqual({ node: 'embedded', pool: 'default' })
  expect(store.all<{ name: string }>('SELECT name FROM tasks ORDER BY name').map(({ name }) => name)).toEqual([
    'broken',
    'days',
    'large',
    'slow',
    'small',
  ])
  expect(store.all('SELECT tenant FROM ledgers')).toEqual([{ tenant: 'acme' }])
})

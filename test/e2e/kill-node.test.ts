import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/patience.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import type { Client } from './support/client.ts'
import { eventOf, follow, persistently, readJob } from './support/follow.ts'
import { rowsPerJob } from './support/iceberg.ts'
import { busyThreads, DUCKDB_CHILD, descendants, isAlive } from './support/processes.ts'
import { type Observer, observe } from './support/sql.ts'
import { startWorld, type World } from './support/world.ts'

const ROWS = 5_000
const GATE = 4_711

/** Jobs that stay in the middle of their run until the test opens the gate, which is a lock at the server. */
const TASKS = {
  'gated.sql': `
-- name: gated
-- db: shop
WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(${GATE})::text AS open)
SELECT i, md5(i::text) || open AS text FROM gate, generate_series(1, ${ROWS}) AS s (i)

-- name: endless
-- db: duckdb
SELECT count(*) AS n FROM range(100000000) AS a (i), range(100000000) AS b (j) WHERE (i * j) % 7 = 3
`,
}

/** States as they were told, one for each event but that of a pack, which comes when it is made: before or after the publication. */
const statesOf = (events: { type: string; state: string }[]): string[] =>
  events.filter(({ type }) => type !== 'pack').map(({ state }) => state)

describe('a node killed in mid-run', () => {
  const tenant = 'nodes'
  let server: PostgresServer
  let gate: Observer
  let world: World
  let client: Client

  beforeAll(async () => {
    server = await startPostgres()
    gate = await observe(server.port)
    world = await startWorld({
      tasks: TASKS,
      nodeToml: `[node]\nslots = 2\n[db.shop]\ntype = "postgres"\ndsn = "${server.dsn()}"\n`,
    })
    client = await world.as(tenant)
  })
  afterAll(async () => {
    await world.end()
    await gate.close()
    await server.stop()
  })

  const untilGated = (waiting: number): Promise<void> =>
    eventually(async () => {
      const found = await gate.query(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted`)
      expect(found).toEqual([[String(waiting)]])
    })

  test('another attempt finishes the job, and its result appears once', async () => {
    await gate.query(`SELECT pg_advisory_lock(${GATE})`)
    const { id } = await client.submit('gated')
    await eventOf(client, id, ({ state }) => state === 'running')
    await untilGated(1)
    const before = world.system.nodePid()
    world.system.kill9Node()
    // The launcher starts it again, the new session takes the place of the old one, and the job is tried again after its pause.
    await eventOf(client, id, ({ state, attempt }) => state === 'running' && attempt === 2)
    expect(world.system.nodePid()).not.toBe(before)
    // The dead node's backend learns of its end only when it wants to say something.
    await untilGated(2)
    await gate.query(`SELECT pg_advisory_unlock(${GATE})`)
    const { events } = await follow(client, id)
    expect(statesOf(events)).toEqual([
      'waiting',
      'leased',
      'running',
      'scheduled',
      'waiting',
      'leased',
      'running',
      'succeeded',
      'succeeded',
    ])
    expect(events.find(({ state }) => state === 'scheduled')?.reason).toBeTruthy()
    expect(await readJob(client, id)).toMatchObject({ state: 'succeeded', attempt: 2, tries: 2, rows: ROWS, publication: 'published' })
    expect(await rowsPerJob(client, tenant, 'reports.gated')).toEqual(new Map([[id, ROWS]]))
    const manifest = await client.result(id)
    expect(manifest).toMatchObject({ attempt: 2, rows: ROWS })
  })

  test('an edge killed under a running job finds it running: the same attempt finishes', async () => {
    await gate.query(`SELECT pg_advisory_lock(${GATE})`)
    const { id } = await client.submit('gated')
    const followed = follow(client, id)
    await eventOf(client, id, ({ state }) => state === 'running')
    await untilGated(1)
    const before = world.system.workerdPid()
    world.system.kill9Workerd()
    await persistently(client, '/healthz')
    expect(world.system.workerdPid()).not.toBe(before)
    await gate.query(`SELECT pg_advisory_unlock(${GATE})`)
    const { events, connections } = await followed
    expect(connections).toBeGreaterThan(1)
    expect(statesOf(events)).toEqual(['waiting', 'leased', 'running', 'succeeded', 'succeeded'])
    expect(await readJob(client, id)).toMatchObject({ state: 'succeeded', attempt: 1, tries: 1, rows: ROWS })
    expect((await rowsPerJob(client, tenant, 'reports.gated')).get(id)).toBe(ROWS)
  })

  test('a cancel that was acknowledged before the edge was killed still reaches the query', async () => {
    const { id } = await client.submit('endless')
    await eventOf(client, id, ({ state }) => state === 'running')
    const cancelled = await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    world.system.kill9Workerd()
    expect(cancelled.status).toBe(202)
    await follow(client, id)
    const job = await readJob(client, id)
    expect(job).toMatchObject({ state: 'cancelled', attempt: 1, result: null })
    expect(['confirmed', 'not_confirmed']).toContain(job.cancel?.outcome)
    // Whatever was heard of it: nothing computes for it any more.
    await eventually(() => expect(descendants(world.system.nodePid() ?? 0, DUCKDB_CHILD).filter((pid) => busyThreads(pid) > 0)).toEqual([]))
  })

  test('takes its DuckDB children with it', async () => {
    const { id } = await client.submit('endless')
    const node = await eventually(() => {
      const pid = world.system.nodePid()
      if (pid === null) throw new Error('no node runs')
      return pid
    })
    const busy = await eventually(() => {
      const found = descendants(node, DUCKDB_CHILD).find((pid) => busyThreads(pid) > 0)
      if (found === undefined) throw new Error('no DuckDB child is at work')
      return found
    })
    const children = descendants(node, DUCKDB_CHILD)
    expect(children).toContain(busy)
    world.system.kill9Node()
    await eventually(() => expect(children.filter(isAlive)).toEqual([]))
    // It would never end by itself.
    await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    expect(await client.ended(id)).toMatchObject({ state: 'cancelled' })
  })
})

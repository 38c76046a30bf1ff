import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Job } from '../../edge/contract/jobs.ts'
import { eventually } from '../support/patience.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type Client, problemOf } from './support/client.ts'
import { eventOf, follow, readJob } from './support/follow.ts'
import { rowsPerJob } from './support/iceberg.ts'
import { busyThreads, DUCKDB_CHILD, descendants, isAlive } from './support/processes.ts'
import { type Observer, observe } from './support/sql.ts'
import { startWorld, type World } from './support/world.ts'

const STREAMED_ROWS = 800_000
/** A lock at the server, which a stream waits for in its middle: it is broken there, and not before or after. */
const GATE = 1_815

const TASKS = {
  'cancel.sql': `
-- name: quick
-- db: duckdb
SELECT 1 AS n

-- name: endless
-- db: duckdb
SELECT count(*) AS n FROM range(100000000) AS a (i), range(100000000) AS b (j) WHERE (i * j) % 7 = 3

-- name: asleep
-- db: shop
SELECT 1 AS n FROM pg_sleep(3600)

-- name: stream
-- db: shop
SELECT i, md5(i::text) || CASE i WHEN ${STREAMED_ROWS / 2} THEN pg_advisory_xact_lock_shared(${GATE})::text ELSE '' END AS text
FROM generate_series(1, ${STREAMED_ROWS}) AS s (i)

-- name: breaks
-- db: shop
SELECT i, 1 / (i - ${STREAMED_ROWS / 2}) AS n, md5(i::text) AS text FROM generate_series(1, ${STREAMED_ROWS}) AS s (i)
`,
}

let server: PostgresServer
let observer: Observer
let world: World
let client: Client
const tenant = 'cancels'

beforeAll(async () => {
  server = await startPostgres()
  observer = await observe(server.port)
  world = await startWorld({
    tasks: TASKS,
    nodeToml: `[node]\nslots = 2\nqueues = ["default"]\n[db.shop]\ntype = "postgres"\ndsn = "${server.dsn()}"\n`,
  })
  client = await world.as(tenant)
})
afterAll(async () => {
  await world.end()
  await observer.close()
  await server.stop()
})

const cancel = async (id: string): Promise<{ status: number; job: Job }> => {
  const answer = await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  return { status: answer.status, job: Job.parse(await answer.json()) }
}

/** Backends that run a statement of ours now. */
const active = async (text: string): Promise<number[]> => {
  const rows = await observer.query(
    `SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${text}%' AND pid <> pg_backend_pid()`,
  )
  return rows.map(([pid]) => Number(pid))
}
const untilActive = (text: string): Promise<number> =>
  eventually(async () => {
    const [pid] = await active(text)
    if (pid === undefined) throw new Error(`no backend runs ${text}`)
    return pid
  })

const closeGate = (): Promise<unknown> => observer.query(`SELECT pg_advisory_lock(${GATE})`)
const openGate = (): Promise<unknown> => observer.query(`SELECT pg_advisory_unlock(${GATE})`)
/** The backend that stands in the middle of a job's rows: the node has some, and the others are yet to come. */
const untilStreaming = (id: string): Promise<number> =>
  eventually(async () => {
    const [held] = await observer.query(`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted`)
    const { progress } = await readJob(client, id)
    if (held === undefined || !progress?.rows) throw new Error(`no stream is half way: ${JSON.stringify({ held, progress })}`)
    return Number(held[0])
  })

describe('a cancel', () => {
  test('of a waiting job ends it at once, and it never runs', async () => {
    const { id } = await client.submit('quick', { queue: 'later' })
    const { status, job } = await cancel(id)
    expect(status).toBe(200)
    expect(job).toMatchObject({ state: 'cancelled', attempt: 0, tries: 0, cancel: { outcome: 'confirmed' } })
    // A node that listens to its queue comes, and runs what was submitted after it.
    const { id: next } = await client.submit('quick', { queue: 'later' })
    const node = await world.system.startNode({ name: 'later', queues: ['later'], slots: 1 })
    expect(await client.ended(next)).toMatchObject({ state: 'succeeded' })
    await node.stop(1)
    const { events } = await follow(client, id)
    expect(events.map(({ state }) => state)).toEqual(['waiting', 'cancelled'])
    expect(await readJob(client, id)).toMatchObject({ state: 'cancelled', attempt: 0, started_at: null })
  })

  test('of a running DuckDB statement stops it', async () => {
    const { id } = await client.submit('endless')
    await eventOf(client, id, ({ state }) => state === 'running')
    const node = world.system.nodePid() ?? 0
    const child = await eventually(() => {
      const busy = descendants(node, DUCKDB_CHILD).find((pid) => busyThreads(pid) > 0)
      if (busy === undefined) throw new Error('no DuckDB child is at work')
      return busy
    })
    // The node list shows the slot, to the tenant whose job it is.
    const busy = async (asker: Client): Promise<unknown> => (await asker.ask('/v1/nodes')).json()
    const shows = (slots: number, taken: number): unknown => ({
      items: expect.arrayContaining([expect.objectContaining({ slots, busy: taken })]),
    })
    expect(await busy(client)).toMatchObject(shows(2, 1) as object)
    expect(await busy(await world.as('another'))).not.toMatchObject(shows(2, 1) as object)
    const { status } = await cancel(id)
    expect(status).toBe(202)
    const { events } = await follow(client, id)
    const job = await readJob(client, id)
    expect(job).toMatchObject({ state: 'cancelled', result: null, cancel: { outcome: 'confirmed' } })
    expect(job.cancel?.reason).toBeTruthy()
    expect(events.map(({ cancel: outcome }) => outcome)).toContain('requested')
    // Dead, or back at rest: nothing computes for a job that is over. (That a statement which ignores its interrupt for a second
    // costs its process is tested beside the process: compute/duckdb/pool.test.ts.)
    await eventually(() => expect(isAlive(child) ? busyThreads(child) : 0).toBe(0))
    expect(await client.run('quick')).toMatchObject({ state: 'succeeded' })
  })

  test('of a statement at PostgreSQL ends it at the server', async () => {
    const { id } = await client.submit('asleep')
    await untilActive('pg_sleep(3600)')
    expect((await cancel(id)).status).toBe(202)
    const job = await client.ended(id)
    expect(job).toMatchObject({ state: 'cancelled', result: null, cancel: { outcome: 'confirmed' } })
    expect(job.cancel?.reason).toBeTruthy()
    // "Confirmed" is the server's own word: no waiting here.
    expect(await active('pg_sleep(3600)')).toEqual([])
  })

  test('in the middle of a stream leaves no result', async () => {
    await closeGate()
    const { id } = await client.submit('stream')
    await untilStreaming(id)
    expect((await cancel(id)).status).toBe(202)
    const job = await client.ended(id)
    expect(job).toMatchObject({ state: 'cancelled', result: null, rows: null })
    expect(await active('generate_series')).toEqual([])
    await openGate()
    expect((await client.ask(`/v1/jobs/${id}/result`)).status).toBe(409)
  })

  test('of a job that has ended is refused', async () => {
    const { id } = await client.run('quick')
    const answer = await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    expect((await problemOf(answer)).code).toBe('job_finished')
    expect(await readJob(client, id)).toMatchObject({ state: 'succeeded', cancel: null })
  })
})

describe('a source that breaks in the middle of its stream', () => {
  test('by a killed backend: the attempt fails with the reason, and the next one has every row', async () => {
    await closeGate()
    const { id } = await client.submit('stream')
    const pid = await untilStreaming(id)
    expect(await observer.query(`SELECT pg_terminate_backend(${pid})`)).toEqual([['t']])
    await openGate()
    const { events } = await follow(client, id)
    const lost = events.find(({ state }) => state === 'scheduled')
    expect(lost?.reason).toMatch(/terminat|connection|lost|closed/i)
    const job = await readJob(client, id)
    expect(job).toMatchObject({ state: 'succeeded', attempt: 2, tries: 2, rows: STREAMED_ROWS })
    expect((await client.result(id)).rows).toBe(STREAMED_ROWS)
    const counted = await client.slice(id, {
      select: [
        { fn: 'count', as: 'n' },
        { fn: 'max', col: 'i', as: 'last' },
      ],
    })
    expect(counted.rows.map((row) => row.map(String))).toEqual([[String(STREAMED_ROWS), String(STREAMED_ROWS)]])
  })

  test('by a backend that dies without a word: no shorter result either', async () => {
    await closeGate()
    const { id } = await client.submit('stream')
    // The server restarts itself after such a death, and ends every other session: that of the gate, too.
    process.kill(await untilStreaming(id), 'SIGKILL')
    const { events } = await follow(client, id)
    const lost = events.filter(({ state }) => state === 'scheduled')
    expect(lost.length).toBeGreaterThanOrEqual(1)
    for (const { reason } of lost) expect(reason).toMatch(/connection|server|reach/i)
    expect(await readJob(client, id)).toMatchObject({ state: 'succeeded', rows: STREAMED_ROWS })
    expect((await client.result(id)).files.reduce((sum, file) => sum + file.rows, 0)).toBe(STREAMED_ROWS)
    observer = await observe(server.port)
  })

  test('by an error of the statement after many rows: the job fails with the server’s words and has no result', async () => {
    const job = await client.run('breaks')
    expect(job).toMatchObject({ state: 'failed', attempt: 1, result: null, rows: null })
    expect(job.error?.message).toMatch(/division by zero/)
    expect((await client.ask(`/v1/jobs/${job.id}/result`)).status).toBe(409)
    expect(await rowsPerJob(client, tenant, 'reports.breaks')).toEqual(new Map())
  })
})

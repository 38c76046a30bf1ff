import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PATIENCE_MS } from '../../test-patience.ts'
import type { Produced, Source } from '../engine.ts'
import { PostgresEngine } from './engine.ts'
import { type Fixture, openFixture } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture

beforeAll(async () => {
  pg = await openFixture()
})
afterAll(() => pg.close())

/** Streams for ever, in text long enough that it reaches the spool at once. */
const ENDLESS = "select g, repeat('x', 100) as pad from (select generate_series(1, 2000000000) as g) as s"
/** Works without giving a row, until it is told to stop. */
const SILENT = 'select pg_sleep(3600)::text as v'

/** A run whose query is known to be at work: `begun` says its backend's pid. */
const start = async (sql: string, of: { signal?: AbortSignal; maxRuntimeSeconds?: number; source?: Source } = {}) => {
  const run = await pg.prepare(sql, of)
  const began = Promise.withResolvers<string>()
  const rows = Promise.withResolvers<void>()
  const hooks = { started: (id: string | null) => began.resolve(id ?? ''), progress: () => rows.resolve() }
  const work = pg.engine.execute(run, hooks, of.signal ?? new AbortController().signal)
  const outcome: Promise<Produced | Error> = work.catch((error: Error) => error)
  return { run, work, outcome, pid: await began.promise, rows: rows.promise }
}

const until = async (sql: string): Promise<void> => {
  const client = new Bun.SQL(pg.server.dsn(), { max: 1 })
  try {
    for (;;) {
      const [row] = await client.unsafe(sql)
      if (row?.yes === true) return
    }
  } finally {
    await client.end()
  }
}
const isActive = (pid: string) =>
  until(`select exists (select from pg_stat_activity where pid = ${pid} and state = 'active' and query like '%pg_sleep(3600)%') as yes`)
const isGone = (pid: string) => until(`select not exists (select from pg_stat_activity where pid = ${pid} and state = 'active') as yes`)

/** A wire between engine and server that can be cut, and that can refuse further connections. */
const startProxy = async () => {
  const sockets: Socket[] = []
  const proxy: Server = createServer((client) => {
    const server = connect(pg.server.port, '127.0.0.1')
    sockets.push(client, server)
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
    client.pipe(server)
    server.pipe(client)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', () => resolve()))
  const address = proxy.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const source: Source = {
    name: 'proxied',
    type: 'postgres',
    dsn: `postgres://scarab@127.0.0.1:${port}/postgres?sslmode=disable`,
    maxActive: 1,
  }
  const refuse = () => proxy.close()
  const cut = () => {
    refuse()
    for (const socket of sockets) socket.destroy()
  }
  return { port, source, refuse, cut }
}

describe('a source that breaks', () => {
  test('a backend killed in the middle of a stream fails the attempt as lost, and never leaves a shorter result', async () => {
    const { work, pid, rows } = await start(ENDLESS)
    await rows
    await pg.admin(`select pg_terminate_backend(${pid})`)
    const failure = await pg.failure(work)
    expect(failure).toMatchObject({ code: 'connection_lost', class: 'lost' })
    // The server's last words arrive only where its send buffer had room for them.
    expect(failure.message).toMatch(/source "pg".*(57P01|was lost)/)
  })

  test('a backend killed before the first row fails the attempt as lost', async () => {
    const { work, pid } = await start(SILENT)
    await isActive(pid)
    await pg.admin(`select pg_terminate_backend(${pid})`)
    expect(await pg.failure(work)).toMatchObject({ class: 'lost' })
  })

  test('a connection cut in the middle of a stream fails the attempt as lost', async () => {
    const proxy = await startProxy()
    const { work, rows } = await start(ENDLESS, { source: proxy.source })
    await rows
    proxy.cut()
    const failure = await pg.failure(work)
    expect(failure).toMatchObject({ code: 'connection_lost', class: 'lost' })
    expect(failure.message).not.toContain(String(proxy.port))
  })

  test('an error of the query in the middle of its rows fails the attempt with the server’s words', async () => {
    const failure = await pg.failure(
      pg.execute("select 1 / (500000 - g) as n, repeat('x', 100) as pad from (select generate_series(1, 1000000) as g) as s"),
    )
    expect(failure).toMatchObject({ code: 'sql_error', class: 'sql' })
    expect(failure.message).toMatch(/division by zero.*22012/)
  })

  test('the connection is good again after an error', async () => {
    const source: Source = { ...pg.source, name: 'single', maxActive: 1 }
    const first = await pg.execute('select pg_backend_pid() as pid', { source })
    await pg.failure(pg.execute('select 1 / n as x from (values (0)) as t(n)', { source }))
    const second = await pg.execute('select pg_backend_pid() as pid', { source })
    expect(second.produced.firstRows).toEqual(first.produced.firstRows)
  })

  test('a pooled connection that died in its sleep is replaced without a failure', async () => {
    const source: Source = { ...pg.source, name: 'sleeper', maxActive: 1 }
    const first = await pg.execute('select pg_backend_pid() as pid', { source })
    const pid = String(first.produced.firstRows[0]?.[0])
    await pg.admin(`select pg_terminate_backend(${pid})`)
    await isGone(pid)
    const second = await pg.execute('select pg_backend_pid() as pid', { source, schema: first.run.schema })
    expect(second.produced.firstRows).not.toEqual(first.produced.firstRows)
  })

  test('a server that is not there is a lost connection, a wrong database the source’s fault', async () => {
    const gone: Source = { ...pg.source, name: 'gone', dsn: 'postgres://nobody:secret@127.0.0.1:1/nowhere' }
    const failure = await pg.failure(pg.execute('select 1 as n', { source: gone }))
    expect(failure).toMatchObject({ code: 'source_unavailable', class: 'lost' })
    const absent: Source = { ...pg.source, name: 'absent', dsn: pg.server.dsn('scarab', 'no_such_database') }
    expect(await pg.failure(pg.execute('select 1 as n', { source: absent }))).toMatchObject({ code: 'source_rejected', class: 'source' })
  })

  test('a spool that cannot be written fails the attempt', async () => {
    const run = await pg.prepare("select repeat('x', 1000) as t from generate_series(1, 10000)")
    const file = join(run.folder, 'file')
    await Bun.write(file, 'no folder can be made here')
    const failure = await pg.failure(
      pg.engine.execute(
        { ...run, folder: join(file, 'missing') },
        { started: () => undefined, progress: () => undefined },
        new AbortController().signal,
      ),
    )
    expect(failure).toMatchObject({ code: 'spool_failed', class: 'internal' })
  })
})

describe('schema changes', () => {
  test('a prepared statement whose table was altered is prepared anew when the columns stay the same', async () => {
    const source: Source = { ...pg.source, name: 'altered', maxActive: 1 }
    await pg.admin('create table altered (a int, b text); insert into altered values (1, null)')
    const first = await pg.execute('select * from altered', { source })
    await pg.admin('alter table altered drop column b; alter table altered add column b text')
    const second = await pg.execute('select * from altered', { source, schema: first.run.schema })
    expect(second.produced.firstRows).toEqual([[1, null]])
  })

  test('columns that are not the schema’s fail the job, naming them', async () => {
    const source: Source = { ...pg.source, name: 'drifted', maxActive: 2 }
    await pg.admin('create table drifting (a int); insert into drifting values (1)')
    const first = await pg.execute('select * from drifting', { source })
    await pg.admin('alter table drifting add column b text')
    const failure = await pg.failure(pg.execute('select * from drifting', { source, schema: first.run.schema }))
    expect(failure).toMatchObject({ code: 'schema_drift', class: 'schema' })
    expect(failure.message).toContain('b')
  })

  test('a schema that widened since takes the narrower values, both ways', async () => {
    const schema = {
      id: 's',
      added: [],
      columns: [
        { id: 4, name: 'n', type: 'long' },
        { id: 5, name: 'f', type: 'double' },
        { id: 6, name: 'd', type: 'decimal(20,2)' },
      ],
    }
    const expected = ['7', Math.fround(0.1), '1.50']
    const sql = 'select 7::int as n, 0.1::real as f, 1.5::numeric(10,2) as d'
    expect((await pg.execute(sql, { schema })).produced.firstRows).toEqual([expected])
    const many = await pg.execute(`${sql} from generate_series(1, 5000)`, { schema })
    expect(many.produced.firstRows[0]).toEqual(expected)
  })
})

describe('cancel', () => {
  test('a query without rows is stopped at the server, and the server confirms it', async () => {
    const stop = new AbortController()
    const { run, work, pid } = await start(SILENT, { signal: stop.signal })
    await isActive(pid)
    stop.abort()
    expect(await pg.failure(work)).toMatchObject({ code: 'cancelled', class: 'cancelled' })
    expect(pg.engine.cancelled(run)).toMatchObject({ outcome: 'confirmed' })
    await isGone(pid)
  })

  test('a query in the middle of its rows is stopped at the server', async () => {
    const stop = new AbortController()
    const { run, work, pid, rows } = await start(ENDLESS, { signal: stop.signal })
    await rows
    stop.abort()
    expect(await pg.failure(work)).toMatchObject({ class: 'cancelled' })
    expect(pg.engine.cancelled(run)).toEqual({ outcome: 'confirmed', reason: 'the server answered that the query has ended' })
    await isGone(pid)
  })

  test('a job that waits for a connection never runs', async () => {
    const source: Source = { ...pg.source, name: 'narrow', maxActive: 1 }
    const first = new AbortController()
    const schema = (await pg.prepare('select 1 as n', { source })).schema
    const busy = await start(SILENT, { source, signal: first.signal })
    const second = new AbortController()
    const waiting = pg.execute('select 1 as n', { source, schema, signal: second.signal })
    second.abort()
    expect(await pg.failure(waiting)).toMatchObject({ class: 'cancelled' })
    first.abort()
    expect(await pg.failure(busy.work)).toMatchObject({ class: 'cancelled' })
  })

  test('after a cancel the next job gets a whole result', async () => {
    const source: Source = { ...pg.source, name: 'again', maxActive: 1 }
    const stop = new AbortController()
    const { work, rows } = await start(ENDLESS, { source, signal: stop.signal })
    await rows
    stop.abort()
    await pg.failure(work)
    expect((await pg.execute('select count(*) as n from generate_series(1, 10)', { source })).produced.firstRows).toEqual([['10']])
  })

  test('a server that cannot be reached any more is not said to have stopped', async () => {
    const proxy = await startProxy()
    const engine = new PostgresEngine({ pool: pg.duckdb, stopPatienceMs: 300 })
    const run = await pg.prepare(SILENT, { source: proxy.source })
    const stop = new AbortController()
    const began = Promise.withResolvers<string>()
    const work = engine.execute(run, { started: (id) => began.resolve(id ?? ''), progress: () => undefined }, stop.signal)
    const pid = await began.promise
    await isActive(pid)
    proxy.refuse()
    stop.abort()
    expect(await pg.failure(work)).toMatchObject({ class: 'cancelled' })
    const said = engine.cancelled(run)
    expect(said.outcome).toBe('not_confirmed')
    expect(said.reason).not.toContain(String(proxy.port))
    await pg.admin(`select pg_terminate_backend(${pid})`)
    await engine.close()
  })

  test('somebody else’s cancel is the source’s doing', async () => {
    const { work, pid } = await start(SILENT)
    await isActive(pid)
    await pg.admin(`select pg_cancel_backend(${pid})`)
    expect(await pg.failure(work)).toMatchObject({ code: 'stopped_by_source', class: 'source' })
  })
})

describe('limits', () => {
  test('the server stops a query at max_runtime', async () => {
    const { work, pid } = await start(SILENT, { maxRuntimeSeconds: 1 })
    const failure = await pg.failure(work)
    expect(failure).toMatchObject({ code: 'max_runtime', class: 'limit' })
    expect(failure.message).toContain('1 seconds')
    await isGone(pid)
  })

  test('the limit of one job does not stay for the next on the same connection', async () => {
    const source: Source = { ...pg.source, name: 'limited', maxActive: 1 }
    const limited = await pg.execute("select current_setting('statement_timeout') as t", { source, maxRuntimeSeconds: 7 })
    const free = await pg.execute("select current_setting('statement_timeout') as t", { source })
    expect([limited.produced.firstRows, free.produced.firstRows]).toEqual([[['7s']], [['0']]])
  })

  test('no more connections are open than max_active says', async () => {
    const source: Source = { ...pg.source, name: 'three', maxActive: 3 }
    const { schema } = await pg.prepare('select pg_backend_pid() as pid', { source })
    const runs = await Promise.all(Array.from({ length: 20 }, () => pg.execute('select pg_backend_pid() as pid', { source, schema })))
    expect(new Set(runs.map((ran) => ran.produced.firstRows[0]?.[0])).size).toBeLessThanOrEqual(3)
  })
})

describe('reading only', () => {
  const WRITES: [string, RegExp][] = [
    ['insert into x values (1)', /begins with "insert"/],
    ["copy (select 1) to program 'true'", /begins with "copy"/],
    ['copy (select 1) to stdout', /begins with "copy"/],
    ['select 1; select 2', /several/],
    ['/* a /* nested */ */ -- b\n delete from x', /begins with "delete"/],
    ['explain analyze select 1', /begins with "explain"/],
  ]
  for (const [sql, message] of WRITES) {
    test(`${JSON.stringify(sql)} is refused`, async () => {
      const failure = await pg.failure(pg.plan(sql))
      expect(failure).toMatchObject({ code: 'invalid_sql', class: 'sql' })
      expect(failure.message).toMatch(message)
    })
  }

  const SNEAKY = [
    'with gone as (delete from victims returning 1 as n) select n from gone',
    'select kill_victims() as n',
    "select set_config('transaction_read_only', 'off', true) as s, kill_victims() as n",
  ]
  test('what writes in disguise is stopped by the read-only transaction', async () => {
    await pg.admin(
      'create table victims (a int); insert into victims values (1); create function kill_victims() returns int language sql volatile as $$ delete from victims returning a $$',
    )
    for (const sql of SNEAKY) {
      const failure = await pg.failure(pg.execute(sql))
      expect(failure.class).toBe('sql')
      expect(failure.message).toMatch(/read-only|read-write/)
    }
    expect((await pg.execute('select count(*) as n from victims')).produced.firstRows).toEqual([['1']])
  })

  test('a statement that changes the session does not change it for the next job', async () => {
    const source: Source = { ...pg.source, name: 'tidy', maxActive: 1 }
    await pg.admin(
      "create function sly() returns text language sql volatile as $$ select set_config('TimeZone', 'Asia/Tokyo', false) || set_config('DateStyle', 'German', false) $$",
    )
    for (const sql of ["select set_config('extra_float_digits', '-15', false) as s", 'select sly() as s']) {
      await pg.execute(sql, { source })
      const { produced } = await pg.execute("select timestamptz '2024-01-02 03:04:05+00' as t, 0.1::float8 + 0.2::float8 as f", { source })
      expect(produced.firstRows).toEqual([['2024-01-02T03:04:05.000000Z', 0.30000000000000004]])
    }
  })
})

describe('secrets', () => {
  test('neither a failure nor its fields name host, user or password', async () => {
    const secret = 'hunter2-very-secret'
    const dsns = [
      `postgres://bob:${secret}@127.0.0.1:1/db`,
      `postgres://bob:${secret}@127.0.0.1:${pg.server.port}/db`,
      `host=127.0.0.1 port=${pg.server.port} user=bob password=${secret} nonsense=1`,
      `postgres://bob:${secret}@127.0.0.1:99999/db`,
      `not a dsn ${secret}`,
    ]
    for (const [n, dsn] of dsns.entries()) {
      const source: Source = { name: `s${n}`, type: 'postgres', dsn, maxActive: 1 }
      const failure = await pg.failure(pg.execute('select 1 as n', { source }))
      expect(JSON.stringify(failure)).not.toMatch(/hunter2|bob|127\.0\.0\.1/)
      expect(failure.message).toContain(`source "s${n}"`)
    }
  })

  test('a server’s message that quotes the password arrives without it', async () => {
    const source: Source = {
      ...pg.source,
      name: 'quoting',
      dsn: `postgres://scarab:hunter2-very-secret@127.0.0.1:${pg.server.port}/postgres`,
    }
    const failure = await pg.failure(pg.execute("select ('hunter2-very-secret' || now()::text)::int as n", { source }))
    expect(failure.message).not.toContain('hunter2')
    expect(failure.message).toContain('***')
  })
})

test('a statement’s error says where in the query it lies', async () => {
  const failure = await pg.failure(pg.plan('select 1 as n\nfrom nowhere'))
  expect(failure).toMatchObject({ code: 'invalid_sql', class: 'sql' })
  expect(failure.message).toMatch(/relation "nowhere" does not exist.*line 2, column 6.*42P01/)
})

test('the spool is gone when a run is over', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'scarab-spool-'))
  const run = await pg.prepare("select repeat('x', 1000) as t from generate_series(1, 10000)")
  await pg.engine.execute({ ...run, folder }, { started: () => undefined, progress: () => undefined }, new AbortController().signal)
  expect([...new Bun.Glob('**').scanSync(folder)]).toEqual(['0.parquet'])
})

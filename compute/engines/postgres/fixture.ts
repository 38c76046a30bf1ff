import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Column, ColumnType, ResultSchema } from '../../../edge/contract/columns.ts'
import { plainTask } from '../../../edge/contract/fixture.ts'
import { JobId, TenantId } from '../../../edge/contract/ids.ts'
import type { Argument, Param } from '../../../edge/contract/tasks.ts'
import { DuckdbPool } from '../../duckdb/pool.ts'
import { PATIENCE_MS } from '../../test-patience.ts'
import { EngineFault, type Plan, type Produced, type Run, type RunHooks, type Source, type SqlTask } from '../engine.ts'
import { PostgresEngine } from './engine.ts'
import { type PostgresOptions, type PostgresServer, startPostgres } from './test-server.ts'

/** What the tests of this folder share: a server, an engine, and a task run from end to end. */

export const TENANT = TenantId.parse('acme')
export const RUN_DATE = '2026-01-31'
let jobNumber = 0
const nextJob = () => {
  jobNumber += 1
  return JobId.parse(String(jobNumber).padStart(26, '0'))
}

export interface TaskOptions {
  params?: Param[]
  types?: Record<string, string>
}

export const taskOf = (sql: string, options: TaskOptions = {}): SqlTask => ({
  ...plainTask('test', { sql, db: ['pg'], params: options.params ?? [], family: 'tests.test' }),
  file: '/tasks/test.sql',
  line: 1,
  folder: '/tasks',
  raw: false,
  types: options.types ?? {},
})

/** Ids as the edge gives them: 1 to 3 are the system columns'. */
const withIds = (columns: readonly Column[]): Column[] => {
  let next = 4
  const id = () => next++
  const typed = (type: ColumnType): ColumnType =>
    typeof type === 'object' && type.type === 'list' ? { ...type, 'element-id': id(), element: typed(type.element) } : type
  return columns.map(({ name, type }) => ({ id: name === 'tenant_id' ? 1 : name === 'run_date' ? 3 : id(), name, type: typed(type) }))
}

export const schemaOf = (columns: readonly Column[]): ResultSchema => {
  const given = new Set(columns.map((column) => column.name))
  return { id: 's1', columns: withIds(columns), added: (['tenant_id', 'job_id', 'run_date'] as const).filter((name) => !given.has(name)) }
}

export interface Execution {
  args?: Argument[]
  hooks?: Partial<RunHooks>
  signal?: AbortSignal
  maxRuntimeSeconds?: number
  source?: Source
  schema?: ResultSchema
}

export interface Ran {
  run: Run
  produced: Produced
}

export interface Fixture {
  server: PostgresServer
  engine: PostgresEngine
  duckdb: DuckdbPool
  source: Source
  /** Runs statements as the superuser, for what tests need to exist. */
  admin(sql: string): Promise<void>
  plan(sql: string, options?: TaskOptions): Promise<Plan>
  prepare(sql: string, options?: TaskOptions & Execution): Promise<Run>
  execute(sql: string, options?: TaskOptions & Execution): Promise<Ran>
  /** The failure of a run that must fail. */
  failure(work: Promise<unknown>): Promise<EngineFault['failure']>
  /** Rows of the files that a run left (also of one that travels inline), as DuckDB's JSON. */
  read(ran: Ran, select?: string): Promise<unknown[][]>
  close(): Promise<void>
}

const QUIET = new AbortController().signal

export const openFixture = async (options: PostgresOptions = {}): Promise<Fixture> => {
  const server = await startPostgres(options)
  const home = await mkdtemp(join(tmpdir(), 'scarab-pg-engine-'))
  const duckdb = new DuckdbPool({ tempFolder: home, max: 1, warm: 1, threads: 2, memoryLimitBytes: 1024 ** 3 })
  await duckdb.start()
  // Only a server that never answers is given up here: a slow one is this machine's.
  const engine = new PostgresEngine({ pool: duckdb, stopPatienceMs: PATIENCE_MS / 2 })
  const source: Source = { name: 'pg', type: 'postgres', dsn: server.dsn(), maxActive: 4 }
  const admin = new Bun.SQL(server.dsn(), { max: 1 })
  const fixture: Fixture = {
    server,
    engine,
    duckdb,
    source,
    admin: async (sql) => {
      await admin.unsafe(sql).simple()
    },
    plan: (sql, task = {}) => engine.plan(taskOf(sql, task), null, source, QUIET),
    prepare: async (sql, of = {}) => {
      const task = taskOf(sql, of)
      const from = of.source ?? source
      const schema = of.schema ?? schemaOf((await engine.plan(task, null, from, QUIET)).columns)
      const folder = await mkdtemp(join(home, 'run-'))
      return {
        tenant: TENANT,
        job: nextJob(),
        attempt: 1,
        task,
        args: of.args ?? [],
        source: from,
        schema,
        runDate: RUN_DATE,
        folder,
        maxRuntimeSeconds: of.maxRuntimeSeconds ?? null,
      }
    },
    execute: async (sql, of = {}) => {
      const run = await fixture.prepare(sql, of)
      const hooks: RunHooks = { started: () => undefined, progress: () => undefined, ...of.hooks }
      return { run, produced: await engine.execute(run, hooks, of.signal ?? QUIET) }
    },
    failure: async (work) => {
      const error = await work.then(
        () => null,
        (cause: unknown) => cause,
      )
      if (!(error instanceof EngineFault)) throw new Error(`expected an EngineFault, got ${String(error)}`)
      return error.failure
    },
    read: async ({ run, produced }, select = '*') => {
      const [file] = produced.files
      const path = join(run.folder, 'read.parquet')
      if (produced.inline) await Bun.write(path, Buffer.from(produced.inline.parquet_base64, 'base64'))
      const from = produced.inline ? path : (file?.path ?? '')
      return duckdb.use({ folder: run.folder, allowed: [run.folder] }, QUIET, (session) =>
        session.run(`select ${select} from read_parquet('${from}')`),
      )
    },
    close: async () => {
      await admin.end()
      await engine.close()
      await duckdb.close()
      await server.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
  return fixture
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Column, type ColumnType, FIRST_REPORT_FIELD_ID, type ResultSchema, SYSTEM_COLUMNS } from '../../../edge/contract/columns.ts'
import { plainTask } from '../../../edge/contract/fixture.ts'
import { JobId, TenantId } from '../../../edge/contract/ids.ts'
import type { Argument, Param } from '../../../edge/contract/tasks.ts'
import { DuckdbPool } from '../../duckdb/pool.ts'
import type { Produced, Run, RunHooks, Source, SqlTask } from '../engine.ts'
import { DuckdbEngine } from './engine.ts'

/** What tests need to run a statement as a node would: a pool, an engine, folders, and the edge's part (ids). */

export const EMBEDDED: Source = { name: 'duckdb', type: 'duckdb', dsn: null, maxActive: 1 }
export const TENANT = TenantId.parse('demo')
export const JOB = JobId.parse('0123456789abcdefghjkmnpqrs')

export const sqlTask = (sql: string, folder: string, more: { params?: Param[]; types?: Record<string, string> } = {}): SqlTask => ({
  ...plainTask('try', { sql, params: more.params ?? [] }),
  file: join(folder, 'try.sql'),
  line: 1,
  folder,
  raw: false,
  types: more.types ?? {},
})

/** Gives every column and nested field an id, as the edge does. */
export const withIds = (columns: readonly Column[]): ResultSchema => {
  let next = FIRST_REPORT_FIELD_ID
  const numbered = (type: ColumnType): ColumnType => {
    if (typeof type === 'string') return type
    if (type.type === 'list') return { type: 'list', 'element-id': next++, element: numbered(type.element) }
    if (type.type === 'map')
      return { type: 'map', 'key-id': next++, key: numbered(type.key), 'value-id': next++, value: numbered(type.value) }
    return { type: 'struct', fields: type.fields.map((field) => ({ id: next++, name: field.name, type: numbered(field.type) })) }
  }
  const system = (name: string) => SYSTEM_COLUMNS.find((column) => column.name === name)
  return {
    id: 'schema-1',
    columns: columns.map((column) => ({ id: system(column.name)?.id ?? next++, name: column.name, type: numbered(column.type) })),
    added: SYSTEM_COLUMNS.map((column) => column.name).filter((name) => !columns.some((column) => column.name === name)),
  }
}

export const SILENT: RunHooks = { started: () => undefined, progress: () => undefined }

export interface TryOut {
  pool: DuckdbPool
  engine: DuckdbEngine
  /** The task's folder, which statements may read. */
  folder: string
  /** Everything that this try-out wrote. */
  root: string
  run(sql: string, more?: RunMore): Promise<{ produced: Produced; schema: ResultSchema }>
  close(): Promise<void>
}

export interface RunMore {
  args?: Argument[]
  params?: Param[]
  types?: Record<string, string>
  schema?: ResultSchema
  signal?: AbortSignal
  hooks?: RunHooks
  maxRuntimeSeconds?: number
  source?: Source
}

/** `after`: how long the pool waits for a statement that was interrupted. */
export const tryOut = async (after?: (ms: number, run: () => void) => Timer): Promise<TryOut> => {
  const root = await mkdtemp(join(tmpdir(), 'scarab-duckdb-'))
  const folder = await mkdtemp(join(root, 'tasks-'))
  const pool = new DuckdbPool({
    tempFolder: join(root, 'spill'),
    memoryLimitBytes: 512 * 1024 ** 2,
    ...(after === undefined ? {} : { after }),
  })
  await pool.start()
  const engine = new DuckdbEngine({ pool, allowedFolders: [folder] })
  const run = async (sql: string, more: RunMore = {}) => {
    const task = sqlTask(sql, folder, more)
    const signal = more.signal ?? new AbortController().signal
    const args = more.args ?? []
    const source = more.source ?? EMBEDDED
    const schema = more.schema ?? withIds((await engine.plan(task, args, source, signal)).columns)
    const of: Run = {
      tenant: TENANT,
      job: JOB,
      attempt: 1,
      task,
      args,
      source,
      schema,
      runDate: '2026-11-21',
      folder: await mkdtemp(join(root, 'run-')),
      maxRuntimeSeconds: more.maxRuntimeSeconds ?? null,
    }
    return { produced: await engine.execute(of, more.hooks ?? SILENT, signal), schema }
  }
  const close = async (): Promise<void> => {
    await pool.close()
    await rm(root, { recursive: true, force: true })
  }
  return { pool, engine, folder, root, run, close }
}

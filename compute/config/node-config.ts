import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { NodeId, PoolName, QueueName } from '../../edge/contract/ids.ts'
import { ENGINES } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import { EMBEDDED_DUCKDB } from '../tasks/sources.ts'
import type { Check, ConfigProblem } from './table.ts'
import { byteSize, isTable, listOf, oneOf, Table, text, wholeNumber } from './table.ts'
import { parseToml } from './toml.ts'

/** Jobs at once, where nothing is configured. DuckDB uses all processors for one query anyway. */
const DEFAULT_SLOTS = 4
/** The node protocol's limit (`Hello.slots`). */
const MAX_SLOTS = 1_000
/** Connections to one source, where nothing is configured: a report server must not crowd a database. */
const DEFAULT_MAX_ACTIVE = 8
const MAX_MAX_ACTIVE = 10_000
/** Where the sample reports' data lies, seen from the repository's root. */
const SAMPLE_DATA_FOLDER = 'node_modules/vega-datasets/data'
const DEFAULT_TASKS_FOLDER = 'tasks'

/** What a compute node is told by its owner. Folders are absolute. */
export interface NodeConfig {
  name: NodeId
  /** Jobs at once. */
  slots: number
  pool: PoolName
  /** Queues it listens to; null: all. */
  queues: QueueName[] | null
  labels: Record<string, string>
  /** What statements of DuckDB tasks may read, with what lies below. */
  allowedFolders: string[]
  /** Where the task files are. A single file is possible. */
  tasksFolders: string[]
  /** In the file's order; the embedded `duckdb` is the last, unless the file has a `[db.duckdb]`. */
  sources: Source[]
  /** Limits of one DuckDB child; null leaves it to the child pool. */
  duckdb: {
    threads: number | null
    /** DuckDB's own `memory_limit`; the process may have somewhat more. */
    memoryLimitBytes: number | null
    /** How much may spill to disk. */
    maxSpillBytes: number | null
  }
}

export interface ConfigRequest {
  /** The TOML file, or null for defaults alone (`SCARAB_CONFIG` unset). */
  file: string | null
  /** `SCARAB_TASKS` is read from here, and every `${NAME}` of the file. */
  env: Readonly<Record<string, string | undefined>>
  /** Folder in which `SCARAB_TASKS` and the defaults are looked for: the working folder of `npm start`. */
  root: string
  /** Options of the command line; they beat the file. `slots` as it was written: what is no number is refused by its text. */
  options?: { name?: string; slots?: number | string; pool?: string; queues?: string[] }
}

export type ConfigResult = { ok: true; config: NodeConfig } | { ok: false; problems: ConfigProblem[] }

/** `node.toml: db.warehouse.dsn: …` */
export const formatConfigProblem = ({ file, key, message }: ConfigProblem): string =>
  [file, key, message].filter((part) => part !== null && part !== '').join(': ')

/** A check by one of the contract's schemas, whose issue says what is expected. */
const byContract =
  <T>(schema: {
    safeParse(value: unknown): { success: true; data: T } | { success: false; error: { issues: { message: string }[] } }
  }): Check<T> =>
  (value) => {
    const parsed = schema.safeParse(value)
    if (parsed.success) return { ok: true, value: parsed.data }
    return { ok: false, detail: `is not possible: ${parsed.error.issues[0]?.message ?? 'wrong form'}` }
  }

const folderText = text('the name of a folder', /^[^\0]+$/)
const anyText = text('a text', /^[^\0]*$/)

/** Schemes that plainly belong to another engine. The address itself is never repeated. */
const SCHEMES: Partial<Record<Source['type'], RegExp>> = {
  postgres: /^(postgres|postgresql):\/\//i,
  risingwave: /^(postgres|postgresql):\/\//i,
  mysql: /^mysql:\/\//i,
  starrocks: /^mysql:\/\//i,
  clickhouse: /^(https?|clickhouse|tcp):\/\//i,
  trino: /^https?:\/\//i,
}

const dsnFor =
  (type: Source['type']): Check<string> =>
  (value) => {
    if (typeof value !== 'string' || value.trim() === '') return { ok: false, detail: `is empty; write the address of the ${type} server` }
    const scheme = SCHEMES[type]
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) && scheme !== undefined && !scheme.test(value)) {
      return { ok: false, detail: `is the address of another kind of server; correct it, or the type "${type}"` }
    }
    return { ok: true, value }
  }

/** A database file lies relative to the configuration; `:memory:` and addresses with a scheme are no files. */
const databaseFile = (folder: string, dsn: string): string => (/^(:memory:|[a-z][a-z0-9+]+:)/i.test(dsn) ? dsn : resolve(folder, dsn))

const readSource = (name: string, table: Table, folder: string, slots: number): Source | null => {
  const type = table.take('type', oneOf(ENGINES), null)
  if (!table.has('type'))
    table.problem(null, `has no type; write type = "postgres" (or ${ENGINES.filter((engine) => engine !== 'postgres').join(', ')})`)
  const dsn = type === null ? table.take('dsn', anyText, null, { secret: true }) : table.take('dsn', dsnFor(type), null, { secret: true })
  const maxActive = table.take('max_active', wholeNumber(0, MAX_MAX_ACTIVE), type === 'duckdb' ? slots : DEFAULT_MAX_ACTIVE)
  // DungBeetle's keys of its connection pool: taken, so that its files work as they are; our pools have no use for them.
  table.take('max_idle', wholeNumber(0, MAX_MAX_ACTIVE), null)
  table.take('connect_timeout', anyText, null)
  table.finish()
  if (name === '' || name.trim() !== name || /[,\p{Cc}]/u.test(name)) {
    table.problem(
      null,
      'cannot be named so; a task\'s "db" is a list with commas, so use a name without commas and without blanks at its ends',
    )
    return null
  }
  if (type === null) return null
  if (name === EMBEDDED_DUCKDB.name && type !== 'duckdb') {
    table.problem('type', `"${type}" is not possible: the name "${name}" belongs to the embedded DuckDB; give this source another name`)
    return null
  }
  if (type !== 'duckdb' && dsn === null) {
    if (!table.has('dsn')) table.problem(null, `has no dsn; write dsn = "\${NAME}" and put the address into that environment variable`)
    return null
  }
  // DungBeetle takes 0 for "no limit"; a node never runs more than its slots.
  return {
    name,
    type,
    dsn: type === 'duckdb' && dsn !== null ? databaseFile(folder, dsn) : dsn,
    maxActive: maxActive === 0 ? slots : maxActive,
  }
}

const asNumber = (value: number | string | undefined): unknown => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value)

/** The host's name as a node's, or `node` where nothing of it can be used. */
const nameOfHost = (): NodeId => {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63)
  return NodeId.parse(name === '' ? 'node' : name)
}

/** `SCARAB_TASKS`: folders separated by commas or colons. */
const foldersOf = (list: string | undefined): string[] =>
  (list ?? '')
    .split(/[,:]/)
    .map((folder) => folder.trim())
    .filter((folder) => folder !== '')

const DUNGBEETLE_SECTIONS: Readonly<Record<string, string>> = {
  results: 'results go to Iceberg, so there are no result databases here; remove the section',
  app: 'it is a section of DungBeetle; remove it',
  job_queue: 'jobs are kept at the edge, so no queue server is needed; remove the section',
}

/**
 * Reads a node's configuration. Never throws and never repeats a `dsn` or a variable's value.
 * @example loadNodeConfig({ file: null, env: {}, root: '/srv/scarab' }) // { ok: true, config: { slots: 4, … } }
 */
export const loadNodeConfig = (request: ConfigRequest): ConfigResult => {
  if (request.file === null) return readNodeConfig({ ...request, content: '' })
  const file = resolve(request.root, request.file)
  let content: string
  try {
    content = readFileSync(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return {
      ok: false,
      problems: [{ file, key: null, message: `the configuration cannot be read (${reason}); check SCARAB_CONFIG and the file's rights` }],
    }
  }
  return readNodeConfig({ ...request, file, content })
}

/** The same for a text that is already there. Relative folders begin at the file's folder, or at `root` without one. */
export const readNodeConfig = ({ file, content, env, root, options = {} }: ConfigRequest & { content: string }): ConfigResult => {
  const parsed = parseToml(content)
  if (!parsed.ok) return { ok: false, problems: [{ file, key: null, message: parsed.detail }] }
  const problems: ConfigProblem[] = []
  const folder = file === null ? root : dirname(resolve(root, file))
  const top = new Table(isTable(parsed.value) ? parsed.value : {}, '', { file, env, problems })

  const node = top.table('node')
  const asOption = <T>(name: string, value: unknown, check: Check<T>): T | null => {
    if (value === undefined) return null
    const checked = check(value)
    if (checked.ok) return checked.value
    problems.push({ file: null, key: `--${name}`, message: `${JSON.stringify(value)} ${checked.detail}` })
    return null
  }
  const queueList = listOf(byContract(QueueName))
  const name = node.take('name', byContract(NodeId), null)
  const ownSlots = node.take('slots', wholeNumber(1, MAX_SLOTS), DEFAULT_SLOTS)
  const slots = asOption('slots', asNumber(options.slots), wholeNumber(1, MAX_SLOTS)) ?? ownSlots
  const pool = node.take('pool', byContract(PoolName), PoolName.parse('default'))
  const queues = node.take('queues', queueList, null)
  if (queues !== null && queues.length === 0)
    node.problem('queues', 'names no queue, so the node would never work; name some, or leave the key out for all')
  const labelTable = node.table('labels')
  const labels = Object.fromEntries(labelTable.names().map((label) => [label, labelTable.take(label, anyText, '')]))
  const ownTasks = node.take('tasks', listOf(folderText), null)
  const ownAllowed = node.take('allowed_folders', listOf(folderText), null)
  node.finish()

  const engine = top.table('duckdb')
  const duckdb: NodeConfig['duckdb'] = {
    threads: engine.take('threads', wholeNumber(1, 1_024), null),
    memoryLimitBytes: engine.take('memory_limit', byteSize, null),
    maxSpillBytes: engine.take('max_spill', byteSize, null),
  }
  engine.finish()

  const databases = top.table('db')
  const sources = databases.names().flatMap((source) => readSource(source, databases.table(source), folder, slots) ?? [])
  if (!databases.has(EMBEDDED_DUCKDB.name)) sources.push({ ...EMBEDDED_DUCKDB, maxActive: slots })
  top.finish(DUNGBEETLE_SECTIONS)

  const fromEnv = foldersOf(env.SCARAB_TASKS).map((path) => resolve(root, path))
  const fromFile = ownTasks?.map((path) => resolve(folder, path))
  const tasksFolders = fromEnv.length > 0 ? fromEnv : (fromFile ?? [resolve(root, DEFAULT_TASKS_FOLDER)])
  const allowedFolders = ownAllowed?.map((path) => resolve(folder, path)) ?? [
    ...new Set([...tasksFolders, resolve(root, SAMPLE_DATA_FOLDER)]),
  ]

  const config: NodeConfig = {
    name: asOption('name', options.name, byContract(NodeId)) ?? name ?? nameOfHost(),
    slots,
    pool: asOption('pool', options.pool, byContract(PoolName)) ?? pool,
    queues: asOption('queue', options.queues, queueList) ?? queues,
    labels,
    allowedFolders,
    tasksFolders,
    sources,
    duckdb,
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, config }
}

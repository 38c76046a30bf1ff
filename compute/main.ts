import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { availableParallelism, tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createAgent } from './agent/agent.ts'
import { keepDescribing } from './agent/describe-again.ts'
import type { PackRequest } from './agent/packs.ts'
import { openSpool } from './agent/spool.ts'
import { formatConfigProblem, loadNodeConfig, type NodeConfig } from './config/node-config.ts'
import { DuckdbPool } from './duckdb/pool.ts'
import { DuckdbEngine } from './engines/duckdb/engine.ts'
import { type Engine, EngineFault, type EngineName } from './engines/engine.ts'
import { PostgresEngine } from './engines/postgres/engine.ts'
import { makePack } from './results/pack.ts'
import { closeSlicers, runSlice } from './slices/slicer.ts'
import { Catalogue } from './tasks/catalogue.ts'
import { formatProblem } from './tasks/problem.ts'

/**
 * A compute node: `bun compute/main.ts --edge URL --token-file FILE [--name N] [--queue Q]… [--slots N | --concurrency N] [--config TOML] [--spool FOLDER]`.
 * It dials the edge, announces its tasks and runs what it is offered, until SIGTERM or SIGINT.
 */

/** sysexits.h, EX_CONFIG: starting again cannot help. The launcher reads this code. */
const EXIT_CONFIG = 78
const DEFAULT_DRAIN_SECONDS = 10
/** A browser attaches a pack by ranges, but sorting and grouping take its memory: larger results are read in slices. */
const MAX_PACK_PARQUET_BYTES = 512 * 1024 * 1024

const log = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`)
const giveUp = (line: string): never => {
  process.stderr.write(`scarab node: ${line}\n`)
  process.exit(EXIT_CONFIG)
}

const readOptions = () => {
  try {
    return parseArgs({
      options: {
        edge: { type: 'string', default: process.env.SCARAB_EDGE },
        'token-file': { type: 'string', default: process.env.SCARAB_TOKEN_FILE },
        name: { type: 'string' },
        queue: { type: 'string', multiple: true },
        slots: { type: 'string' },
        // DungBeetle's name for it.
        concurrency: { type: 'string' },
        config: { type: 'string', default: process.env.SCARAB_CONFIG },
        spool: { type: 'string' },
        // The node ends with whoever holds the other end of its standard input.
        'with-parent': { type: 'boolean', default: false },
      },
    }).values
  } catch (fault) {
    return giveUp(fault instanceof Error ? fault.message : String(fault))
  }
}

const root = dirname(import.meta.dirname)
const options = readOptions()
const readEdge = (text: string): URL => {
  const edge = URL.parse(text)
  if (edge !== null && /^https?:$/.test(edge.protocol)) return edge
  return giveUp(`--edge "${text}" is not an http address: give the edge's, such as https://scarab.example.com`)
}
const edge = options.edge
  ? readEdge(options.edge)
  : giveUp("--edge is missing: give the edge's address, such as https://scarab.example.com")
const tokenFile = options['token-file']
  ? resolve(options['token-file'])
  : giveUp('--token-file is missing: name the file that holds the node token')
try {
  readFileSync(tokenFile)
} catch (fault) {
  const code = fault instanceof Error && 'code' in fault ? String(fault.code) : String(fault)
  giveUp(`--token-file ${tokenFile} cannot be read (${code}): put a node's token there, or name the file that holds it`)
}
const slots = options.slots ?? options.concurrency
if (options.concurrency !== undefined && options.concurrency !== slots)
  giveUp(`--slots ${slots} and --concurrency ${options.concurrency} mean the same: give one of them`)
const loaded = loadNodeConfig({
  file: options.config ? options.config : null,
  env: process.env,
  root,
  options: {
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(slots === undefined ? {} : { slots }),
    ...(options.queue === undefined ? {} : { queues: options.queue.flatMap((list) => list.split(',')) }),
  },
})
const config: NodeConfig = loaded.ok ? loaded.config : giveUp(loaded.problems.map(formatConfigProblem).join('\n  '))

const spoolRoot = resolve(options.spool ?? join(tmpdir(), `scarab-${userInfo().username}`, config.name))
const cacheFolder = join(spoolRoot, 'slices')
try {
  mkdirSync(cacheFolder, { recursive: true, mode: 0o700 })
} catch (fault) {
  giveUp(
    `the spool folder ${spoolRoot} cannot be written (${fault instanceof Error ? fault.message : String(fault)}): choose another by --spool`,
  )
}
const spool = await openSpool(join(spoolRoot, 'attempts'))
const pool = new DuckdbPool({
  tempFolder: join(spoolRoot, 'duckdb'),
  // One more than can compute at once, so that a pack does not stand in a job's way.
  max: Math.min(config.slots, availableParallelism()) + 1,
  ...(config.duckdb.threads === null ? {} : { threads: config.duckdb.threads }),
  ...(config.duckdb.memoryLimitBytes === null ? {} : { memoryLimitBytes: config.duckdb.memoryLimitBytes }),
  maxSpillBytes: config.duckdb.maxSpillBytes,
})
const warm = pool.start()
// Who needs a child hears of the failure; the node serves other engines meanwhile.
warm.catch((fault: unknown) => log(`DuckDB could not be started: ${fault instanceof Error ? fault.message : String(fault)}`))

const engines = new Map<EngineName, Engine>([
  ['duckdb', new DuckdbEngine({ pool, allowedFolders: config.allowedFolders })],
  ['postgres', new PostgresEngine({ pool })],
])

const pack = async ({ produced, schema, folder, signal }: PackRequest): Promise<{ path: string; bytes: number; sha256: string } | null> => {
  const bytes = produced.files.reduce((sum, file) => sum + file.bytes, 0)
  if (produced.files.length === 0 || bytes > MAX_PACK_PARQUET_BYTES) return null
  const path = join(folder, 'result.duckdb')
  const made = await pool.use({ folder, allowed: null }, signal, (session) => makePack(session, produced.files, schema, path))
  return { path, ...made }
}

// ---- tasks -------------------------------------------------------------------------------------------------------------

const stop = new AbortController()
const found = await Catalogue.load(config.tasksFolders, config.sources)
let catalogue = found
let said = 0
const sayProblems = (from: Catalogue): void => {
  for (const problem of from.problems.slice(said)) log(formatProblem(problem))
  said = Math.max(said, from.problems.length)
}
sayProblems(found)

const agent = createAgent({
  edge,
  token: () => Bun.file(tokenFile).text(),
  name: config.name,
  session: randomBytes(18).toString('base64url'),
  slots: config.slots,
  queues: config.queues,
  labels: config.labels,
  sources: config.sources,
  engines,
  spool,
  find: (name, hash) => catalogue.find(name, hash),
  pack,
  slice: (message) => runSlice(message, { edge, fetch, cacheFolder }),
  ended: giveUp,
  log,
})

// ---- the way out -------------------------------------------------------------------------------------------------------

let leaving = false
const leave = async (signal: string): Promise<void> => {
  if (leaving) {
    if (signal === 'SIGINT') process.exit(130)
    return
  }
  leaving = true
  const given = Number(process.env.SCARAB_DRAIN_SECONDS ?? DEFAULT_DRAIN_SECONDS)
  const seconds = Number.isFinite(given) && given >= 0 ? given : DEFAULT_DRAIN_SECONDS
  log(`${signal}: draining, running jobs get ${seconds} s`)
  stop.abort()
  await agent.drain(seconds)
  await Promise.allSettled([closeSlicers(), pool.close(), ...[...engines.values()].map((engine) => engine.close())])
  process.exit(0)
}
process.on('SIGTERM', () => void leave('SIGTERM'))
process.on('SIGINT', () => void leave('SIGINT'))
if (options['with-parent']) {
  process.stdin.on('error', () => process.exit(0))
  process.stdin.on('end', () => process.exit(0))
  process.stdin.resume()
}

// ---- work --------------------------------------------------------------------------------------------------------------

agent.start()
log(`node ${config.name}: ${config.slots} slots, ${found.tasks.length} tasks, edge ${edge.origin}`)
await keepDescribing({
  catalogue: found,
  sources: config.sources,
  signal: stop.signal,
  plan: (task, source, signal) => {
    const engine = engines.get(source.type)
    if (!engine)
      throw new EngineFault({ code: 'unknown_engine', message: `this node has no engine for type "${source.type}"`, class: 'source' })
    return engine.plan(task, null, source, signal)
  },
  changed: (described) => {
    catalogue = described
    sayProblems(described)
    agent.announce(described.announcements())
  },
})

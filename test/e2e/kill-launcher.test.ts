import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { processesOf } from '../../edge/embedded/processes.ts'
import { eventually } from '../support/patience.ts'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type Client, client } from './support/client.ts'
import { eventOf, follow, readJob } from './support/follow.ts'
import { descendants } from './support/processes.ts'
import { type Observer, observe } from './support/sql.ts'
import { writeTasks } from './support/world.ts'

/** `npm start` as a person or a service manager sees it: lines, signals and exit codes. */

const BOOTSTRAP = join(import.meta.dirname, '../../edge/embedded/bootstrap.mjs')
const GATE = 815
const ROWS = 2_000

const TASKS = {
  'gated.sql': `
-- name: gated
-- db: shop
WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(${GATE})::text AS open)
SELECT i, md5(i::text) || open AS text FROM gate, generate_series(1, ${ROWS}) AS s (i)
`,
}

interface Launched {
  process: ChildProcess
  /** Resolves with the line on stdout that begins so. */
  line(start: string): Promise<string>
  /** Resolves when it says that it is ready, with where. */
  ready(): Promise<string>
  stdout: string[]
  stderr: string[]
  exit: Promise<number | null>
}

const folder = mkdtempSync(join(tmpdir(), 'scarab-launch-'))
let server: PostgresServer
let gate: Observer
/** Where the launcher that was ready last is, or was. */
let origin = ''
const launched = new Set<Launched>()

const launch = (env: Record<string, string> = {}): Launched => {
  const child = spawn(process.execPath, [BOOTSTRAP, 'start'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      SCARAB_PORT: '0',
      SCARAB_STATE: join(folder, 'state'),
      SCARAB_TASKS: join(folder, 'tasks'),
      SCARAB_CONFIG: join(folder, 'node.toml'),
      SCARAB_DEMO: '0',
      ...env,
    },
  })
  const stdout: string[] = []
  const stderr: string[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: child.stdout }).on('line', (text) => {
    stdout.push(text)
    for (const look of waiting) look()
  })
  createInterface({ input: child.stderr }).on('line', (text) => stderr.push(text))
  const exit = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  const one: Launched = {
    process: child,
    stdout,
    stderr,
    exit,
    line: (start) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = stdout.find((text) => text.startsWith(start))
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        void exit.then((code) => reject(new Error(`it ended with ${code} before it said "${start}": ${[...stdout, ...stderr].join('\n')}`)))
        look()
      }),
    ready: async () => {
      origin = (await one.line('ready ')).slice('ready '.length)
      return origin
    },
  }
  launched.add(one)
  void exit.then(() => launched.delete(one))
  return one
}

/** With the token that the launcher leaves in the state folder, as a script would. */
const person = (): Client => client(origin, readFileSync(join(folder, 'state/dev-token'), 'utf8').trim())

const untilGated = (waiting: number): Promise<void> =>
  eventually(async () => {
    const found = await gate.query(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted`)
    expect(found).toEqual([[String(waiting)]])
  })
const closeGate = (): Promise<unknown> => gate.query(`SELECT pg_advisory_lock(${GATE})`)
const openGate = (): Promise<unknown> => gate.query(`SELECT pg_advisory_unlock(${GATE})`)

beforeAll(async () => {
  server = await startPostgres()
  gate = await observe(server.port)
  mkdirSync(join(folder, 'tasks'))
  writeTasks(folder, { 'node.toml': `[db.shop]\ntype = "postgres"\ndsn = "${server.dsn()}"\n` })
  writeTasks(join(folder, 'tasks'), TASKS)
})
afterEach(async () => {
  for (const one of launched) one.process.kill('SIGTERM')
  await Promise.all([...launched].map(({ exit }) => exit))
})
afterAll(async () => {
  await gate.close()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** SIGTERM, then its exit code: 0 only where it was out before it would have ended itself by force (edge/embedded/settings.ts). */
const terminate = async (one: Launched): Promise<number | null> => {
  one.process.kill('SIGTERM')
  const code = await one.exit
  expect(processesOf(join(folder, 'state'))).toEqual([])
  return code
}

test('a running job finishes within the drain, and a second start has its result', async () => {
  const first = launch({ SCARAB_DRAIN_SECONDS: '60' })
  expect(await first.ready()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  await closeGate()
  const { id } = await person().submit('gated')
  await untilGated(1)
  const ended = terminate(first)
  await first.line('draining')
  await openGate()
  expect(await ended).toBe(0)
  expect(first.stderr).toEqual([])

  const second = launch()
  await second.ready()
  const { events } = await follow(person(), id)
  expect(events.filter(({ state }) => state === 'running')).toHaveLength(1)
  expect(await readJob(person(), id)).toMatchObject({ state: 'succeeded', attempt: 1, tries: 1, rows: ROWS, publication: 'published' })
  expect((await person().result(id)).rows).toBe(ROWS)
  expect(await terminate(second)).toBe(0)
})

test('a job that the drain cannot finish goes back unburnt, and the next start runs it', async () => {
  const first = launch({ SCARAB_DRAIN_SECONDS: '1' })
  await first.ready()
  await closeGate()
  const { id } = await person().submit('gated')
  await untilGated(1)
  expect(await terminate(first)).toBe(0)
  // Its query died with it: nothing waits at the server any more.
  await untilGated(0)

  const second = launch({ SCARAB_DRAIN_SECONDS: '1' })
  await second.ready()
  await untilGated(1)
  await openGate()
  const { events } = await follow(person(), id)
  expect(events.find(({ reason }) => reason !== undefined)).toMatchObject({ state: 'waiting', reason: 'the node is shutting down' })
  expect(await readJob(person(), id)).toMatchObject({ state: 'succeeded', attempt: 2, tries: 1, rows: ROWS })

  // ---- while it runs: others that want its place get one clear line each
  const same = launch()
  expect(await same.exit).toBe(1)
  expect(same.stdout).toEqual([])
  expect(same.stderr).toHaveLength(1)
  expect(same.stderr[0]).toMatch(/^scarab: another instance is running on .*state.*choose another folder by SCARAB_STATE$/)

  const { port } = new URL(origin)
  const other = launch({ SCARAB_STATE: join(folder, 'other'), SCARAB_PORT: port })
  expect(await other.exit).toBe(1)
  expect(other.stderr).toHaveLength(1)
  expect(other.stderr[0]).toMatch(new RegExp(`^scarab: port ${port} is in use: .*SCARAB_PORT$`))
  expect(await readJob(person(), id)).toMatchObject({ state: 'succeeded' })
})

test('a launcher killed without warning leaves nothing that stops the next start, which goes on with its jobs', async () => {
  const first = launch()
  await first.ready()
  await closeGate()
  const { id } = await person().submit('gated')
  await eventOf(person(), id, ({ state }) => state === 'running')
  await untilGated(1)
  for (const pid of descendants(first.process.pid ?? 0, 'edge/embedded/start.ts')) process.kill(pid, 'SIGKILL')
  await first.exit

  const second = launch({ SCARAB_DRAIN_SECONDS: '1' })
  await second.ready()
  await eventOf(person(), id, ({ state, attempt }) => state === 'running' && attempt === 2)
  await openGate()
  await follow(person(), id)
  expect(await readJob(person(), id)).toMatchObject({ state: 'succeeded', attempt: 2, rows: ROWS })
  expect(await terminate(second)).toBe(0)
})

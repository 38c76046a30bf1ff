import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Column } from '../../edge/contract/columns.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { type Fixture, fixture, messageOf, schemaOf } from './fixture.ts'
import type { LocalResult, SandboxSettings, SliceTask } from './protocol.ts'
import { Relation } from './relation.ts'
import { Sandbox } from './sandbox.ts'

setDefaultTimeout(PATIENCE_MS)

const COLUMNS: Column[] = [{ id: 4, name: 'id', type: 'long' }]
const MIB = 1024 * 1024

let made: Fixture
let settings: SandboxSettings
let pack: LocalResult
let parquet: LocalResult
let other: string

beforeAll(async () => {
  made = await fixture()
  const folder = join(made.folder, 'tenant')
  mkdirSync(join(folder, 'files'), { recursive: true })
  settings = {
    parent: process.pid,
    folder,
    threads: 2,
    memoryLimitBytes: 200 * MIB,
    processLimitBytes: 1024 * MIB,
    maxSpillBytes: 100 * MIB,
  }
  const bring = async (kind: 'pack' | 'parquet', statement: string): Promise<string> => {
    const file = await made.make(kind, statement)
    const name = `files/${file.sha256}.${kind}`
    writeFileSync(join(folder, name), new Uint8Array(await (await made.fetch(new URL(file.url, 'http://edge.test'))).arrayBuffer()))
    return name
  }
  const rows = 'SELECT i::BIGINT AS id FROM range(10) t(i)'
  const base = { schema: schemaOf(COLUMNS), rows: 10 }
  pack = { ...base, key: 'pack', pack: await bring('pack', `CREATE TABLE made.result AS ${rows}`), parquet: [] }
  parquet = { ...base, key: 'parquet', pack: null, parquet: [await bring('parquet', `COPY (${rows}) TO '$FILE' (FORMAT parquet)`)] }
  other = join(folder, await bring('parquet', "COPY (SELECT 'secret' AS s) TO '$FILE' (FORMAT parquet)"))
})
afterAll(() => made.close())

const task = (sql: string): SliceTask => {
  const { query, scope, format, hash } = messageOf({ sql }, schemaOf(COLUMNS), 10, [])
  return { result: pack, query, scope, format, hash, maxBodyBytes: 100_000, answerFile: 'answers/a' }
}

/** Past the door: what an own statement of ours, or a hole in the judgement, would meet. */
describe('the locked database refuses by itself', () => {
  const WALL: [string, () => string, RegExp][] = [
    ['a file', () => "SELECT * FROM read_csv('/etc/passwd')", /Permission Error/],
    ['a file by its name', () => "SELECT * FROM '/etc/passwd.csv'", /Permission Error/],
    ['the environment', () => "SELECT * FROM read_blob('/proc/self/environ')", /Permission Error/],
    ['a listing', () => "SELECT * FROM glob('/etc/*')", /Permission Error/],
    ['another result', () => `SELECT * FROM read_parquet('${other}')`, /Permission Error/],
    ['the network', () => "SELECT * FROM read_csv('http://127.0.0.1:1/x')", /(Permission|Missing Extension) Error/],
    ['writing', () => "COPY (SELECT 1) TO '/tmp/scarab-stolen.csv'", /Permission Error/],
    ['an export', () => "EXPORT DATABASE '/tmp/scarab-stolen'", /Permission Error/],
    ['attaching', () => "ATTACH '/tmp/scarab-x.duckdb'", /Permission Error/],
    ['an extension', () => "LOAD '/tmp/x.duckdb_extension'", /Permission Error/],
    ['installing', () => 'INSTALL httpfs', /(Permission|IO) Error/],
    ['opening the lock', () => 'SET lock_configuration = false', /locked/],
    ['opening the access', () => 'SET enable_external_access = true', /locked/],
    ['a wider memory', () => "SET memory_limit = '100GB'", /locked/],
    ['a reset', () => 'RESET allowed_paths', /locked/],
    ['changing the result', () => 'INSERT INTO pack.main.result VALUES (1)', /read-only|does not exist/],
  ]
  for (const kind of ['pack', 'parquet'] as const)
    test.each(WALL)(`over ${kind}: %s`, async (_what, sql, message) => {
      const before = process.cwd()
      process.chdir(settings.folder)
      const relation = await Relation.open(kind === 'pack' ? pack : parquet, settings, 'spill')
      try {
        await relation.use(async (connection) => {
          const said = await connection.run(sql()).then(
            () => 'it was done',
            (error: unknown) => String(error),
          )
          expect(said).toMatch(message)
          const rows = (await connection.runAndReadAll('SELECT sum(id) FROM result')).getRowsJson()
          expect(rows).toEqual([['45']])
        })
      } finally {
        relation.close()
        process.chdir(before)
      }
    })
})

describe('the child process', () => {
  test('has nothing of the node in its environment, and may open no socket', async () => {
    process.env.SCARAB_TEST_SECRET = 'hidden'
    const sandbox = new Sandbox(settings)
    try {
      expect(await sandbox.run(task('SELECT count(*) FROM result'), 240_000)).toMatchObject({ ok: true })
      const environment = readFileSync(`/proc/${sandbox.pid}/environ`, 'utf8').split('\0').filter(Boolean)
      const names = environment.map((line) => line.split('=')[0] ?? '').sort()
      expect(names.filter((name) => !name.startsWith('NODE_CHANNEL'))).toEqual([
        'BUN_ENABLE_CRASH_REPORTING',
        'DO_NOT_TRACK',
        'HOME',
        'TMPDIR',
        'TZ',
        'UV_THREADPOOL_SIZE',
      ])
      expect(readFileSync(`/proc/${sandbox.pid}/status`, 'utf8')).toMatch(/^Seccomp:\s+2$/m)
    } finally {
      delete process.env.SCARAB_TEST_SECRET
      await sandbox.close()
    }
  })

  test('answers what waits when it is ended, and takes nothing more', async () => {
    const sandbox = new Sandbox(settings)
    const endless = 'WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t'
    const pending = Array.from({ length: 6 }, () => sandbox.run(task(endless), 240_000))
    await sandbox.close()
    for (const answer of await Promise.all(pending)) expect(answer).toMatchObject({ ok: false, code: 'unavailable' })
    expect(await sandbox.run(task('SELECT 1'), 1_000)).toMatchObject({ ok: false, code: 'unavailable' })
  })

  test('ends with its node, even when that is killed', async () => {
    const script = `
      import { Sandbox } from ${JSON.stringify(join(import.meta.dir, 'sandbox.ts'))}
      const sandbox = new Sandbox({ ...${JSON.stringify(settings)}, parent: process.pid })
      await sandbox.run(${JSON.stringify(task('SELECT 1'))}, 240000)
      console.log('answered')
      sandbox.run(${JSON.stringify(task('WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t'))}, 240000)
      setInterval(() => {}, 1000)`
    const node = Bun.spawn({ cmd: [process.execPath, '-e', script], stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
    const reader = node.stdout.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toContain('answered')
    node.kill('SIGKILL')
    // The child holds the other end of this pipe: it closes when both are gone.
    expect(await new Response(node.stderr).text()).toBe('')
  })
})

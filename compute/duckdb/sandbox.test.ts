import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EngineFault } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { DuckdbPool } from './pool.ts'

setDefaultTimeout(PATIENCE_MS)

let root: string
let pool: DuckdbPool
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'scarab-sandbox-')))
  await mkdir(join(root, 'tasks', 'deep'), { recursive: true })
  await mkdir(join(root, 'tasks-of-others'))
  await writeFile(join(root, 'tasks', 'a.csv'), 'x\n1\n')
  await writeFile(join(root, 'tasks', 'deep', 'b.csv'), 'x\n2\n')
  await writeFile(join(root, 'tasks-of-others', 'secret.csv'), 'x\n3\n')
  pool = new DuckdbPool({ tempFolder: join(root, 'spill'), memoryLimitBytes: 256 * 1024 ** 2, max: 1 })
})
afterAll(async () => {
  await pool.close()
  await rm(root, { recursive: true, force: true })
})

const run = (sql: string, folder = join(root, 'tasks')) =>
  pool.use({ folder, allowed: [join(root, 'tasks')] }, new AbortController().signal, async (session) => {
    await session.describe(sql, [])
    return session.run(sql)
  })
/** Past the check for one SELECT, as our own statements go: the locked settings alone must hold. */
const runAnything = (sql: string) =>
  pool.use({ folder: join(root, 'tasks'), allowed: [join(root, 'tasks')] }, new AbortController().signal, (session) => session.run(sql))
const refused = async (work: Promise<unknown>): Promise<string> => {
  try {
    return `ran: ${JSON.stringify(await work)}`
  } catch (error) {
    if (error instanceof EngineFault) return `${error.failure.class} ${error.failure.code}: ${error.failure.message}`
    throw error
  }
}

describe('the sandbox of task statements', () => {
  test('relative names begin in the folder of the task', async () => {
    expect(await run("SELECT x FROM 'a.csv'")).toEqual([['1']])
    expect(await run("SELECT x FROM 'deep/b.csv'")).toEqual([['2']])
    expect(await run("SELECT x FROM '../a.csv'", join(root, 'tasks', 'deep'))).toEqual([['1']])
    expect(await run(`SELECT x FROM '${root}/tasks/a.csv'`)).toEqual([['1']])
  })

  test.each([
    "SELECT * FROM '../tasks-of-others/secret.csv'",
    "SELECT * FROM 'deep/../../tasks-of-others/secret.csv'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_csv('//etc//passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_csv('https://example.com/a.csv')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM read_duckdb('/tmp/none.duckdb')",
  ])('refuses %p', async (sql) => {
    expect(await refused(run(sql))).toMatch(/^sql (file_not_allowed|invalid_sql): /)
  })

  test('refuses a neighbour whose name begins alike', async () => {
    expect(await refused(run(`SELECT * FROM '${root}/tasks-of-others/secret.csv'`))).toContain('sql file_not_allowed')
  })

  test.each([
    "COPY (SELECT 1) TO 'out.csv'",
    "ATTACH ':memory:' AS other",
    'CREATE TABLE t (a INT)',
    'SET threads = 1',
    'INSTALL httpfs',
    'PRAGMA enable_progress_bar',
    'EXPLAIN SELECT 1',
    'CALL pragma_version()',
    'SELECT 1; SELECT 2',
    "SELECT 1; DROP TABLE x; --'",
    '',
    '-- nothing',
  ])('takes one SELECT only: %p', async (sql) => {
    expect(await refused(run(sql))).toMatch(/^sql not_a_select: one SELECT is expected/)
  })

  test.each([
    ["SET allowed_directories = ['/']", /locked|cannot/i],
    ['SET enable_external_access = true', /locked|cannot/i],
    ['SET lock_configuration = false', /locked|cannot/i],
    ['SET autoload_known_extensions = true', /locked/i],
    ["SET temp_directory = '/'", /locked|cannot/i],
    ['RESET threads', /locked/i],
    ["ATTACH '/tmp/other.duckdb' AS other", /Permission/],
    ["COPY (SELECT 1) TO '/tmp/out.csv'", /Permission/],
    ["EXPORT DATABASE '/tmp/export'", /Permission/],
    ["LOAD '/tmp/evil.duckdb_extension'", /Permission|disabled/],
    ['INSTALL httpfs', /no access to the file/],
  ])('even past that check, %p fails', async (sql, reason) => {
    const text = await refused(runAnything(sql))
    expect(text).not.toStartWith('ran')
    expect(text).toMatch(reason)
  })

  test('the environment of the node is not there', async () => {
    process.env.SCARAB_TEST_SECRET = 'swordfish'
    const fresh = new DuckdbPool({ tempFolder: join(root, 'fresh'), memoryLimitBytes: 256 * 1024 ** 2, max: 1 })
    await fresh.start()
    const environment = await Promise.all(fresh.pids.map((pid) => Bun.file(`/proc/${pid}/environ`).text()))
    await fresh.close()
    expect(environment.join()).not.toContain('swordfish')
    expect(environment.join()).toContain('UV_THREADPOOL_SIZE')
  })
})

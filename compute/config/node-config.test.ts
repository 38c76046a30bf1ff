import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodeId } from '../../edge/contract/ids.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import type { ConfigRequest } from './node-config.ts'
import { formatConfigProblem, loadNodeConfig, readNodeConfig } from './node-config.ts'

setDefaultTimeout(PATIENCE_MS)

const SECRET = 'pa55-w0rd'
const read = (content: string, env: ConfigRequest['env'] = {}, options: ConfigRequest['options'] = {}) =>
  readNodeConfig({ file: '/etc/scarab/node.toml', content, env, root: '/srv/scarab', options })
const config = (content: string, env: ConfigRequest['env'] = {}, options: ConfigRequest['options'] = {}) => {
  const result = read(content, env, options)
  if (!result.ok) throw new Error(result.problems.map(formatConfigProblem).join('\n'))
  return result.config
}
const problems = (content: string, env: ConfigRequest['env'] = {}, options: ConfigRequest['options'] = {}): string[] => {
  const result = read(content, env, options)
  return result.ok ? [] : result.problems.map(formatConfigProblem)
}

describe('without a file', () => {
  const defaults = loadNodeConfig({ file: null, env: {}, root: '/srv/scarab' })
  test('a node works with the embedded DuckDB, the tasks folder and the sample data', () => {
    expect(defaults).toMatchObject({
      ok: true,
      config: {
        slots: 4,
        pool: 'default',
        queues: null,
        labels: {},
        tasksFolders: ['/srv/scarab/tasks'],
        allowedFolders: ['/srv/scarab/tasks', '/srv/scarab/node_modules/vega-datasets/data'],
        sources: [{ name: 'duckdb', type: 'duckdb', dsn: null, maxActive: 4 }],
        duckdb: { threads: null, memoryLimitBytes: null, maxSpillBytes: null },
      },
    })
  })
  test('it is called after its host, in letters that a node may have', () => {
    expect(defaults.ok && NodeId.safeParse(defaults.config.name).success).toBe(true)
  })
  test('SCARAB_TASKS names other folders, which may then be read', () => {
    const result = loadNodeConfig({ file: null, env: { SCARAB_TASKS: 'a:/b, c' }, root: '/srv/scarab' })
    expect(result).toMatchObject({
      ok: true,
      config: {
        tasksFolders: ['/srv/scarab/a', '/b', '/srv/scarab/c'],
        allowedFolders: ['/srv/scarab/a', '/b', '/srv/scarab/c', '/srv/scarab/node_modules/vega-datasets/data'],
      },
    })
  })
})

test('every key is read, and folders begin at the file', () => {
  const all = config(
    `[node]
name = "blue-1"
slots = 8
pool = "heavy"
queues = ["fast", "slow"]
labels = { zone = "\${ZONE}", disk = "nvme" }
allowed_folders = ["data", "/lake"]
tasks = ["reports"]

[duckdb]
threads = 2
memory_limit = "2GiB"
max_spill = 1_000_000

[db.warehouse]
type = "postgres"
dsn = "postgres://reader:\${PG_PASSWORD}@db.example/shop"
max_active = 3

[db.local]
type = "duckdb"
dsn = "local.duckdb"
`,
    { ZONE: 'a', PG_PASSWORD: SECRET },
  )
  expect(all).toEqual({
    name: NodeId.parse('blue-1'),
    slots: 8,
    pool: expect.stringMatching(/^heavy$/),
    queues: [expect.stringMatching(/^fast$/), expect.stringMatching(/^slow$/)],
    labels: { zone: 'a', disk: 'nvme' },
    allowedFolders: ['/etc/scarab/data', '/lake'],
    tasksFolders: ['/etc/scarab/reports'],
    sources: [
      { name: 'warehouse', type: 'postgres', dsn: `postgres://reader:${SECRET}@db.example/shop`, maxActive: 3 },
      { name: 'local', type: 'duckdb', dsn: '/etc/scarab/local.duckdb', maxActive: 8 },
      { name: 'duckdb', type: 'duckdb', dsn: null, maxActive: 8 },
    ],
    duckdb: { threads: 2, memoryLimitBytes: 2 ** 31, maxSpillBytes: 1_000_000 },
  })
})

test('options of the command line beat the file, and SCARAB_TASKS does too', () => {
  const file = '[node]\nname = "a"\nslots = 2\npool = "p"\nqueues = ["q"]\ntasks = ["t"]'
  expect(config(file, { SCARAB_TASKS: 'x' }, { name: 'b', slots: 3, pool: 'r', queues: ['s'] })).toMatchObject({
    name: 'b',
    slots: 3,
    pool: 'r',
    queues: ['s'],
    tasksFolders: ['/srv/scarab/x'],
  })
})

test("a source of DungBeetle's file works as it is", () => {
  const { sources } = config(
    '[db.main]\ntype = "postgres"\ndsn = "host=db dbname=shop"\nmax_idle = 10\nmax_active = 0\nconnect_timeout = "10s"',
  )
  expect(sources[0]).toEqual({ name: 'main', type: 'postgres', dsn: 'host=db dbname=shop', maxActive: 4 })
})

test('[db.duckdb] sets how often the embedded DuckDB runs at once', () => {
  expect(config('[db.duckdb]\ntype = "duckdb"\nmax_active = 2').sources).toEqual([
    { name: 'duckdb', type: 'duckdb', dsn: null, maxActive: 2 },
  ])
})

describe('a wrong value is refused with file, key, value and remedy', () => {
  test.each([
    ['[node]\nslots = 0', 'node.slots: 0 is not a whole number from 1 to 1000'],
    ['[node]\nslots = "4"', 'node.slots: "4" is not a whole number'],
    ['[node]\nname = "a b"', 'node.name: "a b" is not possible: a node is 1 to 63'],
    ['[node]\npool = "Heavy"', 'node.pool: "Heavy" is not possible'],
    ['[node]\nqueues = "fast"', 'node.queues: "fast" is not a list'],
    ['[node]\nqueues = []', 'node.queues: names no queue'],
    ['[node]\nqueues = ["a", "b c"]', 'item (number 2)'],
    ['[node]\nlabels = { a = 1 }', 'node.labels.a: 1 is not a text'],
    ['[node]\nlabels = "a"', 'node.labels: "a" is not a table'],
    ['[node]\nslot = 4', 'node.slot: is not a key of the node\'s configuration; did you mean "slots"?'],
    ['[node]\nzzz = 4', 'known here: name, slots'],
    ['[nod]\nslots = 4', 'nod: is not a key of the node\'s configuration; did you mean "node"?'],
    ['node = 1', 'node: 1 is not a table'],
    ['[duckdb]\nmemory_limit = "lots"', 'duckdb.memory_limit: "lots" is not a size'],
    ['[db.x]\ndsn = "host=a"', 'db.x: has no type'],
    ['[db.x]\ntype = "postgresql"\ndsn = "host=a"', 'did you mean "postgres"?'],
    ['[db.x]\ntype = "postgres"', 'db.x: has no dsn'],
    ['[db.x]\ntype = "postgres"\ndsn = ""', 'db.x.dsn: its value is empty'],
    ['[db.x]\ntype = "postgres"\ndsn = "host=a"\nmax_activ = 1', 'did you mean "max_active"?'],
    ['[db."a,b"]\ntype = "postgres"\ndsn = "host=a"', 'db."a,b": cannot be named so'],
    ['[db.duckdb]\ntype = "postgres"\ndsn = "host=a"', 'belongs to the embedded DuckDB'],
    ['db = 5', 'db: 5 is not a table'],
    ['[db]\nx = 2001-01-01', 'db.x: its value is not a table'],
    ['[results.r]\ntype = "postgres"', 'results go to Iceberg'],
    ['[job_queue.broker]\ntype = "redis"', 'no queue server is needed'],
  ])('%p', (content, expected) => {
    const found = problems(content)
    expect(found.join('\n')).toContain(expected)
    for (const line of found) expect(line).toStartWith('/etc/scarab/node.toml: ')
  })

  test('all of them at once', () => {
    expect(problems('[node]\nslots = 0\nzzz = 1\n[db.x]\ntype = "postgres"')).toHaveLength(3)
  })
  test('of an option too', () => {
    expect(problems('', {}, { slots: 0 })).toEqual(['--slots: 0 is not a whole number from 1 to 1000'])
  })
})

describe('variables', () => {
  test('stand in any text; a doubled dollar keeps the characters themselves; an empty one is empty', () => {
    const content = `[node]\nlabels = { a = "$\${A} \${A} \${EMPTY}" }\n[db.x]\ntype = "postgres"\ndsn = "\${A}"`
    const all = config(content, { A: 'host=a', EMPTY: '' })
    expect(all.labels).toEqual({ a: `\${A} host=a ` })
    expect(all.sources[0]?.dsn).toBe('host=a')
  })
  test('that are not set are named', () => {
    expect(problems(`[db.x]\ntype = "postgres"\ndsn = "\${PG_DSN}"`)).toEqual([
      expect.stringContaining('db.x.dsn: needs the environment variable PG_DSN, which is not set'),
    ])
  })
  test('are not taken from the prototype of anything', () => {
    expect(problems(`[node]\nname = "\${toString}"`, {})).toEqual([expect.stringContaining('needs the environment variable toString')])
    expect(problems(`[node]\nname = "\${}"`)).toEqual([expect.stringContaining('names no variable')])
  })
})

describe('a secret never stands in a problem', () => {
  test.each([
    `[db.x]\ntype = "postgres"\ndsn = "mysql://u:${SECRET}@h/d"`,
    `[db.x]\ntype = "postgres"\ndsn = "mysql://u:\${S}@h/d"`,
    `[db.x]\ntype = "\${S}"\ndsn = "\${S}"\nmax_active = "\${S}"`,
    `[db.x]\ntype = "postgres"\ndsn = ["${SECRET}"]`,
    `[db.x]\ntype = "nothing"\ndsn = "${SECRET}"`,
    `[db.x]\ntype = "postgres"\ndsn = ${SECRET}`,
    `[db.x]\ntype = "postgres"\ndsn = postgres://u:${SECRET}@h`,
    `[db.x]\ntype = "postgres"\ndsn = "${SECRET}`,
    `[db.x]\ntype = "postgres"\ndsn = "${SECRET}" "${SECRET}"`,
    `[node]\nname = "\${S} x"\nqueues = ["\${S} x"]`,
  ])('%p', (content) => {
    const found = problems(content, { S: SECRET })
    expect(found.length).toBeGreaterThan(0)
    for (const line of found) expect(line).not.toContain(SECRET)
  })
})

describe('a file', () => {
  test('that is not TOML is refused with its line', () => {
    expect(problems('[node]\nslots = 4\nname = "a\n[db.x]\n')).toEqual([expect.stringContaining('line 3: this is not TOML')])
    expect(problems('[node\n')).toEqual([expect.stringContaining('line 1: ')])
    expect(problems('[node]\nqueues = [\n "a",\n "b"\n]\nslots = 1\nslots = 2\n')).toEqual([expect.stringContaining('line 7: ')])
  })
  test('that is not there is one clear problem', () => {
    expect(loadNodeConfig({ file: 'gone.toml', env: {}, root: '/srv/scarab' })).toMatchObject({
      ok: false,
      problems: [{ file: '/srv/scarab/gone.toml', key: null, message: expect.stringContaining('ENOENT') }],
    })
  })
  test('is looked for from the root, and its folders from where it lies', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'scarab-config-'))
    await writeFile(join(folder, 'node.toml'), '[node]\nallowed_folders = ["d"]')
    expect(loadNodeConfig({ file: 'node.toml', env: {}, root: folder })).toMatchObject({
      ok: true,
      config: { allowedFolders: [join(folder, 'd')], tasksFolders: [join(folder, 'tasks')] },
    })
    await rm(folder, { recursive: true })
  })
})

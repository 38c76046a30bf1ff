import { describe, expect, test } from 'bun:test'
import { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Source } from '../engines/engine.ts'
import { announcement } from './catalogue.ts'
import { parseTasks } from './parse.ts'
import { formatProblem } from './problem.ts'

const source = (name: string, type: Source['type'] = 'postgres'): Source => ({ name, type, dsn: 'secret', maxActive: 1 })
const parse = (content: string, sources: Source[] = []) => parseTasks('/reports/a.sql', content, sources)
/** The one task of a file that has nothing wrong with it. */
const only = (content: string, sources: Source[] = []) => {
  const { tasks, problems } = parse(content, sources)
  expect(problems.map(formatProblem)).toEqual([])
  expect(tasks).toHaveLength(1)
  const [task] = tasks
  if (task === undefined) throw new Error('no task')
  return task
}

describe("DungBeetle's files", () => {
  const shop = `-- Reports of the shop.
-- They are read by people, too.

-- name: orders_of_customer
-- db: main, replica
-- queue: fast_lane
-- conc: 5
-- results: cache
SELECT id, placed_at, total   -- in rupees
FROM orders
-- newest first
WHERE customer = $1 AND placed_at BETWEEN $2 AND $3
ORDER BY placed_at DESC;

-- name: stock report/by day
-- raw: 1
-- This query will not be prepared
SELECT * FROM stock_of(?)
`
  test('load as they are', () => {
    const { tasks, problems } = parse(shop, [source('main'), source('replica')])
    expect(problems).toEqual([])
    expect(tasks).toMatchObject([
      {
        name: 'orders_of_customer',
        db: ['main', 'replica'],
        queue: 'fast_lane',
        concurrency: 5,
        results: ['cache'],
        raw: false,
        arity: 3,
        params: [],
        family: 'reports.orders_of_customer',
        file: '/reports/a.sql',
        folder: '/reports',
        line: 4,
      },
      { name: 'stock report/by day', raw: true, arity: 1, sql: 'SELECT * FROM stock_of($1)', db: [], queue: null, concurrency: null },
    ])
    expect(tasks[0]?.sql).toBe(
      'SELECT id, placed_at, total   -- in rupees\nFROM orders\n-- newest first\nWHERE customer = $1 AND placed_at BETWEEN $2 AND $3\nORDER BY placed_at DESC',
    )
  })

  test('may say "concurrency", as the samples of DungBeetle do', () => {
    const { tasks, problems } = parse('-- name: a\n-- concurrency: 3\nSELECT 1')
    expect(tasks[0]?.concurrency).toBe(3)
    expect(problems).toMatchObject([{ severity: 'warning', line: 2 }])
    expect(parse('-- name: a\n-- conc: 2\n-- concurrency: 3\nSELECT 1').tasks[0]?.concurrency).toBe(2)
    expect(parse('-- name: a\n-- concurrency: high\nSELECT 1').tasks[0]?.concurrency).toBeNull()
  })

  test('have remarks with colons, several of one kind too, that mean nothing', () => {
    const task = only('-- name: a\n-- see http://example.com/a\n-- see http://example.com/b\n-- the sum is this: all of it\nSELECT 1')
    expect(task.warnings).toEqual([])
    expect(task.tags).toHaveLength(3)
  })

  test('for MySQL keep a line that begins with -- a comment, with or without a blank behind it', () => {
    expect(only('-- name: a\nSELECT 1\n--5\n+ ?', [source('m', 'mysql')]).sql).toBe('SELECT 1\n-- 5\n+ $1')
  })

  test('for Postgres keep its ? operators', () => {
    expect(only("-- name: a\nSELECT data ? 'k' FROM t WHERE id = $1", [source('p')])).toMatchObject({
      arity: 1,
      sql: "SELECT data ? 'k' FROM t WHERE id = $1",
    })
  })
})

test('every directive is read', () => {
  const task = only(
    `-- name: daily_pnl
-- description: Profit and loss: by day
-- engine_hint: starrocks
-- cost_budget_bytes: 50_000_000_000
-- max_runtime: 10m
-- retention: 30d
-- result_table: payments.daily_pnl
-- partition_by: tenant_id, run_date
-- emit_format: parquet,arrow
-- param: since timestamp
-- param: until timestamp = 2026-01-01 00:00
-- types: pnl=decimal(20,2)
SELECT tenant_id, date_trunc('day', ts) AS run_date, SUM(amount) AS pnl, COUNT(*) AS trades
FROM raw_trades
WHERE ts >= $1 AND ts < $2
GROUP BY 1, 2;`,
    [source('cluster', 'starrocks')],
  )
  expect(task).toMatchObject({
    name: 'daily_pnl',
    description: 'Profit and loss: by day',
    engine_hint: 'starrocks',
    cost_budget_bytes: 50_000_000_000,
    max_runtime_seconds: 600,
    retention_seconds: 2_592_000,
    family: 'payments.daily_pnl',
    partition_by: ['tenant_id', 'run_date'],
    emit_format: ['parquet', 'arrow'],
    params: [
      { name: 'since', type: 'timestamp' },
      { name: 'until', type: 'timestamp', default: '2026-01-01 00:00' },
    ],
    arity: 2,
    types: { pnl: 'decimal(20,2)' },
  })
})

test('an announcement is what the contract says, without the paths of the node', () => {
  const announced = announcement(only('-- name: a\n-- results: r\nSELECT 1'))
  expect(AnnouncedTask.strict().safeParse(announced).success).toBe(true)
  expect(JSON.stringify(announced)).not.toContain('/reports')
})

describe('a wrong value is refused with file, line, value and remedy', () => {
  test.each([
    ['db: ,', 'db', '","'],
    ['queue: my queue', 'queue', '"my queue"'],
    ['conc: many', 'conc', '"many"'],
    ['conc: -1', 'conc', '"-1"'],
    ['results: ,', 'results', '","'],
    ['engine_hint: starrock', 'engine_hint', 'did you mean "starrocks"?'],
    ['cost_budget_bytes: 50GB', 'cost_budget_bytes', '50_000_000_000'],
    ['max_runtime: 10', 'max_runtime', '10m'],
    ['retention: forever', 'retention', '"forever"'],
    ['result_table: PnL', 'result_table', 'payments.daily_pnl'],
    ['partition_by: ,', 'partition_by', '","'],
    ['partition_by: a,b,c,d,e,f,g,h,i', 'partition_by', 'at most 8'],
    ['emit_format: parket', 'emit_format', 'did you mean "parquet"?'],
    ['param: 1 int', 'param', '"1"'],
    ['types: x', 'types', '"x"'],
    [`description: ${'x'.repeat(2_001)}`, 'description', 'at most 2000'],
  ])('-- %s', (line, tag, expected) => {
    const { tasks, problems } = parse(`-- name: a\n\n-- ${line}\nSELECT 1\n-- name: b\nSELECT 2`)
    expect(tasks.map((task) => String(task.name))).toEqual(['b'])
    expect(problems[0]).toMatchObject({ severity: 'error', code: 'bad_value', file: '/reports/a.sql', line: 3, task: 'a' })
    expect(problems[0]?.message).toStartWith(`${tag}: `)
    expect(problems[0]?.message).toContain(expected)
  })

  test('also a name that the contract does not take', () => {
    expect(parse(`-- name: ${'x'.repeat(201)}\nSELECT 1`)).toMatchObject({ tasks: [], problems: [{ line: 1, code: 'bad_value' }] })
  })

  test('also a directive that stands there twice, and a parameter named twice', () => {
    expect(parse('-- name: a\n-- queue: a\n-- queue: b\nSELECT 1')).toMatchObject({
      tasks: [],
      problems: [{ line: 3, code: 'duplicate_tag' }],
    })
    expect(parse('-- name: a\n-- param: x int\n-- param: X int\nSELECT $1, $2')).toMatchObject({ tasks: [], problems: [{ line: 3 }] })
  })

  test('also more or fewer parameters than the query takes', () => {
    expect(parse('-- name: a\n-- param: x int\nSELECT $1, $2').problems[0]).toMatchObject({
      line: 2,
      code: 'placeholders',
      message: expect.stringContaining('2 placeholders'),
    })
    expect(parse('-- name: a\n-- param: x int\nSELECT 1').problems[0]?.message).toContain('no placeholder')
  })

  test('also several statements, but for a raw task', () => {
    expect(parse('-- name: a\nSELECT 1; SELECT 2').problems[0]).toMatchObject({ severity: 'error', line: 2 })
    expect(parse('-- name: a\n-- raw: 1\nSELECT 1; SELECT 2')).toMatchObject({
      tasks: [{ name: 'a' }],
      problems: [{ severity: 'warning' }],
    })
  })
})

describe('an unknown tag is kept with a warning', () => {
  test.each([
    ['retension: 5d', 'did you mean "retention"?'],
    ['Queue: x', 'did you mean "queue"?'],
    ['max runtime: 5m', 'did you mean "max_runtime"?'],
    ['queue : x', 'with a blank before its colon'],
    ['db: a: b', 'cannot hold a colon'],
    ['owner: finance', '"owner" is kept without effect'],
    ['constructor: x', '"constructor" is kept without effect'],
  ])('-- %s', (line, expected) => {
    const { tasks, problems } = parse(`-- name: a\n-- ${line}\nSELECT 1`)
    expect(problems).toMatchObject([{ severity: 'warning', code: 'unknown_tag', line: 2 }])
    expect(tasks[0]?.warnings).toEqual([expect.stringContaining(expected)])
    expect(tasks[0]?.tags).toHaveLength(1)
  })

  test('also before the first name', () => {
    expect(parse('-- Name: a\nSELECT 1').problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining('query text without a name'),
      expect.stringContaining('did you mean "name"?'),
    ])
  })
})

describe('sources', () => {
  test('that a task names and the node lacks leave the task out with a warning, and the node alive', () => {
    const { tasks, problems } = parse('-- name: a\n-- db: warehouse\nSELECT 1\n-- name: b\nSELECT 2')
    expect(tasks.map((task) => String(task.name))).toEqual(['b'])
    expect(problems).toMatchObject([
      { severity: 'warning', code: 'source_missing', line: 2, message: expect.stringContaining('[db.warehouse]') },
    ])
  })
  test('are spelt as in the configuration', () => {
    expect(parse('-- name: a\n-- db: warehose\nSELECT 1', [source('warehouse')]).problems[0]?.message).toContain(
      'did you mean "warehouse"?',
    )
  })
  test('always include duckdb', () => {
    expect(only('-- name: a\n-- db: duckdb\nSELECT 1', [source('p')]).db).toEqual(['duckdb'])
  })
  test('of the hinted kind need not exist: a hint is a hint', () => {
    const { tasks, problems } = parse('-- name: a\n-- engine_hint: trino\nSELECT 1')
    expect(tasks).toHaveLength(1)
    expect(problems).toMatchObject([{ severity: 'warning', message: expect.stringContaining('runs on duckdb') }])
  })
})

describe('the hash of a task', () => {
  const hash = (content: string, sources: Source[] = []) => parseTasks('/x.sql', content, sources).tasks[0]?.hash
  const base = '-- name: a\n-- db: duckdb\n-- retention: 30d\nSELECT ?\nFROM t'

  test('is this one, for ever', () => {
    expect(hash(base)).toBe('571165d6a26abb802b98cb61c1c8821984a8626d82811b25ff13ee0392406ab3')
  })
  test('does not hang on line ends, the order of tags, the place in the file, the file, or the sources of the node', () => {
    expect(hash(base.replaceAll('\n', '\r\n'))).toBe(hash(base))
    expect(hash('-- name: a\n-- retention: 30d\n-- db: duckdb\nSELECT ?\nFROM t')).toBe(hash(base))
    expect(hash(`\n\n${base}\n\n-- an end\n`)).toBe(hash(base))
    expect(hash(base, [source('p'), source('m', 'mysql')])).toBe(hash(base))
    expect(parseTasks('/other/y.sql', base, []).tasks[0]?.hash).toBe(hash(base))
  })
  test.each([
    ['the name', base.replace('name: a', 'name: b')],
    ['a value', base.replace('30d', '31d')],
    ['a tag more', base.replace('-- retention', '-- owner: me\n-- retention')],
    ['the statement', base.replace('FROM t', 'FROM u')],
    ['a line break', base.replace('\nFROM', ' FROM')],
  ])('changes with %s', (_what, content) => {
    expect(hash(content)).toBeDefined()
    expect(hash(content)).not.toBe(hash(base))
  })
  test('changes with the order of parameters', () => {
    const two = (a: string, b: string) => hash(`-- name: a\n-- param: ${a} int\n-- param: ${b} int\nSELECT $1 - $2`)
    expect(two('x', 'y')).not.toBe(two('y', 'x'))
  })
})

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Argument, Param } from '../../../edge/contract/tasks.ts'
import { PATIENCE_MS } from '../../test-patience.ts'
import { EngineFault } from '../engine.ts'
import { EMBEDDED, JOB, sqlTask, TENANT, type TryOut, tryOut } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let out: TryOut
beforeAll(async () => {
  // Nothing is killed here: on a slow machine an interrupted statement has all the time that it needs.
  out = await tryOut(() => setTimeout(() => undefined, 0))
  await writeFile(join(out.folder, 'days.csv'), 'day,amount\n2024-01-01,1.25\n2024-01-02,2.50\n2024-01-03,\n')
})
afterAll(() => out.close())

const ENDLESS = 'SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3'
const LEASE = { tenant: TENANT, job: JOB, attempt: 1 }

const faultOf = async (work: Promise<unknown>): Promise<EngineFault['failure']> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error instanceof EngineFault) return error.failure
  throw new Error(`expected an EngineFault, got ${String(error)}`)
}
const plan = (sql: string, args: Argument[] | null, params: Param[] = []) =>
  out.engine.plan(sqlTask(sql, out.folder, { params }), args, EMBEDDED, new AbortController().signal)
const value = async (sql: string, args: Argument[], params: Param[] = []) =>
  (await out.run(sql, { args, params })).produced.firstRows[0]?.[0]

describe('plan', () => {
  test('tells columns and parameters without running the statement', async () => {
    const planned = await plan(
      "SELECT day, sum(amount) AS total FROM 'days.csv' WHERE day >= $1 AND amount > $2::DECIMAL(10,2) GROUP BY day LIMIT $3",
      null,
    )
    expect(planned.columns).toEqual([
      { name: 'day', type: 'date' },
      { name: 'total', type: 'double' },
    ])
    expect(planned.parameters).toBeNull()
    expect((await plan("SELECT day FROM 'days.csv' WHERE day >= $1 LIMIT $2", null)).parameters).toEqual(['DATE', 'BIGINT'])
    expect((await plan(ENDLESS, null)).columns).toEqual([{ name: 'n', type: 'long' }])
  })

  test('needs arguments where a column is one, unless its type is declared', async () => {
    expect(await faultOf(plan('SELECT $1 AS a', null))).toMatchObject({ class: 'arguments', code: 'needs_arguments' })
    expect((await plan('SELECT $1 AS a', null, [{ name: 'a', type: 'date' }])).columns).toEqual([{ name: 'a', type: 'date' }])
    expect((await plan('SELECT $1 AS a', [1.5])).columns).toEqual([{ name: 'a', type: 'double' }])
  })

  test('names the place of a mistake in the statement', async () => {
    const failure = await faultOf(plan('SELECT 1 AS a,\n  nothing FROM range(3)', null))
    expect(failure).toMatchObject({ class: 'sql', code: 'invalid_sql' })
    expect(failure.message).toContain('LINE 2')
    expect((await faultOf(plan('SELEC 1', null))).message).toStartWith('Parser Error')
  })
})

describe('arguments', () => {
  test.each<[string, Argument, Param['type'] | null, unknown]>([
    ['SELECT $1 AS a', 'Grüße; DROP TABLE x --', null, 'Grüße; DROP TABLE x --'],
    ['SELECT $1 AS a', 2_147_483_648, null, '2147483648'],
    ['SELECT $1 AS a', 7, null, 7],
    ['SELECT $1 AS a', 1.5, null, 1.5],
    ['SELECT $1 AS a', true, null, true],
    ['SELECT $1 + 1 AS a', '9223372036854775806', 'bigint', '9223372036854775807'],
    ['SELECT $1 AS a', '1.10', 'decimal', '1.100000000000000000'],
    ['SELECT $1::DECIMAL(10,2) AS a', '1.1', 'decimal', '1.10'],
    ['SELECT $1 AS a', '2024-02-29', 'date', '2024-02-29'],
    ['SELECT $1 AS a', '2024-01-01T00:00:00.000001+02:00', 'timestamptz', '2023-12-31T22:00:00.000001Z'],
    ['SELECT $1 AS a', '8D3BD1B0-3A1C-4B43-BB0A-D0FC2E7D4A4B', 'uuid', '8d3bd1b0-3a1c-4b43-bb0a-d0fc2e7d4a4b'],
    ['SELECT $1 AS a', null, 'date', null],
    ["SELECT count(*) AS a FROM 'days.csv' WHERE day >= $1", '2024-01-02', 'text', '2'],
    ["SELECT count(*) AS a FROM 'days.csv' WHERE day >= $1", '2024-01-02', null, '2'],
    ["SELECT count(*) AS a FROM 'days.csv' WHERE day = ? OR ? IS NULL", null, null, '3'],
  ])('%p with %p as %p yields %p', async (sql, argument, type, expected) => {
    const args = sql.includes('OR ?') ? [argument, argument] : [argument]
    const params: Param[] = type === null ? [] : [{ name: 'a', type }]
    expect(await value(sql, args, params)).toEqual(expected as never)
  })

  test('keep their column type when they are NULL', async () => {
    const params: Param[] = [{ name: 'd', type: 'timestamptz' }]
    const { schema } = await out.run('SELECT $1 AS d', { args: ['2024-01-01T00:00:00Z'], params })
    expect((await out.run('SELECT $1 AS d', { args: [null], params, schema })).produced.firstRows).toEqual([[null]])
  })

  test('take the default of their param line', async () => {
    expect(await value('SELECT $1 AS a', [], [{ name: 'a', type: 'int', default: 5 }])).toBe(5)
  })

  test.each<[string, Argument[], Param['type'] | null, string]>([
    ['SELECT $1::INT AS a', ['x'], null, "argument 1: Conversion Error: Could not convert string 'x' to INT32"],
    ['SELECT $1 AS a', ['1.5'], 'int', 'argument 1 (a): "1.5" is not a whole number'],
    ['SELECT $1 AS a', [99_999_999_999], 'int', 'argument 1: Conversion Error'],
    ['SELECT $1 AS a', ['1e5'], 'decimal', 'argument 1 (a): "1e5" is not a decimal number'],
    ['SELECT $1 AS a', [''], 'decimal', 'argument 1 (a): "" is not a decimal number'],
    [
      'SELECT $1 AS a',
      ['0.1234567890123456789'],
      'decimal',
      'argument 1 (a): "0.1234567890123456789" is not a decimal with at most 18 digits',
    ],
    ['SELECT $2 AS a, $1 AS b', ['x'], null, 'argument 2 is missing'],
    ['SELECT $name AS a', ['x'], null, 'the parameter "name" has no number'],
  ])('%p refuses %p as %p', async (sql, args, type, message) => {
    const failure = await faultOf(out.run(sql, { args, params: type === null ? [] : [{ name: 'a', type }] }))
    expect(failure.message).toStartWith(message)
    expect(['arguments', 'sql']).toContain(failure.class)
  })
})

describe('a source that is a database file', () => {
  const path = () => join(out.root, 'shop.duckdb')
  const source = () => ({ name: 'my "shop"', type: 'duckdb' as const, dsn: path(), maxActive: 2 })

  test('is read by its tables, and only read', async () => {
    const setup = [
      `ATTACH '${path()}' AS shop`,
      'CREATE TABLE shop.orders AS SELECT i AS id, i * 1.5 AS amount FROM range(10) t(i)',
      'DETACH shop',
    ]
    await out.pool.use({ folder: '/', allowed: null, setup }, new AbortController().signal, async () => undefined)
    const { produced } = await out.run('SELECT count(*) AS n, sum(amount) AS total FROM orders WHERE id >= $1', {
      args: [5],
      source: source(),
    })
    expect(produced.firstRows).toEqual([['5', '52.5']])
    expect((await faultOf(out.run("COPY orders TO 'orders.csv'", { source: source() }))).class).toBe('sql')
    expect((await faultOf(out.run(`SELECT * FROM '${join(out.root, 'secret.csv')}'`, { source: source() }))).class).toBe('sql')
  })

  test('that cannot be opened fails the source without telling its address', async () => {
    const missing = { ...source(), dsn: join(out.root, 'none.duckdb') }
    const failure = await faultOf(out.run('SELECT 1 AS a', { source: missing }))
    expect(failure).toMatchObject({ class: 'source', code: 'source_error' })
    expect(failure.message).toContain('(the dsn of my "shop")')
    expect(failure.message).not.toContain(out.root)
  })
})

describe('execute', () => {
  test('says when it began and what ran it', async () => {
    let started: string | null | undefined
    const { produced } = await out.run('SELECT 1 AS a; -- the end', {
      hooks: { started: (id) => (started = id), progress: () => undefined },
    })
    expect(started).toBeNull()
    expect(produced.engine).toEqual({ name: 'duckdb', version: 'v1.5.5', query_id: null })
  })

  test('keeps the order of the query', async () => {
    const { produced } = await out.run('SELECT i FROM range(500000) t(i) ORDER BY hash(i) LIMIT 400000')
    const wanted = await out.pool.use({ folder: '/', allowed: null }, new AbortController().signal, (session) =>
      session.run('SELECT i FROM range(500000) t(i) ORDER BY hash(i) LIMIT 200'),
    )
    expect(produced.firstRows).toEqual(wanted as typeof produced.firstRows)
  })

  test('stops at its signal and confirms it', async () => {
    const controller = new AbortController()
    const hooks = {
      started: () => undefined,
      progress: () => undefined,
    }
    const running = faultOf(
      out.run(ENDLESS, { signal: controller.signal, hooks: { ...hooks, started: () => queueMicrotask(() => setImmediate(stop)) } }),
    )
    const stop = (): void => controller.abort()
    expect((await running).class).toBe('cancelled')
    expect(out.engine.cancelled(LEASE)).toEqual({ outcome: 'confirmed', reason: 'the statement was interrupted' })
    expect(out.engine.cancelled(LEASE).outcome).toBe('not_confirmed')
  })

  test('ends a statement at its max_runtime', async () => {
    expect(await faultOf(out.run(ENDLESS, { maxRuntimeSeconds: 1 }))).toMatchObject({ class: 'limit', code: 'max_runtime' })
  })

  test('refuses files outside the allowed folders', async () => {
    await writeFile(join(out.root, 'secret.csv'), 'x\n1\n')
    expect(await faultOf(out.run("SELECT * FROM '../secret.csv'"))).toMatchObject({ class: 'sql', code: 'file_not_allowed' })
  })

  test('a message about a value does not show our own statement around the query', async () => {
    const failure = await faultOf(out.run("SELECT (CASE WHEN i = 5 THEN 'x' ELSE '1' END)::INT AS a FROM range(10) t(i)"))
    expect(failure).toMatchObject({ class: 'sql', code: 'invalid_value' })
    expect(failure.message).not.toContain('COPY')
    expect(failure.message).not.toContain('LINE')
  })
})

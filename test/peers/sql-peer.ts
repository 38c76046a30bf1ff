import { deepStrictEqual, rejects } from 'node:assert/strict'
import { z } from 'zod'
import type { System } from '../../edge/embedded/system.ts'
import { check, type Jobs, Reading } from './check.ts'
import type { PyIceberg } from './pyiceberg.ts'

export const Rows = z.array(z.array(z.string().nullable()))
export type Rows = z.infer<typeof Rows>

/** An engine that reads Iceberg by SQL, with a tenant's catalog as `lake`. */
export interface SqlPeer {
  name: string
  versions: string
  /** Answers one statement's rows as texts. Throws with what the engine said. */
  ask(sql: string, at: { uri: string; token: string; tenant: string }): Promise<Rows>
  /** Lists `schema.table` of the catalog. */
  tables: string
  end(): Promise<void>
}

/** What it reads must be what PyIceberg has read. Asked after it, on the tables that it left. */
export const checkSqlPeer = async (system: System, peer: PyIceberg, engine: SqlPeer): Promise<void> => {
  const { name } = engine
  const uri = `${system.origin}/iceberg`
  const tokens = { acme: await system.token('acme'), globex: await system.token('globex') }
  const ask = (sql: string, tenant: keyof typeof tokens = 'acme'): Promise<Rows> => engine.ask(sql, { uri, token: tokens[tenant], tenant })
  const perJob = async (table: string, sum: string): Promise<z.infer<typeof Jobs>> => {
    const rows = await ask(`SELECT job_id, count(*), sum(${sum}) FROM lake.${table} GROUP BY job_id`)
    return Object.fromEntries(rows.map(([job, count, total]) => [String(job), { rows: Number(count), sum: total ?? null }]))
  }
  const theirs = async (table: string, sum: string): Promise<z.infer<typeof Reading>> =>
    Reading.parse(await peer.ask({ uri, token: tokens.acme, ask: 'read', table, sum }))

  for (const [table, sum] of [
    ['reports.pairs', 'n'],
    ['reports.flights', 'miles'],
    ['shop.orders', 'total'],
  ] as const)
    await check(`${name} reads of ${table}, after deletions and growth, what PyIceberg reads`, async () => {
      const { jobs, nulls, columns } = await theirs(table, sum)
      deepStrictEqual(await perJob(table, sum), jobs)
      const counts = columns.map(([, column]) => `count(*) - count("${column}")`)
      const [found] = await ask(`SELECT ${counts.join(', ')} FROM lake.${table}`)
      deepStrictEqual(
        found,
        columns.map(([, column]) => String(nulls[column])),
      )
    })

  await check(`${name} finds one job by its id, with exact values`, async () => {
    const [[job = null] = []] = await ask('SELECT min(job_id) FROM lake.reports.pairs')
    const sql = `SELECT count(*), min(share), max(share), max(label) FROM lake.reports.pairs WHERE job_id = '${job}'`
    deepStrictEqual(await ask(sql), [['25', '0.0000', '8.0000', 'pair 9']])
  })

  await check(`${name} sees its tenant’s families and no other, and writes nothing`, async () => {
    deepStrictEqual((await ask(engine.tables)).flat(), ['kinds.rest', 'kinds.some', 'reports.flights', 'reports.pairs', 'shop.orders'])
    deepStrictEqual((await ask(engine.tables, 'globex')).flat(), ['reports.pairs'])
    await rejects(ask('SELECT * FROM lake.shop.orders', 'globex'), /does not exist|not found|404/i)
    const writes = [
      'INSERT INTO lake.shop.orders (id, total) VALUES (1, 2)',
      'DELETE FROM lake.shop.orders',
      'CREATE TABLE lake.shop.mine (a INT)',
    ]
    for (const sql of writes)
      await rejects(ask(sql), /403|Forbidden|405|not support|not permitted|denied|Error committing|Failed to commit/i, sql)
    deepStrictEqual(await ask('SELECT count(*) FROM lake.shop.orders'), [['5']])
  })
}

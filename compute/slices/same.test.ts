import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Column, WireValue } from '../../edge/contract/columns.ts'
import { SliceAnswer } from '../../edge/contract/slices.ts'
import { answerFromRows } from '../../edge/slices/answers.ts'
import { csvOf } from '../../edge/slices/csv.ts'
import { below, makeColumns, makeRequest, random, wireValue } from '../../edge/slices/random.ts'
import { quoteName } from '../duckdb/sql.ts'
import { sqlType } from '../results/types.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { answer } from './answer.ts'
import { type Fixture, fixture, messageOf, schemaOf } from './fixture.ts'
import { Outlet } from './outlet.ts'
import type { SandboxSettings, SliceTask } from './protocol.ts'
import { Relation } from './relation.ts'

setDefaultTimeout(PATIENCE_MS)

let made: Fixture
let settings: SandboxSettings
const home = process.cwd()

beforeAll(async () => {
  made = await fixture()
  mkdirSync(join(made.folder, 'spill'))
  process.chdir(made.folder)
  settings = { parent: 0, folder: made.folder, threads: 1, memoryLimitBytes: 2e8, processLimitBytes: 1e9, maxSpillBytes: 1e8 }
})
afterAll(() => {
  process.chdir(home)
  made.close()
})

const literal = (value: WireValue, { type }: Column): string => {
  if (value === null) return 'NULL'
  const text = `'${String(value).replaceAll("'", "''")}'`
  return type === 'binary' ? `from_base64(${text})` : text
}

const NESTED: Column = {
  name: 'nested',
  type: {
    type: 'list',
    element: {
      type: 'struct',
      fields: [
        { name: 'k"', type: 'decimal(5,2)' },
        { name: 't', type: 'string' },
      ],
    },
  },
}

test('a slice has the same answer from the edge and from a node, in JSON and in CSV', async () => {
  let compared = 0
  for (let seed = 1; seed <= 25; seed++) {
    const r = random(seed)
    const columns = [...makeColumns(r), NESTED]
    const count = 5 + below(r, 25)
    const rows = Array.from({ length: count }, () =>
      columns.map((column) => {
        if (r() < 0.2) return 'NULL'
        return column === NESTED ? `[{'k"': 1.5, 't': 'a,"b'}, NULL, {'k"': NULL, 't': ''}]` : literal(wireValue(r, column.type), column)
      }),
    )
    const pack = `made-${seed}.duckdb`
    await made.db.run(`ATTACH '${pack}' AS made`)
    await made.db.run(
      `CREATE TABLE made.result (${columns.map((column) => `${quoteName(column.name)} ${sqlType(column.type)}`).join(', ')})`,
    )
    await made.db.run(`INSERT INTO made.result VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`)
    await made.db.run('DETACH made')
    const schema = schemaOf(columns)
    const relation = await Relation.open({ key: 'k', schema, rows: count, pack, parquet: [] }, settings, 'spill')
    const onNode = async (request: unknown, format: 'json' | 'csv'): Promise<string> => {
      const { query, scope, hash } = messageOf(request, schema, count, [])
      const task: SliceTask = {
        result: { key: 'k', schema, rows: count, pack, parquet: [] },
        query,
        scope,
        format,
        hash,
        maxBodyBytes: 1e9,
        answerFile: 'none',
      }
      const outlet = new Outlet('none', 1e9, 1e9)
      await relation.use((connection) => answer(connection, relation, task, outlet))
      const end = await outlet.end()
      return 'body' in end ? end.body : ''
    }
    const all = SliceAnswer.parse(JSON.parse(await onNode({}, 'json')))
    for (let n = 0; n < 8; n++) {
      const request = makeRequest(r, columns.slice(0, -1))
      const local = answerFromRows(columns, all.rows, messageOf(request, schema, count, []).query)
      if (local === 'needs_engine') continue
      compared++
      expect({ seed, request, ...SliceAnswer.parse(JSON.parse(await onNode(request, 'json'))) }).toEqual({
        seed,
        request,
        hash: all.hash,
        ...local,
      })
      expect([seed, request, await onNode(request, 'csv')]).toEqual([seed, request, csvOf(local.columns, local.rows)])
    }
    relation.close()
  }
  expect(compared).toBeGreaterThan(170)
})

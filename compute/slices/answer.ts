import { type DuckDBConnection, StatementType, VARCHAR } from '@duckdb/node-api'
import { type Column, type ColumnType, typeName } from '../../edge/contract/columns.ts'
import { compileSlice, outputColumns, type SliceParam, type StructuredNormal } from '../../edge/contract/slice-form.ts'
import { isGrouped } from '../../edge/contract/slice-sql.ts'
import { MAX_SLICE_ROWS } from '../../edge/contract/slices.ts'
import { asSubquery, quoteName } from '../duckdb/sql.ts'
import { typeTree } from '../duckdb/type-tree.ts'
import { csvHeader, csvRowExpression, wireRowExpression } from '../results/rows.ts'
import { castExpression, icebergType, Unkeepable } from '../results/types.ts'
import { SliceFault } from './faults.ts'
import type { Outlet } from './outlet.ts'
import type { SliceTask } from './protocol.ts'
import type { Relation } from './relation.ts'
import { judge } from './statement.ts'

/** A question as SQL, and what its answer's columns are. */
interface Plan {
  /** Names and types of the answer. */
  columns: Column[]
  /** A SELECT whose columns are `"c0"`, `"c1"` …: names of the answer may repeat. */
  sql: string
  params: SliceParam[]
  /** More rows are a fault (I5): rows are never silently cut off. */
  maxRows: number | null
}

const numbered = (columns: Column[]): Column[] => columns.map(({ type }, n) => ({ name: `c${n}`, type }))
const aliases = (count: number): string => Array.from({ length: count }, (_, n) => quoteName(`c${n}`)).join(', ')

/** The type that keeps a column of a user's statement; what no Iceberg type keeps (an interval, a union) comes as its text. */
const keptType = (tree: Parameters<typeof icebergType>[0], name: string): ColumnType => {
  try {
    return icebergType(tree, name)
  } catch (error) {
    if (error instanceof Unkeepable) return 'string'
    throw error
  }
}

const userPlan = async (connection: DuckDBConnection, sql: string): Promise<Plan> => {
  const read = await connection.runAndReadAll(
    'SELECT json_serialize_sql(CAST($1 AS VARCHAR), skip_null := true, skip_empty := true)',
    [sql],
    [VARCHAR],
  )
  const judgement = judge(String(read.getRowsJson()[0]?.[0]))
  if (!judgement.ok) throw new SliceFault('invalid_slice', judgement.detail)
  const prepared = await connection.prepare(sql)
  try {
    if (prepared.statementType !== StatementType.SELECT) throw new SliceFault('invalid_slice', 'one SELECT over "result" is expected')
    const trees = Array.from({ length: prepared.columnCount }, (_, n) => typeTree(prepared.columnType(n)))
    const columns = trees.map((tree, n): Column => {
      const name = prepared.columnName(n)
      return { name, type: keptType(tree, name) }
    })
    const cast = trees.map((tree, n) => {
      const column = columns[n]
      const name = quoteName(`c${n}`)
      return `${castExpression(name, tree, column?.type ?? 'string', column?.name ?? name)} AS ${name}`
    })
    return {
      columns,
      sql: `SELECT ${cast.join(', ')} FROM (${asSubquery(sql)}) AS t(${aliases(columns.length)}) LIMIT ${MAX_SLICE_ROWS + 1}`,
      params: [],
      maxRows: MAX_SLICE_ROWS,
    }
  } finally {
    prepared.destroySync()
  }
}

const structuredPlan = (relation: Relation, slice: StructuredNormal): Plan => {
  // A page of the result as it is: looked up by row number, where LIMIT … OFFSET would pass every row before it.
  const isPage = slice.where.length === 0 && slice.order.length === 0 && !isGrouped(slice)
  const stretch = isPage ? relation.stretch(slice.offset, slice.limit) : null
  const { sql, params } =
    stretch === null
      ? compileSlice(slice, relation.columns, relation.from, relation.position)
      : compileSlice({ ...slice, offset: 0, order: [] }, relation.columns, stretch)
  const columns = outputColumns(slice, relation.columns)
  return { columns, sql: `SELECT * FROM (${sql}) AS t(${aliases(columns.length)})`, params, maxRows: null }
}

const wholePlan = (relation: Relation): Plan => ({
  columns: relation.columns,
  sql: `SELECT * FROM (SELECT ${relation.columns.map((column) => quoteName(column.name)).join(', ')} FROM result) AS t(${aliases(relation.columns.length)})`,
  params: [],
  maxRows: null,
})

const planOf = async (connection: DuckDBConnection, relation: Relation, task: SliceTask): Promise<Plan> => {
  if (task.scope === 'all') return wholePlan(relation)
  return 'sql' in task.query ? userPlan(connection, task.query.sql) : structuredPlan(relation, task.query)
}

/**
 * Runs a slice and writes its answer, row by row as the engine makes them: `{columns, rows, hash}` in JSON, or CSV.
 * DuckDB itself writes each row's text, so no value passes through a JavaScript number. Throws SliceFault and the engine's errors.
 */
export const answer = async (connection: DuckDBConnection, relation: Relation, task: SliceTask, outlet: Outlet): Promise<void> => {
  const plan = await planOf(connection, relation, task)
  const json = task.format === 'json'
  const cells = numbered(plan.columns)
  const line = json ? wireRowExpression(cells) : csvRowExpression(cells)
  const head = plan.columns.map(({ name, type }) => ({ name, type: typeName(type) }))
  await outlet.write(json ? `{"columns":${JSON.stringify(head)},"rows":[` : `${csvHeader(head.map(({ name }) => name))}\n`)
  const result = await connection.stream(
    `SELECT ${line} FROM (${plan.sql})`,
    plan.params.map((param) => param.value),
    plan.params.map(() => VARCHAR),
  )
  let rows = 0
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    const lines = chunk.getColumnValues(0)
    const first = rows === 0
    rows += lines.length
    if (plan.maxRows !== null && rows > plan.maxRows)
      throw new SliceFault('slice_failed', `the answer has more than ${plan.maxRows} rows: add a LIMIT, a filter or a GROUP BY`)
    await outlet.write(json ? `${first ? '' : ','}${lines.join(',')}` : `${lines.join('\n')}\n`)
  }
  // A whole result is no slice, so it has no hash: the same form as a small result's JSON.
  if (json) await outlet.write(task.scope === 'all' ? ']}' : `],"hash":${JSON.stringify(task.hash)}}`)
}

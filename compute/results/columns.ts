import { type Column, type ResultSchema, SYSTEM_COLUMNS } from '../../edge/contract/columns.ts'
import type { DescribedColumn } from '../duckdb/protocol.ts'
import { didYouMean } from '../tasks/nearest.ts'
import { directedType, icebergType, lostName, Unkeepable, widens } from './types.ts'

const MAX_COLUMNS = 1_000
const MAX_NAME_CHARACTERS = 255

/**
 * Refuses column lists that no result can have: none or too many, names that are empty or come twice (readers compare
 * without regard to case), a `job_id` (the alias is for that), a system column's name in other letters. Throws `Unkeepable`.
 */
export const checkColumnNames = (names: readonly string[]): void => {
  if (names.length === 0) throw new Unkeepable('the query yields no column')
  if (names.length > MAX_COLUMNS) throw new Unkeepable(`the query yields ${names.length} columns, at most ${MAX_COLUMNS} can be kept`)
  const seen = new Map<string, string>()
  for (const [n, name] of names.entries()) {
    if (name === '') throw new Unkeepable(`column ${n + 1} has no name: write AS "name"`)
    if (name.length > MAX_NAME_CHARACTERS)
      throw new Unkeepable(
        `column ${n + 1}: its name has ${name.length} characters, at most ${MAX_NAME_CHARACTERS} can be kept: write AS "name"`,
      )
    // Rows are lists: of a column's own name only Parquet's readers know.
    const lost = name === '__proto__' ? null : lostName(name)
    if (lost !== null) throw new Unkeepable(`column ${n + 1}: its name "${name}" ${lost}: rename it`)
    const folded = name.toLowerCase()
    const other = seen.get(folded)
    if (other !== undefined)
      throw new Unkeepable(`two columns are called "${other}" and "${name}": rename one, names differ by more than case`)
    seen.set(folded, name)
    if (folded === 'job_id')
      throw new Unkeepable(`the column "${name}" would hide Scarab's own job_id: rename it, or submit the job with an alias`)
    if (name !== folded && SYSTEM_COLUMNS.some((column) => column.name === folded))
      throw new Unkeepable(`the column "${name}" must be spelt "${folded}" or renamed`)
  }
}

/** Refuses a `types` directive for a column that the query does not yield. Throws `Unkeepable`. */
export const checkDirected = (types: Record<string, string>, names: readonly string[]): void => {
  const stray = Object.keys(types).find((name) => !names.includes(name))
  if (stray !== undefined) throw new Unkeepable(`types: the query yields no column "${stray}"${didYouMean(stray, names)}`)
}

/** The type a column is kept in: what `types` says, the system column's own type, or the one that fits DuckDB's. Throws `Unkeepable`. */
export const keptColumn = (described: DescribedColumn, types: Record<string, string>): Column => {
  const { name, type } = described
  const system = SYSTEM_COLUMNS.find((column) => column.name === name)
  if (system !== undefined) return { name, type: system.type }
  const directed = Object.hasOwn(types, name) ? types[name] : undefined
  return { name, type: directed === undefined ? icebergType(type, name) : directedType(name, directed) }
}

/** A query's result as a report's columns, without ids. Throws `Unkeepable`. */
export const keptColumns = (described: readonly DescribedColumn[], types: Record<string, string>): Column[] => {
  checkColumnNames(described.map((column) => column.name))
  checkDirected(
    types,
    described.map((column) => column.name),
  )
  return described.map((column) => keptColumn(column, types))
}

/** Why a query's columns are not those of the schema it was promised to have; null: they are (or widen to it). */
export const driftFrom = (schema: ResultSchema, columns: readonly Column[]): string | null => {
  const wanted = schema.columns.map((column) => column.name)
  const given = columns.map((column) => column.name)
  if (wanted.join('\0') !== given.join('\0')) return `the query yields the columns ${given.join(', ')}, its schema has ${wanted.join(', ')}`
  const wrong = columns.find((column, n) => {
    const target = schema.columns[n]
    return target === undefined || !widens(column.type, target.type)
  })
  return wrong === undefined ? null : `column "${wrong.name}": its type is no longer the schema's`
}

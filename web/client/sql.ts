import { type CompiledSlice, compileSlice, quoted, type StructuredNormal } from '../../edge/contract/slice-sql.ts'
import type { Column } from './wire.ts'

/** A string literal of DuckDB. A NUL cannot stand in a statement's text. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`.replaceAll('\0', "' || chr(0) || '")

/**
 * A compiled slice with its bound values written out as literals: only an unprepared statement can be cancelled in the browser.
 * Placeholders inside quoted identifiers are no placeholders.
 */
export const inlined = ({ sql, params }: CompiledSlice): string =>
  sql.replace(/"(?:[^"]|"")*"|\$(\d+)/g, (whole, number: string | undefined) => {
    if (number === undefined) return whole
    const param = params[Number(number) - 1]
    if (param === undefined) throw new Error(`the slice has no value $${number}`)
    return `(${literal(param.value)})`
  })

/**
 * What the engine says of a statement that stood one line further down than its author wrote it. The caret keeps its place where
 * the number of the line loses a digit.
 */
export const asWritten = (message: string): string =>
  message.replace(/^LINE (\d+):(.*(?:\n *\^)?)/m, (_, line: string, rest: string) => {
    const written = String(Number(line) - 1)
    return `LINE ${written}:${written.length < line.length ? rest.replace(/\n /, '\n') : rest}`
  })

/** Everything, no page: pages are cut by row numbers, or from a table of the answer. */
const WHOLE = Number.MAX_SAFE_INTEGER

export const wholeSlice = (slice: StructuredNormal, columns: Column[], relation: string, limit = WHOLE): string =>
  inlined(compileSlice({ ...slice, limit, offset: 0 }, columns, relation, ['r.rowid']))

/**
 * The row numbers of a filtered or sorted view, in its order. With `select` empty the compiled text begins with an empty list,
 * which is replaced; nothing in it comes from the request.
 */
export const positions = (slice: StructuredNormal, columns: Column[], relation: string): string => {
  const compiled = compileSlice({ ...slice, select: [], group: [], limit: WHOLE, offset: 0 }, columns, relation, ['r.rowid'])
  const start = 'SELECT \nFROM'
  if (!compiled.sql.startsWith(start)) throw new Error('the slice compiler changed its form')
  return inlined({ ...compiled, sql: `SELECT CAST(r.rowid AS INTEGER) AS position\nFROM${compiled.sql.slice(start.length)}` })
}

/** Some rows of a relation with their row numbers in front. */
export const rowsAt = (columns: Column[], relation: string, where: string): string =>
  `SELECT r.rowid, ${columns.map((column) => `r.${quoted(column.name)}`).join(', ')}\nFROM ${relation} AS r\nWHERE ${where}`

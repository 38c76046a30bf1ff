import type { Column, ColumnType } from '../../edge/contract/columns.ts'
import { quoteName, quoteText } from '../duckdb/sql.ts'

/**
 * SQL that turns columns into exact wire values (`WireValue` of the contract): DuckDB writes the JSON text itself, so
 * no value passes through a JavaScript number on the way. Expressions are SQL; a column's is `quoteName(name)`.
 */

/** Years outside 1 to 9999 are written as ISO 8601 expanded years: a sign and six digits at least ("-000043-01-01" is 44 BC). */
const isoDate = (expression: string, format: string): string => {
  const year = `year(${expression})`
  const sign = `CASE WHEN ${year} < 0 THEN '-' ELSE '+' END`
  return (
    `CASE WHEN NOT isfinite(${expression}) THEN CASE WHEN ${expression} > '1970-01-01' THEN 'Infinity' ELSE '-Infinity' END ` +
    `WHEN ${year} BETWEEN 1 AND 9999 THEN strftime(${expression}, '%Y${format}') ` +
    `ELSE ${sign} || CASE WHEN abs(${year}) < 1000000 THEN lpad(CAST(abs(${year}) AS VARCHAR), 6, '0') ELSE CAST(abs(${year}) AS VARCHAR) END || strftime(${expression}, '${format}') END`
  )
}

const special = (expression: string): string =>
  `CASE WHEN isnan(${expression}) THEN 'NaN' WHEN ${expression} > 0 THEN 'Infinity' WHEN ${expression} < 0 THEN '-Infinity' END`

/** A time of day always has its six digits of microseconds. */
const isoTime = (expression: string): string => {
  const text = `CAST(${expression} AS VARCHAR)`
  return `rpad(${text} || CASE WHEN strlen(${text}) = 8 THEN '.' ELSE '' END, 15, '0')`
}

/** The wire value's text where it is a JSON string without anything to escape; null for other types. */
const plainText = (expression: string, type: string): string | null => {
  const [, precision, scale] = /^decimal\((\d+), ?(\d+)\)$/.exec(type) ?? []
  // DuckDB writes no zero before the point where the type has no digit there: ".5" and "-.5".
  if (precision !== undefined && precision === scale) return `regexp_replace(CAST(${expression} AS VARCHAR), '^(-?)\\.', '\\10.')`
  if (type === 'long' || type === 'uuid' || precision !== undefined) return `CAST(${expression} AS VARCHAR)`
  if (type === 'date') return isoDate(expression, '-%m-%d')
  if (type === 'timestamp') return isoDate(expression, '-%m-%dT%H:%M:%S.%f')
  if (type === 'timestamptz') return isoDate(expression, '-%m-%dT%H:%M:%S.%fZ')
  if (type === 'time') return isoTime(expression)
  if (type === 'binary') return `to_base64(${expression})`
  return null
}

const jsonOf = (expression: string, type: ColumnType, depth: number): string => {
  if (typeof type === 'string') {
    if (type === 'boolean' || type === 'int') return `CAST(${expression} AS VARCHAR)`
    if (type === 'float' || type === 'double')
      return `CASE WHEN isfinite(${expression}) THEN CAST(to_json(${expression}) AS VARCHAR) ELSE '"' || ${special(expression)} || '"' END`
    const text = plainText(expression, type)
    return text === null ? `CAST(to_json(${expression}) AS VARCHAR)` : `'"' || ${text} || '"'`
  }
  const x = `x${depth}`
  const list = (items: string, item: string): string =>
    `'[' || array_to_string(list_transform(${items}, lambda ${x}: coalesce(${item}, 'null')), ',') || ']'`
  if (type.type === 'list') return list(expression, jsonOf(x, type.element, depth + 1))
  if (type.type === 'map') {
    const key = jsonOf(`${x}.key`, type.key, depth + 1)
    const value = `coalesce(${jsonOf(`${x}.value`, type.value, depth + 1)}, 'null')`
    return list(`map_entries(${expression})`, `'{"key":' || ${key} || ',"value":' || ${value} || '}'`)
  }
  const fields = type.fields.map((field, n) => {
    const part = jsonOf(`struct_extract(${expression}, ${quoteText(field.name)})`, field.type, depth)
    return `${quoteText(`${n === 0 ? '' : ','}${JSON.stringify(field.name)}:`)}, coalesce(${part}, 'null')`
  })
  return `CASE WHEN ${expression} IS NULL THEN NULL ELSE concat('{', ${fields.join(', ')}, '}') END`
}

/** SQL (VARCHAR, never NULL) with the JSON text of one value: `null` for NULL. */
export const wireExpression = (expression: string, type: ColumnType): string => `coalesce(${jsonOf(expression, type, 0)}, 'null')`

/** SQL (VARCHAR) with one row as a JSON array of its wire values. */
export const wireRowExpression = (columns: readonly Column[]): string =>
  columns.length === 0
    ? `'[]'`
    : `'[' || concat_ws(',', ${columns.map((column) => wireExpression(quoteName(column.name), column.type)).join(', ')}) || ']'`

/** JavaScript writes 1.0 as "1" and 1e300 as "1e+300"; CSV made here and CSV made by the edge must be the same bytes. */
const numberText = (expression: string): string =>
  `regexp_replace(regexp_replace(CAST(to_json(${expression}) AS VARCHAR), '^-0\\.0$|\\.0$', ''), 'e([0-9])', 'e+\\1')`

const csvText = (expression: string, type: ColumnType): string => {
  if (typeof type !== 'string') return jsonOf(expression, type, 0)
  if (type === 'string') return expression
  if (type === 'boolean' || type === 'int') return `CAST(${expression} AS VARCHAR)`
  if (type === 'float' || type === 'double')
    return `CASE WHEN ${expression} = 0 THEN '0' WHEN isfinite(${expression}) THEN ${numberText(expression)} ELSE ${special(expression)} END`
  return plainText(expression, type) ?? `CAST(${expression} AS VARCHAR)`
}

/**
 * SQL (VARCHAR, never NULL) with the CSV field of one value, quoted as RFC 4180 section 2 asks: NULL is nothing,
 * the empty text is `""`, nested values are JSON.
 */
export const csvExpression = (expression: string, type: ColumnType): string => {
  const text = csvText(expression, type)
  // Base64 needs no quotes, but for the empty one, which is not NULL.
  if (type === 'binary') return `coalesce(CASE WHEN ${text} = '' THEN '""' ELSE ${text} END, '')`
  if (typeof type === 'string' && type !== 'string') return `coalesce(${text}, '')`
  return `coalesce(CASE WHEN ${text} = '' OR regexp_matches(${text}, '[",\\r\\n]') THEN '"' || replace(${text}, '"', '""') || '"' ELSE ${text} END, '')`
}

/** SQL (VARCHAR) with one row as a CSV line, without its line end. One call: a chain of "||" is as deep as it is long, and DuckDB stops at 1,000. */
export const csvRowExpression = (columns: readonly Column[]): string =>
  columns.length === 0 ? `''` : `concat_ws(',', ${columns.map((column) => csvExpression(quoteName(column.name), column.type)).join(', ')})`

/** The header line, without its line end. */
export const csvHeader = (names: readonly string[]): string =>
  names.map((name) => (name === '' || /[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join(',')

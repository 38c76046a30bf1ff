import type { Column, ColumnType } from './columns.ts'
import { decimalOf } from './slice-values.ts'
import type { NormalSlice } from './slices.ts'

export type StructuredNormal = Exclude<NormalSlice, { sql: string }>
export type SelectItem = StructuredNormal['select'][number]

/** One bound value: always text, bound as VARCHAR; the statement casts it to `type`, which is here for messages. */
export interface SliceParam {
  value: string
  type: string
}

export interface CompiledSlice {
  sql: string
  params: SliceParam[]
}

/** SQL identifiers of DuckDB: a quote inside is doubled. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** DuckDB's name of a column type. */
export const duckdbType = (type: ColumnType): string => {
  if (typeof type !== 'string') {
    if (type.type === 'list') return `${duckdbType(type.element)}[]`
    if (type.type === 'map') return `MAP(${duckdbType(type.key)}, ${duckdbType(type.value)})`
    return `STRUCT(${type.fields.map((field) => `${quoted(field.name)} ${duckdbType(field.type)}`).join(', ')})`
  }
  const scaled = decimalOf(type)
  if (scaled) return `DECIMAL(${scaled.precision}, ${scaled.scale})`
  const names: Record<string, string> = {
    boolean: 'BOOLEAN',
    int: 'INTEGER',
    long: 'BIGINT',
    float: 'FLOAT',
    double: 'DOUBLE',
    date: 'DATE',
    time: 'TIME',
    timestamp: 'TIMESTAMP',
    timestamptz: 'TIMESTAMP WITH TIME ZONE',
    string: 'VARCHAR',
    uuid: 'UUID',
    binary: 'BLOB',
  }
  return names[type] ?? 'VARCHAR'
}

export const isAggregate = (item: SelectItem): item is Extract<SelectItem, { fn: string }> => 'fn' in item
export const outputName = (item: SelectItem): string => (isAggregate(item) ? item.as : item.col)
export const isGrouped = (slice: StructuredNormal): boolean => slice.group.length > 0 || slice.select.some(isAggregate)

/** Our own `avg`: exact sum, one division. DuckDB's builtin divides in `long double`, which differs between machine and wasm. */
const aggregate = (fn: string, of: string | null, type: ColumnType | null): string => {
  if (of === null || type === null) return 'count(*)'
  if (fn === 'count') return `count(${of})`
  if (fn === 'count_distinct') return `count(DISTINCT ${of})`
  if (fn === 'min' || fn === 'max') return `${fn}(${of})`
  const floating = type === 'float' || type === 'double'
  // sum() of integers is HUGEINT, which neither Arrow nor Parquet can carry.
  if (fn === 'sum') return floating ? `sum(${of})` : `CAST(sum(${of}) AS ${duckdbType(sumType(type))})`
  return floating ? `avg(${of})` : `(CAST(sum(${of}) AS DOUBLE) / count(${of}))`
}

export const sumType = (type: ColumnType): ColumnType => {
  const scaled = decimalOf(type)
  if (scaled) return `decimal(38,${scaled.scale})`
  return type === 'float' || type === 'double' ? 'double' : 'decimal(38,0)'
}

/**
 * The statement of a structured slice over `relation` (SQL text of the caller's own, never of a request), DuckDB's dialect of 1.4
 * and later: the same text runs on a node and in the browser. Everything that came with the request is an identifier of the
 * schema, quoted, or a bound value; values are cast to exactly their column's type. NULLs sort last both ways. Rows that compare
 * equal keep the result's own order where `position` names expressions over the relation (alias `r`) that give it (`['r.rowid']`);
 * groups that compare equal follow the group columns.
 */
export const compileSlice = (slice: StructuredNormal, columns: Column[], relation = 'result', position: string[] = []): CompiledSlice => {
  const params: SliceParam[] = []
  const types = new Map(columns.map((column) => [column.name, column.type]))
  const column = (name: string) => `r.${quoted(name)}`
  const bind = (value: unknown, type: ColumnType): string => {
    params.push({ value: String(value), type: duckdbType(type) })
    const text = `CAST($${params.length} AS VARCHAR)`
    if (type === 'string') return text
    return type === 'binary' ? `from_base64(${text})` : `CAST(${text} AS ${duckdbType(type)})`
  }

  const where = slice.where.map((filter) => {
    const name = column(filter.col)
    const type = types.get(filter.col) ?? 'string'
    const list = Array.isArray(filter.value) ? filter.value : []
    if (filter.op === 'is_null') return `${name} IS NULL`
    if (filter.op === 'not_null') return `${name} IS NOT NULL`
    if (filter.op === 'in') return list.length === 0 ? 'false' : `${name} IN (${list.map((value) => bind(value, type)).join(', ')})`
    if (filter.op === 'between') return `${name} BETWEEN ${bind(list[0], type)} AND ${bind(list[1], type)}`
    if (filter.op === 'contains') return `contains(${name}, ${bind(filter.value, type)})`
    return `${name} ${filter.op} ${bind(filter.value, type)}`
  })

  const grouped = isGrouped(slice)
  const select = slice.select.map((item) => {
    if (!isAggregate(item)) return `${column(item.col)} AS ${quoted(item.col)}`
    const of = item.col === undefined ? null : column(item.col)
    return `${aggregate(item.fn, of, item.col === undefined ? null : (types.get(item.col) ?? 'string'))} AS ${quoted(item.as)}`
  })
  const outputs = slice.select.map(outputName)
  const ordered = slice.order.map(({ col, desc }) => {
    // A position cannot be mistaken for another column whose name differs in case only.
    const at = outputs.indexOf(col)
    return `${grouped && at >= 0 ? at + 1 : column(col)} ${desc ? 'DESC' : 'ASC'} NULLS LAST`
  })
  if (grouped) for (const name of slice.group) ordered.push(`${column(name)} ASC NULLS LAST`)
  else if (ordered.length > 0) for (const expression of position) ordered.push(`${expression} ASC`)

  const sql = [
    `SELECT ${select.join(', ')}`,
    `FROM ${relation} AS r`,
    ...(where.length > 0 ? [`WHERE ${where.join(' AND ')}`] : []),
    ...(slice.group.length > 0 ? [`GROUP BY ${slice.group.map(column).join(', ')}`] : []),
    ...(ordered.length > 0 ? [`ORDER BY ${ordered.join(', ')}`] : []),
    `LIMIT ${slice.limit}`,
    ...(slice.offset > 0 ? [`OFFSET ${slice.offset}`] : []),
  ].join('\n')
  return { sql, params }
}

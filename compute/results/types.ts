import type { ColumnType } from '../../edge/contract/columns.ts'
import { PrimitiveType } from '../../edge/contract/columns.ts'
import { OWN_ERROR } from '../duckdb/faults.ts'
import type { DuckdbType } from '../duckdb/protocol.ts'
import { quoteName, quoteText } from '../duckdb/sql.ts'

/**
 * DuckDB types and Iceberg v2 types: which one keeps which, and the SQL that converts. A type without an exact home is
 * refused before the query runs; a value without one fails the job and is named.
 */

/** Thrown for a type that cannot be kept; the message ends with the remedy. */
export class Unkeepable extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Unkeepable'
  }
}

const EXACT: Record<string, string> = {
  BOOLEAN: 'boolean',
  TINYINT: 'int',
  SMALLINT: 'int',
  UTINYINT: 'int',
  USMALLINT: 'int',
  INTEGER: 'int',
  UINTEGER: 'long',
  BIGINT: 'long',
  // Iceberg has no unsigned 64-bit and no 128-bit integer. `sum` of integers is a HUGEINT, so every report with a sum comes here.
  UBIGINT: 'decimal(20,0)',
  HUGEINT: 'decimal(38,0)',
  UHUGEINT: 'decimal(38,0)',
  BIGNUM: 'string',
  FLOAT: 'float',
  DOUBLE: 'double',
  VARCHAR: 'string',
  ENUM: 'string',
  BIT: 'string',
  BLOB: 'binary',
  UUID: 'uuid',
  DATE: 'date',
  TIME: 'time',
  TIME_NS: 'time',
  TIMESTAMP: 'timestamp',
  TIMESTAMP_S: 'timestamp',
  TIMESTAMP_MS: 'timestamp',
  TIMESTAMP_NS: 'timestamp',
  TIMESTAMPTZ: 'timestamptz',
}

const REFUSED: Record<string, string> = {
  SQLNULL: 'it has no type: write CAST(NULL AS …) with the type you mean',
  INTERVAL: 'Iceberg has no interval',
  TIMETZ: 'Iceberg keeps no offset with a time of day',
  UNION: 'Iceberg has no union',
  VARIANT: 'Iceberg v2 has no variant',
  GEOMETRY: 'Iceberg v2 has no geometry',
}

export const duckdbTypeName = (type: DuckdbType): string => {
  if (type.alias !== undefined) return type.alias
  if (type.name === 'DECIMAL') return `DECIMAL(${type.width},${type.scale})`
  if (type.element !== undefined) return `${duckdbTypeName(type.element)}[]`
  if (type.key !== undefined && type.value !== undefined) return `MAP(${duckdbTypeName(type.key)}, ${duckdbTypeName(type.value)})`
  if (type.fields !== undefined)
    return `STRUCT(${type.fields.map((field) => `${quoteName(field.name)} ${duckdbTypeName(field.type)}`).join(', ')})`
  return type.name === 'SQLNULL' ? 'NULL' : type.name
}

/** Why a name, of a column or of a field within one, would not come back as it is; null: it does. */
export const lostName = (name: string): string | null => {
  if (name.startsWith('\ufeff')) return 'begins with U+FEFF, a mark that readers of Parquet drop'
  return name === '__proto__' ? 'is lost by readers of JSON' : null
}

/**
 * The Iceberg type that keeps every value of a DuckDB type (facts: `HUGEINT` becomes DECIMAL(38,0), JSON, ENUM and BIT
 * become text, ARRAY becomes a list). `path` is the column's name, for the message. Throws `Unkeepable`.
 */
export const icebergType = (type: DuckdbType, path: string): ColumnType => {
  if (type.name === 'DECIMAL') return `decimal(${type.width},${type.scale})`
  if (type.element !== undefined) return { type: 'list', element: icebergType(type.element, `${path}.element`) }
  if (type.key !== undefined && type.value !== undefined)
    return { type: 'map', key: icebergType(type.key, `${path}.key`), value: icebergType(type.value, `${path}.value`) }
  if (type.fields !== undefined) {
    const fields = type.fields.map((field) => {
      if (field.name === '') throw new Unkeepable(`column "${path}": its struct has a field without a name. Name it: {'name': value}`)
      const lost = lostName(field.name)
      if (lost !== null) throw new Unkeepable(`column "${path}": the name of its struct's field "${field.name}" ${lost}: rename it`)
      return { name: field.name, type: icebergType(field.type, `${path}.${field.name}`) }
    })
    if (fields.length === 0) throw new Unkeepable(`column "${path}": an empty struct cannot be kept`)
    return { type: 'struct', fields }
  }
  const exact = EXACT[type.name]
  if (exact !== undefined) return exact
  const why = REFUSED[type.name] ?? 'no Iceberg type keeps it'
  const column = path.split('.')[0]
  throw new Unkeepable(
    `column "${path}": the type ${duckdbTypeName(type)} cannot be kept: ${why}. Cast it in the query, or write "-- types: ${column}=string" to keep its text.`,
  )
}

/** The type of one name in a task's `types` directive. Throws `Unkeepable` for anything but a primitive Iceberg type. */
export const directedType = (column: string, text: string): ColumnType => {
  const parsed = PrimitiveType.safeParse(text.trim().toLowerCase())
  const precision = /^decimal\((\d+), ?(\d+)\)$/.exec(parsed.data ?? '')
  const impossible = precision !== null && (Number(precision[1]) < 1 || Number(precision[2]) > Number(precision[1]))
  if (!parsed.success || impossible)
    throw new Unkeepable(
      `types: "${column}=${text}" names no type. Use boolean, int, long, float, double, decimal(p,s), date, time, timestamp, timestamptz, string, uuid or binary.`,
    )
  return parsed.data.replaceAll(' ', '')
}

const PRIMITIVE_SQL: Record<string, string> = {
  boolean: 'BOOLEAN',
  int: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  date: 'DATE',
  time: 'TIME',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMPTZ',
  string: 'VARCHAR',
  uuid: 'UUID',
  binary: 'BLOB',
}

/** The DuckDB type, as SQL, that a column of an Iceberg type is written and read as. */
export const sqlType = (type: ColumnType): string => {
  if (typeof type === 'string') return PRIMITIVE_SQL[type] ?? type.toUpperCase()
  if (type.type === 'list') return `${sqlType(type.element)}[]`
  if (type.type === 'map') return `MAP(${sqlType(type.key)}, ${sqlType(type.value)})`
  return `STRUCT(${type.fields.map((field) => `${quoteName(field.name)} ${sqlType(field.type)}`).join(', ')})`
}

const decimalOf = (type: ColumnType): { precision: number; scale: number } | null => {
  const found = typeof type === 'string' ? /^decimal\((\d+), ?(\d+)\)$/.exec(type) : null
  return found === null ? null : { precision: Number(found[1]), scale: Number(found[2]) }
}

/** Whether every value of `from` is also one of `to`: equal, or one of the widenings that Iceberg's evolution allows. */
export const widens = (from: ColumnType, to: ColumnType): boolean => {
  if (typeof from === 'string' || typeof to === 'string') {
    if (from === to) return true
    if ((from === 'int' && to === 'long') || (from === 'float' && to === 'double')) return true
    const narrow = decimalOf(from)
    const wide = decimalOf(to)
    return narrow !== null && wide !== null && narrow.scale === wide.scale && narrow.precision <= wide.precision
  }
  if (from.type === 'list' && to.type === 'list') return widens(from.element, to.element)
  if (from.type === 'map' && to.type === 'map') return widens(from.key, to.key) && widens(from.value, to.value)
  if (from.type === 'struct' && to.type === 'struct')
    return (
      from.fields.length === to.fields.length &&
      from.fields.every((field, n) => {
        const other = to.fields[n]
        return other !== undefined && other.name === field.name && widens(field.type, other.type)
      })
    )
  return false
}

/** How much of a value's text a message shows. */
const SHOWN_CHARACTERS = 100

const misfit = (expression: string, path: string, type: string, advice: string): string =>
  `error(${quoteText(`${OWN_ERROR}column "${path}": the value `)} || left(CAST(${expression} AS VARCHAR), ${SHOWN_CHARACTERS}) || ${quoteText(` does not fit ${type}${advice}`)})`

const plainCast = (expression: string, type: ColumnType): string => `CAST(${expression} AS ${sqlType(type)})`

/** Names the value that does not fit, which DuckDB's own message does without the column. */
const checkedCast = (expression: string, type: ColumnType, path: string, name: string): string => {
  const tried = `TRY_CAST(${expression} AS ${sqlType(type)})`
  return `CASE WHEN ${expression} IS NOT NULL AND ${tried} IS NULL THEN ${misfit(expression, path, name, '')} ELSE ${tried} END`
}

/** Nanoseconds that microseconds cannot hold must not vanish. DuckDB casts no TIME back to a TIME_NS, and counts none of an infinite timestamp. */
const wholeMicroseconds = (expression: string, type: ColumnType, path: string): string =>
  `CASE WHEN ${type === 'time' ? `epoch_ns(${expression}) % 1000 <> 0` : `CAST(CAST(${expression} AS ${sqlType(type)}) AS TIMESTAMP_NS) IS DISTINCT FROM ${expression}`} THEN ${misfit(expression, path, 'microseconds', ': cast the column to µs in the query')} ELSE ${plainCast(expression, type)} END`

const leafCast = (expression: string, from: DuckdbType, to: string, path: string): string => {
  if (from.name === 'TIMESTAMP_NS' && to === 'timestamp') return wholeMicroseconds(expression, to, path)
  if (from.name === 'TIME_NS' && to === 'time') return wholeMicroseconds(expression, to, path)
  const own = from.name === 'DECIMAL' ? `decimal(${from.width},${from.scale})` : EXACT[from.name]
  const exactByNature = own !== undefined && widens(own, to) && !/^U?HUGEINT$/.test(from.name)
  if (!exactByNature) return checkedCast(expression, to, path, to)
  // Always written out, even where it changes nothing: a NULL that was bound for `$n` has no type of its own.
  return plainCast(expression, to)
}

const needsCheck = (from: DuckdbType): boolean =>
  /^(U?HUGEINT|TIMESTAMP_NS|TIME_NS)$/.test(from.name) ||
  [from.element, from.key, from.value, ...(from.fields ?? []).map((field) => field.type)].some(
    (part) => part !== undefined && needsCheck(part),
  )

/**
 * SQL that turns `expression` (of DuckDB type `from`) into a value of exactly the Iceberg type `to`, or raises an error
 * that names column and value. `to` is `icebergType(from)`, a widening of it, or what a `types` directive asks for.
 */
export const castExpression = (expression: string, from: DuckdbType, to: ColumnType, path: string, depth = 0): string => {
  if (typeof to === 'string') return leafCast(expression, from, to, path)
  if (!needsCheck(from)) return plainCast(expression, to)
  const x = `x${depth}`
  if (to.type === 'list' && from.element !== undefined)
    return `list_transform(CAST(${expression} AS ${duckdbTypeName(from.element)}[]), lambda ${x}: ${castExpression(x, from.element, to.element, `${path}.element`, depth + 1)})`
  if (to.type === 'map' && from.key !== undefined && from.value !== undefined) {
    const key = castExpression(`${x}.key`, from.key, to.key, `${path}.key`, depth + 1)
    const value = castExpression(`${x}.value`, from.value, to.value, `${path}.value`, depth + 1)
    return `map_from_entries(list_transform(map_entries(${expression}), lambda ${x}: {'k': ${key}, 'v': ${value}}))`
  }
  if (to.type === 'struct' && from.fields !== undefined) {
    const fields = from.fields.map((field, n) => {
      const target = to.fields[n]
      if (target === undefined) throw new Unkeepable(`column "${path}": its struct has more fields than the schema`)
      const part = `struct_extract(${expression}, ${quoteText(field.name)})`
      return `${quoteName(target.name)} := ${castExpression(part, field.type, target.type, `${path}.${field.name}`, depth)}`
    })
    return `CASE WHEN ${expression} IS NULL THEN NULL ELSE struct_pack(${fields.join(', ')}) END`
  }
  return plainCast(expression, to)
}

import { type Column, type ColumnType, SYSTEM_COLUMNS } from '../../../edge/contract/columns.ts'
import { checkColumnNames, checkDirected } from '../../results/columns.ts'
import { directedType, Unkeepable } from '../../results/types.ts'
import type { Field } from './wire.ts'

/** How the text form of a PostgreSQL type is read. `other`: text without a structure that is known here. */
export type TextForm =
  | 'bool'
  | 'integer'
  | 'numeric'
  | 'float'
  | 'date'
  | 'time'
  | 'timestamp'
  | 'timestamptz'
  | 'uuid'
  | 'bytea'
  | 'text'
  | 'other'

/** A column of the query: what the server says, and what it is kept as. */
export interface ResultColumn {
  name: string
  /** Iceberg type of its values. A yielded `run_date` may be a timestamp and is cast to its date later. */
  type: ColumnType
  /** Form of the value, or of the elements where `array` is set. */
  form: TextForm
  array: boolean
  /** The server's own words, such as `numeric(18,4)[]`. */
  typeName: string
}

/** What the catalogue knows about a type that is not built in here. */
export interface CatalogType {
  oid: number
  name: string
  /** `pg_type.typtype`: b(ase), c(omposite), d(omain), e(num), p(seudo), r(ange), m(ultirange). */
  kind: string
  /** Element type of a true array, else null. */
  element: number | null
}

interface Known {
  name: string
  form: TextForm
  /** Null: kept as the modifier says (numeric), or refused. */
  type: string | null
}

/** PostgreSQL's `pg_type.dat`: these oids never change. */
const KNOWN: Record<number, Known> = {
  16: { name: 'boolean', form: 'bool', type: 'boolean' },
  17: { name: 'bytea', form: 'bytea', type: 'binary' },
  18: { name: '"char"', form: 'text', type: 'string' },
  19: { name: 'name', form: 'text', type: 'string' },
  20: { name: 'bigint', form: 'integer', type: 'long' },
  21: { name: 'smallint', form: 'integer', type: 'int' },
  23: { name: 'integer', form: 'integer', type: 'int' },
  25: { name: 'text', form: 'text', type: 'string' },
  26: { name: 'oid', form: 'integer', type: 'long' },
  28: { name: 'xid', form: 'integer', type: 'long' },
  29: { name: 'cid', form: 'integer', type: 'long' },
  114: { name: 'json', form: 'text', type: 'string' },
  142: { name: 'xml', form: 'text', type: 'string' },
  700: { name: 'real', form: 'float', type: 'float' },
  701: { name: 'double precision', form: 'float', type: 'double' },
  790: { name: 'money', form: 'other', type: null },
  1042: { name: 'character', form: 'text', type: 'string' },
  1043: { name: 'character varying', form: 'text', type: 'string' },
  1082: { name: 'date', form: 'date', type: 'date' },
  1083: { name: 'time', form: 'time', type: 'time' },
  1114: { name: 'timestamp', form: 'timestamp', type: 'timestamp' },
  1184: { name: 'timestamptz', form: 'timestamptz', type: 'timestamptz' },
  1186: { name: 'interval', form: 'other', type: null },
  1266: { name: 'timetz', form: 'other', type: null },
  1700: { name: 'numeric', form: 'numeric', type: null },
  2950: { name: 'uuid', form: 'uuid', type: 'uuid' },
  3802: { name: 'jsonb', form: 'text', type: 'string' },
  5069: { name: 'xid8', form: 'integer', type: 'decimal(20,0)' },
}

/** Array oid to element oid, for the same types. */
const ARRAYS: Record<number, number> = {
  1000: 16,
  1001: 17,
  1002: 18,
  1003: 19,
  1005: 21,
  1007: 23,
  1009: 25,
  1014: 1042,
  1015: 1043,
  1016: 20,
  1021: 700,
  1022: 701,
  1028: 26,
  1115: 1114,
  1182: 1082,
  1183: 1083,
  1185: 1184,
  1187: 1186,
  1231: 1700,
  1270: 1266,
  143: 142,
  199: 114,
  2951: 2950,
  3807: 3802,
  791: 790,
}

const WHY_NOT: Record<number, string> = {
  790: 'its text depends on the locale of the server. Select it as numeric: "column"::numeric',
  1186: 'Iceberg has no interval. Select extract(epoch from "column"), or "column"::text',
  1266: 'Iceberg keeps no offset with a time of day. Select "column"::time, or "column"::text',
}

/** What `numeric` without a precision becomes: PostgreSQL's `sum` and `avg` give no other. Architecture, section 4. */
const UNTYPED_NUMERIC = 'decimal(38,18)'
const MAX_PRECISION = 38

/** The oids of `fields` that only the catalogue can explain. */
export const unknownOids = (oids: readonly number[]): number[] => oids.filter((oid) => !(oid in KNOWN) && !(oid in ARRAYS))

/** Precision and scale in a modifier of numeric; the scale has 11 bits and a sign since version 15. */
const numericModifier = (modifier: number): { precision: number; scale: number } => {
  const value = modifier - 4
  return { precision: (value >> 16) & 0xffff, scale: ((value & 0x7ff) ^ 1024) - 1024 }
}

const numericType = (field: Field): string => {
  if (field.modifier < 4) return UNTYPED_NUMERIC
  const { precision, scale } = numericModifier(field.modifier)
  // numeric(3,-2) has two more digits before the point, numeric(2,5) only digits far behind it.
  const digits = Math.max(precision, scale, precision - scale)
  if (digits > MAX_PRECISION)
    throw new Unkeepable(
      `column "${field.name}": numeric(${precision},${scale}) has more than ${MAX_PRECISION} digits. Cast it in the query to numeric(${MAX_PRECISION},…), or write "-- types: ${field.name}=string" to keep its text.`,
    )
  return `decimal(${digits},${Math.max(scale, 0)})`
}

const scalarName = (oid: number, modifier: number, known: Known): string => {
  if (oid !== 1700 || modifier < 4) return known.name
  const { precision, scale } = numericModifier(modifier)
  return `numeric(${precision},${scale})`
}

/** A `-- types:` line may widen a number or take any value's text; other conversions belong into the query, where one sees them. */
const directed = (field: Field, form: TextForm, natural: string | null, typeName: string, text: string): string => {
  const wanted = directedType(field.name, text)
  const numbers: Partial<Record<TextForm, RegExp>> = {
    integer: /^(long|double|decimal\(.*\))$/,
    numeric: /^(double|decimal\(.*\))$/,
    float: /^double$/,
  }
  const name = typeof wanted === 'string' ? wanted : 'nested'
  if (name === natural || name === 'string' || numbers[form]?.test(name)) return name
  throw new Unkeepable(`types: column "${field.name}" is ${typeName} and cannot be kept as ${name}. Cast it in the query.`)
}

/**
 * What each field is kept as (facts: PostgreSQL 5.2). Arrays are lists of their element type; enums, ranges, composites,
 * bit strings, network addresses and types of extensions are kept as their text. Domains arrive as their base type.
 * Throws `Unkeepable`.
 */
export const resultColumns = (
  fields: readonly Field[],
  types: Record<string, string>,
  catalog: ReadonlyMap<number, CatalogType>,
): ResultColumn[] => {
  checkColumnNames(fields.map((field) => field.name))
  checkDirected(
    types,
    fields.map((field) => field.name),
  )
  // Whatever a `tenant_id` is, it is compared with the tenant as text.
  return fields.map((field) => resultColumn(field, field.name === 'tenant_id' ? 'string' : types[field.name], catalog))
}

const resultColumn = (field: Field, directive: string | undefined, catalog: ReadonlyMap<number, CatalogType>): ResultColumn => {
  const element = ARRAYS[field.oid] ?? catalog.get(field.oid)?.element ?? null
  const oid = element ?? field.oid
  const inCatalog = catalog.get(oid)
  const known: Known = KNOWN[oid] ?? { name: inCatalog?.name ?? `type ${oid}`, form: 'other', type: 'string' }
  // `record` is the one pseudo-type that has values.
  const pseudo = inCatalog?.kind === 'p' && oid !== 2249
  const typeName = `${scalarName(oid, field.modifier, known)}${element === null ? '' : '[]'}`
  if (directive !== undefined && !pseudo) {
    if (element !== null) {
      if (directive.trim().toLowerCase() !== 'string')
        throw new Unkeepable(`types: column "${field.name}" is ${typeName} and can only be kept as it is, or as string`)
      return { name: field.name, type: 'string', form: 'other', array: false, typeName }
    }
    const natural = known.form === 'numeric' ? null : known.type
    return { name: field.name, type: directed(field, known.form, natural, typeName, directive), form: known.form, array: false, typeName }
  }
  const kept = known.form === 'numeric' ? numericType(field) : known.type
  if (kept === null || pseudo) {
    const why = (WHY_NOT[oid] ?? 'it is a pseudo-type. Cast it in the query').replaceAll('"column"', `"${field.name}"`)
    throw new Unkeepable(
      `column "${field.name}": the type ${typeName} cannot be kept: ${why}${pseudo ? '' : `, or write "-- types: ${field.name}=string"`}.`,
    )
  }
  return {
    name: field.name,
    type: element === null ? kept : { type: 'list', element: kept },
    form: known.form,
    array: element !== null,
    typeName,
  }
}

/** The report's columns, a system column with its own type. */
export const asColumns = (columns: readonly ResultColumn[]): Column[] =>
  columns.map(({ name, type }) => ({ name, type: SYSTEM_COLUMNS.find((system) => system.name === name)?.type ?? type }))

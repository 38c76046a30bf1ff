import { type Column, type ColumnType, type ResultSchema, SYSTEM_COLUMNS } from '../../edge/contract/columns.ts'
import { quoteName } from '../duckdb/sql.ts'

/** A leaf of a schema: a column of the Parquet file. */
export interface Leaf {
  field: number
  /** DuckDB's path of it, as `RETURN_STATS` writes it: `"st"."a"`, `"li"."element"`, `"mp"."key"`. */
  path: string
  type: string
  /** The report's column it belongs to. */
  column: string
}

/** Thrown where the edge's schema lacks an id: a file without one is read as NULL by some readers. */
const missing = (path: string): Error => new Error(`the schema has no field id for ${path}`)

const idOf = (id: number | undefined, path: string): number => {
  if (id === undefined) throw missing(path)
  return id
}

/** The columns of a file: the report's, then the system columns that Scarab adds. */
export const fileColumns = (schema: ResultSchema): Column[] => [
  ...schema.columns,
  ...SYSTEM_COLUMNS.filter((column) => schema.added.includes(column.name)),
]

const inner = (type: ColumnType, path: string): string => {
  if (typeof type === 'string') return ''
  const part = (key: string, id: number | undefined, of: ColumnType): string => {
    const own = idOf(id, `${path}.${key}`)
    const below = inner(of, `${path}.${key}`)
    return `${key}: ${below === '' ? own : `{__duckdb_field_id: ${own}${below}}`}`
  }
  if (type.type === 'list') return `, ${part('element', type['element-id'], type.element)}`
  if (type.type === 'map') return `, ${part('key', type['key-id'], type.key)}, ${part('value', type['value-id'], type.value)}`
  return type.fields.map((field) => `, ${part(quoteName(field.name), field.id, field.type)}`).join('')
}

/** The value of COPY's FIELD_IDS with every nested id; DuckDB accepts an incomplete one in silence. */
export const fieldIds = (columns: readonly Column[]): string =>
  `{${columns
    .map((column) => {
      const id = idOf(column.id, column.name)
      const below = inner(column.type, column.name)
      return `${quoteName(column.name)}: ${below === '' ? id : `{__duckdb_field_id: ${id}${below}}`}`
    })
    .join(', ')}}`

const leavesOf = (type: ColumnType, id: number | undefined, path: string, column: string): Leaf[] => {
  if (typeof type === 'string') return [{ field: idOf(id, path), path, type, column }]
  if (type.type === 'list') return leavesOf(type.element, type['element-id'], `${path}."element"`, column)
  if (type.type === 'map')
    return [
      ...leavesOf(type.key, type['key-id'], `${path}."key"`, column),
      ...leavesOf(type.value, type['value-id'], `${path}."value"`, column),
    ]
  return type.fields.flatMap((field) => leavesOf(field.type, field.id, `${path}.${quoteName(field.name)}`, column))
}

export const leaves = (columns: readonly Column[]): Leaf[] =>
  columns.flatMap((column) => leavesOf(column.type, column.id, quoteName(column.name), column.name))

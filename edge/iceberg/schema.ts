import { type Column, type ColumnType, SYSTEM_COLUMNS } from '../contract/columns.ts'

/** A column type with every id filled in. */
export type FieldType =
  | string
  | { type: 'struct'; fields: Field[] }
  | { type: 'list'; 'element-id': number; element: FieldType }
  | { type: 'map'; 'key-id': number; key: FieldType; 'value-id': number; value: FieldType }

/** A column of a family: its id was given once and is never given again. */
export interface Field {
  id: number
  name: string
  type: FieldType
}

/** What a family's columns are now. The system columns always come first, with ids 1 to 3. */
export interface FamilyColumns {
  fields: Field[]
  /** The highest id ever given, also to columns that no query yields any more. */
  lastId: number
}

export const newFamilyColumns = (): FamilyColumns => ({ fields: SYSTEM_COLUMNS.map((column) => ({ ...column })), lastId: 3 })

const DECIMAL = /^decimal\((\d+), ?(\d+)\)$/

/** Precision and scale, or null for any other type. */
export const decimalOf = (type: string): { precision: number; scale: number } | null => {
  const match = DECIMAL.exec(type)
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : null
}

/** One spelling for a type: the contract's, `decimal(p,s)` without a blank. */
export const normalType = (type: string): string => {
  const decimal = decimalOf(type)
  return decimal ? `decimal(${decimal.precision},${decimal.scale})` : type
}

/** A schema as it stands in table metadata (Iceberg spec, Appendix C). Every column is optional: results never promise a value. */
export type SchemaJson = { type: 'struct'; 'schema-id': number; fields: FieldJson[] }
export type FieldJson = { id: number; name: string; required: false; type: TypeJson }
export type TypeJson =
  | string
  | { type: 'struct'; fields: FieldJson[] }
  | { type: 'list'; 'element-id': number; element: TypeJson; 'element-required': false }
  | { type: 'map'; 'key-id': number; key: TypeJson; 'value-id': number; value: TypeJson; 'value-required': false }

const typeJson = (type: FieldType): TypeJson => {
  if (typeof type === 'string') {
    // The reference implementation writes a blank after the comma; some readers' patterns ask for it.
    const decimal = decimalOf(type)
    return decimal ? `decimal(${decimal.precision}, ${decimal.scale})` : type
  }
  if (type.type === 'struct') return { type: 'struct', fields: type.fields.map(fieldJson) }
  if (type.type === 'list')
    return { type: 'list', 'element-id': type['element-id'], element: typeJson(type.element), 'element-required': false }
  return {
    type: 'map',
    'key-id': type['key-id'],
    key: typeJson(type.key),
    'value-id': type['value-id'],
    value: typeJson(type.value),
    'value-required': false,
  }
}
const fieldJson = (field: Field): FieldJson => ({ id: field.id, name: field.name, required: false, type: typeJson(field.type) })

export const schemaJson = (fields: Field[], schemaId: number): SchemaJson => ({
  type: 'struct',
  'schema-id': schemaId,
  fields: fields.map(fieldJson),
})

/** A primitive leaf of a schema. `bounded`: min and max may be written, which list and map leaves forbid. */
export interface Leaf {
  id: number
  path: string[]
  type: string
  bounded: boolean
}

const typeLeaves = (id: number, path: string[], type: FieldType, bounded: boolean, out: Leaf[]): void => {
  if (typeof type === 'string') out.push({ id, path, type, bounded })
  else if (type.type === 'struct') for (const field of type.fields) typeLeaves(field.id, [...path, field.name], field.type, bounded, out)
  else if (type.type === 'list') typeLeaves(type['element-id'], [...path, 'element'], type.element, false, out)
  else {
    typeLeaves(type['key-id'], [...path, 'key'], type.key, false, out)
    typeLeaves(type['value-id'], [...path, 'value'], type.value, false, out)
  }
}

export const leaves = (fields: readonly Field[]): Leaf[] => {
  const out: Leaf[] = []
  for (const field of fields) typeLeaves(field.id, [field.name], field.type, true, out)
  return out
}

/**
 * The name by which readers know each column, and what is inside it: with dots between (Iceberg's implementations index a
 * schema so, and refuse to load a table in which two columns have one such name).
 */
export const dottedNames = (fields: readonly Field[]): string[] => {
  const below = (path: string, type: FieldType): string[] => {
    if (typeof type === 'string') return [path]
    if (type.type === 'struct') return [path, ...type.fields.flatMap((field) => below(`${path}.${field.name}`, field.type))]
    if (type.type === 'list') return [path, ...below(`${path}.element`, type.element)]
    return [path, ...below(`${path}.key`, type.key), ...below(`${path}.value`, type.value)]
  }
  return fields.flatMap((field) => below(field.name, field.type))
}

/** `schema.name-mapping.default` (Iceberg spec, "Column Projection"): finds columns in files that carry no field ids. */
export const nameMapping = (fields: Field[]): string => {
  type Mapped = { 'field-id': number; names: string[]; fields?: Mapped[] }
  const inner = (type: FieldType): Mapped[] => {
    if (typeof type === 'string') return []
    if (type.type === 'struct') return type.fields.map((field) => mapped(field.id, field.name, field.type))
    if (type.type === 'list') return [mapped(type['element-id'], 'element', type.element)]
    return [mapped(type['key-id'], 'key', type.key), mapped(type['value-id'], 'value', type.value)]
  }
  const mapped = (id: number, name: string, type: FieldType): Mapped => {
    const below = inner(type)
    return { 'field-id': id, names: [name], ...(below.length > 0 ? { fields: below } : {}) }
  }
  return JSON.stringify(fields.map((field) => mapped(field.id, field.name, field.type)))
}

/** A column whose ids are all there, or null: what a node sends back must name every id that it was given. */
export const asField = (column: Column): Field | null => {
  const type = asFieldType(column.type)
  return column.id === undefined || type === null ? null : { id: column.id, name: column.name, type }
}

const asFieldType = (type: ColumnType): FieldType | null => {
  if (typeof type === 'string') return normalType(type)
  if (type.type === 'struct') {
    const fields: Field[] = []
    for (const child of type.fields) {
      const inner = asFieldType(child.type)
      if (child.id === undefined || inner === null) return null
      fields.push({ id: child.id, name: child.name, type: inner })
    }
    return { type: 'struct', fields }
  }
  if (type.type === 'list') {
    const element = asFieldType(type.element)
    const id = type['element-id']
    return id === undefined || element === null ? null : { type: 'list', 'element-id': id, element }
  }
  const key = asFieldType(type.key)
  const value = asFieldType(type.value)
  const keyId = type['key-id']
  const valueId = type['value-id']
  return keyId === undefined || valueId === undefined || key === null || value === null
    ? null
    : { type: 'map', 'key-id': keyId, key, 'value-id': valueId, value }
}

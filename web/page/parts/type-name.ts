import type { ColumnType } from '../../client/wire.ts'

/** A column's type as people read it. (The contract's own `typeName` would bring its validators along.) */
export const typeName = (type: ColumnType): string => {
  if (typeof type === 'string') return type
  if (type.type === 'list') return `list<${typeName(type.element)}>`
  if (type.type === 'map') return `map<${typeName(type.key)}, ${typeName(type.value)}>`
  return `struct<${type.fields.map((field) => field.name).join(', ')}>`
}

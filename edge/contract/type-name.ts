import type { ColumnType } from './columns.ts'

/** A column type in words: Iceberg's names, `list<int>`, `map<string, long>`, `struct<a: int>`. Free of the schema library, which the browser shall not load. */
export const typeName = (type: ColumnType): string => {
  if (typeof type === 'string') return type
  if (type.type === 'list') return `list<${typeName(type.element)}>`
  if (type.type === 'map') return `map<${typeName(type.key)}, ${typeName(type.value)}>`
  return `struct<${type.fields.map((field) => `${field.name}: ${typeName(field.type)}`).join(', ')}>`
}

import { type DuckDBType, DuckDBTypeId } from '@duckdb/node-api'
import type { DuckdbType } from './protocol.ts'

/** Names that SQL knows and the binding writes otherwise. */
const SQL_NAMES: Record<string, string> = { TIMESTAMP_TZ: 'TIMESTAMPTZ', TIME_TZ: 'TIMETZ' }

/** The binding's type as plain data, which can cross to the parent. */
export const typeTree = (type: DuckDBType): DuckdbType => {
  const name = DuckDBTypeId[type.typeId]
  switch (type.typeId) {
    case DuckDBTypeId.DECIMAL:
      return { name, width: type.width, scale: type.scale }
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY:
      return { name, element: typeTree(type.valueType) }
    case DuckDBTypeId.MAP:
      return { name, key: typeTree(type.keyType), value: typeTree(type.valueType) }
    case DuckDBTypeId.STRUCT:
      return {
        name,
        fields: type.entryNames.map((field, n) => {
          const of = type.entryTypes[n]
          return { name: field, type: of === undefined ? { name: 'INVALID' } : typeTree(of) }
        }),
      }
    default: {
      const known = SQL_NAMES[name] ?? name
      return type.alias === undefined ? { name: known } : { name: known, alias: type.alias }
    }
  }
}

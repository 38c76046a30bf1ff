import { z } from 'zod'

export { typeName } from './type-name.ts'

/**
 * Column types are Iceberg's, in the JSON shape of the Iceberg spec (Appendix C, "Schemas"), with two liberties:
 * ids are absent until the edge has chosen them, and `required` is never written, because every report column is optional.
 */
export const PrimitiveType = z
  .string()
  .regex(
    /^(boolean|int|long|float|double|date|time|timestamp|timestamptz|string|uuid|binary|decimal\((3[0-8]|[12]?[0-9]), ?(3[0-8]|[12]?[0-9])\))$/,
    'not a primitive Iceberg v2 type that Scarab keeps',
  )
export type PrimitiveType = z.infer<typeof PrimitiveType>

export interface StructType {
  type: 'struct'
  fields: { id?: number | undefined; name: string; type: ColumnType }[]
}
export interface ListType {
  type: 'list'
  'element-id'?: number | undefined
  element: ColumnType
}
export interface MapType {
  type: 'map'
  'key-id'?: number | undefined
  key: ColumnType
  'value-id'?: number | undefined
  value: ColumnType
}
export type ColumnType = PrimitiveType | StructType | ListType | MapType

const fieldId = z.int().min(1).max(2_147_483_447)

export const ColumnType: z.ZodType<ColumnType> = z.lazy(() =>
  z.union([
    PrimitiveType,
    z.object({
      type: z.literal('struct'),
      fields: z.array(z.object({ id: fieldId.optional(), name: z.string().min(1), type: ColumnType })),
    }),
    z.object({ type: z.literal('list'), 'element-id': fieldId.optional(), element: ColumnType }),
    z.object({
      type: z.literal('map'),
      'key-id': fieldId.optional(),
      key: ColumnType,
      'value-id': fieldId.optional(),
      value: ColumnType,
    }),
  ]),
)

/** A column of a result. `id` is the Iceberg field id, chosen by the edge (`ensureSchema`) and never used again. */
export const Column = z.object({ id: fieldId.optional(), name: z.string().min(1).max(255), type: ColumnType })
export type Column = z.infer<typeof Column>

/** The columns Scarab adds to a family where the query does not yield one of that name. Their field ids are fixed for ever. */
export const SYSTEM_COLUMNS = [
  { id: 1, name: 'tenant_id', type: 'string' },
  { id: 2, name: 'job_id', type: 'string' },
  { id: 3, name: 'run_date', type: 'date' },
] as const satisfies readonly Column[]

/** The first field id that a report's own column can get. */
export const FIRST_REPORT_FIELD_ID = 4

export const SystemColumn = z.enum(['tenant_id', 'job_id', 'run_date'])
export type SystemColumn = z.infer<typeof SystemColumn>

/** A family's schema as one task sees it: what `ensureSchema` answers and an offer carries. */
export const ResultSchema = z.object({
  /** Names this exact mapping of columns to ids within the family. */
  id: z.string().min(1).max(64),
  /** The report's columns in the query's order, every id filled in, nested ones too. */
  columns: z.array(Column).min(1).max(1_000),
  /** System columns that the node must add to every row, because the query does not yield them. */
  added: z.array(SystemColumn),
})
export type ResultSchema = z.infer<typeof ResultSchema>

/**
 * A value on the wire (JSON): boolean, int, float and double as themselves; long and decimal as strings; NaN and the
 * infinities as "NaN", "Infinity", "-Infinity"; date, time, timestamp as ISO 8601 with six digits of microseconds
 * ("2024-01-02T03:04:05.000006", timestamptz with a final "Z"); uuid as text; binary as base64; struct as an object,
 * list as an array, map as an array of {"key", "value"}; NULL as null.
 */
export type WireValue = string | number | boolean | null | WireValue[] | { [name: string]: WireValue }
export const WireValue: z.ZodType<WireValue> = z.json() as z.ZodType<WireValue>

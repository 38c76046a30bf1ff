import { z } from 'zod'
import { WireValue } from './columns.ts'
import { Sha256, SliceHash } from './ids.ts'
import { DEFAULT_SLICE_ROWS, MAX_LINK_SLICE_BYTES, MAX_SLICE_ROWS, MAX_SLICE_SQL_BYTES } from './slice-limits.ts'

export { DEFAULT_SLICE_ROWS, MAX_LINK_SLICE_BYTES, MAX_SLICE_ROWS, MAX_SLICE_SQL_BYTES }

const column = z.string().min(1).max(255)
const scalar = z.union([z.string().max(65_536), z.number(), z.boolean(), z.null()])

export const FilterOp = z.enum(['=', '!=', '<', '<=', '>', '>=', 'in', 'between', 'contains', 'is_null', 'not_null'])
export type FilterOp = z.infer<typeof FilterOp>

/** `in` takes an array, `between` an array of two (both ends belong to it), `is_null` and `not_null` no value. */
export const Filter = z.strictObject({
  col: column,
  op: FilterOp,
  value: z.union([scalar, z.array(scalar).max(10_000)]).optional(),
})
export type Filter = z.infer<typeof Filter>

export const AggregateFn = z.enum(['count', 'sum', 'min', 'max', 'avg', 'count_distinct'])
export const Aggregate = z.strictObject({ fn: AggregateFn, col: column.optional(), as: column.optional() })
export type Aggregate = z.infer<typeof Aggregate>

const StructuredSlice = z.strictObject({
  where: z.array(Filter).max(100).optional(),
  select: z
    .array(z.union([column, Aggregate]))
    .max(1_000)
    .optional(),
  group: z.array(column).max(100).optional(),
  /** Column names; a leading "-" sorts descending. */
  order: z.array(z.string().min(1).max(256)).max(100).optional(),
  limit: z.int().min(0).max(MAX_SLICE_ROWS).optional(),
  offset: z.int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
})
const SqlSlice = z.strictObject({ sql: z.string().min(1).max(MAX_SLICE_SQL_BYTES) })

/** A question to a finished result: one normalised object, or one SELECT over the relation `result`. */
export const SliceRequest = z.union([SqlSlice, StructuredSlice])
export type SliceRequest = z.infer<typeof SliceRequest>
export type StructuredSlice = z.infer<typeof StructuredSlice>

/** The normal form: every default written out, filters in a fixed order. Two requests with one meaning have one hash. */
export const NormalSlice = z.union([
  z.strictObject({ sql: z.string() }),
  z.strictObject({
    where: z.array(Filter),
    select: z.array(z.union([z.strictObject({ col: column }), Aggregate.required({ as: true })])),
    group: z.array(column),
    order: z.array(z.strictObject({ col: column, desc: z.boolean() })),
    limit: z.int(),
    offset: z.int(),
  }),
])
export type NormalSlice = z.infer<typeof NormalSlice>

export const SliceAnswer = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(WireValue)),
  hash: SliceHash,
})
export type SliceAnswer = z.infer<typeof SliceAnswer>

/** Which bytes of a result a node may read for a slice: links for 15 minutes, and what they must hash to. */
export const SliceFile = z.object({
  kind: z.enum(['parquet', 'pack']),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  bytes: z.int(),
  sha256: Sha256,
})
export type SliceFile = z.infer<typeof SliceFile>

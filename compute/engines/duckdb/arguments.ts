import type { Argument, Param, ParamType } from '../../../edge/contract/tasks.ts'
import { engineFault } from '../../duckdb/faults.ts'
import type { BoundValue } from '../../duckdb/protocol.ts'

/** What a decimal argument is read as where its place does not say: as `numeric` without a precision. Architecture, section 4. */
const ANY_DECIMAL = { type: 'DECIMAL(38,18)', scale: 18 }

const DUCKDB_TYPES: Record<Exclude<ParamType, 'decimal'>, string> = {
  text: 'VARCHAR',
  int: 'INTEGER',
  bigint: 'BIGINT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMPTZ',
  uuid: 'UUID',
}

const wrong = (n: number, param: Param | undefined, value: string, want: string): Error =>
  engineFault(
    'arguments',
    'invalid_argument',
    `argument ${n}${param === undefined ? '' : ` (${param.name})`}: "${value.slice(0, 100)}" is not ${want}`,
  )

/** The decimal type of the place, unless the value has more digits after the point than that keeps. */
const decimalType = (text: string | null, inferred: string | null, n: number, param: Param | undefined): string => {
  const digits = text === null ? 0 : (/^[+-]?\d*(?:\.(\d*))?$/.exec(text.trim())?.[1]?.length ?? (/^[+-]?\d+$/.test(text.trim()) ? 0 : -1))
  if (digits < 0 && text !== null && !/^[+-]?\d+\.?$/.test(text.trim())) throw wrong(n, param, text, 'a decimal number')
  const place = /^DECIMAL\((\d+),(\d+)\)$/.exec(inferred ?? '')
  if (inferred !== null && place !== null && digits <= Number(place[2])) return inferred
  if (text !== null && digits > ANY_DECIMAL.scale)
    throw wrong(n, param, text, `a decimal with at most ${ANY_DECIMAL.scale} digits after the point`)
  return ANY_DECIMAL.type
}

/** A JavaScript number without a declared type is bound as the narrowest type that keeps it. */
const typeOfValue = (value: Argument): string | null => {
  if (value === null) return null
  if (typeof value === 'boolean') return 'BOOLEAN'
  if (typeof value === 'string') return 'VARCHAR'
  if (!Number.isInteger(value)) return 'DOUBLE'
  return Math.abs(value) <= 2_147_483_647 ? 'INTEGER' : 'BIGINT'
}

/** The DuckDB type for `$n` and the text to read as it; the type that the place has decides where the task declares none. */
const bind = (value: Argument, n: number, param: Param | undefined, inferred: string | null): BoundValue => {
  const text = value === null ? null : String(value)
  if (param === undefined) return { text, type: inferred ?? typeOfValue(value) }
  if (param.type === 'decimal') return { text, type: decimalType(text, inferred, n, param) }
  // DuckDB would round "1.5" to a whole number.
  if ((param.type === 'int' || param.type === 'bigint') && text !== null && !/^[+-]?\d+$/.test(text.trim()))
    throw wrong(n, param, text, 'a whole number')
  return { text, type: DUCKDB_TYPES[param.type] }
}

/**
 * Arguments as values for `$1 … $n`. `inferred` is what DuckDB says about each place. Throws EngineFault (class
 * `arguments`) for a value that is not of its type, or when there are too few.
 */
export const boundArguments = (args: readonly Argument[], params: readonly Param[], inferred: readonly (string | null)[]): BoundValue[] => {
  const missing = inferred.findIndex((_type, n) => n >= args.length && params[n]?.default === undefined)
  if (missing >= 0)
    throw engineFault(
      'arguments',
      'missing_argument',
      `argument ${missing + 1} is missing: the statement takes ${inferred.length}, ${args.length} were given`,
    )
  const count = Math.max(args.length, inferred.length)
  return Array.from({ length: count }, (_item, n) => {
    const param = params[n]
    const value = args[n] ?? (n < args.length ? null : (param?.default ?? null))
    return bind(value, n + 1, param, inferred[n] ?? null)
  })
}

/** Stand-ins to describe a statement before there are arguments; null: some place has no type without one. */
export const typedPlaces = (params: readonly Param[], inferred: readonly (string | null)[]): BoundValue[] | null => {
  const places = inferred.map((type, n) => bind(params[n]?.default ?? null, n + 1, params[n], type))
  return places.every((place) => place.type !== null) ? places : null
}

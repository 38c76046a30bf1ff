import { expectedOf } from '../../contract/arguments.ts'
import type { Column, WireValue } from '../../contract/columns.ts'
import type { JobError } from '../../contract/jobs.ts'
import { Argument, type ParamType } from '../../contract/tasks.ts'
import { oversize } from '../args-size.ts'
import type { Reference } from './plan.ts'

/** A value of a first row, or why there is none. Kept with the parent's step until its children have ended. */
export type Carried = { value: WireValue } | { code: 'argument_no_row' | 'argument_no_column' | 'argument_too_large'; message: string }
export type CarriedRow = Record<string, Carried>

/** What a job left: its columns, how many rows, and the first of them where it is at hand. */
export interface FirstRow {
  columns: readonly Column[]
  rows: number
  row: readonly WireValue[] | null
}

/** Characters of one carried value as JSON: an argument's own limit (contract/tasks.ts), with room for quotes. */
const MAX_CARRIED = 2 * 65_536 + 2

/** Copies the columns that other steps take, so that the result itself is not needed again. Null: there is no result any more. */
export const carry = (step: string, found: FirstRow | null, wanted: Iterable<string>): CarriedRow => {
  const { columns, rows, row } = found ?? { columns: [], rows: 0, row: null }
  const carried: [string, Carried][] = []
  for (const column of wanted) {
    const place = columns.findIndex(({ name }) => name === column)
    const value = row?.[place]
    if (found === null) carried.push([column, { code: 'argument_no_row', message: `The result of step "${step}" is not there any more.` }])
    else if (place < 0)
      carried.push([
        column,
        {
          code: 'argument_no_column',
          message:
            `The result of step "${step}" has no column "${column}"; it has ${columns.map(({ name }) => `"${name}"`).join(', ')}.`.slice(
              0,
              2_000,
            ),
        },
      ])
    else if (rows === 0)
      carried.push([
        column,
        { code: 'argument_no_row', message: `The result of step "${step}" has no row, so there is no value of "${column}".` },
      ])
    // A row that is too large to be a manifest's first one is not among its first rows.
    else if (value === undefined || JSON.stringify(value).length > MAX_CARRIED)
      carried.push([
        column,
        { code: 'argument_too_large', message: `"${column}" in the first row of step "${step}" is too large for an argument.` },
      ])
    else carried.push([column, { value }])
  }
  return Object.fromEntries(carried)
}

export type Filled = { ok: true; args: Argument[] } | { ok: false; error: JobError }

/** A wire value as an argument of the parameter's type; null where it does not fit. Texts take numbers and booleans too. */
const suited = (type: ParamType | null, value: WireValue): Argument | null => {
  const scalar = Argument.safeParse(value)
  if (!scalar.success || scalar.data === null) return null
  const argument = type === 'text' ? String(scalar.data) : scalar.data
  return type !== null && expectedOf(type, argument) !== null ? null : argument
}

/** Puts values of parents in their places among the arguments. `rowOf` answers what a parent's step carries, null without a result. */
export const fillIn = (args: readonly Argument[], references: readonly Reference[], rowOf: (step: string) => CarriedRow | null): Filled => {
  const filled = [...args]
  for (const { index, from, column, param, type } of references) {
    const what = `The argument "${param}" is "${column}" of step "${from}"`
    const row = rowOf(from)
    const carried = row && Object.hasOwn(row, column) ? row[column] : undefined
    if (!carried) return { ok: false, error: { code: 'argument_no_row', message: `${what}, which has no result.` } }
    if ('code' in carried) return { ok: false, error: carried }
    if (carried.value === null) return { ok: false, error: { code: 'argument_null', message: `${what}, which is NULL in its first row.` } }
    const argument = suited(type, carried.value)
    if (argument === null)
      return {
        ok: false,
        error: {
          code: 'argument_type',
          message: `${what}: ${JSON.stringify(carried.value).slice(0, 100)} is no ${type ?? 'single value'}.`,
        },
      }
    filled[index] = argument
  }
  // One value may be taken many times: what each of them may have is no bound of all.
  const tooLarge = references.length > 0 ? oversize(filled) : null
  return tooLarge === null ? { ok: true, args: filled } : { ok: false, error: { code: 'argument_too_large', message: tooLarge } }
}

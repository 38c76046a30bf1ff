import { createHash } from 'node:crypto'
import { Family } from '../../edge/contract/ids.ts'
import { quote } from './problem.ts'
import type { Read } from './values.ts'

/** The namespace of tasks that name no `result_table`. */
const DEFAULT_NAMESPACE = 'reports'
/** The contract allows a table 150 characters. */
const MAX_TABLE_CHARACTERS = 150
const HASH_DIGITS = 6

/**
 * The report family of a task without `result_table`: `reports.<task>`. Characters outside `[a-z0-9_]` become `_`; where
 * that (or cutting to length) changed the name, six digits of its hash keep "a b" and "a-b" apart. A table cannot begin
 * with `_`, so a `t` is put before one.
 */
export const familyOfTask = (task: string): Family => {
  let table = task.replace(/[^a-z0-9_]/gu, '_')
  if (table.startsWith('_')) table = `t${table}`
  if (table !== task || table.length > MAX_TABLE_CHARACTERS) {
    const hash = createHash('sha256').update(task).digest('hex').slice(0, HASH_DIGITS)
    table = `${table.slice(0, MAX_TABLE_CHARACTERS - HASH_DIGITS - 1)}_${hash}`
  }
  return Family.parse(`${DEFAULT_NAMESPACE}.${table}`)
}

/** `-- result_table: payments.daily_pnl`. */
export const readFamily = (text: string): Read<Family> => {
  const family = Family.safeParse(text)
  if (family.success) return { ok: true, value: family.data }
  const remedy = 'write namespace.table of a-z, 0-9 and "_", neither part starting with "_", such as payments.daily_pnl'
  return { ok: false, detail: `${quote(text)} cannot be a result table; ${remedy}` }
}

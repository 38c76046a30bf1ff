import type { ColumnType } from '../../edge/contract/columns.ts'
import { Column, SYSTEM_COLUMNS, typeName } from '../../edge/contract/columns.ts'
import type { SqlTask } from '../engines/engine.ts'
import { nearest } from './nearest.ts'
import { quote } from './problem.ts'

/** The contract's limit for a result. */
const MAX_COLUMNS = 1_000

/** What becomes of a query's columns: those to announce, or why the task must not be loaded. */
export type KeptColumns = { ok: true; columns: Column[]; warnings: string[] } | { ok: false; detail: string }

const bad = (detail: string): KeptColumns => ({ ok: false, detail })
const isNested = (type: ColumnType): boolean => typeof type !== 'string'
const withoutBlanks = (type: ColumnType): string => typeName(type).replace(/\s+/g, '')

/** Types whose values have a DATE in them; text is cast and fails the job where it holds none. */
const DATELIKE: ReadonlySet<ColumnType> = new Set(['date', 'timestamp', 'timestamptz', 'string'])

const refusal = (column: Column): string | null => {
  const { name, type } = column
  const lower = name.toLowerCase()
  if (lower === 'job_id') return `the query yields ${quote(name)}, which Scarab adds to every row; give it an alias (… AS source_job_id)`
  const system = SYSTEM_COLUMNS.find((candidate) => candidate.name === lower)
  if (system === undefined) return null
  if (name !== lower)
    return `the query yields ${quote(name)}, which differs from the system column "${lower}" only in case; alias it AS ${lower}, or otherwise`
  if (lower === 'tenant_id' && isNested(type))
    return `"tenant_id" has the type ${typeName(type)}, but must equal the tenant as text; alias it otherwise`
  if (lower === 'run_date' && !DATELIKE.has(type)) {
    return `"run_date" has the type ${typeName(type)}, which cannot become a date; cast it (CAST(… AS DATE)) or alias it otherwise`
  }
  return null
}

/** What a family stores: a yielded tenant is compared as text, a yielded run date is cast to DATE (architecture, section 5). */
const asStored = (column: Column): Column => {
  const system = SYSTEM_COLUMNS.find((candidate) => candidate.name === column.name)
  return system === undefined ? column : { ...column, type: system.type }
}

/**
 * Judges the columns that an engine described, before they are announced or sent in a `schema` message. Pure; the same
 * for a description at load and for one with a job's arguments.
 *
 * Refused: no columns, more than 1,000, names that are empty or equal but for case, a yielded `job_id`, a `tenant_id` or
 * `run_date` that cannot be one, and names in `types` or `partition_by` that the result does not have.
 */
export const keepColumns = (task: Pick<SqlTask, 'partition_by' | 'types'>, described: readonly Column[]): KeptColumns => {
  if (described.length === 0) return bad('the query yields no columns; a task is a SELECT')
  if (described.length > MAX_COLUMNS) return bad(`the query yields ${described.length} columns; at most ${MAX_COLUMNS} can be kept`)
  const warnings: string[] = []
  const seen = new Map<string, string>()
  for (const [index, column] of described.entries()) {
    if (!Column.shape.name.safeParse(column.name).success) {
      return bad(`column ${index + 1} is named ${quote(column.name)}; a name has 1 to 255 characters, so give it an alias (… AS name)`)
    }
    const twin = seen.get(column.name.toLowerCase())
    if (twin !== undefined) {
      const which =
        twin === column.name
          ? `two columns named ${quote(twin)}`
          : `the columns ${quote(twin)} and ${quote(column.name)}, equal but for case`
      return bad(`the query yields ${which}; give one of them an alias`)
    }
    seen.set(column.name.toLowerCase(), column.name)
    const reason = refusal(column)
    if (reason !== null) return bad(reason)
  }

  const names = described.map((column) => column.name)
  const unknown = (tag: string, name: string, known: readonly string[]): KeptColumns => {
    const candidate = nearest(name, known)
    const hint = candidate === null ? `it has ${known.slice(0, 20).map(quote).join(', ')}` : `did you mean ${quote(candidate)}?`
    return bad(`${tag}: the result has no column ${quote(name)}; ${hint}`)
  }
  for (const [name, declared] of Object.entries(task.types)) {
    const column = described.find((candidate) => candidate.name === name)
    if (column === undefined) return unknown('types', name, names)
    if (withoutBlanks(column.type) !== withoutBlanks(declared)) {
      warnings.push(`types: ${quote(name)} is declared ${declared}, but the engine describes it as ${typeName(column.type)}`)
    }
  }
  for (const name of task.partition_by ?? []) {
    const available = [...new Set([...names, ...SYSTEM_COLUMNS.map((column) => column.name)])]
    if (!available.includes(name)) return unknown('partition_by', name, available)
    const column = described.find((candidate) => candidate.name === name)
    if (column !== undefined && isNested(column.type)) {
      return bad(`partition_by: ${quote(name)} has the type ${typeName(column.type)}; partition by a column of a simple type`)
    }
  }
  return { ok: true, columns: described.map(asStored), warnings }
}

/** Where two descriptions differ, in words, or null where they are the same: names, order and types. */
export const columnsDiffer = (a: readonly Column[], b: readonly Column[]): string | null => {
  const show = (column: Column | undefined) => (column === undefined ? 'no such column' : `${quote(column.name)} ${typeName(column.type)}`)
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [left, right] = [a[index], b[index]]
    if (left?.name !== right?.name || left === undefined || right === undefined || withoutBlanks(left.type) !== withoutBlanks(right.type)) {
      return `column ${index + 1} is ${show(left)} against ${show(right)}`
    }
  }
  return null
}

import { EngineFault } from '../engine.ts'
import { misfitFault } from './collector.ts'
import { fault } from './faults.ts'
import { misfitOf } from './spool.ts'
import type { ResultColumn } from './types.ts'

/** DuckDB's words for a cell of a CSV that its column has no room for. */
const MISFIT = /Error when converting column "([\s\S]*?)"\. Could not convert string "([\s\S]*?)" to '/

/** DuckDB's errors begin with a kind; ours, which may hold any text of the report, do not. */
const ABOUT_CSV = /^[\w ]+ Error: [\s\S]*CSV/

/**
 * What a reading of a spool failed by, in words about the report: DuckDB's are about a file of ours. A value that only
 * DuckDB finds to be without a place (a last digit that rounds up, say) is named as all others are.
 */
export const spoolFault = (error: unknown, columns: readonly ResultColumn[]): unknown => {
  if (!(error instanceof EngineFault) || !ABOUT_CSV.test(error.failure.message)) return error
  const [, name, value] = MISFIT.exec(error.failure.message) ?? []
  const column = columns.find((one) => one.name === name)
  if (column && value !== undefined) return misfitFault(misfitOf(column, value))
  return fault('spool_unreadable', 'what the source sent could not be read back from the spool of the node', 'internal')
}

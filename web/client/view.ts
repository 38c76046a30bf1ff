import type { QueryOptions } from './engine.ts'
import type { Cell, Column, Mode } from './wire.ts'

/** What a person looks at: columns, a number of rows, and any stretch of them. */
export interface View {
  readonly mode: Mode
  readonly columns: Column[]
  readonly count: number
  /** The answer was cut at `MAX_SQL_ROWS`. */
  readonly truncated: boolean
  /** Rows `from` … `from + n - 1`, as far as there are any. */
  page(from: number, n: number, options?: QueryOptions): Promise<Cell[][]>
  /** Frees what the view holds in the engine. */
  close(): void
}

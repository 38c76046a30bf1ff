import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { Pack } from '../../edge/contract/manifests.ts'
import type { DuckdbSession } from '../duckdb/session.ts'
import { quoteName, quoteText } from '../duckdb/sql.ts'

/**
 * Newest storage version that the stock DuckDB-WASM (1.32.0, engine 1.4.3) reads; 'latest' would be refused there.
 */
const STORAGE_VERSION = 'v1.4.0'

/**
 * Makes the browser's copy of a result: a DuckDB database at `out` with one table `result`, exactly the report's columns
 * (system columns that Scarab added stay hidden), rows in the order of the files. The session must be an open one
 * (`allowed: null`) or allow the folders of `files` and `out`. Rebuildable at any time from the Parquet files.
 */
export const makePack = async (
  session: DuckdbSession,
  files: readonly { path: string }[],
  schema: ResultSchema,
  out: string,
): Promise<Pack> => {
  const columns = schema.columns.map((column) => quoteName(column.name)).join(', ')
  const paths = files.map((file) => quoteText(file.path)).join(', ')
  await session.run(`ATTACH ${quoteText(out)} AS pack (STORAGE_VERSION ${quoteText(STORAGE_VERSION)})`)
  await session.run(`CREATE TABLE pack.main.result AS SELECT ${columns} FROM read_parquet([${paths}])`)
  await session.run('DETACH pack')
  return session.digest(out)
}

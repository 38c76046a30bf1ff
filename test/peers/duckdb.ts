import { join } from 'node:path'
import { pipInstall, run } from './python.ts'
import { Rows, type SqlPeer } from './sql-peer.ts'

/** Signed by DuckDB, repackaged by others; the version is that of the engine, exactly. Each is loaded after what it needs. */
const EXTENSIONS = ['httpfs', 'avro', 'iceberg']
const VERSION = '1.5.5'
/** DuckDB waits for ever where a manifest list cannot be read. */
const ANSWER_LIMIT_MS = 2 * 60_000

/** DuckDB's own Iceberg reader, in a process of its own for each question. */
export const openDuckDb = async (cache: string, say: (line: string) => void): Promise<SqlPeer> => {
  const folder = join(cache, 'duckdb-extensions')
  const packages = EXTENSIONS.map((name) => `duckdb-extension-${name}==${VERSION}`)
  await pipInstall(cache, packages, { target: folder, say })
  const extensions = EXTENSIONS.map((name) => join(folder, `duckdb_extension_${name}/extensions/v${VERSION}/${name}.duckdb_extension`))
  return {
    name: 'DuckDB',
    versions: packages.join(' '),
    tables: "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'lake' ORDER BY 1",
    end: async () => undefined,
    ask: async (sql, at) => {
      const request = JSON.stringify({ sql, extensions, ...at })
      const { code, output, said } = await run(process.execPath, [join(import.meta.dirname, 'duckdb-reader.ts')], request, ANSWER_LIMIT_MS)
      if (code !== 0) throw new Error(`DuckDB ended with ${code}: ${said.slice(-2_000)}`)
      return Rows.parse(JSON.parse(output))
    },
  }
}

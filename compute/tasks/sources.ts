import type { Source } from '../engines/engine.ts'
import type { Dialect } from './placeholders.ts'

/** Always there, without configuration. `maxActive` is bounded by the node's slots and its DuckDB children. */
export const EMBEDDED_DUCKDB: Source = { name: 'duckdb', type: 'duckdb', dsn: null, maxActive: Number.MAX_SAFE_INTEGER }

/** The configured source of that name, or the embedded DuckDB for `duckdb`. */
export const findSource = (name: string, configured: readonly Source[]): Source | null =>
  configured.find((source) => source.name === name) ?? (name === EMBEDDED_DUCKDB.name ? EMBEDDED_DUCKDB : null)

/**
 * Where a task may run on this node: the sources its `db` names; else those of the type its `engine_hint` names; else
 * all configured ones (DungBeetle's rule); else the embedded DuckDB. A hint that nothing fits is only a hint.
 * Empty: `db` names nothing that this node has.
 */
export const candidateSources = (task: { db: readonly string[]; engine_hint: string | null }, configured: readonly Source[]): Source[] => {
  if (task.db.length > 0) return task.db.flatMap((name) => findSource(name, configured) ?? [])
  if (task.engine_hint !== null) {
    const fitting = configured.filter((source) => source.type === task.engine_hint)
    if (fitting.length > 0) return fitting
    if (task.engine_hint === EMBEDDED_DUCKDB.type) return [EMBEDDED_DUCKDB]
  }
  return configured.length > 0 ? [...configured] : [EMBEDDED_DUCKDB]
}

const DIALECTS: Record<Source['type'], Dialect> = {
  duckdb: 'duckdb',
  postgres: 'postgres',
  risingwave: 'postgres',
  mysql: 'mysql',
  starrocks: 'mysql',
  clickhouse: 'mysql',
  trino: 'duckdb',
}

/**
 * How to read a statement that may run on these sources. One Postgres among them is enough to take `?` behind a value for
 * its operator; backslashes escape only where they do so everywhere.
 */
export const dialectOf = (sources: readonly Source[]): Dialect => {
  const dialects = sources.map((source) => DIALECTS[source.type])
  if (dialects.includes('postgres')) return 'postgres'
  return dialects.length > 0 && dialects.every((dialect) => dialect === 'mysql') ? 'mysql' : 'duckdb'
}

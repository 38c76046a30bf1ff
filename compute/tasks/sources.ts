import type { Source } from '../engines/engine.ts'
import type { Dialect } from './placeholders.ts'

/** Always there, without configuration. `maxActive` is bounded by the node's slots and its DuckDB children. */
export const EMBEDDED_DUCKDB: Source = { name: 'duckdb', type: 'duckdb', dsn: null, maxActive: Number.MAX_SAFE_INTEGER }

/** The node's source of that name, or the embedded DuckDB for `duckdb`. */
export const findSource = (name: string, sources: readonly Source[]): Source | null =>
  sources.find((source) => source.name === name) ?? (name === EMBEDDED_DUCKDB.name ? EMBEDDED_DUCKDB : null)

/**
 * Where a task may run on this node: the sources its `db` names; else those of the type its `engine_hint` names; else
 * all configured ones (DungBeetle's rule); else the embedded DuckDB, which does not count as configured: it is always
 * there. A hint that nothing fits is only a hint.
 * Empty: `db` names nothing that this node has.
 */
export const candidateSources = (task: { db: readonly string[]; engine_hint: string | null }, sources: readonly Source[]): Source[] => {
  if (task.db.length > 0) return task.db.flatMap((name) => findSource(name, sources) ?? [])
  const configured = sources.filter((source) => source.name !== EMBEDDED_DUCKDB.name)
  const embedded = findSource(EMBEDDED_DUCKDB.name, sources) ?? EMBEDDED_DUCKDB
  if (task.engine_hint !== null) {
    const fitting = configured.filter((source) => source.type === task.engine_hint)
    if (fitting.length > 0) return fitting
    if (task.engine_hint === embedded.type) return [embedded]
  }
  return configured.length > 0 ? configured : [embedded]
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

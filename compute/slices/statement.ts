/**
 * Judges a user's SQL by DuckDB's own parse tree (`json_serialize_sql`), before anything binds it. The engine's locked
 * settings are the wall; this is the door: it says what a slice is, in words, and keeps out what the wall would let through
 * (the database's own catalog, settings, the cache's file).
 */

/** Table functions that make rows of their arguments alone. */
const TABLE_FUNCTIONS = new Set([
  'range',
  'generate_series',
  'unnest',
  'json_each',
  'json_tree',
  'regexp_split_to_table',
  'repeat',
  'repeat_row',
])

/** Functions that tell of the process, its settings or other connections, wait, log, or read SQL out of text. */
const REFUSED_FUNCTIONS =
  /^(current_setting|set_config|getenv|getvariable|current_query|current_query_id|current_connection_id|current_transaction_id|txid_current|inet_.*|pg_.*|has_.*_privilege|write_log|parse_duckdb_log_message|sleep_ms|sleep|nextval|currval|json_serialize_sql|json_serialize_plan|json_deserialize_sql|json_execute_serialized_sql|read_.*|duckdb_.*|pragma_.*|query|query_table|glob|which_secret|.*_scan|sql_auto_complete|in_search_path|col_description|obj_description|shobj_description|__internal_.*|getattr|get_block_size)$/

/** pg_typeof and pg_size_pretty say something about a value, not about the process. */
const HARMLESS = new Set(['pg_typeof', 'pg_size_pretty', 'has_any_column'])

type Tree = { [name: string]: unknown }
const isTree = (value: unknown): value is Tree => value !== null && typeof value === 'object' && !Array.isArray(value)
const text = (value: unknown): string => (typeof value === 'string' ? value : '')

export type Judgement = { ok: true } | { ok: false; detail: string }
const refuse = (detail: string): Judgement => ({ ok: false, detail })

const judgeNode = (node: Tree, known: Set<string>): Judgement => {
  const type = text(node.type)
  if (type === 'BASE_TABLE') {
    const name = text(node.table_name)
    const qualified = [text(node.catalog_name), text(node.schema_name), name].filter((part) => part !== '')
    if (qualified.length > 1 || !known.has(name.toLowerCase()))
      return refuse(`there is no relation ${JSON.stringify(qualified.join('.'))}: a slice reads "result" only`)
  }
  if (type === 'TABLE_FUNCTION') {
    const call = isTree(node.function) ? node.function : {}
    const name = text(call.function_name).toLowerCase()
    if (!TABLE_FUNCTIONS.has(name)) return refuse(`the function ${name}() cannot stand in FROM here: a slice reads "result" only`)
  }
  if (type === 'SHOW_REF') return refuse('one SELECT is expected, not DESCRIBE, SHOW or SUMMARIZE')
  if (type === 'VALUE_PARAMETER') return refuse('the statement takes no parameters: write the values into it')
  const name = text(node.function_name).toLowerCase()
  if (name !== '' && REFUSED_FUNCTIONS.test(name) && !HARMLESS.has(name)) return refuse(`the function ${name}() is not for slices`)
  return { ok: true }
}

/**
 * Walks with the names that stand for relations at each place. A WITH's name holds only after it: used before, or in its own body, the
 * same name would mean a view of the database's catalog, or a file.
 */
const walk = (value: unknown, known: Set<string>): Judgement => {
  if (Array.isArray(value)) return walkAll(value, known)
  if (!isTree(value)) return { ok: true }
  const judgement = judgeNode(value, known)
  if (!judgement.ok) return judgement
  const { cte_map: map, left, right, ...rest } = value
  const inside = new Set(known)
  for (const entry of isTree(map) && Array.isArray(map.map) ? map.map : []) {
    if (!isTree(entry)) continue
    const body = walk(entry.value, inside)
    if (!body.ok) return body
    inside.add(text(entry.key).toLowerCase())
  }
  const recursive = new Set(inside)
  if (value.type === 'RECURSIVE_CTE_NODE') recursive.add(text(value.cte_name).toLowerCase())
  const others = walkAll(Object.values(rest), inside)
  if (!others.ok) return others
  const first = walk(left, inside)
  return first.ok ? walk(right, recursive) : first
}

const walkAll = (values: unknown[], known: Set<string>): Judgement => {
  for (const value of values) {
    const judgement = walk(value, known)
    if (!judgement.ok) return judgement
  }
  return { ok: true }
}

/** I7, in words. `serialized` is the JSON that `json_serialize_sql` made of the whole text. */
export const judge = (serialized: string): Judgement => {
  try {
    return judgeTree(JSON.parse(serialized))
  } catch (error) {
    if (error instanceof RangeError || error instanceof SyntaxError) return refuse('the statement is nested too deeply')
    throw error
  }
}

const judgeTree = (serialized: unknown): Judgement => {
  if (!isTree(serialized)) return refuse('the statement could not be read')
  if (serialized.error === true) {
    const message = text(serialized.error_message)
    if (/only select statements/i.test(message))
      return refuse('one SELECT over "result" is expected; other statements are not taken (a PIVOT must name its values: ON col IN (…))')
    return refuse(`Parser Error: ${message}`)
  }
  const statements = Array.isArray(serialized.statements) ? serialized.statements : []
  if (statements.length !== 1) return refuse(`one SELECT is expected, this text holds ${statements.length} statements`)
  return walk(statements[0], new Set(['result']))
}

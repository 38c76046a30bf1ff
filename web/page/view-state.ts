import type { Cell, Column, Filter, FilterOp, ViewSpec } from '../client/wire.ts'

/** Where rows come from when somebody says so: `parquet`, the result's own files instead of the pack; `server`, no copy at all. */
export type Source = 'parquet' | 'server'
const isSource = (text: string | null): text is Source => text === 'parquet' || text === 'server'

/** What a person has made of a result; the address bar holds all of it. */
export interface ViewState {
  where: Filter[]
  order: string[]
  group: string[]
  sql: string | null
  source: Source | null
}

export const EMPTY_VIEW: ViewState = { where: [], order: [], group: [], sql: null, source: null }

const OPS: readonly FilterOp[] = ['=', '!=', '<', '<=', '>', '>=', 'in', 'between', 'contains', 'is_null', 'not_null']
const isOp = (value: unknown): value is FilterOp => OPS.some((op) => op === value)
const isScalar = (value: unknown): value is string | number | boolean | null =>
  value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

/** `["col","op",value]`, as it stands in the address; null for what is none. */
const readFilter = (text: string): Filter | null => {
  let parts: unknown
  try {
    parts = JSON.parse(text)
  } catch {
    return null
  }
  if (!Array.isArray(parts)) return null
  const [col, op, value]: unknown[] = parts
  if (typeof col !== 'string' || col === '' || !isOp(op)) return null
  if (value === undefined) return { col, op }
  if (isScalar(value)) return { col, op, value }
  return Array.isArray(value) && value.every(isScalar) ? { col, op, value } : null
}

const sourceOf = (text: string | null): Source | null => (isSource(text) ? text : null)

/** The view of an address. What cannot be read is left out: an old or damaged link still opens the result. */
export const readView = (query: URLSearchParams): ViewState => ({
  where: query.getAll('where').flatMap((text) => readFilter(text) ?? []),
  order: query.getAll('order').filter((text) => text !== '' && text !== '-'),
  group: query.getAll('group').filter((text) => text !== ''),
  sql: query.get('sql') || null,
  source: sourceOf(query.get('source')),
})

export const writeView = (view: ViewState): URLSearchParams => {
  const query = new URLSearchParams()
  for (const { col, op, value } of view.where) query.append('where', JSON.stringify(value === undefined ? [col, op] : [col, op, value]))
  for (const text of view.order) query.append('order', text)
  for (const text of view.group) query.append('group', text)
  if (view.sql !== null) query.set('sql', view.sql)
  if (view.source !== null) query.set('source', view.source)
  return query
}

export const specOf = (view: ViewState): ViewSpec => ({
  ...(view.where.length > 0 ? { where: view.where } : {}),
  ...(view.order.length > 0 ? { order: view.order } : {}),
  ...(view.group.length > 0 ? { group: view.group } : {}),
  ...(view.sql === null ? {} : { sql: view.sql }),
})

export type SortDirection = 'ascending' | 'descending' | null

export const directionOf = (order: string[], column: string): SortDirection => {
  if (order.includes(column)) return 'ascending'
  return order.includes(`-${column}`) ? 'descending' : null
}

/** Sorting by a column: ascending, descending, not at all. `also` keeps the other columns' sorting. */
export const toggleSort = (order: string[], column: string, also: boolean): string[] => {
  const direction = directionOf(order, column)
  const next = direction === null ? [column] : direction === 'ascending' ? [`-${column}`] : []
  if (!also) return next
  const at = order.findIndex((text) => text === column || text === `-${column}`)
  return at < 0 ? [...order, ...next] : [...order.slice(0, at), ...next, ...order.slice(at + 1)]
}

/** The largest groups first; `count` is what a grouping without a choice of figures counts (`normalise` of the contract). */
export const toggleGroup = (group: string[], column: string): Partial<ViewState> => {
  const made = group.includes(column) ? group.filter((one) => one !== column) : [...group, column]
  return { group: made, order: made.length > 0 && !made.includes('count') ? ['-count'] : [] }
}

/** Filtering by a cell that somebody points at: what changes, or why it cannot be. From a group it leads into its rows. */
export const filterByCell = (
  view: ViewState,
  columns: Column[],
  column: string,
  cell: Cell,
): { change: Partial<ViewState> } | { why: string } => {
  if (view.sql !== null) return { why: 'Write the filter into the SELECT.' }
  if (!columns.some((one) => one.name === column)) return { why: `${column} is counted, it cannot be filtered by.` }
  if (cell !== null && typeof cell === 'object') return { why: 'A nested value cannot be filtered by. Use SQL.' }
  const made: Filter = cell === null ? { col: column, op: 'is_null' } : { col: column, op: '=', value: cell }
  const text = JSON.stringify(made)
  const where = view.where.some((one) => JSON.stringify(one) === text) ? view.where : [...view.where, made]
  return { change: view.group.length > 0 ? { where, group: [], order: [] } : { where } }
}

/** The same view as a request that the server understands. */
export const curlOf = (origin: string, job: string, view: ViewState): string => {
  const { where, order, group } = view
  const body =
    view.sql !== null
      ? { sql: view.sql }
      : { ...(where.length > 0 ? { where } : {}), ...(group.length > 0 ? { group } : {}), ...(order.length > 0 ? { order } : {}) }
  const quoted = `'${JSON.stringify(body).replaceAll("'", "'\\''")}'`
  return `curl -H "Authorization: Bearer $SCARAB_TOKEN" -H 'Content-Type: application/json' -d ${quoted} ${origin}/v1/jobs/${job}/slice`
}

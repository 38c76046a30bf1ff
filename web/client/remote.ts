import type { Http } from './http.ts'
import type { View } from './view.ts'
import { type Cell, type Column, type ColumnType, isSliceAnswer, type ResultDocument, type SliceRequest, type ViewSpec } from './wire.ts'

/** The server gives at most this many rows of a grouping or a SELECT at once (`MAX_SLICE_ROWS` of the contract). */
const MAX_REMOTE_ROWS = 100_000

/** Column types of an answer are names; the result's own columns are known with their structure. */
const columnsOf = (answer: { name: string; type: string }[], known: Column[]): Column[] =>
  answer.map(({ name, type }) => known.find((column) => column.name === name) ?? { name, type: named(type) })
const named = (type: string): ColumnType => (type.includes('<') ? 'string' : type)

const ask = (http: Http, job: string, request: SliceRequest, signal: AbortSignal | undefined) =>
  http.json(`/v1/jobs/${job}/slice`, isSliceAnswer, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    ...(signal ? { signal } : {}),
  })

/**
 * Views that the server slices (`POST /v1/jobs/{id}/slice`): while the local copy is on its way, and for results that are too
 * large for one.
 */
export const remoteView = async (
  http: Http,
  document: ResultDocument,
  columns: Column[],
  spec: ViewSpec,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<View> => {
  const whole = async (request: SliceRequest): Promise<View> => {
    const answer = await ask(http, document.job, request, options.signal)
    return fixedView('remote', columnsOf(answer.columns, columns), answer.rows, answer.rows.length >= MAX_REMOTE_ROWS)
  }
  if (spec.sql !== undefined) return whole({ sql: spec.sql })
  const { where = [], order = [], select, group = [] } = spec
  const filters = where.length > 0 ? { where } : {}
  const sorted = order.length > 0 ? { order } : {}
  if (group.length > 0) return whole({ ...filters, ...sorted, group, ...(select ? { select } : {}), limit: MAX_REMOTE_ROWS })
  const counted =
    where.length === 0 ? null : await ask(http, document.job, { ...filters, select: [{ fn: 'count', as: 'n' }] }, options.signal)
  const shown = select === undefined ? columns : columns.filter((column) => select.includes(column.name))
  return {
    mode: 'remote',
    columns: shown,
    count: counted === null ? document.rows : Number(counted.rows[0]?.[0] ?? 0),
    truncated: false,
    close: () => undefined,
    page: async (from, n, page = {}) => {
      const request = { ...filters, ...sorted, ...(select ? { select } : {}), limit: n, offset: from }
      return (await ask(http, document.job, request, page.signal)).rows
    },
  }
}

/** A view over rows that are all here. */
export const fixedView = (mode: View['mode'], columns: Column[], rows: Cell[][], truncated = false): View => ({
  mode,
  columns,
  count: rows.length,
  truncated,
  close: () => undefined,
  page: (from, n) => Promise.resolve(rows.slice(from, from + n)),
})

/** The manifest's first rows, at once; what lies behind them comes from `rest`. */
export const previewView = (columns: Column[], first: Cell[][], count: number, rest: () => Promise<View>): View => {
  let behind: Promise<View> | null = null
  return {
    mode: 'preview',
    columns,
    count,
    truncated: false,
    close: () => undefined,
    page: async (from, n, options) => {
      const until = Math.min(from + n, count)
      if (until <= first.length) return first.slice(from, until)
      behind ??= rest()
      return (await behind).page(from, n, options)
    },
  }
}

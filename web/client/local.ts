import { normalise } from '../../edge/contract/slice-form.ts'
import { quoted, type StructuredNormal } from '../../edge/contract/slice-sql.ts'
import { columnOf, rowsOf } from './arrow.ts'
import { type Engine, EngineError, type QueryOptions } from './engine.ts'
import { asWritten, positions, rowsAt, wholeSlice } from './sql.ts'
import type { View } from './view.ts'
import { type Cell, type Column, type Filter, MAX_SQL_ROWS, ViewError, type ViewSpec } from './wire.ts'

type OnRows = (rows: Cell[][]) => void | Promise<void>
const EXPORT_STEP_ROWS = 8_192

interface Relation {
  name: string
  columns: Column[]
  count: number
  truncated: boolean
}

let numbered = 0

/**
 * Views over the copy inside the engine. A filter or a sort runs once and leaves row numbers; a page is then 128 of them looked
 * up, which costs the same at any depth, where `ORDER BY … OFFSET` would sort everything again (facts: OOM at 34 M rows). A
 * grouping or a typed SELECT is kept as a temporary table and shown in the same way.
 */
export class LocalCopy {
  readonly #engine: Engine
  readonly #base: Relation

  constructor(engine: Engine, relation: string, columns: Column[], count: number) {
    this.#engine = engine
    this.#base = { name: relation, columns, count, truncated: false }
  }

  async view(spec: ViewSpec, options: QueryOptions = {}): Promise<View> {
    const made: string[] = []
    const close = (): void => {
      for (const table of made.splice(0))
        void this.#engine.query(`DROP TABLE IF EXISTS ${table}`, { priority: 'stats' }).catch(() => undefined)
    }
    try {
      let base = this.#base
      if (spec.sql !== undefined) base = await this.#keepWritten(spec.sql, made, options)
      const slice = this.#normal({ ...spec, ...(spec.sql === undefined ? {} : { select: undefined }) }, base.columns)
      if (slice.group.length > 0 || slice.select.some((item) => 'fn' in item)) {
        const grouped = await this.#keep(wholeSlice(slice, base.columns, base.name, MAX_SQL_ROWS + 1), made, options)
        return this.#paged({ ...grouped, truncated: grouped.truncated || base.truncated }, grouped.columns, null, close)
      }
      const shown = this.#shown(slice.select, base.columns)
      if (slice.where.length === 0 && slice.order.length === 0) return this.#paged(base, shown, null, close)
      return this.#paged(base, shown, await this.#positions(positions(slice, base.columns, base.name), options), close)
    } catch (error) {
      close()
      throw error
    }
  }

  /** A whole view in its order, for an export: its columns, and a way to have all its rows go by. */
  async export(spec: ViewSpec, options: QueryOptions = {}): Promise<{ columns: Column[]; each(onRows: OnRows): Promise<void> }> {
    const slice = spec.sql === undefined ? this.#normal(spec, this.#base.columns) : null
    if (slice !== null && slice.group.length === 0 && slice.select.every((item) => !('fn' in item))) {
      const sql = wholeSlice(slice, this.#base.columns, this.#base.name)
      return {
        columns: this.#shown(slice.select, this.#base.columns),
        each: (onRows) => this.#engine.stream(sql, { ...options, onBatch: (batch) => onRows(rowsOf([batch])) }),
      }
    }
    const kept = await this.view(spec, options)
    return {
      columns: kept.columns,
      each: async (onRows) => {
        try {
          for (let from = 0; from < kept.count; from += EXPORT_STEP_ROWS)
            await onRows(await kept.page(from, EXPORT_STEP_ROWS, { ...options, priority: 'view' }))
        } finally {
          kept.close()
        }
      },
    }
  }

  /** A way to put our own statements to the rows that some filters leave; `relation` is what to name in FROM. */
  filtered(where: Filter[], options: QueryOptions = {}): (make: (relation: string) => string) => Promise<Cell[][]> {
    const { columns, name } = this.#base
    const relation = where.length === 0 ? name : `(${wholeSlice(this.#normal({ where }, columns), columns, name)}) AS filtered`
    return async (make) => rowsOf((await this.#engine.query(make(relation), options)).batches)
  }

  #normal(spec: ViewSpec, columns: Column[]): StructuredNormal {
    const request = {
      ...(spec.where ? { where: spec.where } : {}),
      ...(spec.select ? { select: spec.select } : {}),
      ...(spec.group ? { group: spec.group } : {}),
      ...(spec.order ? { order: spec.order } : {}),
    }
    const normal = normalise(request, columns)
    if (!normal.ok) throw new ViewError(normal.errors.map((error) => error.message).join('; '))
    if ('sql' in normal.slice) throw new ViewError('the view has no form')
    return normal.slice
  }

  #shown(select: StructuredNormal['select'], columns: Column[]): Column[] {
    return select.flatMap((item) => columns.find((column) => 'col' in item && column.name === item.col) ?? [])
  }

  /** `select` has to limit itself to one row more than `MAX_SQL_ROWS`. */
  async #keep(select: string, made: string[], options: QueryOptions): Promise<Relation> {
    numbered += 1
    const table = `temp.main.${quoted(`view ${numbered}`)}`
    made.push(table)
    await this.#engine.query(`CREATE OR REPLACE TEMP TABLE ${table} AS ${select}`, options)
    const { schema } = await this.#engine.query(`SELECT * FROM ${table} LIMIT 0`, options)
    const described = await this.#engine.query(`DESCRIBE ${table}`, options)
    const uuids = new Set(rowsOf(described.batches).flatMap(([name, type]) => (type === 'UUID' ? [name] : [])))
    const columns = schema.fields.map((field): Column => (uuids.has(field.name) ? { name: field.name, type: 'uuid' } : columnOf(field)))
    const counted = await this.#engine.query(`SELECT count(*) FROM ${table}`, options)
    const count = Number(rowsOf(counted.batches)[0]?.[0] ?? 0)
    return { name: table, columns, count: Math.min(count, MAX_SQL_ROWS), truncated: count > MAX_SQL_ROWS }
  }

  async #keepWritten(sql: string, made: string[], options: QueryOptions): Promise<Relation> {
    try {
      return await this.#keep(userSelect(sql), made, options)
    } catch (error) {
      // Only the engine speaks of lines; the message of an abort cannot be written to.
      throw error instanceof EngineError ? new EngineError(asWritten(error.message)) : error
    }
  }

  async #positions(sql: string, options: QueryOptions): Promise<Int32Array> {
    let parts: Int32Array[] = []
    await this.#engine.stream(sql, {
      ...options,
      onSchema: () => {
        parts = []
      },
      onBatch: (batch) => {
        const values: unknown = batch.data.children[0]?.values
        // The engine may use the batch's memory again.
        if (values instanceof Int32Array) parts.push(values.slice(0, batch.numRows))
      },
    })
    const all = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      all.set(part, at)
      at += part.length
    }
    return all
  }

  #paged(relation: Relation, columns: Column[], order: Int32Array | null, close: () => void): View {
    const engine = this.#engine
    const count = order === null ? relation.count : order.length
    return {
      mode: 'local',
      columns,
      count,
      truncated: relation.truncated,
      close,
      page: async (from, n, options = {}) => {
        const until = Math.min(from + n, count)
        if (until <= from) return []
        const wanted = order === null ? null : Array.from(order.subarray(from, until))
        const where = wanted === null ? `r.rowid >= ${from} AND r.rowid < ${until}` : `r.rowid IN (${wanted.join(', ')})`
        const { batches } = await engine.query(rowsAt(columns, relation.name, where), { priority: 'page', ...options })
        const found = new Map(rowsOf(batches).map(([rowid, ...cells]) => [Number(rowid), cells]))
        return Array.from({ length: until - from }, (_, i) => found.get(wanted === null ? from + i : (wanted[i] ?? -1)) ?? [])
      },
    }
  }
}

/** A typed SELECT in brackets: a second statement behind a semicolon does not parse. */
const userSelect = (sql: string): string => `SELECT * FROM (\n${sql.trim().replace(/(\s*;)+$/, '')}\n) LIMIT ${MAX_SQL_ROWS + 1}`

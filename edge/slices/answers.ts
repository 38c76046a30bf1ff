import { type Column, type ColumnType, typeName, type WireValue } from '../contract/columns.ts'
import type { Manifest } from '../contract/manifests.ts'
import { outputColumns, type StructuredNormal } from '../contract/slice-form.ts'
import { isAggregate, isGrouped, outputName } from '../contract/slice-sql.ts'
import type { Filter, NormalSlice, SliceAnswer } from '../contract/slices.ts'
import { type Fold, folds } from './aggregates.ts'
import { compareKeys, type Key, keyOf, NeedsEngine } from './order.ts'

export type Answer = Omit<SliceAnswer, 'hash'>
type Row = WireValue[]

const header = (columns: Column[]): Answer['columns'] => columns.map(({ name, type }) => ({ name, type: typeName(type) }))

const place = (columns: Column[], name: string): { at: number; type: ColumnType; column: Column } => {
  const at = columns.findIndex((column) => column.name === name)
  const column = columns[at]
  if (column === undefined) throw new NeedsEngine(`the unknown column ${name}`)
  return { at, type: column.type, column }
}

const TESTS: Record<string, (order: number) => boolean> = {
  '=': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

/** SQL's three values: a comparison with NULL is not true, so the row goes. */
const predicate = (columns: Column[], filter: Filter): ((row: Row) => boolean) => {
  const { at, type } = place(columns, filter.col)
  const cell = (row: Row): WireValue => row[at] ?? null
  if (filter.op === 'is_null') return (row) => cell(row) === null
  if (filter.op === 'not_null') return (row) => cell(row) !== null
  const key = keyOf(type)
  const given = (Array.isArray(filter.value) ? filter.value : [filter.value ?? null]).map((value) => key(value))
  const [first, second] = given
  const holds = (test: (mine: Key) => boolean) => (row: Row) => {
    const value = cell(row)
    return value !== null && test(key(value))
  }
  if (filter.op === 'in') {
    const set = new Set(given)
    return holds((mine) => set.has(mine))
  }
  if (first === undefined) throw new NeedsEngine('a filter without a value')
  if (filter.op === 'between') {
    if (second === undefined) throw new NeedsEngine('between with one value')
    return holds((mine) => compareKeys(mine, first) >= 0 && compareKeys(mine, second) <= 0)
  }
  if (filter.op === 'contains') return holds((mine) => String(mine).includes(String(first)))
  const test = TESTS[filter.op]
  if (test === undefined) throw new NeedsEngine(`the operator ${filter.op}`)
  return holds((mine) => test(compareKeys(mine, first)))
}

interface Sorting {
  at: number
  type: ColumnType
  desc: boolean
}

/** NULLs last both ways; ties keep their order (the sort is stable), as `compileSlice` asks of the engine by row number. */
const sorted = (rows: Row[], by: Sorting[]): Row[] => {
  if (by.length === 0) return rows
  const keys = by.map(({ type }) => keyOf(type))
  const decorated = rows.map((row) => ({
    row,
    cells: by.map(({ at }, i) => {
      const value = row[at] ?? null
      return value === null ? null : (keys[i]?.(value) ?? null)
    }),
  }))
  decorated.sort((a, b) => {
    for (const [i, { desc }] of by.entries()) {
      const [x, y] = [a.cells[i] ?? null, b.cells[i] ?? null]
      if (x === null && y === null) continue
      if (x === null) return 1
      if (y === null) return -1
      const order = compareKeys(x, y)
      if (order !== 0) return desc ? -order : order
    }
    return 0
  })
  return decorated.map(({ row }) => row)
}

interface Group {
  /** The group columns' values, of the group's first row. */
  values: Row
  folds: Fold[]
}

/** Rows of the answer, followed by the group columns (for the final order, cut off afterwards). */
const grouped = (rows: Row[], columns: Column[], slice: StructuredNormal): Row[] => {
  const group = slice.group.map((name) => place(columns, name))
  const keys = group.map(({ type }) => keyOf(type))
  const makers = slice.select.map((item) => {
    if (!isAggregate(item)) return null
    if (item.col === undefined) return folds(item.fn, null, -1)
    const { column, at } = place(columns, item.col)
    return folds(item.fn, column, at)
  })
  const start = (row: Row): Group => ({
    values: group.map(({ at }) => row[at] ?? null),
    folds: makers.flatMap((make) => (make ? [make()] : [])),
  })
  const groups = new Map<string, Group>()
  // Without group columns there is one group, also over no rows.
  if (group.length === 0) groups.set('[]', start([]))
  for (const row of rows) {
    const id = JSON.stringify(
      group.map(({ at }, i) => {
        const value = row[at] ?? null
        return value === null ? null : String(keys[i]?.(value))
      }),
    )
    let found = groups.get(id)
    if (found === undefined) {
      found = start(row)
      groups.set(id, found)
    }
    for (const fold of found.folds) fold.add(row)
  }
  return [...groups.values()].map(({ values, folds: mine }) => {
    let next = 0
    const cells = slice.select.map((item) => {
      if (!isAggregate(item)) return values[slice.group.indexOf(item.col)] ?? null
      return mine[next++]?.value() ?? null
    })
    return [...cells, ...values]
  })
}

const structured = (columns: Column[], rows: Row[], slice: StructuredNormal): Answer => {
  const outputs = outputColumns(slice, columns)
  const tests = slice.where.map((filter) => predicate(columns, filter))
  const kept = rows.filter((row) => tests.every((test) => test(row)))
  const until = slice.offset + slice.limit
  if (!isGrouped(slice)) {
    const by = slice.order.map(({ col, desc }) => ({ ...place(columns, col), desc }))
    const at = slice.select.map((item) => place(columns, outputName(item)).at)
    const cut = sorted(kept, by).slice(slice.offset, until)
    return { columns: header(outputs), rows: cut.map((row) => at.map((i) => row[i] ?? null)) }
  }
  const by: Sorting[] = slice.order.map(({ col, desc }) => ({ ...place(outputs, col), desc }))
  slice.group.forEach((name, i) => {
    by.push({ at: outputs.length + i, type: place(columns, name).type, desc: false })
  })
  const cut = sorted(grouped(kept, columns, slice), by).slice(slice.offset, until)
  return { columns: header(outputs), rows: cut.map((row) => row.slice(0, outputs.length)) }
}

/**
 * Answers a slice from a result's rows as wire values, exactly as the engine would by `compileSlice`: 64-bit integers and
 * decimals as big integers, text by code points, floating numbers in DuckDB's total order. 'needs_engine' for SQL and for
 * whatever cannot be promised to be the same to the last digit.
 */
export const answerFromRows = (columns: Column[], rows: WireValue[][], slice: NormalSlice): Answer | 'needs_engine' => {
  if ('sql' in slice) return 'needs_engine'
  try {
    return structured(columns, rows, slice)
  } catch (error) {
    if (error instanceof NeedsEngine) return 'needs_engine'
    throw error
  }
}

/** Answers what the manifest alone can tell: the number of rows, and pages that its first rows cover. */
export const answerFromManifest = (
  manifest: Pick<Manifest, 'columns' | 'rows' | 'first_rows'>,
  slice: NormalSlice,
): Answer | 'needs_engine' => {
  if ('sql' in slice) return 'needs_engine'
  const { columns, rows, first_rows: first } = manifest
  if (first.length === rows) return answerFromRows(columns, first, slice)
  if (slice.where.length > 0) return 'needs_engine'
  if (isGrouped(slice)) {
    const countsOnly = slice.group.length === 0 && slice.select.every((item) => isAggregate(item) && item.col === undefined)
    if (!countsOnly) return 'needs_engine'
    const all = [slice.select.map(() => String(rows))]
    return { columns: header(outputColumns(slice, columns)), rows: all.slice(slice.offset, slice.offset + slice.limit) }
  }
  const covered = slice.limit === 0 || slice.offset >= rows || slice.offset + slice.limit <= first.length
  if (slice.order.length > 0 && slice.limit > 0 && slice.offset < rows) return 'needs_engine'
  return covered ? answerFromRows(columns, first, { ...slice, order: [] }) : 'needs_engine'
}

/** The body of a slice in JSON, and how the hash is repeated in it. */
export const jsonOf = (answer: Answer, hash: string): string => JSON.stringify({ columns: answer.columns, rows: answer.rows, hash })

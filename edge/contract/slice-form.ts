import { canonicalJson } from './canonical.ts'
import type { Column, ColumnType } from './columns.ts'
import { DEFAULT_SLICE_ROWS } from './slice-limits.ts'
import { isAggregate, outputName, type SelectItem, type StructuredNormal, sumType } from './slice-sql.ts'
import { type CanonicalValue, canonicalValue, isNested, isNumeric } from './slice-values.ts'
import type { Filter, NormalSlice, SliceRequest, StructuredSlice } from './slices.ts'
import { typeName } from './type-name.ts'

export { type CompiledSlice, compileSlice, quoted, type SliceParam, type StructuredNormal } from './slice-sql.ts'

/** Where in the request a fault lies (`where[0].value`), and what to do about it. */
export interface SliceFault {
  path: string
  message: string
}
export type Normalised = { ok: true; slice: NormalSlice } | { ok: false; errors: SliceFault[] }

/** The longest column name: `Column.name` of the contract. */
const MAX_NAME_CHARS = 255

const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(swap, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

const unknownColumn = (name: string, names: string[]): string => {
  const lower = name.toLowerCase()
  const near = names
    .map((candidate) => ({ candidate, d: distance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.d - b.d || (a.candidate < b.candidate ? -1 : 1))[0]
  if (near && near.d <= Math.max(1, Math.floor(name.length / 3)))
    return `there is no column ${JSON.stringify(name)}; did you mean ${JSON.stringify(near.candidate)}?`
  const some = names.slice(0, 20).map((candidate) => JSON.stringify(candidate))
  return `there is no column ${JSON.stringify(name)}; there are ${some.join(', ')}${names.length > 20 ? ', …' : ''}`
}

const byJson = (a: unknown, b: unknown): number => {
  const [left, right] = [canonicalJson(a), canonicalJson(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

const distinct = <T>(items: T[]): T[] => {
  const sorted = [...items].sort(byJson)
  return sorted.filter((item, i) => i === 0 || byJson(sorted[i - 1], item) !== 0)
}

class Normaliser {
  readonly errors: SliceFault[] = []
  readonly #types: Map<string, ColumnType>
  readonly #names: string[]

  constructor(columns: Column[]) {
    this.#types = new Map(columns.map((column) => [column.name, column.type]))
    this.#names = columns.map((column) => column.name)
  }

  fault(path: string, message: string): void {
    this.errors.push({ path, message })
  }

  has(name: string): boolean {
    return this.#types.has(name)
  }

  type(path: string, name: string): ColumnType | null {
    const type = this.#types.get(name)
    if (type === undefined) this.fault(path, unknownColumn(name, this.#names))
    return type ?? null
  }

  #value(path: string, type: ColumnType, value: unknown): CanonicalValue | null {
    if (value === null) {
      this.fault(path, 'null equals nothing: use is_null or not_null')
      return null
    }
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      this.fault(path, 'one value is expected')
      return null
    }
    const result = canonicalValue(type, value)
    if (result.ok) return result.value
    this.fault(path, result.message)
    return null
  }

  /** One filter may become two (`between`), or change its operator (`in` of one value). */
  filter(path: string, filter: Filter): Filter[] {
    const { col, op, value } = filter
    const type = this.type(`${path}.col`, col)
    if (type === null) return []
    if (op === 'is_null' || op === 'not_null') {
      if (value !== undefined && value !== null) this.fault(`${path}.value`, `${op} takes no value`)
      return [{ col, op }]
    }
    const at = `${path}.value`
    if (isNested(type)) {
      this.fault(`${path}.op`, `${JSON.stringify(col)} is a ${typeName(type)}: it takes is_null and not_null only; use sql for more`)
      return []
    }
    if (op === 'contains' && type !== 'string') {
      this.fault(`${path}.op`, `contains needs a string column, ${JSON.stringify(col)} is a ${typeName(type)}`)
      return []
    }
    if (value === undefined) {
      this.fault(at, `${op} needs a value`)
      return []
    }
    if (op === 'in' || op === 'between') {
      if (!Array.isArray(value) || (op === 'between' && value.length !== 2)) {
        this.fault(at, op === 'in' ? 'in takes an array of values' : 'between takes an array of two values')
        return []
      }
      const values = value.map((item, i) => this.#value(`${at}[${i}]`, type, item))
      const known = values.filter((item) => item !== null)
      const [first, second] = known
      if (op === 'between') {
        if (first === undefined || second === undefined) return []
        return [
          { col, op: '>=', value: first },
          { col, op: '<=', value: second },
        ]
      }
      const unique = distinct(known)
      return unique.length === 1 && first !== undefined ? [{ col, op: '=', value: first }] : [{ col, op: 'in', value: unique }]
    }
    const single = this.#value(at, type, value)
    return single === null ? [] : [{ col, op, value: single }]
  }

  aggregate(path: string, item: { fn: string; col?: string | undefined }): void {
    if (item.col === undefined) {
      if (item.fn !== 'count') this.fault(path, `${item.fn} needs a col`)
      return
    }
    const type = this.type(`${path}.col`, item.col)
    if (type === null || item.fn === 'count') return
    if (isNested(type)) this.fault(path, `${item.fn} does not take a ${typeName(type)}; use sql`)
    else if ((item.fn === 'sum' || item.fn === 'avg') && !isNumeric(type))
      this.fault(path, `${item.fn} needs a number, ${JSON.stringify(item.col)} is a ${typeName(type)}`)
  }

  comparable(path: string, name: string): void {
    const type = this.type(path, name)
    if (type !== null && isNested(type))
      this.fault(path, `${JSON.stringify(name)} is a ${typeName(type)}, which has no order here; use sql`)
  }
}

const select = (n: Normaliser, request: StructuredSlice, columns: Column[], group: string[]): SelectItem[] => {
  if (request.select === undefined || request.select.length === 0) {
    if (group.length === 0) return columns.map((column) => ({ col: column.name }))
    const as = ['count', 'count_rows', 'number_of_rows'].find((name) => !group.includes(name)) ?? 'count of rows'
    return [...group.map((col) => ({ col })), { fn: 'count', as }]
  }
  const grouped = group.length > 0 || request.select.some((item) => typeof item !== 'string')
  const names = new Set<string>()
  return request.select.map((item, i) => {
    const path = `select[${i}]`
    let made: SelectItem
    if (typeof item === 'string') {
      const known = n.type(path, item) !== null
      if (known && grouped && !group.includes(item))
        n.fault(path, `${JSON.stringify(item)} stands beside aggregates: name it in group, or aggregate it`)
      made = { col: item }
    } else {
      n.aggregate(path, item)
      const as = item.as ?? (item.col === undefined ? item.fn : `${item.fn}_${item.col}`)
      if (as.length > MAX_NAME_CHARS) n.fault(path, `the name would have more than ${MAX_NAME_CHARS} characters: give as`)
      if (!as.isWellFormed()) n.fault(`${path}.as`, 'the name has half a surrogate pair')
      made = item.col === undefined ? { fn: item.fn, as } : { fn: item.fn, col: item.col, as }
    }
    const name = outputName(made)
    if (names.has(name))
      n.fault(path, `two columns of the answer would be called ${JSON.stringify(name)}${isAggregate(made) ? ': give as' : ''}`)
    names.add(name)
    return made
  })
}

const order = (n: Normaliser, request: StructuredSlice, items: SelectItem[], group: string[]): StructuredNormal['order'] => {
  const grouped = group.length > 0 || items.some(isAggregate)
  const outputs = items.map(outputName)
  const seen = new Set<string>()
  const made: StructuredNormal['order'] = []
  ;(request.order ?? []).forEach((text, i) => {
    const path = `order[${i}]`
    // A column may itself begin with "-"; its whole name wins.
    const whole = grouped ? outputs.includes(text) : n.has(text)
    const desc = text.startsWith('-') && !whole
    const col = desc ? text.slice(1) : text
    if (!grouped) n.comparable(path, col)
    else if (!outputs.includes(col)) n.fault(path, unknownColumn(col, outputs).replace('there is no column', 'the answer has no column'))
    // A second mention cannot change the order any more.
    if (!seen.has(col)) made.push({ col, desc })
    seen.add(col)
  })
  return made
}

/**
 * The one normal form of a request over a result with these columns (the report's own: system columns that Scarab added are not
 * among them). Defaults are written out, values stand in their column's canonical form, filters are sorted and unique, `between`
 * becomes its two halves: requests of one meaning get one hash. A plain slice may be ordered by any column of the result, a
 * grouped one by the columns of its answer.
 */
export const normalise = (request: SliceRequest, columns: Column[]): Normalised => {
  if ('sql' in request) {
    const sql = request.sql.trim().replace(/(\s*;)+$/, '')
    if (sql === '') return { ok: false, errors: [{ path: 'sql', message: 'the statement is empty' }] }
    if (!sql.isWellFormed()) return { ok: false, errors: [{ path: 'sql', message: 'the statement has half a surrogate pair' }] }
    return { ok: true, slice: { sql } }
  }
  const n = new Normaliser(columns)
  const where = (request.where ?? []).flatMap((filter, i) => n.filter(`where[${i}]`, filter))
  const group = [...new Set(request.group ?? [])]
  ;(request.group ?? []).forEach((name, i) => {
    n.comparable(`group[${i}]`, name)
  })
  const items = select(n, request, columns, group)
  const ordered = order(n, request, items, group)
  if (n.errors.length > 0) return { ok: false, errors: n.errors.slice(0, 100) }
  // One row has no order.
  const single = group.length === 0 && items.some(isAggregate)
  return {
    ok: true,
    slice: {
      where: distinct(where),
      select: items,
      group,
      order: single ? [] : ordered,
      limit: request.limit ?? DEFAULT_SLICE_ROWS,
      offset: request.offset ?? 0,
    },
  }
}

/** Names and types of a structured slice's answer, in order. Field ids go with columns that are taken over as they are. */
export const outputColumns = (slice: StructuredNormal, columns: Column[]): Column[] => {
  const byName = new Map(columns.map((column) => [column.name, column]))
  return slice.select.map((item) => {
    if (!isAggregate(item)) return byName.get(item.col) ?? { name: item.col, type: 'string' }
    return { name: item.as, type: aggregateType(item.fn, (item.col === undefined ? undefined : byName.get(item.col)?.type) ?? 'string') }
  })
}

const aggregateType = (fn: string, type: ColumnType): ColumnType => {
  if (fn === 'count' || fn === 'count_distinct') return 'long'
  if (fn === 'avg') return 'double'
  return fn === 'sum' ? sumType(type) : type
}

import { type Column, type ColumnType, SYSTEM_COLUMNS, type SystemColumn, typeName } from '../contract/columns.ts'
import { decimalOf, dottedNames, type FamilyColumns, type Field, type FieldType, normalType } from './schema.ts'

export type Evolution =
  | {
      ok: true
      /** The family's columns afterwards; the same object as before when nothing changed. */
      columns: FamilyColumns
      /** The query's columns in its order, every id filled in. */
      yielded: Field[]
      /** System columns that the node adds, because the query does not yield them. */
      added: SystemColumn[]
    }
  | { ok: false; code: 'schema_drift' | 'unkeepable_column'; detail: string }

/** Deeper nesting is refused: no engine's report needs it, and readers recurse. */
const MAX_NESTING = 16

/**
 * A breaking change of a column. Thrown and caught within this file only: the recursion has many places to give up at.
 */
class Refusal extends Error {
  readonly code: 'schema_drift' | 'unkeepable_column'
  constructor(code: 'schema_drift' | 'unkeepable_column', detail: string) {
    super(detail)
    this.code = code
  }
}
const drift = (detail: string): Refusal => new Refusal('schema_drift', detail)
const unkeepable = (detail: string): Refusal => new Refusal('unkeepable_column', detail)

const REMEDY = 'cast it in the query, give it another name, or give the task another result_table'

/** Iceberg spec, "Schema Evolution": what a reader of a wider type can read from files of a narrower one. */
const widens = (from: string, to: string): boolean => {
  if ((from === 'int' && to === 'long') || (from === 'float' && to === 'double')) return true
  const narrow = decimalOf(from)
  const wide = decimalOf(to)
  return narrow !== null && wide !== null && narrow.scale === wide.scale && narrow.precision <= wide.precision
}

/** The family's type afterwards, and the type of this query's own files (which may be narrower). */
interface Joined {
  family: FieldType
  yielded: FieldType
}

const checkPrimitive = (type: string, path: string): string => {
  const decimal = decimalOf(type)
  if (decimal && (decimal.precision < 1 || decimal.precision > 38 || decimal.scale > decimal.precision))
    throw unkeepable(`column ${path} has type ${type}: a decimal has 1 to 38 digits, of which at most all are fraction; cast it`)
  return normalType(type)
}

const describe = (type: FieldType | ColumnType): string => typeName(type)

class Evolver {
  lastId: number
  constructor(lastId: number) {
    this.lastId = lastId
  }

  #next(): number {
    this.lastId += 1
    return this.lastId
  }

  /** Ids in the order column, then what is inside it, from left to right. */
  fresh(type: ColumnType, path: string, depth: number): FieldType {
    if (depth > MAX_NESTING) throw unkeepable(`column ${path} is nested deeper than ${MAX_NESTING} levels: flatten it in the query`)
    if (typeof type === 'string') return checkPrimitive(type, path)
    if (type.type === 'struct') {
      distinctNames(type.fields, path)
      return {
        type: 'struct',
        fields: type.fields.map((field) => {
          const id = this.#next()
          return { id, name: field.name, type: this.fresh(field.type, `${path}.${field.name}`, depth + 1) }
        }),
      }
    }
    if (type.type === 'list') {
      const id = this.#next()
      return { type: 'list', 'element-id': id, element: this.fresh(type.element, `${path}.element`, depth + 1) }
    }
    const keyId = this.#next()
    const key = this.fresh(type.key, `${path}.key`, depth + 1)
    const valueId = this.#next()
    return { type: 'map', 'key-id': keyId, key, 'value-id': valueId, value: this.fresh(type.value, `${path}.value`, depth + 1) }
  }

  newField(name: string, type: ColumnType): Field {
    const id = this.#next()
    return { id, name, type: this.fresh(type, quoted(name), 1) }
  }

  join(old: FieldType, type: ColumnType, path: string, depth: number): Joined {
    if (depth > MAX_NESTING) throw unkeepable(`column ${path} is nested deeper than ${MAX_NESTING} levels: flatten it in the query`)
    const refuse = (): Refusal =>
      drift(`column ${path} is ${describe(old)} in this family, but the query yields ${describe(type)}: ${REMEDY}`)
    if (typeof type === 'string') {
      const now = checkPrimitive(type, path)
      if (typeof old !== 'string') throw refuse()
      if (old === now) return { family: old, yielded: now }
      if (widens(old, now)) return { family: now, yielded: now }
      // Files of a narrower type may stand in a wider column: every reader promotes them.
      if (widens(now, old)) return { family: old, yielded: now }
      throw refuse()
    }
    if (typeof old === 'string' || old.type !== type.type) throw refuse()
    if (old.type === 'struct' && type.type === 'struct') {
      const joined = this.joinFields(old.fields, type.fields, path, depth)
      return { family: { type: 'struct', fields: joined.family }, yielded: { type: 'struct', fields: joined.yielded } }
    }
    if (old.type === 'list' && type.type === 'list') {
      const id = old['element-id']
      const element = this.join(old.element, type.element, `${path}.element`, depth + 1)
      return {
        family: { type: 'list', 'element-id': id, element: element.family },
        yielded: { type: 'list', 'element-id': id, element: element.yielded },
      }
    }
    if (old.type === 'map' && type.type === 'map') {
      const before = this.lastId
      const key = this.join(old.key, type.key, `${path}.key`, depth + 1)
      // Iceberg spec, "Schema Evolution": a map's key struct cannot change, or equal keys would stop being equal.
      if (this.lastId !== before || describe(key.family) !== describe(old.key)) throw refuse()
      const value = this.join(old.value, type.value, `${path}.value`, depth + 1)
      const mapOf = (keyType: FieldType, valueType: FieldType): FieldType => ({
        type: 'map',
        'key-id': old['key-id'],
        key: keyType,
        'value-id': old['value-id'],
        value: valueType,
      })
      return { family: mapOf(key.family, value.family), yielded: mapOf(key.yielded, value.yielded) }
    }
    throw refuse()
  }

  joinFields(
    old: Field[],
    now: { name: string; type: ColumnType }[],
    path: string | null,
    depth: number,
  ): { family: Field[]; yielded: Field[] } {
    distinctNames(now, path)
    const family = [...old]
    const yielded: Field[] = []
    for (const { name, type } of now) {
      const at = family.findIndex((field) => field.name === name)
      const known = family[at]
      const full = path === null ? quoted(name) : `${path}.${name}`
      if (known) {
        const joined = this.join(known.type, type, full, depth + 1)
        family[at] = { id: known.id, name, type: joined.family }
        yielded.push({ id: known.id, name, type: joined.yielded })
        continue
      }
      const twin = family.find((field) => field.name.toLowerCase() === name.toLowerCase())
      if (twin)
        throw drift(
          `column ${full} differs only in case from this family's column ${quoted(twin.name)}, and many readers cannot tell them apart: use that spelling, or another name`,
        )
      const id = this.#next()
      const field: Field = { id, name, type: this.fresh(type, full, depth + 1) }
      family.push(field)
      yielded.push(field)
    }
    return { family, yielded }
  }
}

const quoted = (name: string): string => JSON.stringify(name)

const distinctNames = (fields: { name: string }[], path: string | null): void => {
  const where = path === null ? 'the query yields' : `column ${path} has`
  if (fields.length === 0) throw unkeepable(`${where} no columns: name at least one`)
  const seen = new Map<string, string>()
  for (const { name } of fields) {
    const twin = seen.get(name.toLowerCase())
    if (twin !== undefined)
      throw unkeepable(
        `${where} two columns ${quoted(twin)} and ${quoted(name)}, which ${twin === name ? 'have one name' : 'differ only in case'}: give one an alias`,
      )
    seen.set(name.toLowerCase(), name)
  }
}

/** The first of two columns that readers would know by one name, such as `"a.b"` beside a struct `a` with a field `b`. */
const ambiguous = (fields: readonly Field[]): string | undefined => {
  const seen = new Set<string>()
  return dottedNames(fields).find((name) => seen.size === seen.add(name.toLowerCase()).size)
}

const checkNames = (yielded: readonly Field[], family: readonly Field[]): void => {
  const own = ambiguous(yielded)
  if (own !== undefined)
    throw unkeepable(`the query yields two columns that readers of the table know as ${quoted(own)}, with dots between: give one an alias`)
  const joint = ambiguous(family)
  if (joint !== undefined)
    throw drift(`with this query two columns of the family would be ${quoted(joint)} to its readers, with dots between: give one an alias`)
}

/**
 * Compares a query's columns with the family's. Adds new columns (optional, with fresh ids), widens types where Iceberg
 * allows it, and refuses the rest in words. A column that the query does not yield stays, and is null in its rows.
 * Ids that come in are ignored: only the family's own count.
 */
export const evolve = (current: FamilyColumns, query: readonly Column[]): Evolution => {
  try {
    const columns = query.map((column) => ({ name: column.name, type: systemType(column) ?? column.type }))
    const evolver = new Evolver(current.lastId)
    const joined = evolver.joinFields(current.fields, columns, null, 0)
    const names = new Set(columns.map((column) => column.name))
    const added = SYSTEM_COLUMNS.map((column) => column.name).filter((name) => !names.has(name))
    const changed = JSON.stringify(joined.family) !== JSON.stringify(current.fields)
    // Only where something is added: what a family has been given once, it keeps.
    if (changed) checkNames(joined.yielded, joined.family)
    return {
      ok: true,
      columns: changed ? { fields: joined.family, lastId: evolver.lastId } : current,
      yielded: joined.yielded,
      added,
    }
  } catch (fault) {
    if (fault instanceof Refusal) return { ok: false, code: fault.code, detail: fault.message }
    throw fault
  }
}

/**
 * A yielded `tenant_id` is kept as text and a yielded `run_date` as a date (the node casts and checks them);
 * a yielded `job_id` is refused, because that column says which job wrote the row. Architecture, section 5.
 */
const systemType = (column: Column): ColumnType | null => {
  const lower = column.name.toLowerCase()
  const system = SYSTEM_COLUMNS.find(({ name }) => name === lower)
  if (!system) return null
  if (system.name === 'job_id')
    throw unkeepable(`the query yields a column ${quoted(column.name)}, a name that Scarab needs itself: give it an alias`)
  if (column.name !== lower) throw unkeepable(`the query yields a column ${quoted(column.name)}: write it ${lower}, or give it an alias`)
  if (typeof column.type !== 'string')
    throw unkeepable(`the query yields ${lower} as ${typeName(column.type)}: it must be a plain ${system.type}`)
  return system.type
}

import { type FileMetaData, parquetMetadata, type SchemaElement } from 'hyparquet'
import { type ResultSchema, SYSTEM_COLUMNS } from '../contract/columns.ts'
import { asField, decimalOf, type Field, type FieldType } from './schema.ts'

/** Reads bytes of the file: object storage by a range request, an inline result by a slice. */
export type ReadRange = (offset: number, length: number) => Promise<Uint8Array>

export type FooterCheck =
  | { ok: true; rows: number; rowGroups: number; splitOffsets: number[] }
  /** What is wrong, in words: the attempt fails with it. */
  | { ok: false; detail: string }

/** The first read takes this much of the end; most footers fit, so one request does. */
const FIRST_READ_BYTES = 64 * 1024
/** A footer beyond this size is refused before it is read into memory. 1,000 columns × 400 row groups stay below. */
const MAX_FOOTER_BYTES = 16 * 1024 * 1024
/** Length of the footer (4 bytes) and `PAR1`: Parquet format, "File format". */
const TAIL_BYTES = 8
const MAGIC = 0x31524150

class Mismatch extends Error {}

interface Node {
  element: SchemaElement
  children: Node[]
}

/** The flat, depth-first list of a footer as a tree. */
const treeOf = (elements: readonly SchemaElement[]): Node => {
  let at = 0
  const take = (): Node => {
    const element = elements[at++]
    if (!element) throw new Mismatch('its schema is cut off')
    return { element, children: Array.from({ length: element.num_children ?? 0 }, take) }
  }
  return take()
}

const only = (node: Node, what: string): Node => {
  const [child, ...more] = node.children
  if (!child || more.length > 0) throw new Mismatch(`${what} is not laid out as the Parquet format asks`)
  return child
}

const primitiveName = ({ type, converted_type, logical_type }: SchemaElement): string =>
  [type, logical_type?.type ?? converted_type].filter((word) => word !== undefined).join(' ')

/** Parquet's types for each Iceberg type (Iceberg spec, Appendix A, "Parquet"); narrower ones are promoted by readers. */
const fits = (type: string, element: SchemaElement): boolean => {
  const { type: physical, converted_type: converted, logical_type: logical } = element
  const decimal = decimalOf(type)
  if (decimal) {
    const scale = logical?.type === 'DECIMAL' ? logical.scale : converted === 'DECIMAL' ? (element.scale ?? 0) : null
    const precision = logical?.type === 'DECIMAL' ? logical.precision : (element.precision ?? 0)
    return scale === decimal.scale && precision <= decimal.precision
  }
  const plain = logical === undefined && converted === undefined
  const signed = plain || logical?.type === 'INTEGER' ? logical === undefined || logical.isSigned : /^INT_/.test(converted ?? '')
  switch (type) {
    case 'boolean':
      return physical === 'BOOLEAN'
    case 'int':
      return physical === 'INT32' && signed
    case 'long':
      return (physical === 'INT64' || physical === 'INT32') && signed
    case 'float':
      return physical === 'FLOAT'
    case 'double':
      return physical === 'DOUBLE' || physical === 'FLOAT'
    case 'date':
      return physical === 'INT32' && (logical?.type === 'DATE' || converted === 'DATE')
    case 'time':
      return physical === 'INT64' && (logical?.type === 'TIME' ? logical.unit === 'MICROS' : converted === 'TIME_MICROS')
    case 'timestamp':
    case 'timestamptz':
      return (
        physical === 'INT64' &&
        logical?.type === 'TIMESTAMP' &&
        logical.unit === 'MICROS' &&
        logical.isAdjustedToUTC === (type === 'timestamptz')
      )
    case 'string':
      return physical === 'BYTE_ARRAY' && (logical?.type === 'STRING' || converted === 'UTF8')
    case 'uuid':
      return physical === 'FIXED_LEN_BYTE_ARRAY' && element.type_length === 16 && logical?.type === 'UUID'
    case 'binary':
      return physical === 'BYTE_ARRAY' && plain
  }
  return false
}

const named = (path: string): string => `column ${JSON.stringify(path)}`

const checkType = (type: FieldType, node: Node, path: string): void => {
  if (typeof type === 'string') {
    if (node.children.length > 0) throw new Mismatch(`${named(path)} is a group, not ${type}`)
    if (!fits(type, node.element)) throw new Mismatch(`${named(path)} is stored as ${primitiveName(node.element)}, which is not ${type}`)
    return
  }
  if (node.element.type !== undefined)
    throw new Mismatch(`${named(path)} is stored as ${primitiveName(node.element)}, not as a ${type.type}`)
  if (type.type === 'struct') {
    checkFields(type.fields, node, `${path}.`)
    return
  }
  const repeated = only(node, named(path))
  if (repeated.element.repetition_type !== 'REPEATED') throw new Mismatch(`${named(path)} is not laid out as the Parquet format asks`)
  if (type.type === 'list') {
    checkField(type['element-id'], type.element, only(repeated, named(path)), `${path}.element`)
    return
  }
  const [key, value, ...more] = repeated.children
  if (!key || !value || more.length > 0) throw new Mismatch(`${named(path)} is not a map of keys and values`)
  checkField(type['key-id'], type.key, key, `${path}.key`)
  checkField(type['value-id'], type.value, value, `${path}.value`)
}

const checkField = (id: number, type: FieldType, node: Node, path: string): void => {
  const found = node.element.field_id
  if (found === undefined) throw new Mismatch(`${named(path)} carries no field id (it must be ${id})`)
  if (found !== id) throw new Mismatch(`${named(path)} carries field id ${found} instead of ${id}`)
  checkType(type, node, path)
}

const checkFields = (fields: readonly Field[], node: Node, prefix: string): void => {
  const left = new Map(node.children.map((child) => [child.element.name, child]))
  if (left.size !== node.children.length) throw new Mismatch('two columns have one name')
  for (const field of fields) {
    const path = `${prefix}${field.name}`
    const child = left.get(field.name)
    if (!child) throw new Mismatch(`column ${JSON.stringify(path)} is missing`)
    left.delete(field.name)
    checkField(field.id, field.type, child, path)
  }
  for (const name of left.keys()) throw new Mismatch(`column ${JSON.stringify(`${prefix}${name}`)} was never ensured`)
}

const expectedFields = (schema: ResultSchema): Field[] => {
  const fields: Field[] = []
  for (const column of schema.columns) {
    const field = asField(column)
    if (!field) throw new Mismatch(`column ${JSON.stringify(column.name)} has no id in the schema`)
    fields.push(field)
  }
  for (const { id, name, type } of SYSTEM_COLUMNS) if (schema.added.includes(name)) fields.push({ id, name, type })
  return fields
}

const readFooter = async (read: ReadRange, bytes: number): Promise<FileMetaData> => {
  if (bytes < TAIL_BYTES + 4) throw new Mismatch(`it has ${bytes} bytes, too few for a Parquet file`)
  const first = Math.min(bytes, FIRST_READ_BYTES)
  let end = await read(bytes - first, first)
  const tail = new DataView(end.buffer, end.byteOffset, end.byteLength)
  if (end.length !== first || tail.getUint32(end.length - 4, true) !== MAGIC) throw new Mismatch('it does not end like a Parquet file')
  const needed = tail.getUint32(end.length - TAIL_BYTES, true) + TAIL_BYTES
  if (needed > bytes || needed > MAX_FOOTER_BYTES) throw new Mismatch(`its footer would have ${needed} bytes`)
  if (needed > end.length) end = await read(bytes - needed, needed)
  try {
    return parquetMetadata(end, { geoparquet: false })
  } catch (fault) {
    throw new Mismatch(`its footer cannot be read: ${fault instanceof Error ? fault.message : 'unknown'}`)
  }
}

/**
 * Reads a data file's footer and says whether the file is what was ensured: every column with its field id and a type
 * that readers of the family accept, nothing else, and as many rows as promised. Two of four Iceberg readers answer NULL
 * without an error where ids are missing, so nothing else would notice. Rejects only when `read` does.
 */
export const checkFooter = async (read: ReadRange, bytes: number, schema: ResultSchema, expectedRows: number): Promise<FooterCheck> => {
  try {
    const footer = await readFooter(read, bytes)
    checkFields(expectedFields(schema), treeOf(footer.schema), '')
    const rows = Number(footer.num_rows)
    const inGroups = footer.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
    if (rows !== expectedRows) throw new Mismatch(`it has ${rows} rows, but ${expectedRows} were announced`)
    if (inGroups !== rows) throw new Mismatch(`its row groups have ${inGroups} rows, but its footer says ${rows}`)
    const splitOffsets = footer.row_groups.map((group) => {
      const column = group.columns[0]?.meta_data
      const start = column?.dictionary_page_offset ?? column?.data_page_offset ?? 4n
      return Number(start)
    })
    return { ok: true, rows, rowGroups: footer.row_groups.length, splitOffsets }
  } catch (fault) {
    if (fault instanceof Mismatch) return { ok: false, detail: `the Parquet file does not fit: ${fault.message}` }
    throw fault
  }
}

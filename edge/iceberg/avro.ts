/**
 * Avro's binary encoding (Apache Avro 1.11 specification, "Binary Encoding"), the part that Iceberg's manifests use.
 * A `long` is always a `bigint` when read, so that 64-bit ids keep their digits; writing takes either.
 */
export type AvroPrimitive = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'
/** A primitive with attributes, such as `{"type": "int", "logicalType": "date"}`. */
export interface AvroAnnotated {
  type: AvroPrimitive
  logicalType?: string
  [attribute: string]: unknown
}
export interface AvroField {
  name: string
  type: AvroSchema
  [attribute: string]: unknown
}
export interface AvroRecord {
  type: 'record'
  name: string
  fields: AvroField[]
}
export interface AvroArray {
  type: 'array'
  items: AvroSchema
  [attribute: string]: unknown
}
export interface AvroMap {
  type: 'map'
  values: AvroSchema
}
export interface AvroFixed {
  type: 'fixed'
  name: string
  size: number
  [attribute: string]: unknown
}
export type AvroSchema = AvroPrimitive | AvroAnnotated | AvroRecord | AvroArray | AvroMap | AvroFixed | AvroSchema[]

export type AvroValue = null | boolean | number | bigint | string | Uint8Array | AvroValue[] | { [name: string]: AvroValue }

export class AvroFault extends Error {
  override readonly name = 'AvroFault'
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Grows as it is written; `take` hands out what was written so far. */
export class AvroWriter {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  #room(extra: number): void {
    const needed = this.#length + extra
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = value
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Zig-zag variable-length integer, up to 64 bits. */
  long(value: number | bigint): void {
    if (typeof value === 'number' && value >= -0x4000_0000 && value <= 0x3fff_ffff) {
      let rest = ((value << 1) ^ (value >> 31)) >>> 0
      while (rest > 0x7f) {
        this.byte((rest & 0x7f) | 0x80)
        rest >>>= 7
      }
      this.byte(rest)
      return
    }
    const wide = BigInt(value)
    if (wide !== BigInt.asIntN(64, wide)) throw new AvroFault(`${wide} does not fit into 64 bits`)
    let rest = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n))
    while (rest > 0x7fn) {
      this.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.byte(Number(rest))
  }

  float(value: number): void {
    this.#room(4)
    this.#view.setFloat32(this.#length, value, true)
    this.#length += 4
  }

  double(value: number): void {
    this.#room(8)
    this.#view.setFloat64(this.#length, value, true)
    this.#length += 8
  }

  bytes(value: Uint8Array): void {
    this.long(value.length)
    this.raw(value)
  }

  string(value: string): void {
    this.bytes(utf8.encode(value))
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length)
  }
}

/** Reads in order; running past the end is an `AvroFault`, never a silent zero. */
export class AvroReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get done(): boolean {
    return this.#offset >= this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#offset++]
    if (value === undefined) throw new AvroFault('the data ends in the middle of a value')
    return value
  }

  raw(length: number): Uint8Array {
    if (length < 0 || this.#offset + length > this.#bytes.length) throw new AvroFault(`the data ends before ${length} bytes`)
    const part = this.#bytes.subarray(this.#offset, this.#offset + length)
    this.#offset += length
    return part
  }

  /** Most integers have at most four bytes and need no `bigint`. Null, and nothing is read, where one has more. */
  #small(): number | null {
    const start = this.#offset
    let bits = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      bits |= (byte & 0x7f) << shift
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1)
    }
    this.#offset = start
    return null
  }

  long(): bigint {
    const small = this.#small()
    if (small !== null) return BigInt(small)
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (result >> 1n) ^ -(result & 1n))
    }
    throw new AvroFault('an integer has more than 64 bits')
  }

  /** An `int`, a count or a length: something that a `number` holds exactly. */
  int(): number {
    const value = this.#small() ?? Number(this.long())
    if (!Number.isSafeInteger(value)) throw new AvroFault(`${value} is not an int`)
    return value
  }

  float(): number {
    const value = this.#view.getFloat32(this.#offset, true)
    this.#offset += 4
    return value
  }

  double(): number {
    const value = this.#view.getFloat64(this.#offset, true)
    this.#offset += 8
    return value
  }

  bytes(): Uint8Array {
    return this.raw(this.int())
  }

  string(): string {
    return fromUtf8.decode(this.bytes())
  }
}

const fits = (schema: AvroSchema, value: AvroValue): boolean => {
  const kind = typeof schema === 'string' ? schema : Array.isArray(schema) ? 'union' : schema.type
  if (value === null) return kind === 'null'
  if (typeof value === 'boolean') return kind === 'boolean'
  if (typeof value === 'string') return kind === 'string'
  if (typeof value === 'bigint') return kind === 'int' || kind === 'long'
  if (typeof value === 'number') return kind === 'int' || kind === 'long' || kind === 'float' || kind === 'double'
  if (value instanceof Uint8Array) return kind === 'bytes' || kind === 'fixed'
  if (Array.isArray(value)) return kind === 'array'
  return kind === 'record' || kind === 'map'
}

const wrong = (schema: AvroSchema, value: AvroValue): AvroFault =>
  new AvroFault(`a ${value === null ? 'null' : typeof value} cannot be written as ${JSON.stringify(schema)}`)

/** Writes one value. Throws `AvroFault` where value and schema do not fit. */
export const writeValue = (out: AvroWriter, schema: AvroSchema, value: AvroValue): void => {
  if (Array.isArray(schema)) {
    const branch = schema.findIndex((candidate) => fits(candidate, value))
    const chosen = schema[branch]
    if (chosen === undefined) throw wrong(schema, value)
    out.long(branch)
    writeValue(out, chosen, value)
    return
  }
  if (!fits(schema, value)) throw wrong(schema, value)
  if (typeof value === 'boolean') out.byte(value ? 1 : 0)
  else if (typeof value === 'string') out.string(value)
  else if (typeof value === 'bigint') out.long(value)
  else if (typeof value === 'number') {
    const kind = typeof schema === 'string' ? schema : schema.type
    if (kind === 'float') out.float(value)
    else if (kind === 'double') out.double(value)
    else out.long(value)
  } else if (value instanceof Uint8Array) {
    if (typeof schema === 'object' && schema.type === 'fixed') {
      if (value.length !== schema.size) throw wrong(schema, value)
      out.raw(value)
    } else out.bytes(value)
  } else if (Array.isArray(value)) {
    if (typeof schema !== 'object' || schema.type !== 'array') throw wrong(schema, value)
    if (value.length > 0) out.long(value.length)
    for (const item of value) writeValue(out, schema.items, item)
    out.byte(0)
  } else if (value !== null && typeof schema === 'object') {
    if (schema.type === 'record') {
      for (const field of schema.fields) {
        const item = value[field.name]
        if (item === undefined) throw new AvroFault(`record ${schema.name} lacks its field ${field.name}`)
        writeValue(out, field.type, item)
      }
    } else if (schema.type === 'map') {
      const entries = Object.entries(value)
      if (entries.length > 0) out.long(entries.length)
      for (const [key, item] of entries) {
        out.string(key)
        writeValue(out, schema.values, item)
      }
      out.byte(0)
    } else throw wrong(schema, value)
  }
}

/** Blocks of an array or a map (specification, "Arrays"): a negative count is followed by the block's size in bytes. */
function* blocks(input: AvroReader): Generator<number> {
  for (let count = input.int(); count !== 0; count = input.int()) {
    if (count < 0) {
      input.int()
      yield -count
    } else yield count
  }
}

/** Reads one value. `named` collects record and fixed types, which foreign writers refer to by name. */
export const readValue = (input: AvroReader, schema: AvroSchema, named: Map<string, AvroSchema> = new Map()): AvroValue => {
  if (Array.isArray(schema)) {
    const branch = schema[input.int()]
    if (branch === undefined) throw new AvroFault('a union has no such branch')
    return readValue(input, branch, named)
  }
  const kind: string = typeof schema === 'string' ? schema : schema.type
  switch (kind) {
    case 'null':
      return null
    case 'boolean':
      return input.byte() === 1
    case 'int':
      return input.int()
    case 'long':
      return input.long()
    case 'float':
      return input.float()
    case 'double':
      return input.double()
    case 'bytes':
      return input.bytes().slice()
    case 'string':
      return input.string()
  }
  if (typeof schema === 'object') {
    if (schema.type === 'record') {
      named.set(schema.name, schema)
      const record: { [name: string]: AvroValue } = {}
      for (const field of schema.fields) record[field.name] = readValue(input, field.type, named)
      return record
    }
    if (schema.type === 'fixed') {
      named.set(schema.name, schema)
      return input.raw(schema.size).slice()
    }
    if (schema.type === 'array') {
      const items: AvroValue[] = []
      for (const count of blocks(input)) for (let i = 0; i < count; i++) items.push(readValue(input, schema.items, named))
      return items
    }
    if (schema.type === 'map') {
      const map: { [name: string]: AvroValue } = {}
      for (const count of blocks(input)) for (let i = 0; i < count; i++) map[input.string()] = readValue(input, schema.values, named)
      return map
    }
  }
  const known = named.get(kind)
  if (known === undefined) throw new AvroFault(`unknown type ${kind}`)
  return readValue(input, known, named)
}

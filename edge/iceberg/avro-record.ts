import { AvroFault, type AvroField, type AvroSchema, type AvroValue } from './avro.ts'

/** A field of an Iceberg manifest or manifest list, under the id that the spec gives it. */
export const field = (name: string, id: number, type: AvroSchema): AvroField => ({ name, type, 'field-id': id })
/** One that may be null, and is by default. */
export const optional = (name: string, id: number, type: AvroSchema): AvroField => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
})

/** Reads named fields out of an Avro record, with words for what is not as the Iceberg spec says. */
export class RecordView {
  readonly #record: { [name: string]: AvroValue }
  constructor(value: AvroValue | undefined) {
    if (value === null || value === undefined || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array)
      throw new AvroFault('a record was expected')
    this.#record = value
  }
  value(name: string): AvroValue {
    return this.#record[name] ?? null
  }
  values(): AvroValue[] {
    return Object.values(this.#record)
  }
  text(name: string): string {
    const value = this.value(name)
    if (typeof value !== 'string') throw new AvroFault(`${name} is not a text`)
    return value
  }
  long(name: string): bigint | null {
    const value = this.value(name)
    if (value === null) return null
    if (typeof value !== 'bigint' && typeof value !== 'number') throw new AvroFault(`${name} is not an integer`)
    return BigInt(value)
  }
  int(name: string): number {
    const value = Number(this.long(name) ?? Number.NaN)
    if (!Number.isSafeInteger(value)) throw new AvroFault(`${name} is not a safe integer`)
    return value
  }
  bytes(name: string): Uint8Array | null {
    const value = this.value(name)
    if (value !== null && !(value instanceof Uint8Array)) throw new AvroFault(`${name} is not bytes`)
    return value
  }
  list(name: string): AvroValue[] {
    const value = this.value(name)
    if (value === null) return []
    if (!Array.isArray(value)) throw new AvroFault(`${name} is not an array`)
    return value
  }
  counts(name: string): [number, number][] {
    return this.list(name).map((pair) => {
      const view = new RecordView(pair)
      return [view.int('key'), view.int('value')]
    })
  }
  bounds(name: string): [number, Uint8Array][] {
    return this.list(name).map((pair) => {
      const view = new RecordView(pair)
      return [view.int('key'), view.bytes('value') ?? new Uint8Array()]
    })
  }
}

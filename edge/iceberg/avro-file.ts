import { AvroFault, AvroReader, type AvroRecord, type AvroSchema, type AvroValue, AvroWriter, readValue, writeValue } from './avro.ts'

/** What stands in an object container file (Avro 1.11, "Object Container Files"), as data. */
export interface AvroFile {
  schema: AvroRecord
  /** Header entries besides `avro.schema` and `avro.codec`. */
  metadata: Record<string, string>
  records: AvroValue[]
}

export type AvroCodec = 'null' | 'deflate'

const MAGIC = Uint8Array.of(0x4f, 0x62, 0x6a, 1)
const SYNC_BYTES = 16
/** Records of one block; small enough to be decoded piece by piece, large enough to compress well. */
const BLOCK_RECORDS = 1_000

const through = async (bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer())

/** Avro's `deflate` is RFC 1951 without zlib's frame. */
const deflate = (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => through(bytes, new CompressionStream('deflate-raw'))
const inflate = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => {
  try {
    return await through(bytes, new DecompressionStream('deflate-raw'))
  } catch (fault) {
    throw new AvroFault(`a block does not decompress: ${fault instanceof Error ? fault.message : 'unknown'}`)
  }
}

/** `sync` separates blocks; it must only be unlikely to occur in them, so any 16 bytes do. */
export const writeAvroFile = async (file: AvroFile, codec: AvroCodec, sync: Uint8Array): Promise<Uint8Array<ArrayBuffer>> => {
  if (sync.length !== SYNC_BYTES) throw new AvroFault(`a sync marker has ${SYNC_BYTES} bytes, not ${sync.length}`)
  const out = new AvroWriter()
  out.raw(MAGIC)
  const header = { 'avro.schema': JSON.stringify(file.schema), 'avro.codec': codec, ...file.metadata }
  out.long(Object.keys(header).length)
  for (const [key, value] of Object.entries(header)) {
    out.string(key)
    out.string(value)
  }
  out.byte(0)
  out.raw(sync)
  for (let from = 0; from < file.records.length; from += BLOCK_RECORDS) {
    const records = file.records.slice(from, from + BLOCK_RECORDS)
    const block = new AvroWriter()
    for (const record of records) writeValue(block, file.schema, record)
    const plain = block.take()
    const bytes = codec === 'deflate' ? await deflate(plain) : plain
    out.long(records.length)
    out.bytes(bytes)
    out.raw(sync)
  }
  return out.take()
}

/** Throws `AvroFault` for anything that is not a whole, intact file: a cut manifest must never look like a shorter one. */
export const readAvroFile = async (bytes: Uint8Array): Promise<AvroFile> => {
  const input = new AvroReader(bytes)
  if (input.raw(MAGIC.length).some((byte, i) => byte !== MAGIC[i])) throw new AvroFault('not an Avro object container file')
  const metadata: Record<string, string> = {}
  for (let count = input.int(); count !== 0; count = input.int()) {
    if (count < 0) input.int()
    for (let i = 0; i < Math.abs(count); i++) metadata[input.string()] = input.string()
  }
  const { 'avro.schema': schemaText, 'avro.codec': codec = 'null', ...rest } = metadata
  if (schemaText === undefined) throw new AvroFault('the header has no avro.schema')
  if (codec !== 'null' && codec !== 'deflate') throw new AvroFault(`codec ${codec} is not supported`)
  // The schema was written by an Avro writer; a reader that meets an unknown type says so itself.
  const schema = JSON.parse(schemaText) as AvroSchema
  if (typeof schema !== 'object' || Array.isArray(schema) || schema.type !== 'record' || !('fields' in schema))
    throw new AvroFault('the schema is not a record')
  const sync = input.raw(SYNC_BYTES).slice()
  const records: AvroValue[] = []
  while (!input.done) {
    const count = input.int()
    const stored = input.bytes().slice()
    if (input.raw(SYNC_BYTES).some((byte, i) => byte !== sync[i])) throw new AvroFault('a block does not end with the sync marker')
    const block = new AvroReader(codec === 'deflate' ? await inflate(stored) : stored)
    for (let i = 0; i < count; i++) records.push(readValue(block, schema as AvroRecord))
    if (!block.done) throw new AvroFault('a block holds more than its records')
  }
  return { schema: schema as AvroRecord, metadata: rest, records }
}

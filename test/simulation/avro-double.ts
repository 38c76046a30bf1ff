import type { AvroFile } from '../../edge/iceberg/avro-file.ts'

/**
 * Avro files as objects: the bytes are a number that names what was written, and reading gives it back. Everything of a
 * commit but the encoding is real then. `real` histories encode and decode.
 */
const written: AvroFile[] = []
const SIZE = 8

export const writeAvroNow = (file: AvroFile): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(SIZE)
  new DataView(bytes.buffer).setUint32(0, written.push(file) - 1)
  return bytes
}

export const readAvroNow = (bytes: Uint8Array): AvroFile => {
  const file = bytes.length === SIZE ? written[new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)] : undefined
  if (!file) throw new Error('not a file of this history')
  return file
}

/** Forgets what earlier histories have written. */
export const forgetAvro = (): void => {
  written.length = 0
}

import type { z } from 'zod'
import { Problem } from '../contract/problems.ts'
import type { AppContext } from './context.ts'
import { schemaProblem } from './problem.ts'

/** Request bodies of the API, at most. */
export const MAX_BODY_BYTES = 1024 * 1024

/** What is not JSON as we read it: another type, another character set, or a packed body, which nobody unpacks here. */
const mediaFault = (c: AppContext): string | null => {
  const coding = c.req.header('content-encoding')
  if (coding !== undefined && !/^(identity)?$/i.test(coding.trim()))
    return `Send the body without Content-Encoding, not as ${coding.slice(0, 50)}.`
  const type = c.req.header('content-type')
  if (type === undefined) return null
  if (!/^application\/([a-z0-9.-]+\+)?json\b|^application\/x-www-form-urlencoded\b/i.test(type))
    return `Send the body as application/json, not as ${type.slice(0, 100)}.`
  // RFC 8259, section 8.1: JSON that systems exchange is UTF-8.
  const [, charset] = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type) ?? []
  return charset === undefined || /^(utf-?8|us-ascii)$/i.test(charset) ? null : `Send the body in UTF-8, not in ${charset.slice(0, 50)}.`
}

/** The body; an absent one is empty. Reads no further than the limit, whatever Content-Length says. */
const readBytes = async (c: AppContext, most: number): Promise<Uint8Array> => {
  const tooLarge = (): Problem => new Problem('body_too_large', `The body is over ${most} bytes.`)
  const declared = c.req.header('content-length')
  if (declared !== undefined && Number(declared) > most) throw tooLarge()
  const { body } = c.req.raw
  if (!body) return new Uint8Array()
  // A declared length is the platform's to keep (RFC 9112, section 6.3): read at once, which is much cheaper than in pieces.
  if (declared !== undefined) return new Uint8Array(await c.req.raw.arrayBuffer())
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > most) throw tooLarge()
    chunks.push(chunk)
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

const decode = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    throw new Problem('invalid_json', 'The body is not UTF-8.')
  }
}

/** Parses a JSON body of at most `most` bytes by its schema; an empty body counts as `{}`. Throws 400, 413 or 415 problems. */
export const readBody = async <Schema extends z.ZodType>(
  c: AppContext,
  schema: Schema,
  most = MAX_BODY_BYTES,
): Promise<z.infer<Schema>> => {
  const bytes = await readBytes(c, most)
  // Many a client names a type without sending anything.
  const fault = bytes.length > 0 ? mediaFault(c) : null
  if (fault !== null) throw new Problem('unsupported_media_type', fault)
  const text = decode(bytes)
  if (text.trim() === '') return parse(schema, {})
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Problem(
      'invalid_json',
      `The body is not JSON: ${error instanceof Error ? error.message.slice(0, 200) : 'it could not be parsed'}.`,
    )
  }
  // What is written by a name is dropped by the schemas where it stands among names that a client chooses (steps, arguments):
  // it would be taken without a word, and less than was sent would run.
  if (/__proto__|\\u005f/i.test(text)) refuseProto(value)
  return parse(schema, value)
}

/** Refuses a member named `__proto__`, wherever it stands. */
const refuseProto = (value: unknown): void => {
  const left: { value: unknown; path: string }[] = [{ value, path: '' }]
  for (let one = left.pop(); one; one = left.pop()) {
    if (typeof one.value !== 'object' || one.value === null) continue
    for (const [name, inner] of Object.entries(one.value)) {
      const path = `${one.path}/${name}`
      if (name === '__proto__')
        throw new Problem('invalid_body', `The body: ${path}: nothing can have the name "__proto__". Use another one.`, {
          errors: [{ path, message: 'nothing can have the name "__proto__"' }],
        })
      left.push({ value: inner, path })
    }
  }
}

const parse = <Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> => {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw schemaProblem('invalid_body', 'The body', parsed.error)
  return parsed.data
}

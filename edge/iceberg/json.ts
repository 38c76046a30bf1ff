/**
 * JSON without loss: Iceberg's snapshot ids have 63 bits, and a plain `JSON.parse` rounds them (a rounded parent id
 * makes every later commit fail). Integers beyond 2^53 become `bigint`, and a `bigint` is written as a bare number.
 */
export type LosslessJson = null | boolean | number | bigint | string | LosslessJson[] | { [name: string]: LosslessJson | undefined }

/** Throws `SyntaxError` for text that is no JSON, and `RangeError` where the runtime cannot show a number's source. */
export const parseLossless = (text: string): unknown =>
  JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
    const source = context?.source
    if (source === undefined) {
      if (Number.isInteger(value)) throw new RangeError('this runtime parses large integers with loss')
      return value
    }
    return /^-?\d+$/.test(source) ? BigInt(source) : value
  })

/** Fields that are `undefined` are left out, as `JSON.stringify` does. */
export const writeLossless = (value: LosslessJson): string => {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return `[${value.map(writeLossless).join(',')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  const fields: string[] = []
  for (const [name, field] of Object.entries(value)) if (field !== undefined) fields.push(`${JSON.stringify(name)}:${writeLossless(field)}`)
  return `{${fields.join(',')}}`
}

/** The keywords of JSON Schema 2020-12 that the API's description uses. */
type Schema = Record<string, unknown>

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

const TYPES: Record<string, (value: unknown) => boolean> = {
  null: (value) => value === null,
  boolean: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: (value) => Number.isInteger(value),
  array: Array.isArray,
  object: isObject,
}

const SAYS_NOTHING = new Set(['description', 'title', 'default', 'format', 'examples', 'contentEncoding'])

/**
 * What of a value does not fit a schema, each fault with its place; none when it fits. A keyword that is not known here
 * throws: it would pass whatever it was to refuse.
 */
export const misfits = (schema: unknown, value: unknown, document: unknown, at = ''): string[] => {
  if (schema === true || !isObject(schema)) return schema === false ? [`${at}: nothing is allowed here`] : []
  return Object.entries(schema).flatMap(([keyword, given]) => misfit(keyword, given, schema, value, document, at))
}

const misfit = (keyword: string, given: unknown, schema: Schema, value: unknown, document: unknown, at: string): string[] => {
  const fits = (one: unknown): boolean => misfits(one, value, document, at).length === 0
  const unless = (good: boolean, what: string): string[] => (good ? [] : [`${at}: ${JSON.stringify(value)?.slice(0, 80)} ${what}`])
  if (SAYS_NOTHING.has(keyword)) return []
  switch (keyword) {
    case '$ref':
      return misfits(resolve(document, String(given)), value, document, at)
    case 'type':
      return unless(
        [given].flat().some((type) => TYPES[String(type)]?.(value)),
        `is no ${String(given)}`,
      )
    case 'const':
      return unless(JSON.stringify(given) === JSON.stringify(value), `is not ${JSON.stringify(given)}`)
    case 'enum':
      return unless(list(given).includes(value), `is none of ${JSON.stringify(given)}`)
    case 'anyOf':
      return unless(list(given).some(fits), 'fits none of several forms')
    case 'oneOf':
      return unless(list(given).filter(fits).length === 1, 'does not fit one of several forms')
    case 'allOf':
      return list(given).flatMap((one) => misfits(one, value, document, at))
    case 'pattern':
      return unless(typeof value !== 'string' || new RegExp(String(given), 'u').test(value), `does not match ${String(given)}`)
    case 'minLength':
      return unless(typeof value !== 'string' || value.length >= Number(given), `is shorter than ${String(given)}`)
    case 'maxLength':
      return unless(typeof value !== 'string' || value.length <= Number(given), `is longer than ${String(given)}`)
    case 'minimum':
      return unless(typeof value !== 'number' || value >= Number(given), `is below ${String(given)}`)
    case 'maximum':
      return unless(typeof value !== 'number' || value <= Number(given), `is above ${String(given)}`)
    case 'minItems':
      return unless(!Array.isArray(value) || value.length >= Number(given), `has fewer than ${String(given)} items`)
    case 'maxItems':
      return unless(!Array.isArray(value) || value.length <= Number(given), `has more than ${String(given)} items`)
    case 'items':
      return list(value).flatMap((item, index) => misfits(given, item, document, `${at}/${index}`))
    case 'required':
      return isObject(value) ? list(given).flatMap((name) => unless(String(name) in value, `has no ${String(name)}`)) : []
    case 'properties':
      if (!isObject(value) || !isObject(given)) return []
      return Object.entries(given).flatMap(([name, one]) => (name in value ? misfits(one, value[name], document, `${at}/${name}`) : []))
    case 'propertyNames':
      return isObject(value) ? Object.keys(value).flatMap((name) => misfits(given, name, document, `${at}/${name} (name)`)) : []
    case 'additionalProperties': {
      const known = isObject(schema.properties) ? schema.properties : {}
      const others = isObject(value) ? Object.entries(value).filter(([name]) => !(name in known)) : []
      return others.flatMap(([name, one]) => misfits(given, one, document, `${at}/${name}`))
    }
    default:
      throw new Error(`the keyword ${keyword} (${at || '/'}) is not known here`)
  }
}

/** The value behind a reference within the document (RFC 6901). */
const resolve = (document: unknown, reference: string): unknown => {
  let found = document
  for (const name of reference.slice(2).split('/'))
    found = isObject(found) ? found[name.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  if (found === undefined) throw new Error(`${reference} leads nowhere`)
  return found
}

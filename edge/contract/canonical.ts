/**
 * One text for one value: JSON without blanks, members sorted by UTF-16 code units, `undefined` members left out
 * (RFC 8785, whose number format is ECMAScript's own). Throws on what JSON cannot hold.
 */
export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`${value} is not a JSON number`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`
  if (typeof value === 'object') {
    let members = ''
    // The default order is that of UTF-16 code units.
    for (const name of Object.keys(value).sort()) {
      const member: unknown = Reflect.get(value, name)
      if (member !== undefined) members += `${members && ','}${JSON.stringify(name)}:${canonicalJson(member)}`
    }
    return `{${members}}`
  }
  throw new Error(`a ${typeof value} is not a JSON value`)
}

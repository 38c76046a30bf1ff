const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Members of a JSON Schema whose items may grow: a reader of the older version passes over what it does not know. */
const GROWING = new Set(['enum', 'anyOf', 'oneOf', 'required'])

/**
 * What a JSON Schema of today breaks of an older one; empty when only optional properties, new names of an enumeration,
 * or new members of a union were added. Bounds, patterns and what is required must stay as they were.
 */
export const breaches = (older: unknown, today: unknown, at = ''): string[] => {
  if (Array.isArray(older) && Array.isArray(today)) return breachesOfList(older, today, at)
  if (!isObject(older) || !isObject(today))
    return same(older, today) ? [] : [`${at}: ${JSON.stringify(older)} became ${JSON.stringify(today)?.slice(0, 200)}`]
  const found: string[] = []
  for (const [name, value] of Object.entries(older)) {
    if (!(name in today)) found.push(`${at}/${name} is gone`)
    else found.push(...breaches(value, today[name], `${at}/${name}`))
  }
  // A new keyword narrows what was allowed; a new property does not.
  const within = at.split('/').at(-1)
  if (within !== 'properties' && within !== '')
    for (const name of Object.keys(today)) if (!(name in older)) found.push(`${at}/${name} is new`)
  return found
}

const breachesOfList = (older: unknown[], today: unknown[], at: string): string[] => {
  const keyword = at.split('/').at(-1) ?? ''
  if (!GROWING.has(keyword))
    return same(older, today) ? [] : [`${at}: ${JSON.stringify(older)} became ${JSON.stringify(today).slice(0, 200)}`]
  if (keyword === 'required') {
    const added = today.filter((name) => !older.includes(name)).map((name) => `${at}: ${JSON.stringify(name)} became required`)
    return [
      ...added,
      ...older.filter((name) => !today.includes(name)).map((name) => `${at}: ${JSON.stringify(name)} is no longer required`),
    ]
  }
  // Each older member must still be there, grown at most.
  return older.flatMap((member, n) => {
    const tries = today.map((candidate) => breaches(member, candidate, `${at}/${n}`))
    if (tries.some((faults) => faults.length === 0)) return []
    return tries[n] ?? [`${at}/${n} is gone`]
  })
}

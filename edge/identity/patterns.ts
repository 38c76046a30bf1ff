/**
 * Does `text` match `pattern`, in which `*` stands for any run of characters and everything else for itself?
 * Linear in both, unlike a regular expression built from a token's claim.
 */
export const matches = (pattern: string, text: string): boolean => {
  const pieces = pattern.split('*')
  const head = pieces[0] ?? ''
  if (pieces.length === 1) return pattern === text
  const tail = pieces.at(-1) ?? ''
  if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
  let from = head.length
  const end = text.length - tail.length
  for (const piece of pieces.slice(1, -1)) {
    const at = text.indexOf(piece, from)
    if (at < 0 || at + piece.length > end) return false
    from = at + piece.length
  }
  return true
}

export const matchesAny = (patterns: readonly string[], text: string): boolean => patterns.some((pattern) => matches(pattern, text))

/** Tenants of a node: names, or `*` for all. No other pattern, so that `acme*` never takes in `acme2`. */
export const servesTenant = (tenants: readonly string[], tenant: string): boolean => tenants.includes('*') || tenants.includes(tenant)

/** Pieces of SQL text. Names and constants are quoted here; values of users are bound, never written into a statement. */

/** An identifier: `select` → `"select"`, `a"b` → `"a""b"`. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text constant. For names of our own files and for identifiers of ours whose alphabet is known. */
export const quoteText = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Where a token that began at `start` ends, or `start` itself when it is an ordinary character. */
const skipToken = (sql: string, start: number): number => {
  const two = sql.slice(start, start + 2)
  const one = sql[start]
  if (two === '--') {
    const end = sql.indexOf('\n', start)
    return end < 0 ? sql.length : end + 1
  }
  if (two === '/*') {
    // DuckDB's comments nest, as PostgreSQL's do.
    let depth = 1
    let at = start + 2
    while (at < sql.length && depth > 0) {
      const pair = sql.slice(at, at + 2)
      if (pair === '/*') depth++
      else if (pair === '*/') depth--
      at += pair === '/*' || pair === '*/' ? 2 : 1
    }
    return at
  }
  if (one === "'" || one === '"') {
    const escapes = one === "'" && /[eE]/.test(sql[start - 1] ?? '') && !/[A-Za-z0-9_$]/.test(sql[start - 2] ?? '')
    let at = start + 1
    while (at < sql.length) {
      if (escapes && sql[at] === '\\') at += 2
      else if (sql[at] !== one) at++
      else if (sql[at + 1] === one) at += 2
      else return at + 1
    }
    return sql.length
  }
  if (one === '$' && !/[A-Za-z0-9_]/.test(sql[start - 1] ?? '')) {
    const tag = /^\$([A-Za-z_][A-Za-z0-9_]*)?\$/.exec(sql.slice(start, start + 80))?.[0]
    if (tag === undefined) return start
    const end = sql.indexOf(tag, start + tag.length)
    return end < 0 ? sql.length : end + tag.length
  }
  return start
}

/**
 * The statement without its closing semicolons, so that it can stand in parentheses. Semicolons in texts, quoted
 * names and comments stay. The result ends with a line break, because a statement may end with a line comment.
 */
export const asSubquery = (sql: string): string => {
  const kept: string[] = []
  let from = 0
  let at = 0
  while (at < sql.length) {
    const end = skipToken(sql, at)
    if (end > at) {
      at = end
    } else {
      if (sql[at] === ';') {
        kept.push(sql.slice(from, at))
        from = at + 1
      }
      at++
    }
  }
  kept.push(sql.slice(from))
  return `${kept.join(' ')}\n`
}

import { quote } from './problem.ts'

/** More than any report needs, and below what every engine takes (Postgres: 65,535). */
export const MAX_PARAMETERS = 1_000

/**
 * How a source reads quotes, comments and `?`. `postgres`: `?` is an operator of jsonb and geometry where a value stands
 * before it. `mysql`: backslash escapes in strings, `#` comments, and `--` is one only with a blank behind it.
 */
export type Dialect = 'duckdb' | 'postgres' | 'mysql'

type Kind = 'space' | 'comment' | 'string' | 'quoted' | 'word' | 'number' | 'dollar' | 'question' | 'semicolon' | 'symbol'
interface Token {
  kind: Kind
  start: number
  end: number
}

const WORD_START = /[\p{L}_]/u
const WORD = /[\p{L}\p{M}\p{N}_$]+/uy
const NUMBER = /(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y
const SPACE = /\s+/y
const DOLLAR = /\$(\d+)/y
const DOLLAR_QUOTE = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy

const matchAt = (pattern: RegExp, sql: string, at: number): string | null => {
  pattern.lastIndex = at
  return pattern.exec(sql)?.[0] ?? null
}

/** End of a quoted stretch that begins at `start`, or null where it never ends. A doubled quote stands for one. */
const quotedEnd = (sql: string, start: number, mark: string, backslash: boolean): number | null => {
  for (let at = start + 1; at < sql.length; at++) {
    if (backslash && sql[at] === '\\') at++
    else if (sql[at] === mark) {
      if (sql[at + 1] !== mark) return at + 1
      at++
    }
  }
  return null
}

const blockCommentEnd = (sql: string, start: number, nested: boolean): number | null => {
  let depth = 1
  for (let at = start + 2; at < sql.length; at++) {
    if (sql.startsWith('*/', at)) {
      depth -= 1
      at++
      if (depth === 0) return at + 1
    } else if (nested && sql.startsWith('/*', at)) {
      depth += 1
      at++
    }
  }
  return null
}

/** The statement as tokens, or the place where a quote or comment opens that never closes. */
const tokens = (sql: string, dialect: Dialect): Token[] | { open: number } => {
  const found: Token[] = []
  const lineEnd = (from: number) => {
    const newline = sql.indexOf('\n', from)
    return newline === -1 ? sql.length : newline
  }
  let at = 0
  while (at < sql.length) {
    const start = at
    const char = String.fromCodePoint(sql.codePointAt(at) ?? 0)
    const next = sql[at + 1] ?? ''
    let kind: Kind = 'symbol'
    let end: number | null = at + char.length
    const mysql = dialect === 'mysql'
    if (/\s/.test(char)) {
      kind = 'space'
      end = at + (matchAt(SPACE, sql, at) ?? char).length
    } else if (char === '-' && next === '-' && (!mysql || /^\s?$/.test(sql[at + 2] ?? ''))) {
      kind = 'comment'
      end = lineEnd(at)
    } else if (mysql && char === '#') {
      kind = 'comment'
      end = lineEnd(at)
    } else if (char === '/' && next === '*') {
      kind = 'comment'
      end = blockCommentEnd(sql, at, !mysql)
    } else if (char === "'") {
      kind = 'string'
      end = quotedEnd(sql, at, "'", mysql)
    } else if (char === '"' || (char === '`' && mysql)) {
      kind = 'quoted'
      end = quotedEnd(sql, at, char, mysql && char === '"')
    } else if ((char === 'e' || char === 'E') && next === "'") {
      kind = 'string'
      end = quotedEnd(sql, at + 1, "'", true)
    } else if (char === '$' && !mysql && matchAt(DOLLAR_QUOTE, sql, at) !== null) {
      kind = 'string'
      const mark = matchAt(DOLLAR_QUOTE, sql, at) ?? ''
      const close = sql.indexOf(mark, at + mark.length)
      end = close === -1 ? null : close + mark.length
    } else if (char === '$' && matchAt(DOLLAR, sql, at) !== null) {
      kind = 'dollar'
      end = at + (matchAt(DOLLAR, sql, at) ?? '').length
    } else if (WORD_START.test(char)) {
      kind = 'word'
      end = at + (matchAt(WORD, sql, at) ?? char).length
    } else if (/[\d.]/.test(char) && matchAt(NUMBER, sql, at) !== null) {
      kind = 'number'
      end = at + (matchAt(NUMBER, sql, at) ?? '').length
    } else if (char === '?') kind = 'question'
    else if (char === ';') kind = 'semicolon'
    if (end === null) return { open: start }
    found.push({ kind, start, end })
    at = end
  }
  return found
}

/** Words after which SQL expects a value: a `?` behind them is a placeholder, never Postgres' operator. */
const BEFORE_A_VALUE = new Set(
  'all and any as between by case distinct else escape except fetch filter first from having ilike in intersect is join like limit next not offset on or over regexp returning select set similar some then to top union using values when where with'.split(
    ' ',
  ),
)

/** Whether Postgres reads the `?` at `index` as an operator: a value or an operator's sign stands right before it. */
const isOperator = (sql: string, significant: Token[], index: number): boolean => {
  const before = significant[index - 1]
  const self = significant[index]
  if (before === undefined || self === undefined) return false
  const text = sql.slice(before.start, before.end)
  if (before.kind === 'word') return !BEFORE_A_VALUE.has(text.toLowerCase())
  if (before.kind === 'symbol') return text === ')' || text === ']' || (text === '@' && before.end === self.start)
  return before.kind !== 'question' && before.kind !== 'semicolon'
}

export interface Statement {
  /** One statement for an engine: numbered placeholders, no final semicolon, no comment behind the last word. */
  sql: string
  /** How many values it takes. */
  arity: number
  /** True where more statements follow the first; `sql` then still holds all of them. */
  several: boolean
}

/**
 * Reads a statement's placeholders outside of strings, quoted names and comments. `$1`, `$2` … stay as they are and must
 * be numbered without gaps; `?` becomes `$1`, `$2` … in order. Never throws.
 */
export const readStatement = (text: string, dialect: Dialect): { ok: true; value: Statement } | { ok: false; detail: string } => {
  const bad = (detail: string) => ({ ok: false as const, detail })
  const all = tokens(text, dialect)
  if (!Array.isArray(all)) {
    const line = text.slice(0, all.open).split('\n').length
    return bad(`${quote(text.slice(all.open, all.open + 20))} on line ${line} of the query opens a quote or comment that never closes`)
  }
  const significant = all.filter((token) => token.kind !== 'space' && token.kind !== 'comment')
  const last = significant.findLast((token) => token.kind !== 'semicolon')
  if (last === undefined) return bad('there is no query but comments; write the SELECT below the tags')
  const used = significant.slice(0, significant.indexOf(last) + 1)
  const several = used.some((token) => token.kind === 'semicolon')

  const questions = used.filter((token, index) => token.kind === 'question' && !(dialect === 'postgres' && isOperator(text, used, index)))
  const numbers = used.filter((token) => token.kind === 'dollar').map((token) => Number(text.slice(token.start + 1, token.end)))
  if (questions.length > 0 && numbers.length > 0) {
    return bad(`the query has both "?" and "$${numbers[0]}"; number all placeholders $1, $2 … or none`)
  }
  const arity = numbers.reduce((most, n) => Math.max(most, n), questions.length)
  if (arity > MAX_PARAMETERS) return bad(`the query has "$${arity}"; at most ${MAX_PARAMETERS} parameters are possible`)
  const seen = new Set(numbers)
  if (seen.has(0)) return bad('the query has "$0"; placeholders begin with $1')
  for (let n = 1; n <= arity && questions.length === 0; n++) {
    if (!seen.has(n)) return bad(`the query has "$${arity}" but no "$${n}"; number placeholders without gaps`)
  }

  let sql = ''
  let from = 0
  // `LIMIT?` would grow together into a word, `?1` and `?x` into another placeholder.
  for (const [index, token] of questions.entries()) {
    sql += text.slice(from, token.start)
    if (/[\p{L}\p{M}\p{N}_$]$/u.test(sql.slice(-2))) sql += ' '
    sql += `$${index + 1}`
    from = token.end
    if (/^[\p{L}\p{M}\p{N}_$]/u.test(text.slice(from, from + 2))) sql += ' '
  }
  return { ok: true, value: { sql: sql + text.slice(from, last.end), arity, several } }
}

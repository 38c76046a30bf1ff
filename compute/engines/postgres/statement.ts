import { readStatement } from '../../tasks/placeholders.ts'

export interface Statement {
  /** With numbered placeholders and without a final semicolon. */
  sql: string
  arity: number
  /** It calls something that outlives its transaction: its connection is not used again. */
  leavesTraces: boolean
}

export type StatementReading = { ok: true; statement: Statement } | { ok: false; problem: string }

const READING = new Set(['select', 'with', 'values', 'table'])
/** Settings and advisory locks of the session survive the transaction's end. Too many matches only cost a connection. */
const TRACES = /\b(set_config|pg_advisory_lock\w*|pg_try_advisory_lock\w*|setseed|dblink_connect\w*|lo_\w+)\b/i

/** The first word, behind blanks, comments (PostgreSQL's nest) and opening parentheses. */
export const firstWord = (sql: string): string => {
  let at = 0
  while (at < sql.length) {
    if (/[\s(]/.test(sql[at] ?? '')) at += 1
    else if (sql.startsWith('--', at)) {
      const end = sql.indexOf('\n', at)
      at = end < 0 ? sql.length : end + 1
    } else if (sql.startsWith('/*', at)) {
      let depth = 0
      do {
        if (sql.startsWith('/*', at)) {
          depth += 1
          at += 2
        } else if (sql.startsWith('*/', at)) {
          depth -= 1
          at += 2
        } else at += 1
      } while (depth > 0 && at < sql.length)
    } else return /^\w+/.exec(sql.slice(at, at + 40))?.[0].toLowerCase() ?? ''
  }
  return ''
}

/**
 * Accepts one reading statement. What follows is in depth: the extended protocol takes no second statement, the
 * transaction is read-only, and a statement that yields no columns when described is refused.
 */
export const readReport = (text: string): StatementReading => {
  const read = readStatement(text, 'postgres')
  if (!read.ok) return { ok: false, problem: read.detail }
  if (read.value.several) return { ok: false, problem: 'the query holds several statements; a report is one SELECT' }
  const word = firstWord(read.value.sql)
  if (!READING.has(word))
    return { ok: false, problem: `the query begins with "${word}"; a report begins with SELECT, WITH, VALUES or TABLE` }
  const { sql, arity } = read.value
  return { ok: true, statement: { sql, arity, leavesTraces: TRACES.test(sql) } }
}

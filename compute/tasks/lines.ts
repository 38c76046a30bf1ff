import type { TaskProblem } from './problem.ts'
import { quote } from './problem.ts'

/** A `-- tag: value` line. */
export interface Tag {
  name: string
  value: string
  line: number
}

/** One `-- name:` with everything up to the next. */
export interface Block {
  name: string
  line: number
  /** In the order of the file, `name` left out. A tag may stand in the middle of the query. */
  tags: Tag[]
  /** The file's own lines from the first to the last line of query text; comments between them are part of it. */
  statement: string
  /** Line of the file on which `statement` begins. */
  statementLine: number
}

/** Directives that DungBeetle itself reads. For them its splitting of a line holds without exception. */
export const DUNGBEETLE_TAGS = ['name', 'db', 'queue', 'conc', 'results', 'raw'] as const

/** Go's `\s` (RE2): JavaScript's own takes in non-breaking and other Unicode blanks. */
const BLANK = '[\\t\\n\\f\\r ]'
const COMMENT = new RegExp(`^${BLANK}*--${BLANK}*`)
const blankEnds = new RegExp(`^${BLANK}+|${BLANK}+$`, 'g')
const trim = (text: string): string => text.replace(blankEnds, '')

/**
 * Splits `-- TAG: VALUE` as goyesql does: at the *last* colon that still has text behind it, so that `-- a: b: c` is the
 * tag `a: b`. Only a line that begins with one of `firstColon` (directives that DungBeetle does not know, whose values
 * may hold colons) is split at its first one. Null: an ordinary comment.
 */
export const splitTag = (text: string, firstColon: ReadonlySet<string>): { name: string; value: string } | null => {
  const first = text.indexOf(':')
  if (first < 1) return null
  const ours = trim(text.slice(0, first))
  if (firstColon.has(ours)) {
    const value = trim(text.slice(first + 1))
    return value === '' ? null : { name: ours, value }
  }
  for (let colon = text.lastIndexOf(':'); colon > 0; colon = text.lastIndexOf(':', colon - 1)) {
    const value = trim(text.slice(colon + 1))
    if (value !== '') return { name: text.slice(0, colon), value }
  }
  return null
}

/**
 * Cuts a file into tasks. Which line is a tag, a comment or text is decided line by line exactly as goyesql decides it
 * (quotes and block comments are not looked at), so every file has the same tasks here as in DungBeetle. Unlike goyesql
 * the text keeps its lines: joined by blanks, a trailing `-- why` would comment out the rest of the query.
 *
 * Problems: text before the first name, a known directive before the first name, a name without a query.
 */
export const splitFile = (
  file: string,
  content: string,
  known: ReadonlySet<string>,
): { blocks: Block[]; problems: TaskProblem[]; stray: Tag[] } => {
  const dungbeetle: ReadonlySet<string> = new Set(DUNGBEETLE_TAGS)
  const firstColon = new Set([...known].filter((name) => !dungbeetle.has(name)))
  const problems: TaskProblem[] = []
  const blocks: Block[] = []
  /** Tags before any name. */
  const stray: Tag[] = []
  let strayText = false
  let open: { name: string; line: number; tags: Tag[]; lines: string[]; firstText: number; lastText: number } | null = null

  const close = () => {
    if (open === null) return
    const { name, line, tags, lines, firstText, lastText } = open
    if (firstText === 0) {
      const message = `the task has no query; write the SELECT below its tags, or remove the name`
      problems.push({ severity: 'error', code: 'syntax', file, line, task: name, message })
    } else {
      const statement = lines.slice(firstText - line - 1, lastText - line).join('\n')
      blocks.push({ name, line, tags, statement, statementLine: firstText })
    }
  }

  const lines = content.replace(/^\uFEFF/, '').split('\n')
  for (const [index, raw] of lines.entries()) {
    const line = index + 1
    const text = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    const opening = COMMENT.exec(text)
    const comment = opening === null ? null : trim(text.slice(opening[0].length))
    const tag = comment === null ? null : splitTag(comment, firstColon)

    if (tag?.name === 'name') {
      close()
      open = { name: tag.value, line, tags: [], lines: [], firstText: 0, lastText: 0 }
      continue
    }
    if (open !== null) {
      open.lines.push(text)
      if (tag !== null) open.tags.push({ ...tag, line })
      // goyesql strips blanks only: a line with nothing but a tab is text to it, and an empty query to the database.
      else if (comment === null && trim(text) !== '') {
        if (open.firstText === 0) open.firstText = line
        open.lastText = line
      }
      continue
    }
    if (tag !== null) {
      stray.push({ ...tag, line })
      if (known.has(tag.name)) {
        const message = `"-- ${tag.name}:" stands before any name; "-- name: …" must be the first tag of a task`
        problems.push({ severity: 'error', code: 'syntax', file, line, task: null, message })
      }
    } else if (comment === null && trim(text) !== '' && !strayText) {
      strayText = true
      const message = `query text without a name: ${quote(trim(text))}; write "-- name: …" on a line above it (in lower case, without a colon in the name)`
      problems.push({ severity: 'error', code: 'syntax', file, line, task: null, message })
    }
  }
  close()
  return { blocks, problems, stray }
}

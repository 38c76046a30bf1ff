import { dirname } from 'node:path'
import { TaskName } from '../../edge/contract/ids.ts'
import type { Source, SqlTask } from '../engines/engine.ts'
import type { Directives } from './directives.ts'
import { KNOWN_TAGS, readDirectives, unknownTag } from './directives.ts'
import { familyOfTask } from './family.ts'
import { taskHash } from './hash.ts'
import type { Block } from './lines.ts'
import { splitFile } from './lines.ts'
import { didYouMean } from './nearest.ts'
import type { Dialect } from './placeholders.ts'
import { readStatement } from './placeholders.ts'
import type { TaskProblem } from './problem.ts'
import { quote } from './problem.ts'
import { candidateSources, dialectOf, EMBEDDED_DUCKDB, findSource } from './sources.ts'

/** The contract's limit for a statement. */
const MAX_SQL_CHARACTERS = 262_144
/** The contract's limit for one warning; and how many of them a task carries to the edge. */
const MAX_WARNING_CHARACTERS = 1_000
const MAX_WARNINGS = 50

/** A task of this node's files. The contract's part of it is announced; the rest stays here. */
export interface LoadedTask extends SqlTask {
  /** DungBeetle's result databases, as `results` names them. */
  results: string[]
  /** Every tag line as it was read, unknown ones too, without `name`. */
  tags: { name: string; value: string; line: number }[]
}

export const withWarnings = (task: LoadedTask, more: readonly string[]): LoadedTask => ({
  ...task,
  warnings: [...new Set([...task.warnings, ...more.map((text) => text.slice(0, MAX_WARNING_CHARACTERS))])].slice(0, MAX_WARNINGS),
})

/** MySQL takes `--5` for an expression, goyesql for a comment. Comment lines are made comments everywhere. */
const settleComments = (statement: string, dialect: Dialect): string =>
  dialect === 'mysql' ? statement.replace(/^([\t\f\r ]*)--(?=[^\s])/gm, '$1-- ') : statement

/** The sources a task names and the node does not have. */
const missingSources = (directives: Directives, sources: readonly Source[]): string[] =>
  directives.db.filter((name) => findSource(name, sources) === null)

const buildTask = (file: string, block: Block, sources: readonly Source[]): { task: LoadedTask | null; problems: TaskProblem[] } => {
  const { directives, problems } = readDirectives(file, block)
  const problem = (severity: TaskProblem['severity'], code: TaskProblem['code'], line: number, message: string) =>
    problems.push({ severity, code, file, line, task: block.name, message })
  const lineOf = (tag: string) => block.tags.find((candidate) => candidate.name === tag)?.line ?? block.line

  const name = TaskName.safeParse(block.name)
  if (!name.success)
    problem(
      'error',
      'bad_value',
      block.line,
      `name: ${quote(block.name)} cannot name a task; use 1 to 200 characters, none of them a control character`,
    )

  const candidates = candidateSources(directives, sources)
  const dialect = dialectOf(candidates)
  const statement = readStatement(settleComments(block.statement, dialect), dialect)
  if (!statement.ok) {
    problem('error', 'placeholders', block.statementLine, statement.detail)
  } else {
    const { arity, several, sql } = statement.value
    if (several) {
      const message = 'the query holds several statements; a task is one SELECT (a script can become a view or function of the source)'
      // A raw task is not looked at before it runs, in DungBeetle as here: the engine has the last word.
      problem(directives.raw ? 'warning' : 'error', 'syntax', block.statementLine, message)
    }
    if (sql.length > MAX_SQL_CHARACTERS) {
      problem('error', 'syntax', block.statementLine, `the query has ${sql.length} characters; at most ${MAX_SQL_CHARACTERS} are possible`)
    }
    if (directives.params.length > 0 && directives.params.length !== arity) {
      const has = arity === 0 ? 'no placeholder' : arity === 1 ? 'one placeholder' : `${arity} placeholders`
      const lines =
        directives.params.length === 1 ? 'one "-- param:" line describes' : `${directives.params.length} "-- param:" lines describe`
      problem(
        'error',
        'placeholders',
        lineOf('param'),
        `the query has ${has}, but ${lines} its parameters; write one line for each, in the order $1, $2 …`,
      )
    }
  }
  const needed = directives.params.find((param) => param.default === undefined)?.name
  if (
    directives.schedule !== undefined &&
    (needed !== undefined || (directives.params.length === 0 && statement.ok && statement.value.arity > 0))
  ) {
    const which = needed === undefined ? 'its placeholders have no "-- param:" lines with defaults' : `parameter "${needed}" has no default`
    const message = `schedule: ${which}, so the line itself starts nothing; give defaults, or make schedules with arguments by POST /v1/schedules`
    problem('warning', 'bad_value', lineOf('schedule'), message)
  }
  if (
    directives.engine_hint !== null &&
    directives.db.length === 0 &&
    candidates.every((source) => source.type !== directives.engine_hint)
  ) {
    const chosen = candidates.map((source) => source.name).join(', ')
    problem(
      'warning',
      'source_missing',
      lineOf('engine_hint'),
      `engine_hint: no source of type "${directives.engine_hint}" is configured; the task runs on ${chosen}`,
    )
  }
  if (problems.some(({ severity }) => severity === 'error')) return { task: null, problems }

  const missing = missingSources(directives, sources)
  if (missing.length > 0) {
    const known = [EMBEDDED_DUCKDB.name, ...sources.map((source) => source.name)]
    const named = missing.map((source) => quote(source)).join(', ')
    const tables = missing.map((source) => `[db.${source}]`).join(', ')
    const message = `not loaded: source ${named} is not configured${didYouMean(missing[0] ?? '', known) || `; add ${tables} to the node's configuration`}`
    problem('warning', 'source_missing', lineOf('db'), message)
    return { task: null, problems }
  }
  if (!name.success || !statement.ok) return { task: null, problems }

  const { family, raw, results, types, ...announced } = directives
  const task: LoadedTask = {
    ...announced,
    name: name.data,
    hash: taskHash(name.data, block.statement, block.tags),
    sql: statement.value.sql,
    arity: statement.value.arity,
    family: family ?? familyOfTask(name.data),
    columns: null,
    error: null,
    warnings: [],
    file,
    line: block.line,
    folder: dirname(file),
    raw,
    results,
    types,
    tags: block.tags,
  }
  return {
    task: withWarnings(
      task,
      problems.map(({ line, message }) => `line ${line}: ${message}`),
    ),
    problems,
  }
}

/**
 * Reads one file of tasks: DungBeetle's format (goyesql) as it stands, and Scarab's directives. Never throws; what is
 * wrong becomes a problem with its line, and the other tasks of the file load all the same.
 * @example parseTasks('/reports/a.sql', '-- name: one\nSELECT 1 AS n', []).tasks[0]?.family // 'reports.one'
 */
export const parseTasks = (file: string, content: string, sources: readonly Source[]): { tasks: LoadedTask[]; problems: TaskProblem[] } => {
  const { blocks, problems, stray } = splitFile(file, content, KNOWN_TAGS)
  for (const tag of stray) {
    const message = KNOWN_TAGS.has(tag.name) ? null : unknownTag(tag)
    if (message !== null) problems.push({ severity: 'warning', code: 'unknown_tag', file, line: tag.line, task: null, message })
  }
  const tasks: LoadedTask[] = []
  for (const block of blocks) {
    const built = buildTask(file, block, sources)
    problems.push(...built.problems)
    if (built.task !== null) tasks.push(built.task)
  }
  return { tasks, problems }
}

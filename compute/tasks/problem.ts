export type TaskProblemCode =
  | 'unreadable'
  | 'syntax'
  | 'bad_value'
  | 'unknown_tag'
  | 'duplicate_tag'
  | 'duplicate_name'
  | 'placeholders'
  | 'source_missing'
  | 'schema'

/**
 * What is wrong in a folder of task files. An `error` means that the task (or the file) is not loaded; a `warning`
 * leaves it loaded, but for `source_missing`, where the task waits for a node that has the source.
 */
export interface TaskProblem {
  severity: 'error' | 'warning'
  code: TaskProblemCode
  file: string
  /** 1 is the first line; 0 speaks of the whole file or folder. */
  line: number
  task: string | null
  /** Names the thing, the bad value and the remedy. */
  message: string
}

/** `tasks/a.sql:3: …`, as compilers write it, so that an editor can jump there. */
export const formatProblem = (problem: TaskProblem): string =>
  `${problem.file}${problem.line > 0 ? `:${problem.line}` : ''}: ${problem.severity}: ${problem.task === null ? '' : `task "${problem.task}": `}${problem.message}`

/** Messages quote values of the file; a value of any length must not flood a log or the page. */
const MAX_QUOTED_CHARACTERS = 120

export const quote = (value: string): string => {
  const cut = value.length > MAX_QUOTED_CHARACTERS ? `${value.slice(0, MAX_QUOTED_CHARACTERS)}…` : value
  return JSON.stringify(cut)
}

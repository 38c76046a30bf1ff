import type { Plan, Source } from '../engines/engine.ts'
import { EngineFault } from '../engines/engine.ts'
import { columnsDiffer, keepColumns } from './columns.ts'
import type { LoadedTask } from './parse.ts'
import { withWarnings } from './parse.ts'
import type { TaskProblem } from './problem.ts'
import { candidateSources } from './sources.ts'

/** How long one source may take to describe one task; a database that is down must not hold up the start. */
const DESCRIBE_SECONDS = 30
/** Descriptions under way at once: a folder of many tasks must not open many connections. */
const DESCRIBE_AT_ONCE = 4
/** The contract's limit for a task's `error`. */
const MAX_ERROR_CHARACTERS = 4_000

/** Asks a source's engine for the columns, without arguments: `engine.plan(task, null, source, signal)`. */
export type PlanTask = (task: LoadedTask, source: Source, signal: AbortSignal) => Promise<Plan>

export interface DescribeRequest {
  tasks: readonly LoadedTask[]
  sources: readonly Source[]
  plan: PlanTask
  signal?: AbortSignal
  /** Only for tests and slow sources. */
  secondsEach?: number
}

type Answer =
  | { kind: 'columns'; source: Source; columns: Plan['columns']; warnings: string[] }
  /** Columns that cannot be known without arguments. */
  | { kind: 'unknown'; source: Source }
  | { kind: 'failed'; source: Source; message: string }
  /** The result could never be kept: the task is not loaded. */
  | { kind: 'refused'; source: Source; message: string }

const ask = async (task: LoadedTask, source: Source, request: DescribeRequest): Promise<Answer> => {
  const seconds = request.secondsEach ?? DESCRIBE_SECONDS
  const timeout = AbortSignal.timeout(seconds * 1_000)
  const signal = request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal])
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(new Error(timeout.aborted ? `no answer within ${seconds} s` : 'stopped'))
  // An engine that does not listen to the signal must not hold up the start either.
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    const { columns } = await Promise.race([aborted, request.plan(task, source, signal)])
    const kept = keepColumns(task, columns)
    if (!kept.ok) return { kind: 'refused', source, message: kept.detail }
    return { kind: 'columns', source, columns: kept.columns, warnings: kept.warnings }
  } catch (error) {
    if (error instanceof EngineFault) {
      if (error.failure.class === 'schema') return { kind: 'refused', source, message: error.message }
      if (error.failure.class === 'arguments') return { kind: 'unknown', source }
      return { kind: 'failed', source, message: error.message }
    }
    return { kind: 'failed', source, message: error instanceof Error ? error.message : 'the engine failed without a reason' }
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

const describe = async (task: LoadedTask, request: DescribeRequest): Promise<{ task: LoadedTask | null; problem: TaskProblem | null }> => {
  if (task.raw) return { task: { ...task, columns: null, error: null }, problem: null }
  const candidates = candidateSources(task, request.sources)
  const answers = await Promise.all(candidates.map((source) => ask(task, source, request)))
  const several = candidates.length > 1
  const on = (answer: Answer, message: string) => (several ? `on ${answer.source.name}: ${message}` : message)
  /** `about`: the reason alone; one that begins with a tag's name is about that line. */
  const refuse = (message: string, about = message) => {
    const line = task.tags.find((tag) => about.startsWith(`${tag.name}: `))?.line ?? task.line
    const problem: TaskProblem = { severity: 'error', code: 'schema', file: task.file, line, task: task.name, message }
    return { task: null, problem }
  }

  const refused = answers.find((answer) => answer.kind === 'refused')
  if (refused !== undefined) return refuse(on(refused, refused.message), refused.message)
  const [first, ...others] = answers.filter((answer) => answer.kind === 'columns')
  for (const other of others) {
    const difference = first === undefined ? null : columnsDiffer(first.columns, other.columns)
    if (first !== undefined && difference !== null) {
      const remedy = 'cast or alias the columns so that they are the same everywhere, or name one source in "db"'
      return refuse(`the sources ${first.source.name} and ${other.source.name} yield different columns: ${difference}; ${remedy}`)
    }
  }

  const failed = answers.filter((answer) => answer.kind === 'failed')
  const messages = failed.map((answer) => on(answer, answer.message))
  if (first !== undefined) {
    const warnings = [...first.warnings, ...messages.map((message) => `not described ${message}`)]
    return { task: withWarnings({ ...task, columns: first.columns, error: null }, warnings), problem: null }
  }
  const error = messages.length === answers.length && messages.length > 0 ? messages.join('; ').slice(0, MAX_ERROR_CHARACTERS) : null
  const problem: TaskProblem | null =
    error === null
      ? null
      : {
          severity: 'warning',
          code: 'schema',
          file: task.file,
          line: task.line,
          task: task.name,
          message: `announced, but it cannot be described: ${error}`,
        }
  return { task: { ...task, columns: null, error }, problem }
}

/**
 * Fills in the columns of every task by asking each source it may run on, a few at a time. A task whose result could
 * never be kept, or whose sources disagree, is left out with an error; one that no source can describe now stays, with
 * the engine's reason in `error`. May be repeated later, when a source is back. Never throws.
 */
export const describeTasks = async (request: DescribeRequest): Promise<{ tasks: LoadedTask[]; problems: TaskProblem[] }> => {
  const described: { task: LoadedTask | null; problem: TaskProblem | null }[] = []
  const waiting = [...request.tasks.entries()]
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) described[next[0]] = await describe(next[1], request)
  }
  await Promise.all(Array.from({ length: DESCRIBE_AT_ONCE }, work))
  return {
    tasks: described.flatMap(({ task }) => task ?? []),
    problems: described.flatMap(({ problem }) => problem ?? []),
  }
}

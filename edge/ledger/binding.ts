import { createHash } from 'node:crypto'
import { canonicalJson } from '../contract/canonical.ts'
import type { AnnouncedTask } from '../contract/tasks.ts'
import type { JobRow } from './jobs.ts'

/** A node's definition of a task, as its link knows it. */
export interface NodeTask {
  hash: string
  signature: string
  /** When the node announced it, ms. */
  since: number
}

type Signed = Pick<AnnouncedTask, 'params' | 'arity' | 'family' | 'partition_by' | 'columns'>

const digest = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 32)

const known = new WeakMap<Signed, string>()

/**
 * What a job relies on besides the statement's text: `PARAMETERS.COLUMNS`, a hash each. The columns' part is `-` where the
 * engine could not tell them without arguments. Worked out once for each object: a catalogue's entry serves many submits.
 */
export const signatureOf = (task: Signed): string => {
  const seen = known.get(task)
  if (seen !== undefined) return seen
  const { params, arity, family, partition_by, columns } = task
  const named = params.map(({ name, type }) => [name, type])
  const signature = `${digest([named, arity, family, partition_by])}.${columns === null ? '-' : digest(columns)}`
  known.set(task, signature)
  return signature
}

const agree = (a: string, b: string): boolean => {
  const [parameters = '', columns = ''] = a.split('.')
  const [others = '', theirs = ''] = b.split('.')
  return parameters === others && (columns === theirs || columns === '-' || theirs === '-')
}

/**
 * May a node with this definition run the job? `bound`: yes, by the text it has now. `stale`: its definition is older than
 * the job, which was checked against another one: some other node has that. `changed`: the task was redefined after the
 * job was submitted, so that its arguments were checked against parameters that are gone.
 */
export const bind = (row: Pick<JobRow, 'submitted_hash' | 'signature' | 'created_at'>, task: NodeTask): 'bound' | 'stale' | 'changed' => {
  if (row.submitted_hash === null || row.signature === null || row.submitted_hash === task.hash) return 'bound'
  if (agree(row.signature, task.signature)) return 'bound'
  return task.since > row.created_at ? 'changed' : 'stale'
}

/** Arguments up to so many characters stand in the key as they are: most are short, and each submit would hash them. */
const PLAIN_ARGS = 64

const circumstances = new Map<string, string>()

/** Of task, source, hint and rights, which are the same for many submits. */
const circumstance = (text: string): string => {
  const seen = circumstances.get(text)
  if (seen !== undefined) return seen
  if (circumstances.size >= 1_000) circumstances.clear()
  const hash = digest(text)
  circumstances.set(text, hash)
  return hash
}

/** Equal for jobs that may share one execution: the task's text, arguments, source, hint, and what their submitters may do. */
export const samenessOf = (what: {
  hash: string
  args: unknown[]
  db: string | null
  hint: string | null
  rights: readonly string[]
}): string => {
  const args = canonicalJson(what.args)
  const rest = circumstance(JSON.stringify([what.hash, what.db, what.hint, [...what.rights].sort()]))
  return `${rest} ${args.length <= PLAIN_ARGS ? args : digest(what.args)}`
}

import { type DeadJob, DeathClass } from '../contract/dead.ts'

interface Words {
  explanation: string
  remedy: string
}

/** What a failure of each class means, and what helps; the error itself has the particulars. */
const WORDS: Record<DeathClass, Words> = {
  lost: {
    explanation: 'The node, its session or its connection to the source was lost, and the job had no try left.',
    remedy: 'Run it again when they are back. More `retries` let a job outlast a longer failure.',
  },
  overloaded: {
    explanation: 'The source or the node had too much to do each time the job was tried.',
    remedy: "Run it again at a quieter time, or lower the queue's concurrency or the source's max_active.",
  },
  sql: {
    explanation: 'The engine does not accept the statement, or a value in it. It would fail alike each time, so it was tried once.',
    remedy: "Correct the task's SQL on its nodes, then run the job again.",
  },
  arguments: {
    explanation: 'The arguments do not fit the statement. They would fail alike each time, so it was tried once.',
    remedy: 'Submit a new job with other arguments, or declare the parameters by `-- param:` so that they are checked before.',
  },
  schema: {
    explanation: 'The columns of the result cannot be kept in its table.',
    remedy: 'Change the columns back, give the task another `result_table`, or name an exact type by `-- types:`; then run it again.',
  },
  source: {
    explanation: 'The source does not let the node in, stopped the query, or is not configured.',
    remedy: "Correct the node's configuration or the source's permissions, then run the job again.",
  },
  limit: {
    explanation: 'The job ran into a limit: its time, its memory or its size.',
    remedy: 'Make the query smaller, or raise the limit that the error names; then run it again.',
  },
  budget: {
    explanation: 'The job would have cost more than its budget.',
    remedy: 'Make the query read less, or raise the budget; then run it again.',
  },
  cancelled: {
    explanation: 'The engine stopped the query, though nobody had cancelled the job.',
    remedy: 'Look at the source who stopped it, then run the job again.',
  },
  internal: {
    explanation: 'Something went wrong in Scarab itself, on the node or at the edge.',
    remedy: 'Run it again; if it fails alike, report the error.',
  },
  expired: {
    explanation: 'The job waited longer than its `ttl` before any node began it.',
    remedy: 'See that nodes with free slots listen to its queue (GET /v1/queues), then run it again.',
  },
  changed: {
    explanation:
      "The task's parameters or columns were changed while the job waited, so it was not run with arguments meant for another one.",
    remedy: 'Run it again: its arguments are checked against the task as it is now.',
  },
}

/** Codes that the edge itself gives, and those of rows from before classes were kept. */
const CODES: Record<string, DeathClass> = {
  expired: 'expired',
  task_changed: 'changed',
  node_lost: 'lost',
  connection_lost: 'lost',
  source_unavailable: 'lost',
  source_overloaded: 'overloaded',
  invalid_sql: 'sql',
  sql_error: 'sql',
  not_read_only: 'sql',
  invalid_value: 'sql',
  unkeepable_value: 'sql',
  file_not_allowed: 'sql',
  invalid_argument: 'arguments',
  missing_argument: 'arguments',
  needs_arguments: 'arguments',
  schema_drift: 'schema',
  unkeepable_column: 'schema',
  source_error: 'source',
  source_rejected: 'source',
  stopped_by_source: 'source',
  unknown_source: 'source',
  unknown_engine: 'source',
  max_runtime: 'limit',
  out_of_memory: 'limit',
}

/** Why a failed job is dead, from its error's code and, where it was kept, its class. */
export const explain = (code: string | null, of: string | null): DeadJob['dead'] => {
  const told = DeathClass.safeParse(of)
  const own = code !== null && Object.hasOwn(CODES, code) ? CODES[code] : undefined
  // What the edge itself decided is more than the class of the last attempt.
  const known: DeathClass = own === 'expired' || own === 'changed' ? own : told.success ? told.data : (own ?? 'internal')
  return { class: known, ...WORDS[known] }
}

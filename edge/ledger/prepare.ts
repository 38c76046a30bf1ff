import { bindArguments } from '../contract/arguments.ts'
import { toSeconds } from '../contract/durations.ts'
import { PoolName, QueueName } from '../contract/ids.ts'
import type { SubmitBody } from '../contract/jobs.ts'
import type { Fault } from '../contract/problems.ts'
import { ENGINES } from '../contract/tasks.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import type { Person } from '../identity/identity.ts'
import { oversize } from './args-size.ts'
import { samenessOf, signatureOf } from './binding.ts'
import { triesOf } from './retries.ts'
import type { Submission } from './submit.ts'

export type Prepared = { ok: true; submission: Submission } | ({ ok: false } & Fault)

const least = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.min(a, b))

/**
 * Turns a checked body into what the ledger takes: arguments bound and typed by the task's parameters, the task's own
 * settings where the body says nothing, and by which jobs it may be joined. `bind: false` leaves the arguments to the caller.
 */
export const prepareSubmission = (
  person: Pick<Person, 'scopes'>,
  task: CataloguedTask,
  body: Omit<SubmitBody, 'alias'> & Pick<Partial<SubmitBody>, 'alias'>,
  idempotency: Submission['idempotency'],
): Prepared => {
  const bound = bindArguments(task, body.args)
  if (!bound.ok) return { ok: false, code: 'invalid_arguments', detail: bound.detail }
  const tooLarge = oversize(bound.args)
  if (tooLarge !== null) return { ok: false, code: 'invalid_arguments', detail: tooLarge }
  if (body.db !== undefined && !task.db.includes(body.db) && !(task.db.length === 0 && body.db === 'duckdb'))
    return {
      ok: false,
      code: 'invalid_arguments',
      detail: `The task "${task.name}" runs on ${task.db.join(', ') || 'duckdb'}, not on "${body.db}".`,
    }
  if (body.engine_hint !== undefined && !ENGINES.some((engine) => engine === body.engine_hint))
    return {
      ok: false,
      code: 'invalid_arguments',
      detail: `/engine_hint: there is no engine "${body.engine_hint}"; name one of ${ENGINES.join(', ')}.`,
    }
  if (body.fresh === true && body.reuse !== undefined)
    return { ok: false, code: 'invalid_body', detail: '/reuse: `fresh` asks for a new run and `reuse` for an old one; send one of them.' }
  const db = body.db ?? null
  const engine_hint = body.engine_hint ?? task.engine_hint
  const eta = body.eta === undefined ? null : Date.parse(body.eta)
  const shared = task.coalesce !== false
  const retries = body.retries ?? task.retries ?? null
  return {
    ok: true,
    submission: {
      task: task.name,
      args: bound.args,
      alias: body.alias ?? null,
      queue: body.queue ?? task.queue ?? QueueName.parse('default'),
      pool: task.pools[0] ?? PoolName.parse('default'),
      db,
      engine_hint,
      family: task.family,
      max_runtime_seconds: least(task.max_runtime_seconds, body.max_runtime === undefined ? null : toSeconds(body.max_runtime)),
      priority: body.priority ?? 0,
      weight: task.weight ?? 1,
      tags: body.tags ?? [],
      retention_seconds: body.retention === undefined ? task.retention_seconds : toSeconds(body.retention),
      max_tries: retries === null ? null : triesOf(retries),
      eta,
      ttl_seconds: body.ttl === undefined ? null : toSeconds(body.ttl),
      submitted_hash: task.hash,
      signature: signatureOf(task),
      sameness: shared ? samenessOf({ hash: task.hash, args: bound.args, db, hint: engine_hint, rights: person.scopes }) : null,
      fresh: body.fresh === true,
      reuse_seconds: shared && body.reuse !== undefined ? toSeconds(body.reuse.max_age) : null,
      idempotency,
    },
  }
}

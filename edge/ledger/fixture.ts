import type { ResultSchema } from '../contract/columns.ts'
import { type Group, GroupBody, GroupEvent } from '../contract/groups.ts'
import { Family, type JobId, NodeId, PoolName, QueueName, SessionId, TaskName, TenantId } from '../contract/ids.ts'
import type { NodeManifest } from '../contract/manifests.ts'
import type { Param } from '../contract/tasks.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { NodeTask } from './binding.ts'
import { commit, type LedgerContext, type LedgerEffect } from './context.ts'
import { groupBacklog } from './events.ts'
import { type Completion, complete, fail } from './finish.ts'
import { askGroup, type GroupAnswer, type GroupDeed, takeGroup } from './groups/desk.ts'
import { planGroup } from './groups/plan.ts'
import { findGroup } from './groups/rows.ts'
import type { GroupSubmission } from './groups/submit.ts'
import { jobIds } from './ids.ts'
import { findJob } from './jobs.ts'
import { accept, type Holder, type OfferRequest, offer } from './leases.ts'
import { LedgerMemory } from './memory.ts'
import { eventNumbers } from './numbers.ts'
import { publicationOutcome } from './publication.ts'
import { LEDGER_MIGRATIONS } from './schema.ts'
import { settle } from './settle.ts'
import { countLive, type Submission } from './submit.ts'

/** A ledger over a database in memory, with a clock that tests turn by hand. */
export const testLedger = (tenant = 'acme') => {
  const store = nodeStore()
  migrate(store, LEDGER_MIGRATIONS)
  let at = Date.UTC(2026, 0, 2, 3, 4, 5)
  const effects: LedgerEffect[] = []
  const now = (): number => at
  const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(128)
  const name = TenantId.parse(tenant)
  const context: LedgerContext = {
    store,
    memory: new LedgerMemory(),
    tenant: name,
    now,
    random,
    newJobId: jobIds(name, null, now, random),
    numbers: eventNumbers(store),
    emit: (effect) => effects.push(effect),
    settle,
  }
  return {
    context,
    effects,
    /** Moves the clock on, milliseconds. */
    pass: (ms: number): void => {
      at += ms
    },
    /** What was emitted since the last call. */
    take: (): LedgerEffect[] => effects.splice(0),
  }
}

export const HOLDER: Holder = { node: NodeId.parse('node-1'), session: SessionId.parse('session-0000000001') }
export const OTHER: Holder = { node: NodeId.parse('node-2'), session: SessionId.parse('session-0000000002') }
export const POOL = PoolName.parse('default')
export const QUEUE = QueueName.parse('default')

export const submission = (change: Partial<Submission> = {}): Submission => ({
  task: TaskName.parse('daily'),
  args: [],
  alias: null,
  queue: QUEUE,
  pool: POOL,
  db: null,
  engine_hint: null,
  family: Family.parse('reports.daily'),
  max_runtime_seconds: null,
  idempotency: null,
  ...change,
})

/** A node's definition of a task. */
export const nodeTask = (digit: string): NodeTask => ({ hash: digit.repeat(64), signature: 'p.c', since: 0 })

export const request = (holder: Holder, want = 10, tasks: OfferRequest['tasks'] = { daily: nodeTask('a') }): OfferRequest => ({
  ...holder,
  pool: POOL,
  queue: QUEUE,
  tasks,
  want,
  offer_seconds: 5,
})

export const SCHEMA: ResultSchema = { id: 's1', columns: [{ id: 4, name: 'n', type: 'long' }], added: ['tenant_id', 'job_id', 'run_date'] }

export const nodeManifest = (rows = 1): NodeManifest => ({
  schema: SCHEMA,
  rows,
  files: [{ n: 0, bytes: 700, sha256: 'b'.repeat(64), rows, run_date: '2026-01-02', split_offsets: [4], stats: [] }],
  first_rows: [],
  engine: { name: 'duckdb', version: null, query_id: null },
  source: null,
  seconds: { planning: 0, executing: 0, uploading: 0 },
})

export const completion = (job: JobId, attempt: number): Completion => ({
  job,
  attempt,
  manifest: nodeManifest(),
  inline: { parquet: new Uint8Array([1, 2, 3]), rows: [['7']] },
})

// ---- groups ----------------------------------------------------------------------------------------------------------

export type Bench = ReturnType<typeof testLedger>

const INT: Param[] = [{ name: 'n', type: 'int' }]
const DATE: Param[] = [{ name: 'day', type: 'date' }]
const TASKS: Record<string, Param[]> = { daily: [], number: INT, day: DATE }

export const desk = (bench: Bench) => ({
  context: bench.context,
  commit: <T>(body: (inner: Bench['context']) => T): T => commit(bench.context, body),
})
export const offered = (answer: GroupAnswer): Group => {
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`)
  return answer.group
}
export const codeOf = (answer: GroupAnswer): string => (answer.ok ? 'ok' : answer.code)

export const submissionOf = (body: unknown, change: Partial<GroupSubmission> = {}): GroupSubmission => {
  const parsed = GroupBody.parse(body)
  const planned = planGroup(parsed, (name) =>
    TASKS[name] ? { name, params: TASKS[name], arity: TASKS[name].length, db: [], columns: null } : null,
  )
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
  return {
    alias: parsed.alias ?? null,
    deadline_seconds: typeof parsed.deadline === 'number' ? parsed.deadline : null,
    undo_seconds: typeof parsed.compensation_deadline === 'number' ? parsed.compensation_deadline : null,
    request: JSON.stringify(body),
    idempotency: null,
    retries: null,
    rights: [],
    steps: planned.steps.map(({ plan, job }) => ({ plan, job: job && submission({ task: TaskName.parse('daily'), args: job.args }) })),
    ...change,
  }
}
export const submit = (bench: Bench, body: unknown, change: Partial<GroupSubmission> = {}): GroupAnswer =>
  takeGroup(desk(bench), submissionOf(body, change), countLive(bench.context), () => undefined)
export const take = (bench: Bench, body: unknown, change: Partial<GroupSubmission> = {}): Group => offered(submit(bench, body, change))
export const ask = (bench: Bench, { id }: Group, deed: GroupDeed): GroupAnswer => askGroup(desk(bench), id, deed)
export const show = (bench: Bench, group: Group): Group => offered(ask(bench, group, { do: 'show' }))
export const jobOf = (group: Group, step: string): JobId => {
  const job = group.steps[step as keyof Group['steps']]?.job
  if (!job) throw new Error(`no job of ${step}`)
  return job
}
const isOk = (verdicts: string[]): void => {
  if (verdicts.join() !== 'ok') throw new Error(verdicts.join())
}
/** Jobs that begin to run, by their steps. */
export const begin = (bench: Bench): Map<string, { job: JobId; attempt: number }> => {
  const { offers } = commit(bench.context, (context) => offer(context, request(HOLDER, 100)))
  const leases = offers.map(({ job, attempt }) => ({ job, attempt }))
  commit(bench.context, (context) =>
    accept(
      context,
      HOLDER,
      leases.map((lease) => ({ ...lease, start: true })),
    ),
  )
  return new Map(leases.map((lease) => [findJob(bench.context, lease.job)?.step ?? '', lease]))
}
export const succeed = (bench: Bench, lease: { job: JobId; attempt: number } | undefined, rows: (string | null)[][] = [['7']]): void => {
  if (!lease) throw new Error('not running')
  const done = completion(lease.job, lease.attempt)
  const manifest = { ...done.manifest, rows: rows.length }
  isOk(commit(bench.context, (context) => complete(context, HOLDER, [{ ...done, manifest, inline: { parquet: new Uint8Array(1), rows } }])))
}
export const break_ = (bench: Bench, lease: { job: JobId; attempt: number } | undefined): void => {
  if (!lease) throw new Error('not running')
  const failure = { class: 'sql', code: 'bad_sql', message: 'no such table' } as const
  isOk(commit(bench.context, (context) => fail(context, HOLDER, [{ ...lease, failure }])))
}
export const publish = (bench: Bench, job: JobId, publication: 'published' | 'rejected'): void => {
  commit(bench.context, (context) => publicationOutcome(context, [{ job, attempt: 1, publication, snapshot: null, reason: null }]))
}
export const states = (group: Group): Record<string, string> =>
  Object.fromEntries(Object.entries(group.steps).map(([name, { state }]) => [name, state]))
/** All events of a group. */
export const groupEvents = (context: LedgerContext, id: string): GroupEvent[] => {
  const row = findGroup(context, id)
  return row ? groupBacklog(context, row, 0).events.map((event) => GroupEvent.parse(event)) : []
}
/** I9, and nothing in the stream that the contract does not know. */
export const events = (bench: Bench, { id }: Group): string[] => {
  const all = groupEvents(bench.context, id)
  if (all.some(({ seq }, index) => seq !== index + 1)) throw new Error(`a gap: ${all.map(({ seq }) => seq).join()}`)
  return all.map(({ type, state, step, step_state }) => (type === 'group' ? state : `${step} ${step_state}`))
}

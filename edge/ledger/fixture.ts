import type { ResultSchema } from '../contract/columns.ts'
import { Family, type JobId, NodeId, PoolName, QueueName, SessionId, TaskName, TenantId } from '../contract/ids.ts'
import type { NodeManifest } from '../contract/manifests.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import type { NodeTask } from './binding.ts'
import type { LedgerContext, LedgerEffect } from './context.ts'
import type { Completion } from './finish.ts'
import { jobIds } from './ids.ts'
import type { Holder, OfferRequest } from './leases.ts'
import { LedgerMemory } from './memory.ts'
import { eventNumbers } from './numbers.ts'
import { LEDGER_MIGRATIONS } from './schema.ts'
import { settle } from './settle.ts'
import type { Submission } from './submit.ts'

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
    sign: (manifest) => ({ ...manifest, signature: 'signed' }),
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

import { type JobId, NodeId, QueueName, SessionId, TenantId } from '../../edge/contract/ids.ts'
import type { QueueSettings } from '../../edge/contract/queues.ts'
import { commit, type LedgerContext, type LedgerEffect } from '../../edge/ledger/context.ts'
import { jobIds } from '../../edge/ledger/ids.ts'
import { findJob, type JobRow } from '../../edge/ledger/jobs.ts'
import type { Holder } from '../../edge/ledger/leases.ts'
import { LedgerMemory } from '../../edge/ledger/memory.ts'
import { eventNumbers } from '../../edge/ledger/numbers.ts'
import { LEDGER_MIGRATIONS } from '../../edge/ledger/schema.ts'
import { settle } from '../../edge/ledger/settle.ts'
import type { Submission } from '../../edge/ledger/submit.ts'
import { migrate } from '../../edge/storage/migrate.ts'
import { nodeStore } from '../../edge/storage/node-store.ts'
import { Invariants } from './invariants.ts'
import { isHeld, Model } from './model.ts'
import type { Ask } from './operations.ts'

export const HOLDERS: readonly Holder[] = [1, 1, 2].map((node, index) => ({
  node: NodeId.parse(`node-${node}`),
  session: SessionId.parse(`session-000000000${index + 1}`),
}))
export const LANES = [QueueName.parse('default'), QueueName.parse('fast')]
export const HASHES = ['', 'a'.repeat(64), 'b'.repeat(64)]
export const SIGNATURES = ['', 'p.c', 'q.c']

/** Creating a database costs more than a sequence, so one is emptied and used again. */
export const store = nodeStore()
migrate(store, LEDGER_MIGRATIONS)
const TABLES = store
  .all<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_version'`)
  .map(({ name }) => name)

class RolledBack extends Error {}

export interface Lease {
  job: JobId
  attempt: number
  holder: number
}

/** A ledger, and what all who deal with it know: clients, nodes, their links, the pool, the table and the clock. */
export class Scene {
  readonly model = new Model()
  readonly context: LedgerContext
  readonly invariants = new Invariants()
  readonly leases: Lease[] = []
  readonly groups: string[] = []
  readonly schedules: string[] = []
  readonly asks = new Map<string, { ask: Ask; submission: Submission }>()
  readonly keys = new Map<string, { body: string; job: string; at: number }>()
  readonly queues = new Map<string, QueueSettings>()
  /** Lanes that the pool knows, by announcement. */
  readonly known = new Map<string, number>()
  /** What the table took: by which attempt; null: withdrawn. */
  readonly taken = new Map<string, number | null>()
  deaf = false
  fails = false
  at = Date.UTC(2026, 0, 2, 3, 4, 5)

  constructor() {
    store.transaction(() => {
      for (const table of TABLES) store.run(`DELETE FROM ${table}`)
    })
    const tenant = TenantId.parse('acme')
    const now = (): number => this.at
    const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(128)
    this.context = {
      store,
      memory: new LedgerMemory(),
      tenant,
      now,
      random,
      newJobId: jobIds(tenant, null, now, random),
      numbers: eventNumbers(store),
      emit: (effect) => this.hear(effect),
      settle,
    }
  }

  check(): void {
    for (const row of store.all<JobRow>('SELECT * FROM jobs')) if (this.model.jobs.get(row.id)?.loose ?? true) this.adopt(row)
    this.invariants.check(this.context, this.model, (queue) => this.open(queue), this.known)
  }

  /** Null when the transaction was rolled back, as this operation wants it. */
  commit<T>(body: (context: LedgerContext) => T): T | null {
    try {
      return commit(this.context, (inner) => {
        const answer = body(inner)
        if (this.fails) throw new RolledBack()
        return answer
      })
    } catch (reason) {
      if (reason instanceof RolledBack) return null
      throw reason
    }
  }

  hear(effect: LedgerEffect): void {
    if (effect.kind !== 'ready' || this.deaf) return
    const ref = `${effect.pool}/${effect.queue}`
    this.known.set(ref, Math.max(effect.seq, this.known.get(ref) ?? 0))
    const lane = this.context.memory.lanes.get(ref)
    if (lane) lane.acked = Math.max(lane.acked, effect.seq)
  }

  adopt(row: JobRow): void {
    const wrote = this.model.jobs.get(row.id)?.wrote ?? false
    this.model.adopt(row, 0)
    this.model.get(row.id).wrote = wrote
  }

  /** How many more jobs a queue may give out. */
  open(queue: string): number {
    const { paused, concurrency } = this.queues.get(queue) ?? { paused: false, concurrency: null }
    if (paused) return 0
    if (concurrency === null) return Number.POSITIVE_INFINITY
    return Math.max(0, concurrency - this.model.all().filter((job) => job.lane === queue && isHeld(job)).length)
  }

  newest<T>(list: readonly T[], pick: number): T | undefined {
    return list.length === 0 ? undefined : list.at(-1 - (pick % list.length))
  }

  holder(index: number): Holder {
    return HOLDERS[index % HOLDERS.length] ?? { node: NodeId.parse('node-1'), session: SessionId.parse('session-0000000001') }
  }

  row(id: string): JobRow {
    const row = findJob(this.context, id)
    if (!row) throw new Error(`no job ${id}`)
    return row
  }

  /** What the ledger has done, done in the model too. */
  foresee(body: () => void): void {
    body()
    // What the model does not foresee has happened before what it does.
    for (const job of this.model.all()) if (job.loose) this.adopt(this.row(job.id))
    this.model.settle(this.at)
  }

  desk() {
    // A rolled back answer is null: whoever asked sees an error, and nothing has happened.
    return { context: this.context, commit: <T>(body: (inner: LedgerContext) => T): T => this.commit(body) ?? ({ ok: false } as T) }
  }

  /** How long a back-off is the ledger says: the model takes its word. */
  backsOff(id: string): void {
    const job = this.model.get(id)
    if (job.state === 'scheduled') job.due = this.row(id).due_at
  }
}

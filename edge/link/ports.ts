import type { Column, ResultSchema } from '../contract/columns.ts'
import type { Family, JobId, NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Phase } from '../contract/jobs.ts'
import type { Failure, Lease, PutGrant, ToNode, UploadedFile } from '../contract/node.ts'
import type { AnnouncedTask } from '../contract/tasks.ts'
import type { Completion } from '../ledger/finish.ts'
import type { OfferAsk } from '../ledger/known-tasks.ts'
import type { Holder, LeaseVerdict, OfferAnswer } from '../ledger/leases.ts'
import type { Joining, LinkReport } from '../pool/pool.ts'
import type { Store } from '../storage/store.ts'
import type { SessionRow } from './session.ts'

/** The ledger as a link sees it: every answer may fail to arrive, every call may arrive twice. */
export interface LedgerPort {
  offer(ask: OfferAsk): Promise<OfferAnswer>
  accept(holder: Holder, items: { job: JobId; attempt: number; start: boolean }[]): Promise<LeaseVerdict[]>
  start(holder: Holder, items: { job: JobId; attempt: number }[]): Promise<LeaseVerdict[]>
  handBack(holder: Holder, items: { job: JobId; attempt: number; reason: string }[]): Promise<LeaseVerdict[]>
  complete(holder: Holder, items: Completion[], next: OfferAsk | null): Promise<{ verdicts: LeaseVerdict[]; next: OfferAnswer | null }>
  fail(
    holder: Holder,
    items: { job: JobId; attempt: number; failure: Failure }[],
    next: OfferAsk | null,
  ): Promise<{ verdicts: LeaseVerdict[]; next: OfferAnswer | null }>
  cancelAnswered(holder: Holder, item: { job: JobId; attempt: number; outcome: string; reason: string | null }): Promise<LeaseVerdict>
  progress(
    holder: Holder,
    item: { job: JobId; attempt: number; phase: Phase; percent: number | null; rows: number | null; engine: string | null },
  ): Promise<void>
  resume(holder: Holder, holding: (Lease & { running: boolean })[], turn: string): Promise<Lease[]>
  renew(holder: Holder): Promise<boolean>
  endSession(session: SessionId, reason: string): Promise<void>
  holds(session: SessionId, job: JobId, attempt: number): Promise<boolean>
  mayPack(holder: Holder, job: JobId, attempt: number): Promise<boolean>
  /** Whether this attempt has brought exactly this pack before. */
  hasPack(holder: Holder, job: JobId, attempt: number, pack: { bytes: number; sha256: string }): Promise<boolean>
  packed(holder: Holder, job: JobId, attempt: number, pack: { bytes: number; sha256: string }): Promise<boolean>
  place(job: JobId): Promise<{ family: Family; task: string; ended: boolean } | null>
}

export interface PoolPort {
  report(message: LinkReport): Promise<void>
  join(node: Joining): Promise<void>
  leave(node: NodeId, session: SessionId): Promise<void>
}

export type SchemaOutcome = { ok: true; schema: ResultSchema } | { ok: false; code: string; detail: string }

export interface TablePort {
  ensureSchema(input: { tenant: TenantId; family: Family; columns: Column[]; partition_by: string[] | null }): Promise<SchemaOutcome>
}

export interface DirectoryPort {
  announce(input: {
    node: NodeId
    session: SessionId
    pool: PoolName
    tenants: string[]
    patterns: string[]
    tasks: AnnouncedTask[]
    first: boolean
    last: boolean
  }): Promise<{ accepted: number; refused: { task: string; code: string; detail: string }[] }>
  seen(node: {
    node: NodeId
    session: SessionId
    pool: PoolName
    tenants: string[]
    slots: number
    queues: QueueName[] | null
    engines: string[]
    labels: Record<string, string>
  }): Promise<void>
  gone(node: NodeId, session: SessionId): Promise<void>
}

/** Objects of attempts: keys are composed behind this seam, from the lease and the ledger's word for the family. */
export interface ObjectsPort {
  /** One way to upload each file. */
  grant(
    at: { tenant: TenantId; family: Family; job: JobId; attempt: number; session: SessionId },
    files: { kind: 'data' | 'pack'; n: number; bytes: number; sha256: string }[],
  ): Promise<PutGrant[]>
  /** Completes uploads in parts, then looks at every file: size, footer, field ids, rows. Answers what is wrong, or null. */
  verify(at: { tenant: TenantId; family: Family | null }, completion: Completion, uploads: UploadedFile[]): Promise<string | null>
  verifyPack(
    at: { tenant: TenantId; job: JobId },
    pack: { bytes: number; sha256: string },
    upload: UploadedFile | null,
  ): Promise<string | null>
}

/**
 * What a link keeps of its own database in memory. A cache only: nobody else writes into it. Rows are replaced, never
 * changed, for whoever waits for an answer goes on with the row it began with.
 */
export interface LinkCache {
  /** Undefined: not read yet. */
  session: SessionRow | null | undefined
  /** Tenants that are known to stand in `ledgers`. */
  ledgers: Set<TenantId>
}

export const newCache = (): LinkCache => ({ session: undefined, ledgers: new Set() })

export interface LinkContext {
  store: Store
  cache: LinkCache
  now(): number
  ledger(tenant: TenantId): LedgerPort
  pool(name: string): PoolPort
  table(tenant: TenantId, family: Family): TablePort
  directory: DirectoryPort
  objects: ObjectsPort
  /** Sends to the session's socket; false when there is none. */
  send(message: ToNode): boolean
  /** Ends the socket of the current session. */
  hangUp(code: string, detail: string, retry: boolean): void
}

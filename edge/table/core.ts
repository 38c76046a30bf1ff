import type { Family, JobId, TenantId } from '../contract/ids.ts'
import { dataKey } from '../contract/keys.ts'
import type { NodeFile } from '../contract/manifests.ts'
import { type Base, type CommitPlan, MAX_MANIFESTS } from '../iceberg/commit.ts'
import { keyOf } from '../iceberg/location.ts'
import { hasSnapshot } from '../iceberg/metadata.ts'
import { migrate } from '../storage/migrate.ts'
import { first, type Store } from '../storage/store.ts'
import { clearTimer, dueTimers, nextDue, setTimer } from '../storage/timers.ts'
import { createFamily, type EnsureAnswer, type EnsureRequest, ensureSchema, type FamilyRow, familyRow } from './ensure.ts'
import { Garbage } from './garbage.ts'
import { Intents } from './intents.ts'
import { judge, type Publication } from './judge.ts'
import { TABLE_MIGRATIONS } from './migrations.ts'
import { type Outcome, Outcomes } from './outcomes.ts'
import { type ResultEvent, type ResultState, transition } from './states.ts'

/**
 * Results share a commit: it begins when none has come for this long. Nobody waits for it, since a result is readable
 * before; but every small result costs a put, which a busy edge should not pay in the middle of a rush.
 */
export const GATHER_MS = 100
/** …or when the oldest has waited this long, or this many wait. */
export const GATHER_MAX_MS = 5_000
export const GATHER_MAX_RESULTS = 2_000
/** After a failed request; doubled each time up to the cap. */
export const RETRY_FIRST_MS = 500
export const RETRY_CAP_MS = 60_000
/** Work that was begun and never came back (the process died) is looked at again after this. */
export const BACKSTOP_MS = 120_000
/** Joining manifests pays only when so many fewer remain. */
const MERGE_FROM_SMALL = 20

export type TimerKind = 'commit' | 'report' | 'clean' | 'remember'

/** What the outside must do. One of each kind is under way at most; each is answered by the method named here. */
export type TableEffect =
  /** Read the family's pointer and the metadata it names: `loaded` or `failed`. */
  | { kind: 'load'; family: Family }
  /** Put the inline files, write the snapshot, move the pointer: `committed`, `conflicted` or `failed`. */
  | { kind: 'commit'; family: Family; plan: CommitPlan; puts: { key: string; parquet: Uint8Array }[] }
  /** Tell the ledger: `reported` or `failed`. */
  | { kind: 'report'; tenant: TenantId; items: Outcome[] }
  /** Delete objects; of each list first its manifests, but for those that the list `keep` still names: `cleaned` or `failed`. */
  | { kind: 'clean'; keys: string[]; lists: string[]; keep: string | null }
  /** Tell the directory that this family exists: `remembered` or `failed`. */
  | { kind: 'remember'; table: string }

export interface TableDeps {
  store: Store
  /** Milliseconds since 1970. */
  clock: () => number
  /** A positive random integer of 63 bits. */
  randomId: () => bigint
  uuid: () => string
  /** The bucket's name in addresses. */
  bucket: string
  log?: (text: string) => void
}

interface ResultRow {
  job: JobId
  attempt: number
  state: ResultState
  ns: string
  snapshot: string | null
  reason: string | null
}

const OUTCOME_OF: Partial<Record<ResultState, Outcome['publication']>> = {
  published: 'published',
  rejected: 'rejected',
  withdrawn: 'withdrawn',
}

/**
 * The committer of one report family. It accepts results durably, appends many of them in one snapshot, takes withdrawn
 * ones out again, and tells the ledger until that has understood. No I/O happens here: methods change the database and
 * say by `take` what the outside must do next.
 *
 * What is in memory only (`#base`, `#flight`) may be lost at any moment: it is read again, and begun work is resumed
 * from its intent.
 */
export class TableCore {
  readonly #deps: TableDeps
  readonly #store: Store
  readonly #intents: Intents
  readonly #outcomes: Outcomes
  readonly #garbage: Garbage
  /** What the pointer names; undefined: not known (start, conflict, unknown outcome). */
  #base: Base | null | undefined
  readonly #flight = new Set<TableEffect['kind']>()
  readonly #failures = new Map<TableEffect['kind'], number>()
  /** New work does not cut a back-off short. */
  readonly #notBefore = new Map<TimerKind, number>()
  #mergeWanted = false
  #lastOperation: string | null = null

  constructor(deps: TableDeps) {
    this.#deps = deps
    this.#store = deps.store
    migrate(deps.store, TABLE_MIGRATIONS)
    this.#intents = new Intents(deps)
    this.#outcomes = new Outcomes(deps.store)
    this.#garbage = new Garbage(deps.store)
  }

  // ---- what others ask -----------------------------------------------------------------------------------------------

  ensureSchema(request: EnsureRequest): EnsureAnswer {
    return this.#store.transaction(() => {
      this.#identify(request.tenant, request.family)
      return ensureSchema(this.#store, request)
    })
  }

  /** Durable when it returns. A job that is known already is accepted again and changes nothing (I4). */
  publish(items: readonly Publication[]): { accepted: JobId[] } {
    this.#store.transaction(() => {
      for (const item of items) {
        const { job, attempt } = item.manifest
        const family = this.#identify(item.manifest.tenant, item.manifest.family)
        const row = this.#result(job)
        if (row) {
          this.#apply(row, row.attempt === attempt || row.attempt === 0 ? 'publish' : 'publish_other')
          // A tombstone meets its result: these files have no other owner.
          if (row.state === 'withdrawn') this.#discard(item.manifest.tenant, item.manifest.family, job, attempt, item.manifest.files)
          continue
        }
        const reason = judge(this.#store, family, item)
        this.#insert(item, transition('absent', reason === null ? 'publish' : 'publish_bad').to, reason)
        if (reason === null) {
          this.#storeFiles(item)
          this.#wake('commit', GATHER_MS)
        } else this.#tell(job, attempt, 'rejected', null, reason)
      }
    })
    return { accepted: items.map((item) => item.manifest.job) }
  }

  /** A tombstone for each job, for ever: its result is refused whenever it arrives, and leaves the table if it is there. */
  withdraw(tenant: TenantId, family: Family, jobs: readonly JobId[]): { accepted: JobId[] } {
    this.#store.transaction(() => {
      this.#identify(tenant, family)
      for (const job of jobs) {
        const row = this.#result(job)
        if (row) {
          this.#apply(row, 'withdraw', { tenant, family })
          continue
        }
        this.#store.run(
          "INSERT INTO results (job, attempt, state, rows, bytes, files, ns, arrived) VALUES (?, 0, ?, 0, 0, 0, '[]', ?)",
          job,
          transition('absent', 'withdraw').to,
          this.#deps.clock(),
        )
        this.#tell(job, 0, 'withdrawn', null, null)
      }
      this.#wake('commit', 0)
    })
    return { accepted: [...jobs] }
  }

  /** Everything that may be overdue is looked at now. Harmless at any time. */
  sweep(): void {
    for (const kind of ['commit', 'report', 'clean'] as const) this.#wake(kind, 0)
  }

  /** When `take` has something to say next, in milliseconds since 1970, or null. */
  nextDue(): number | null {
    return nextDue(this.#store)
  }

  // ---- what the outside must do, and what came of it -------------------------------------------------------------------

  /** What is to be done now. What is handed out counts as begun until it is answered. */
  take(): TableEffect[] {
    const effects: TableEffect[] = []
    const now = this.#deps.clock()
    for (const timer of dueTimers<TimerKind>(this.#store, now, 16)) {
      try {
        const effect = this.#effect(timer.kind)
        if (!effect) continue
        this.#flight.add(effect.kind)
        effects.push(effect)
      } catch (error) {
        // One kind of work that cannot be begun must not stop the others.
        this.#deps.log?.(`${timer.kind} could not begin: ${error instanceof Error ? error.message : String(error)}`)
        this.failed(timer.kind)
      }
    }
    return effects
  }

  /** The pointer and what it names. Resolves an unknown outcome: the snapshot of the intent is there, or it is not. */
  loaded(base: Base | null): void {
    this.#end('load')
    this.#base = base
    const intent = this.#intents.current()
    if (intent && base && hasSnapshot(base.metadata, intent.snapshot)) this.#settle(base)
    this.#wake('commit', 0)
  }

  /** The pointer was moved to this plan's metadata. */
  committed(plan: CommitPlan, list: { manifests: number; joinable: number }): void {
    this.#end('commit')
    this.#base = { location: plan.metadataUri, metadata: plan.metadata }
    this.#mergeWanted = list.manifests > MAX_MANIFESTS && list.joinable >= MERGE_FROM_SMALL
    this.#settle(this.#base)
    this.#wake('commit', 0)
  }

  /** The pointer said something else than the plan expected: look what, and try again on that. */
  conflicted(): void {
    this.#end('commit')
    this.#base = undefined
    this.#wake('commit', 0)
  }

  reported(items: readonly Outcome[], acknowledged: readonly JobId[]): void {
    this.#end('report')
    const known = new Set<string>(acknowledged)
    this.#outcomes.acknowledge(items.filter((item) => known.has(item.job)))
    if (!this.#outcomes.any()) clearTimer(this.#store, 'report', '')
    else setTimer(this.#store, 'report', '', this.#deps.clock() + (known.size === 0 ? this.#backOff('report') : 0))
  }

  cleaned(keys: readonly string[]): void {
    this.#end('clean')
    this.#garbage.gone(keys)
    this.#setCleanTimer()
  }

  remembered(): void {
    this.#end('remember')
    clearTimer(this.#store, 'remember', '')
  }

  /** A request failed or its outcome is unknown. Nothing is taken back: it is looked at again after a while. */
  failed(kind: TableEffect['kind']): void {
    this.#flight.delete(kind)
    // After a failed commit only the pointer knows whether it happened.
    if (kind === 'commit') this.#base = undefined
    const timer: TimerKind = kind === 'load' ? 'commit' : kind
    const due = this.#deps.clock() + this.#backOff(kind)
    this.#notBefore.set(timer, due)
    setTimer(this.#store, timer, '', due)
  }

  // ---- inside -----------------------------------------------------------------------------------------------------------

  #effect(kind: TimerKind): TableEffect | null {
    const backstop = this.#deps.clock() + BACKSTOP_MS
    const family = familyRow(this.#store)
    switch (kind) {
      case 'remember':
        if (!family) clearTimer(this.#store, kind, '')
        else setTimer(this.#store, kind, '', backstop)
        return family && !this.#flight.has('remember') ? { kind: 'remember', table: `${family.tenant}/${family.family}` } : null
      case 'report': {
        const items = this.#outcomes.oldest()
        if (items.length === 0 || !family) clearTimer(this.#store, kind, '')
        else setTimer(this.#store, kind, '', backstop)
        return items.length > 0 && family && !this.#flight.has('report') ? { kind: 'report', tenant: family.tenant, items } : null
      }
      case 'clean': {
        setTimer(this.#store, kind, '', backstop)
        if (this.#flight.has('clean')) return null
        const due = this.#garbage.due(this.#deps.clock())
        if (due.keys.length + due.lists.length === 0) {
          this.#setCleanTimer()
          return null
        }
        if (due.lists.length === 0) return { kind: 'clean', ...due, keep: null }
        if (due.keep !== null) return { kind: 'clean', ...due }
        // Which manifests of an expired snapshot live on, only the oldest retained list tells.
        const oldest = this.#base?.metadata.snapshots[0]
        return oldest ? { kind: 'clean', ...due, keep: keyOf(oldest['manifest-list']) } : this.#load()
      }
      case 'commit':
        setTimer(this.#store, kind, '', backstop)
        return this.#nextCommit()
    }
  }

  #load(): TableEffect | null {
    const family = familyRow(this.#store)
    return family && !this.#flight.has('load') && !this.#flight.has('commit') ? { kind: 'load', family: family.family } : null
  }

  #nextCommit(): TableEffect | null {
    if (this.#flight.has('commit') || this.#flight.has('load')) return null
    const family = familyRow(this.#store)
    const operation = family ? (this.#intents.current()?.operation ?? this.#choose()) : null
    if (!family || operation === null) {
      const ripe = this.#ripe()
      if (ripe === null) clearTimer(this.#store, 'commit', '')
      else setTimer(this.#store, 'commit', '', ripe)
      return null
    }
    if (this.#base === undefined) return this.#load()
    const base = this.#base
    // One transaction: which results are in the batch, and the intent with its snapshot id and parent, stand in the
    // database before the first request is made. After a crash at any later point the same snapshot is looked for.
    return this.#store.transaction(() => {
      if (!this.#intents.current())
        this.#intents.begin(operation, (job, event) => {
          const row = this.#result(job)
          if (row) this.#apply(row, event)
        })
      const { plan, puts } = this.#intents.plan(family, base)
      return { kind: 'commit', family: family.family, plan, puts }
    })
  }

  /** Withdrawals and appends take turns, so that neither can starve the other; joining manifests waits for a quiet moment. */
  #choose(): 'append' | 'delete' | 'replace' | null {
    const ripe = this.#ripe()
    const append = ripe !== null && ripe <= this.#deps.clock()
    const remove = first(this.#store, "SELECT 1 FROM results WHERE state = 'leaving' LIMIT 1") !== undefined
    const chosen =
      remove && !(append && this.#lastOperation === 'delete')
        ? 'delete'
        : append && !this.#mergeNow()
          ? 'append'
          : this.#mergeWanted
            ? 'replace'
            : null
    if (chosen !== null) this.#lastOperation = chosen
    return chosen
  }

  /** When the waiting results are to be committed; null: none waits. */
  #ripe(): number | null {
    const waiting = first<{ count: number; oldest: number | null; newest: number | null }>(
      this.#store,
      `SELECT count(*) AS count, min(arrived) AS oldest, max(arrived) AS newest
         FROM (SELECT arrived FROM results WHERE state = 'waiting' LIMIT ${GATHER_MAX_RESULTS})`,
    )
    if (!waiting || waiting.oldest === null || waiting.newest === null) return null
    if (waiting.count >= GATHER_MAX_RESULTS) return waiting.oldest
    return Math.min(waiting.newest + GATHER_MS, waiting.oldest + GATHER_MAX_MS)
  }

  #mergeNow(): boolean {
    return this.#mergeWanted && this.#lastOperation !== 'replace'
  }

  /** The intent's snapshot stands at the pointer: one transaction makes it known and ends the intent (I4). */
  #settle(base: Base): void {
    this.#store.transaction(() => {
      const intent = this.#intents.current()
      if (!intent) return
      const family = familyRow(this.#store)
      for (const row of this.#store.all<ResultRow>(
        'SELECT job, attempt, state, ns, snapshot, reason FROM results WHERE batch = ?',
        String(intent.snapshot),
      )) {
        if (intent.operation === 'append') {
          this.#store.run('UPDATE results SET snapshot = ?, batch = NULL WHERE job = ?', String(intent.snapshot), row.job)
          this.#store.run('DELETE FROM files WHERE job = ?', row.job)
          this.#apply({ ...row, snapshot: String(intent.snapshot) }, 'settled')
        } else {
          this.#store.run('UPDATE results SET batch = NULL WHERE job = ?', row.job)
          this.#apply({ ...row, snapshot: String(intent.snapshot) }, 'settled', family ?? undefined, base.metadata['last-sequence-number'])
        }
      }
      this.#garbage.settled(intent, base, this.#deps.clock())
      this.#setCleanTimer()
      this.#intents.end()
    })
  }

  /** Moves a result by the table of `states.ts`, and does what goes with it. Runs inside the caller's transaction. */
  #apply(row: ResultRow, event: ResultEvent, owner?: { tenant: TenantId; family: Family }, removedBy = 0): void {
    const { to, action } = transition(row.state, event)
    if (to !== row.state) this.#store.run('UPDATE results SET state = ? WHERE job = ?', to, row.job)
    if (action === 'report' || action === 'report_discard') {
      const publication = OUTCOME_OF[to]
      if (publication) this.#tell(row.job, row.attempt, publication, row.snapshot, row.reason)
    }
    if (action === 'report_discard' && owner) {
      const files = (JSON.parse(row.ns) as number[]).map((n) => ({ n }))
      this.#discard(owner.tenant, owner.family, row.job, row.attempt, files, removedBy)
      this.#store.run('DELETE FROM files WHERE job = ?', row.job)
    }
  }

  #discard(tenant: TenantId, family: Family, job: JobId, attempt: number, files: readonly { n: number }[], removedBy = 0): void {
    for (const { n } of files) this.#garbage.add(dataKey(tenant, family, job, attempt, n), removedBy, this.#deps.clock())
    this.#setCleanTimer()
  }

  /** A Durable Object does not know its own name: whoever calls first says whose family this is. */
  #identify(tenant: TenantId, family: Family): FamilyRow {
    const known = familyRow(this.#store)
    if (known) return known
    this.#wake('remember', 0)
    return createFamily(this.#store, tenant, family, this.#deps.uuid())
  }

  #result(job: JobId): ResultRow | undefined {
    return first<ResultRow>(this.#store, 'SELECT job, attempt, state, ns, snapshot, reason FROM results WHERE job = ?', job)
  }

  #insert({ manifest }: Publication, state: ResultState, reason: string | null): void {
    const full = manifest.files.filter((file) => file.rows > 0)
    this.#store.run(
      'INSERT INTO results (job, attempt, state, schema_id, rows, bytes, files, ns, reason, arrived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      manifest.job,
      manifest.attempt,
      state,
      manifest.schema_id,
      manifest.rows,
      full.reduce((sum, file) => sum + file.bytes, 0),
      full.length,
      JSON.stringify(manifest.files.map((file) => file.n)),
      reason,
      this.#deps.clock(),
    )
  }

  #storeFiles({ manifest, inline_parquet }: Publication): void {
    for (const { key: _key, ...file } of manifest.files) {
      const kept: NodeFile = file
      this.#store.run(
        'INSERT INTO files (job, n, file, parquet) VALUES (?, ?, ?, ?)',
        manifest.job,
        file.n,
        JSON.stringify(kept),
        manifest.inline ? inline_parquet : null,
      )
    }
  }

  #tell(job: JobId, attempt: number, publication: Outcome['publication'], snapshot: string | null, reason: string | null): void {
    this.#outcomes.put({ job, attempt, publication, snapshot, reason })
    this.#wake('report', 0)
  }

  /** Sets a timer, or moves it forward; never later than it was. */
  #wake(kind: TimerKind, afterMs: number): void {
    const due = Math.max(this.#deps.clock() + afterMs, this.#notBefore.get(kind) ?? 0)
    const set = first<{ due: number }>(this.#store, "SELECT due FROM timers WHERE kind = ? AND ref = ''", kind)
    if (!set || set.due > due) setTimer(this.#store, kind, '', due)
  }

  #setCleanTimer(): void {
    const due = this.#garbage.nextDue()
    if (due === null) clearTimer(this.#store, 'clean', '')
    else setTimer(this.#store, 'clean', '', due)
  }

  #end(kind: TableEffect['kind']): void {
    this.#flight.delete(kind)
    this.#failures.delete(kind)
  }

  #backOff(kind: TableEffect['kind']): number {
    const failures = this.#failures.get(kind) ?? 0
    this.#failures.set(kind, failures + 1)
    return Math.min(RETRY_CAP_MS, RETRY_FIRST_MS * 2 ** failures)
  }
}

import { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { LaneSettings } from '../contract/queues.ts'
import { migrate } from '../storage/migrate.ts'
import type { Store } from '../storage/store.ts'
import { loadPool, PLAIN } from './memory.ts'
import { type Dispatch, join, type LinkReport, type PoolContext, type PoolEffect, ready, report } from './pool.ts'
import { POOL_MIGRATIONS } from './schema.ts'

export const ACME = TenantId.parse('acme')
export const BOB = TenantId.parse('bob')
export const QUEUE = QueueName.parse('default')

export const nodeNamed = (n: number): { node: NodeId; session: SessionId } => ({
  node: NodeId.parse(`n${n}`),
  session: SessionId.parse(`session-${String(n).padStart(10, '0')}`),
})

/** A pool for tests: its clock stands still until it is moved, and what it wants done is kept. */
export class TestPool {
  now = 1_000_000
  effects: PoolEffect[] = []
  weights: Record<string, number> = {}
  /** How many statements have written, and how many rows were read. */
  statements = 0
  readonly #store: Store
  context: PoolContext

  constructor(store: Store) {
    this.#store = store
    migrate(store, POOL_MIGRATIONS)
    this.context = this.restarted()
  }

  /** A new life over the same database. */
  restarted(): PoolContext {
    const store: Store = {
      ...this.#store,
      all: (query, ...values) => {
        this.statements++
        return this.#store.all(query, ...values)
      },
      run: (query, ...values) => {
        this.statements++
        return this.#store.run(query, ...values)
      },
    }
    const weightOf = (tenant: TenantId): number => this.weights[tenant] ?? 1
    this.context = {
      store,
      memory: loadPool(store, weightOf),
      weightOf,
      now: () => this.now,
      emit: (effect) => this.effects.push(effect),
    }
    return this.context
  }

  announce(tenant: TenantId, seq: number, queue = QUEUE, settings?: Partial<LaneSettings>, held?: number): void {
    ready(this.context, { tenant, queue, seq, settings: settings && { ...PLAIN, ...settings }, held })
  }

  enter(n: number, free: number, queues: QueueName[] | null = null): void {
    join(this.context, { ...nodeNamed(n), free, queues, tenants: ['*'] })
  }

  report(n: number, free: number, rest: Partial<LinkReport> = {}): void {
    report(this.context, { ...nodeNamed(n), free, drained: [], unsuitable: [], ...rest })
  }

  /** The link fetched `found` of `count` offers, the lane ran dry, and the node has room for `free` again. */
  fetched(tenant: TenantId, seq: number, count: number, found: number, free: number): void {
    this.report(1, free, { drained: [{ tenant, queue: QUEUE, seq }], unused: [{ tenant, count: count - found }] })
  }

  /** What was given since the last look. */
  given(): [string, number][] {
    return this.dispatches().map(({ tenant, count }) => [tenant, count])
  }

  dispatches(): Dispatch[] {
    return this.effects.splice(0).filter((effect) => effect.kind === 'dispatch')
  }
}

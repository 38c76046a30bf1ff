import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { tenantWeights } from '../contract/weights.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { migrate } from '../storage/migrate.ts'
import { objectStore } from '../storage/object-store.ts'
import { loadPool } from './memory.ts'
import {
  type Announcement,
  fireTimers,
  held,
  type Joining,
  join,
  type LinkReport,
  leave,
  match,
  type PoolContext,
  type PoolEffect,
  ready,
  report,
  unreachable,
} from './pool.ts'
import { POOL_MIGRATIONS } from './schema.ts'

/** One pool of nodes: ready lanes, free slots and the fair choice between them. Only small messages pass here. */
export class PoolObject extends DurableObject<Env> {
  readonly #context: PoolContext
  /** The timer that is set, and for when (ms). */
  #timer: { handle: ReturnType<typeof setTimeout>; at: number } | null = null

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const store = objectStore(state.storage)
    migrate(store, POOL_MIGRATIONS)
    const weights = tenantWeights(env.SCARAB_TENANT_WEIGHTS)
    const weightOf = (tenant: TenantId): number => weights.get(tenant) ?? 1
    this.#context = {
      store,
      memory: loadPool(store, weightOf),
      weightOf,
      now: () => Date.now(),
      emit: (effect) => this.ctx.waitUntil(this.#carryOut(effect)),
    }
  }

  /** Written down when it returns: the ledger repeats until then. */
  async ready(lane: Announcement & { pool: PoolName }): Promise<void> {
    ready(this.#context, lane)
    await fault(this.env, 'pool.ready')
  }

  held(message: { tenant: TenantId; queue: QueueName; held: number; at: number }): void {
    held(this.#context, message)
  }

  report(message: LinkReport): void {
    report(this.#context, message)
    this.#arm()
  }

  join(node: Joining): void {
    join(this.#context, node)
  }

  leave(node: NodeId, session: SessionId): void {
    leave(this.#context, node, session)
  }

  /** Connected nodes that serve the tenant, for a slice; the emptiest first. */
  nodesFor(tenant: TenantId): NodeId[] {
    return [...this.#context.memory.nodes.values()]
      .filter(({ tenants }) => tenants.includes('*') || tenants.includes(tenant))
      .sort((a, b) => b.free - a.free)
      .map(({ node }) => node)
  }

  /** How many nodes have joined. */
  size(): number {
    return this.#context.memory.nodes.size
  }

  /** How many more offers the pool believes each node can hold. */
  rooms(): { node: NodeId; free: number }[] {
    return [...this.#context.memory.nodes.values()].map(({ node, free }) => ({ node, free }))
  }

  /** Set by the first version of this object only. */
  override alarm(): void {
    this.sweep()
  }

  sweep(): void {
    match(this.#context)
  }

  /**
   * A timer of memory, not an alarm, which would be a commit: what it is for (lanes to try again, rows to clear away) a
   * new life finds out by itself.
   */
  #arm(): void {
    const at = this.#context.memory.wakeAt
    if (at === null || (this.#timer !== null && this.#timer.at <= at)) return
    if (this.#timer) clearTimeout(this.#timer.handle)
    const handle = setTimeout(
      () => {
        this.#timer = null
        fireTimers(this.#context)
        this.#arm()
      },
      Math.max(0, at - Date.now()),
    )
    this.#timer = { handle, at }
  }

  async #carryOut(effect: PoolEffect): Promise<void> {
    const link = stub(this.env.LINK, effect.node, this.env)
    try {
      if (effect.kind === 'dispatch') await link.dispatch(effect)
      else await link.unride(effect)
    } catch (reason) {
      // Rides end by themselves.
      if (effect.kind !== 'dispatch') return
      console.warn(`link of ${effect.node} did not take a dispatch: ${String(reason)}`)
      unreachable(this.#context, effect)
      this.#arm()
    }
  }
}

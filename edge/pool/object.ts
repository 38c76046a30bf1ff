import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { NodeId, PoolName, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { migrate } from '../storage/migrate.ts'
import { objectStore } from '../storage/object-store.ts'
import { nextDue } from '../storage/timers.ts'
import { fireTimers, join, type LinkReport, leave, match, type PoolContext, type PoolEffect, ready, report, unreachable } from './pool.ts'
import { POOL_MIGRATIONS } from './schema.ts'

/** One pool of nodes: ready lanes, free slots and the fair choice between them. Only small messages pass here. */
export class PoolObject extends DurableObject<Env> {
  readonly #context: PoolContext
  #alarmAt: number | null = null

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const store = objectStore(state.storage)
    migrate(store, POOL_MIGRATIONS)
    this.#context = { store, now: () => Date.now(), unsuitable: new Map(), emit: (effect) => this.ctx.waitUntil(this.#carryOut(effect)) }
  }

  /** Written down when it returns: the ledger repeats until then. */
  async ready(lane: { tenant: TenantId; queue: QueueName; seq: number; pool: PoolName }): Promise<void> {
    this.#commit((context) => ready(context, lane))
    await fault(this.env, 'pool.ready')
  }

  report(message: LinkReport): void {
    this.#commit((context) => report(context, message))
  }

  join(node: { node: NodeId; session: SessionId; free: number; queues: QueueName[] | null; tenants: string[] }): void {
    this.#commit((context) => join(context, node))
  }

  leave(node: NodeId, session: SessionId): void {
    this.#commit((context) => leave(context, node, session))
  }

  /** Connected nodes that serve the tenant, for a slice; the emptiest first. */
  nodesFor(tenant: TenantId): NodeId[] {
    return this.#context.store
      .all<{ node: NodeId; tenants: string }>('SELECT node, tenants FROM nodes ORDER BY free DESC')
      .flatMap(({ node, tenants }) => {
        const names = JSON.parse(tenants) as string[]
        return names.includes('*') || names.includes(tenant) ? [node] : []
      })
  }

  /** How many nodes have joined. */
  size(): number {
    return this.#context.store.all('SELECT node FROM nodes').length
  }

  override alarm(): void {
    this.#alarmAt = null
    this.#commit((context) => fireTimers(context))
  }

  sweep(): void {
    this.#commit((context) => match(context))
  }

  #commit(body: (context: PoolContext) => void): void {
    const effects: PoolEffect[] = []
    this.#context.store.transaction(() => body({ ...this.#context, emit: (effect) => effects.push(effect) }))
    const due = nextDue(this.#context.store)
    if (due !== null && (this.#alarmAt === null || due < this.#alarmAt)) {
      this.#alarmAt = due
      this.ctx.waitUntil(this.ctx.storage.setAlarm(due))
    }
    for (const effect of effects) this.#context.emit(effect)
  }

  async #carryOut(effect: PoolEffect): Promise<void> {
    try {
      await stub(this.env.LINK, effect.node, this.env).dispatch(effect)
    } catch (reason) {
      console.warn(`link of ${effect.node} did not take a dispatch: ${String(reason)}`)
      this.#commit((context) => unreachable(context, effect))
    }
  }
}

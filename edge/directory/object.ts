import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { NodeId, PoolName, SessionId, TaskName, TenantId } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { type IssuerConfig, parseIssuers } from '../identity/issuers.ts'
import { fetchKeys, IssuerKeys, type KeySet } from '../identity/keys.ts'
import { migrate } from '../storage/migrate.ts'
import { objectStore } from '../storage/object-store.ts'
import type { Store } from '../storage/store.ts'
import { nextDue } from '../storage/timers.ts'
import { type Announced, type Announcement, announce, type CataloguedTask, poolsOf, task, tasks } from './catalogue.ts'
import { storedKeys } from './keys.ts'
import { hasPool, type NodeInfo, type NodeSeen, nodeGone, nodeSeen, nodes } from './nodes.ts'
import { dueTenants, fileSchedules, mustTell, tellLater, told } from './schedules.ts'
import { MIGRATIONS } from './schema.ts'
import { armTimers, runTimers } from './sweep.ts'
import { type Lists, lists, type Memory, mapTenant, remember, type TenantQuestion, tenantOf } from './tenants.ts'

/** One per deployment, named `directory`. It only wires: every method is a function over its database. */
export class DirectoryObject extends DurableObject<Env> {
  readonly #store: Store
  readonly #issuers: IssuerConfig[]
  readonly #keys: IssuerKeys

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    this.#store = objectStore(ctx.storage)
    migrate(this.#store, MIGRATIONS)
    armTimers(this.#store, Date.now())
    this.#issuers = parseIssuers(env.SCARAB_ISSUERS, { embedded: env.SCARAB_EMBEDDED === '1' })
    this.#keys = new IssuerKeys({
      fetchKeys: fetchKeys((input, init) => fetch(input, init)),
      now: Date.now,
      stored: storedKeys(this.#store),
    })
    ctx.blockConcurrencyWhile(() => this.#arm())
  }

  tenantOf(question: TenantQuestion): TenantId | null {
    return tenantOf(this.#store, Date.now(), question)
  }

  mapTenant(entry: { issuer: string; claim: string; tenant: TenantId }): void {
    mapTenant(this.#store, Date.now(), entry)
  }

  /** Keys of a configured issuer. Throws for another one: this object fetches no address that a caller names. */
  async keysOf(issuer: string, kid: string | null): Promise<KeySet> {
    const config = this.#issuers.find((candidate) => candidate.issuer === issuer)
    if (!config) throw new Error('no such issuer is configured')
    return await this.#keys.keysOf(config, kid)
  }

  nodeSeen(seen: NodeSeen): void {
    nodeSeen(this.#store, Date.now(), seen)
  }

  nodeGone(gone: { node: NodeId; session: SessionId }): void {
    nodeGone(this.#store, gone)
  }

  announce(announcement: Announcement): Announced {
    const announced = announce(this.#store, Date.now(), announcement)
    if (announcement.last) this.ctx.waitUntil(this.sweep())
    return announced
  }

  tasks(tenant: TenantId): CataloguedTask[] {
    return tasks(this.#store, tenant)
  }

  task(tenant: TenantId, name: TaskName): CataloguedTask | null {
    return task(this.#store, tenant, name)
  }

  /** Several tasks, in the order of their names, without their statements: a schedule's runs need none. */
  tasksNamed(tenant: TenantId, names: string[]): (CataloguedTask | null)[] {
    return names.map((name) => {
      const found = task(this.#store, tenant, name as TaskName)
      return found && { ...found, sql: '' }
    })
  }

  poolsOf(tenant: TenantId, names: string[]): PoolName[][] {
    return poolsOf(this.#store, tenant, names)
  }

  nodes(tenant: TenantId): NodeInfo[] {
    return nodes(this.#store, tenant)
  }

  hasPool(pool: PoolName): boolean {
    return hasPool(this.#store, pool)
  }

  remember(memory: Memory): void {
    remember(this.#store, Date.now(), memory)
  }

  lists(): Lists {
    return lists(this.#store)
  }

  async sweep(): Promise<void> {
    runTimers(this.#store, Date.now())
    await Promise.all(dueTenants(this.#store, Date.now()).map((tenant) => this.#tellSchedules(tenant)))
    await this.#arm()
  }

  /** A ledger that cannot be reached is told again by the timer. */
  async #tellSchedules(tenant: TenantId): Promise<void> {
    const list = fileSchedules(this.#store, tenant)
    const due = tellLater(this.#store, Date.now(), tenant)
    try {
      if (mustTell(this.#store, tenant, list)) {
        remember(this.#store, Date.now(), { ledger: tenant })
        const { left } = await stub(this.env.LEDGER, tenant, this.env).syncFileSchedules(list)
        if (left.length > 0)
          console.warn(`schedules of ${left.length} tasks of ${tenant} are beyond its limits: ${left.slice(0, 5).join(', ')}`)
      }
      told(this.#store, tenant, due)
    } catch (reason) {
      console.warn(`the ledger of ${tenant} did not take its files' schedules; it is told again: ${String(reason)}`)
    }
  }

  override async alarm(): Promise<void> {
    await this.sweep()
  }

  async #arm(): Promise<void> {
    const due = nextDue(this.#store)
    if (due !== null && (await this.ctx.storage.getAlarm()) !== due) await this.ctx.storage.setAlarm(due)
  }
}

import { DurableObject } from 'cloudflare:workers'
import { stub } from '../addressing.ts'
import type { Family, JobId, TenantId } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { BUCKET } from '../s3/bucket.ts'
import { objectStore } from '../storage/object-store.ts'
import { first } from '../storage/store.ts'
import { TableCore } from './core.ts'
import type { EnsureAnswer, EnsureRequest } from './ensure.ts'
import { familyRow } from './ensure.ts'
import type { Publication } from './judge.ts'
import { drive, type TableOutside } from './perform.ts'

/** 63 random bits, never 0: readers take an absent or negative id for "no snapshot". */
const randomId = (): bigint => (crypto.getRandomValues(new BigUint64Array(1))[0] ?? 1n) >> 1n || 1n

/** One per tenant and report family: the only writer of that Iceberg table. Wires `TableCore` and nothing else. */
export class TableObject extends DurableObject<Env> {
  readonly #core: TableCore
  readonly #outside: TableOutside
  #driving: Promise<void> | null = null

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    const store = objectStore(ctx.storage)
    const log = (text: string): void => console.warn(`table ${ctx.id}: ${text}`)
    this.#core = new TableCore({
      store,
      clock: Date.now,
      randomId,
      uuid: () => crypto.randomUUID(),
      bucket: BUCKET,
      log,
    })
    // In a new life nothing is under way: what the last one had begun is looked at now, not at its backstop.
    if (first(store, 'SELECT 1 AS begun FROM intent') || first(store, 'SELECT 1 AS untold FROM outcomes LIMIT 1')) this.#core.sweep()
    const tenant = (): TenantId => {
      const row = familyRow(store)
      if (!row) throw new Error('this family has no schema yet')
      return row.tenant
    }
    this.#outside = {
      objects: {
        async get(key) {
          const object = await env.RESULTS.get(key)
          return object ? new Uint8Array(await object.arrayBuffer()) : null
        },
        async put(key, bytes) {
          await env.RESULTS.put(key, bytes)
        },
        delete: (keys) => env.RESULTS.delete(keys),
        list: async (prefix) => (await env.RESULTS.list({ prefix })).objects.map(({ key }) => key),
      },
      catalog: {
        pointer: (family) => stub(env.CATALOG, tenant(), env).pointer(family),
        commit: (move) => stub(env.CATALOG, tenant(), env).commit(move),
      },
      tellLedger: (owner, items) => stub(env.LEDGER, owner, env).publicationOutcome(items),
      async tellDirectory(table) {
        await stub(env.DIRECTORY, 'directory', env).remember({ table })
      },
      log,
    }
  }

  async ensureSchema(request: EnsureRequest): Promise<EnsureAnswer> {
    const answer = this.#core.ensureSchema(request)
    await this.#arm()
    return answer
  }

  /** Durable when it returns; the commit follows by the alarm, for all results that arrived meanwhile. */
  async publish(items: Publication[]): Promise<{ accepted: JobId[] }> {
    const answer = this.#core.publish(items)
    await this.#arm()
    await fault(this.env, 'table.accepted')
    return answer
  }

  async withdraw(tenant: TenantId, family: Family, jobs: JobId[]): Promise<{ accepted: JobId[] }> {
    const answer = this.#core.withdraw(tenant, family, jobs)
    await this.#arm()
    return answer
  }

  /** Called by the cron's walk through the Directory: pokes whatever is overdue. */
  async sweep(): Promise<void> {
    this.#core.sweep()
    await this.#drive()
  }

  override async alarm(): Promise<void> {
    await this.#drive()
  }

  /** One at a time: what arrives while it runs is taken by its next turn or by the alarm. */
  #drive(): Promise<void> {
    this.#driving ??= drive(this.#core, this.#outside, { fault: (point) => fault(this.env, point) })
      .finally(() => {
        this.#driving = null
      })
      .then(() => this.#arm())
    return this.#driving
  }

  async #arm(): Promise<void> {
    const due = this.#core.nextDue()
    if (due === null) return
    const set = await this.ctx.storage.getAlarm()
    if (set === null || set > due) await this.ctx.storage.setAlarm(due)
  }
}

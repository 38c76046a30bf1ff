import type { TaskName, TenantId } from '../contract/ids.ts'
import type { CataloguedTask } from './catalogue.ts'
import type { TenantQuestion } from './tenants.ts'

export const CACHE_SECONDS = 30
const MAX_ENTRIES = 5_000

/** What the cache asks of a `DirectoryObject`'s stub. */
export interface DirectoryReader {
  tenantOf(question: TenantQuestion): Promise<TenantId | null>
  tasks(tenant: TenantId): Promise<CataloguedTask[]>
  task(tenant: TenantId, name: TaskName): Promise<CataloguedTask | null>
}

/**
 * The Worker's view of the Directory, at most 30 s old. What is not there (no such task, an unmapped claim, a task without
 * a connected node) is never believed from the cache: it is asked for again, so that something new works at once.
 */
export class DirectoryCache implements DirectoryReader {
  readonly #directory: () => DirectoryReader
  readonly #now: () => number
  readonly #tenants = new Map<string, { value: TenantId; until: number }>()
  readonly #tasks = new Map<string, { value: CataloguedTask; until: number }>()

  constructor(deps: { directory: () => DirectoryReader; now: () => number }) {
    this.#directory = deps.directory
    this.#now = deps.now
  }

  async tenantOf(question: TenantQuestion): Promise<TenantId | null> {
    const name = JSON.stringify([question.issuer, question.claim, question.any])
    const known = this.#tenants.get(name)
    if (known && this.#now() < known.until) return known.value
    const value = await this.#directory().tenantOf(question)
    if (value === null) this.#tenants.delete(name)
    else keep(this.#tenants, name, { value, until: this.#now() + CACHE_SECONDS * 1_000 })
    return value
  }

  /** The whole catalogue is always read: it is asked for by people, not by every job. */
  async tasks(tenant: TenantId): Promise<CataloguedTask[]> {
    const list = await this.#directory().tasks(tenant)
    for (const task of list) this.#keepTask(tenant, task)
    return list
  }

  async task(tenant: TenantId, name: TaskName): Promise<CataloguedTask | null> {
    const known = this.#tasks.get(`${tenant}/${name}`)
    if (known && this.#now() < known.until && known.value.available) return known.value
    const task = await this.#directory().task(tenant, name)
    if (task) this.#keepTask(tenant, task)
    else this.#tasks.delete(`${tenant}/${name}`)
    return task
  }

  #keepTask(tenant: TenantId, task: CataloguedTask): void {
    // A tenant has no slash, so the first one ends it.
    keep(this.#tasks, `${tenant}/${task.name}`, { value: task, until: this.#now() + CACHE_SECONDS * 1_000 })
  }
}

const keep = <Value>(map: Map<string, Value>, name: string, value: Value): void => {
  map.delete(name)
  if (map.size >= MAX_ENTRIES) {
    const oldest = map.keys().next()
    if (!oldest.done) map.delete(oldest.value)
  }
  map.set(name, value)
}

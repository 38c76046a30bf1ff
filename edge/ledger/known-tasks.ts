import type { SessionId } from '../contract/ids.ts'
import type { NodeTask } from './binding.ts'
import type { OfferRequest } from './leases.ts'

/** A node's own definitions, by name. */
export type NodeTasks = Record<string, NodeTask>

/**
 * What a link asks: a node may have thousands of tasks, so their list travels only until this ledger has said that it knows
 * the version. A link that names no version always brings the list.
 */
export type OfferAsk = Omit<OfferRequest, 'tasks'> & { tasks?: NodeTasks | undefined; tasks_version?: string | undefined }

/** Sessions of which the list is kept, and tasks of all of them together. What is dropped here is asked for again. */
const MAX_SESSIONS = 200
const MAX_TASKS = 20_000

/** The lists that links have told this life of the ledger. */
export class KnownTasks {
  readonly #lists = new Map<SessionId, { version: string; tasks: NodeTasks; size: number }>()
  #size = 0

  /** The whole request; null when the list behind its version is not known here. */
  resolve({ tasks, tasks_version, ...ask }: OfferAsk): OfferRequest | null {
    if (tasks) {
      if (tasks_version !== undefined) this.#remember(ask.session, tasks_version, tasks)
      return { ...ask, tasks }
    }
    const known = this.#lists.get(ask.session)
    return known !== undefined && known.version === tasks_version ? { ...ask, tasks: known.tasks } : null
  }

  #remember(session: SessionId, version: string, tasks: NodeTasks): void {
    this.#forget(session)
    const size = Object.keys(tasks).length
    this.#lists.set(session, { version, tasks, size })
    this.#size += size
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= MAX_SESSIONS && this.#size <= MAX_TASKS) break
      if (oldest !== session) this.#forget(oldest)
    }
  }

  #forget(session: SessionId): void {
    this.#size -= this.#lists.get(session)?.size ?? 0
    this.#lists.delete(session)
  }
}

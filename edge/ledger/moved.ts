import type { JobEvent } from '../contract/events.ts'
import { JobId } from '../contract/ids.ts'
import type { LedgerContext } from './context.ts'
import { resetFor } from './events.ts'
import { holdsId, pageAt } from './housekeeping.ts'
import { PAGES_IN_MEMORY } from './limits.ts'
import { type Listed, type ListQuery, listEverywhere } from './listing.ts'
import { decodePage, type MovedJob, type PageRow, type StoredEvent } from './pages.ts'
import type { Followed } from './streams.ts'

/** Finished jobs that have left the database. A page never changes under its key, so what was read stays good. */
export class MovedJobs {
  readonly #context: LedgerContext
  readonly #bucket: R2Bucket
  /** The last pages that were read, the latest at the end. */
  readonly #pages = new Map<string, Promise<MovedJob[]>>()

  constructor(context: LedgerContext, bucket: R2Bucket) {
    this.#context = context
    this.#bucket = bucket
  }

  /** Throws when the object is not there, or storage does not answer. */
  readonly open = (page: Pick<PageRow, 'key'>): Promise<MovedJob[]> => {
    const { key } = page
    const known = this.#pages.get(key) ?? this.#read(key)
    this.#pages.delete(key)
    this.#pages.set(key, known)
    known.catch(() => this.#pages.delete(key))
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_IN_MEMORY) break
      this.#pages.delete(oldest)
    }
    return known
  }

  async #read(key: string): Promise<MovedJob[]> {
    const body = await this.#bucket.get(key)
    if (!body) throw new Error(`the page ${key} is missing`)
    return decodePage(new TextDecoder().decode(await body.arrayBuffer()))
  }

  /** A job that is not in the database: null when it never was. */
  async find(id: string): Promise<MovedJob | null> {
    for (;;) {
      const page = pageAt(this.#context, id)
      if (!holdsId(page, id)) return null
      try {
        return (await this.open(page)).find(({ row }) => row.id === id) ?? null
      } catch (reason) {
        // Written anew while it was read: its jobs are under another key now.
        if (pageAt(this.#context, id)?.key === page.key) throw reason
      }
    }
  }

  /** The job's events, all of them: nothing will follow. */
  async follow(id: string, after: number): Promise<Followed> {
    const moved = await this.find(id)
    if (!moved) return { found: 'no' }
    if (moved.row.deleted_at !== null) return { found: 'gone' }
    const reset = resetFor(after, moved.events[0]?.seq ?? moved.row.seq + 1, moved.row.seq)
    const from = reset ? reset.oldest - 1 : after
    return { found: 'yes', items: moved.events.filter(({ seq }) => seq > from).map(eventOf), reset, next: null, more: false }
  }

  async list(query: ListQuery): Promise<Listed> {
    try {
      return await listEverywhere(this.#context, query, this.open)
    } catch {
      // A page was written anew while it was read, and its old object is gone. Twice in a row is a fault.
      return listEverywhere(this.#context, query, this.open)
    }
  }
}

const eventOf = ({ job, seq, type, state, at, body, n }: StoredEvent): JobEvent =>
  // Written by the ledger from a typed value.
  ({
    seq,
    job: JobId.parse(job),
    type,
    state,
    at: new Date(at).toISOString(),
    ...JSON.parse(body),
    ...(n === null ? {} : { n }),
  }) as JobEvent

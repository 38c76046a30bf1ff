import type { JobId } from '../contract/ids.ts'
import type { Store } from '../storage/store.ts'

/** What became of a job's publication, as the ledger is told. `attempt` 0: no result of the job ever came here. */
export interface Outcome {
  job: JobId
  attempt: number
  publication: 'published' | 'rejected' | 'withdrawn'
  /** The Iceberg snapshot that did it, as text: it has 63 bits. */
  snapshot: string | null
  reason: string | null
}

/** How many outcomes one message carries. */
const MAX_REPORTED = 200

/** The outbox towards the ledger: repeated until acknowledged, the last word on each job only. */
export class Outcomes {
  readonly #store: Store
  constructor(store: Store) {
    this.#store = store
  }

  put(outcome: Outcome): void {
    this.#store.run(
      'INSERT OR REPLACE INTO outcomes (job, attempt, publication, snapshot, reason) VALUES (?, ?, ?, ?, ?)',
      outcome.job,
      outcome.attempt,
      outcome.publication,
      outcome.snapshot,
      outcome.reason,
    )
  }

  oldest(): Outcome[] {
    return this.#store.all<Outcome>('SELECT job, attempt, publication, snapshot, reason FROM outcomes ORDER BY job LIMIT ?', MAX_REPORTED)
  }

  any(): boolean {
    return this.#store.all('SELECT 1 FROM outcomes LIMIT 1').length > 0
  }

  /** Forgets what was understood; what was said anew meanwhile stays. */
  acknowledge(items: readonly Outcome[]): void {
    for (const { job, attempt, publication } of items)
      this.#store.run('DELETE FROM outcomes WHERE job = ? AND attempt = ? AND publication = ?', job, attempt, publication)
  }
}

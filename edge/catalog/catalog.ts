import { Family } from '../contract/ids.ts'
import { migrate } from '../storage/migrate.ts'
import { first, type Store } from '../storage/store.ts'

/** Schema v1 is frozen: later versions are added as further migrations. */
export const CATALOG_MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE pointers (
      family TEXT PRIMARY KEY,
      location TEXT NOT NULL,
      version INTEGER NOT NULL,
      moved_at INTEGER NOT NULL
    ) WITHOUT ROWID`,
  ],
]

export interface PointerMove {
  family: Family
  /** What the pointer must say now; null: the family must not exist yet. */
  expected: string | null
  /** Address of the new metadata file; never used for another commit. */
  location: string
}

export type PointerMoved = { ok: true } | { ok: false; current: string | null }

/**
 * A tenant's table names, each with the metadata file that is the table. Moving a pointer is the one instant at which
 * a commit becomes visible: everything before it may fail and be thrown away, everything after it only tells others.
 */
export class CatalogCore {
  readonly #store: Store
  readonly #clock: () => number

  constructor(store: Store, clock: () => number) {
    this.#store = store
    this.#clock = clock
    migrate(store, CATALOG_MIGRATIONS)
  }

  /** Address of the family's current metadata, or null where nothing was committed yet. */
  pointer(family: Family): string | null {
    return first<{ location: string }>(this.#store, 'SELECT location FROM pointers WHERE family = ?', family)?.location ?? null
  }

  /**
   * Compare and set. A repeated move that has already happened is answered with ok again: locations are used once,
   * so finding it there can only mean that an answer was lost.
   */
  commit({ family, expected, location }: PointerMove): PointerMoved {
    return this.#store.transaction(() => {
      const current = this.pointer(family)
      if (current === location) return { ok: true }
      if (current !== expected) return { ok: false, current }
      this.#store.run(
        `INSERT INTO pointers (family, location, version, moved_at) VALUES (?, ?, 1, ?)
         ON CONFLICT (family) DO UPDATE SET location = excluded.location, version = version + 1, moved_at = excluded.moved_at`,
        family,
        location,
        this.#clock(),
      )
      return { ok: true }
    })
  }

  /** Every family with at least one commit, by name. */
  families(): Family[] {
    return this.#store.all<{ family: string }>('SELECT family FROM pointers ORDER BY family').map(({ family }) => Family.parse(family))
  }
}

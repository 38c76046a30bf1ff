import type { Base } from '../iceberg/commit.ts'
import { keyOf } from '../iceberg/location.ts'
import { first, type Store } from '../storage/store.ts'
import type { Intent } from './intents.ts'

/**
 * How long an object outlives the last name it had: the life of vended credentials (1 h) and an hour for the query that
 * began with them. DuckDB hangs for ever on a manifest list that is gone.
 */
export const HOLD_MS = 2 * 60 * 60 * 1000
/** Objects of one clean-up; a request each. */
const MAX_CLEANED = 100
/** Lists of one clean-up; each is read, with its manifests' names. */
const MAX_CLEANED_LISTS = 10

/** Keys (with a `*` at the end: all that begin so) of objects that no live result and no retained snapshot names, or soon will name. Only this object deletes data files. */
export class Garbage {
  readonly #store: Store
  constructor(store: Store) {
    this.#store = store
  }

  /** `removedBy`: sequence number of the snapshot that took it out; 0 for what no snapshot ever named. */
  add(key: string, removedBy: number, now: number): void {
    this.#put(key, 0, removedBy, removedBy === 0 ? now + HOLD_MS : null)
  }

  #put(key: string, list: 0 | 1, sequence: number, due: number | null): void {
    this.#store.run('INSERT OR IGNORE INTO garbage (key, list, sequence, due) VALUES (?, ?, ?, ?)', key, list, sequence, due)
  }

  /** A commit has happened: what it stopped naming, and what only its lost tries had written, may go after a while. */
  settled(intent: Intent, base: Base, now: number): void {
    const due = now + HOLD_MS
    for (const uri of intent.obsolete) this.#put(keyOf(uri), 0, 0, due)
    for (const { list, sequence } of intent.expired) this.#put(keyOf(list), 1, sequence, due)
    // The names of the try that won, with the number of another in the place of its own, are those of that other.
    const own = new RegExp(`-${intent.snapshot}-\\d+\\.(avro|metadata\\.json)$`)
    const won = base.metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === intent.snapshot)?.['manifest-list']
    const folder = keyOf(`${base.metadata.location}/metadata/x`).slice(0, -1)
    for (let tries = 1; tries <= intent.tries; tries++) {
      const names = [won, base.location].filter((name) => name !== undefined).map(keyOf)
      const others = names.map((name) => name.replace(own, `-${intent.snapshot}-${tries}.$1`))
      if (names.some((name) => others.includes(name))) continue
      for (const key of [...others, `${folder}${intent.snapshot}-${tries}-*`]) this.#put(key, 0, 0, due)
    }
    // Data files of withdrawn jobs: every snapshot from before their removal must be gone.
    const oldest = base.metadata.snapshots[0]?.['sequence-number'] ?? 0
    this.#store.run('UPDATE garbage SET due = ? WHERE due IS NULL AND sequence <= ?', due, oldest)
  }

  /**
   * What may go now. `keep`: the list that follows the last of `lists` in the table's history, if it is garbage too but
   * not yet due: its manifests must outlive it. Null: that list is the oldest retained one.
   */
  due(now: number): { keys: string[]; lists: string[]; keep: string | null } {
    const keys = this.#store.all<{ key: string }>(
      'SELECT key FROM garbage WHERE due IS NOT NULL AND due <= ? AND list = 0 ORDER BY due, key LIMIT ?',
      now,
      MAX_CLEANED,
    )
    const lists = this.#store.all<{ key: string; due: number }>(
      'SELECT key, due FROM garbage WHERE list = 1 ORDER BY sequence LIMIT ?',
      MAX_CLEANED_LISTS + 1,
    )
    const ripe = lists.slice(0, MAX_CLEANED_LISTS).filter((list) => list.due <= now)
    return { keys: keys.map(({ key }) => key), lists: ripe.map(({ key }) => key), keep: lists[ripe.length]?.key ?? null }
  }

  gone(keys: readonly string[]): void {
    for (const key of keys) this.#store.run('DELETE FROM garbage WHERE key = ?', key)
  }

  nextDue(): number | null {
    return first<{ due: number | null }>(this.#store, 'SELECT min(due) AS due FROM garbage WHERE due IS NOT NULL')?.due ?? null
  }
}

import { first, type Store } from '../storage/store.ts'

/** Numbers of the tenant's events: they rise for ever, over restarts and over the removal of old events. */
export interface EventNumbers {
  /** The next one. One that was taken in a transaction that is rolled back is left out. */
  next(): number
  /** The highest given out. */
  last(): number
}

/** A number that is kept; 0 when it was never set. */
export const mark = (store: Store, name: string): number =>
  first<{ value: number }>(store, 'SELECT value FROM marks WHERE name = ?', name)?.value ?? 0

export const setMark = (store: Store, name: string, value: number): void => {
  store.run('INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value', name, value)
}

/** Events up to this number may have been removed: a reader that knows less is told so. */
export const eventsFloor = (store: Store): number => mark(store, 'events_floor')

export const raiseEventsFloor = (store: Store, n: number): void => {
  if (n > eventsFloor(store)) setMark(store, 'events_floor', n)
}

/** In memory from the start of the ledger's life on; the removed ones count too, or a number would come twice. */
export const eventNumbers = (store: Store): EventNumbers => {
  let last = Math.max(first<{ n: number | null }>(store, 'SELECT max(n) AS n FROM events WHERE n IS NOT NULL')?.n ?? 0, eventsFloor(store))
  return { next: () => ++last, last: () => last }
}

import { first, type Store } from './store.ts'

/**
 * The one timers table behind a Durable Object's one alarm. A timer is (kind, ref), and setting it again moves it.
 * Work per firing is bounded; what fires must be idempotent, because an alarm may run again after a crash.
 */
export const TIMERS_TABLE =
  'CREATE TABLE timers (kind TEXT NOT NULL, ref TEXT NOT NULL, due INTEGER NOT NULL, PRIMARY KEY (kind, ref)) WITHOUT ROWID'
export const TIMERS_INDEX = 'CREATE INDEX timers_due ON timers (due)'

export interface Timer<Kind extends string = string> {
  kind: Kind
  ref: string
  /** Milliseconds since 1970. */
  due: number
}

/** The least `due` that was set in a database and not asked for since. */
const earliest = new WeakMap<Store, number>()

const noteDue = (store: Store, due: number): void => {
  const known = earliest.get(store)
  if (known === undefined || due < known) earliest.set(store, due)
}

/** The earliest timer set since the last call, or null. One that was rolled back or cleared meanwhile may be among them. */
export const earliestSet = (store: Store): number | null => {
  const due = earliest.get(store) ?? null
  earliest.delete(store)
  return due
}

export const setTimer = (store: Store, kind: string, ref: string, due: number): void => {
  store.run(
    'INSERT INTO timers (kind, ref, due) VALUES (?, ?, ?) ON CONFLICT (kind, ref) DO UPDATE SET due = excluded.due',
    kind,
    ref,
    Math.ceil(due),
  )
  noteDue(store, Math.ceil(due))
}

/** Sets a timer, or leaves it where it is when it is due earlier. */
export const setTimerBy = (store: Store, kind: string, ref: string, due: number): void => {
  store.run(
    'INSERT INTO timers (kind, ref, due) VALUES (?, ?, ?) ON CONFLICT (kind, ref) DO UPDATE SET due = min(due, excluded.due)',
    kind,
    ref,
    Math.ceil(due),
  )
  noteDue(store, Math.ceil(due))
}

export const clearTimer = (store: Store, kind: string, ref: string): void => {
  store.run('DELETE FROM timers WHERE kind = ? AND ref = ?', kind, ref)
}

/** The timers that are due, oldest first, at most `limit`. They stay until the caller clears or moves them. */
export const dueTimers = <Kind extends string>(store: Store, now: number, limit: number): Timer<Kind>[] =>
  store.all<Timer<Kind>>('SELECT kind, ref, due FROM timers WHERE due <= ? ORDER BY due, kind, ref LIMIT ?', now, limit)

/** When the alarm must ring next, or null. */
export const nextDue = (store: Store): number | null =>
  first<{ due: number | null }>(store, 'SELECT min(due) AS due FROM timers')?.due ?? null

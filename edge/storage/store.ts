/** A value that SQLite keeps as it is. Integers beyond 2^53 go in as text. */
export type SqlValue = string | number | null | Uint8Array

export type Row = Record<string, SqlValue>

/**
 * The seam between a Durable Object's logic and its SQLite database: synchronous, because both workerd's
 * (`ctx.storage.sql`) and Node's (`node:sqlite`, in tests and in the simulation) are.
 */
export interface Store {
  /** Runs one statement with `?` bound in order and returns all its rows. BLOBs come back as `Uint8Array`. */
  all<R extends object = Row>(query: string, ...values: SqlValue[]): R[]
  /** Runs one statement for its effect and says how many rows it changed. */
  run(query: string, ...values: SqlValue[]): number
  /** All or nothing: a throw inside rolls back. Transactions do not nest. */
  transaction<T>(body: () => T): T
}

export const first = <R extends object = Row>(store: Store, query: string, ...values: SqlValue[]): R | undefined =>
  store.all<R>(query, ...values)[0]

import type { SqlValue, Store } from './store.ts'

/** A `Store` over a SQLite-backed Durable Object's storage. */
export const objectStore = (storage: DurableObjectStorage): Store => ({
  all<R extends object>(query: string, ...values: SqlValue[]): R[] {
    const cursor = storage.sql.exec(query, ...values)
    const rows = cursor.toArray()
    for (const row of rows) {
      for (const name in row) {
        const value = row[name]
        // Almost every value is a text or a number: no look at its class.
        if (typeof value === 'object' && value instanceof ArrayBuffer) Object.assign(row, { [name]: new Uint8Array(value) })
      }
    }
    // The caller names the row's shape beside its SELECT; SQLite is dynamically typed, so this seam cannot check it.
    return rows as unknown as R[]
  },
  run(query, ...values) {
    // A statement that answers no rows has run to its end by now. `rowsWritten` counts index rows as well; what callers ask
    // is "did it change anything".
    return storage.sql.exec(query, ...values).rowsWritten
  },
  transaction: (body) => storage.transactionSync(body),
})

import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { SqlValue, Store } from './store.ts'

/** A `Store` over Node's own SQLite, for tests and the simulation. In memory unless a path is given. */
export const nodeStore = (path = ':memory:'): Store & { close(): void } => {
  const database = new DatabaseSync(path)
  const statements = new Map<string, StatementSync>()
  const prepare = (query: string): StatementSync => {
    let statement = statements.get(query)
    if (!statement) {
      statement = database.prepare(query)
      statements.set(query, statement)
    }
    return statement
  }
  let depth = 0
  return {
    all<R extends object>(query: string, ...values: SqlValue[]): R[] {
      return prepare(query).all(...values) as R[]
    },
    run(query, ...values) {
      return Number(prepare(query).run(...values).changes)
    },
    transaction<T>(body: () => T): T {
      if (depth > 0) throw new Error('transactions do not nest')
      depth = 1
      database.exec('BEGIN')
      try {
        const answer = body()
        database.exec('COMMIT')
        return answer
      } catch (fault) {
        database.exec('ROLLBACK')
        throw fault
      } finally {
        depth = 0
      }
    },
    close: () => database.close(),
  }
}

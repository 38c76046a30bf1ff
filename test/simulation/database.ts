import { DatabaseSync, type StatementSync } from 'node:sqlite'

type Value = string | number | null | Uint8Array | bigint

interface Prepared {
  statement: StatementSync
  yields: boolean
}

let clock: () => number = () => 0
/** The virtual time that triggers write down. */
export const setClock = (now: () => number): void => {
  clock = now
}

/**
 * One object's SQLite, as far as `objectStore` uses a Durable Object's storage. Survives every crash of a history.
 * Creating a database and preparing its statements costs more than a history, so they are lent out and emptied.
 */
export class Database {
  readonly #database = new DatabaseSync(':memory:')
  readonly #prepared = new Map<string, Prepared>()
  #inTransaction = false

  constructor() {
    this.#database.exec('PRAGMA temp_store = MEMORY')
    this.#database.function('virtual_now', () => clock())
  }
  #clear: string[] | null = null
  #done = false

  readonly sql = {
    exec: (query: string, ...values: Value[]): { toArray(): Record<string, unknown>[]; rowsWritten: number } => {
      let prepared = this.#prepared.get(query)
      if (!prepared) {
        const statement = this.#database.prepare(query)
        prepared = { statement, yields: statement.columns().length > 0 }
        this.#prepared.set(query, prepared)
      }
      if (prepared.yields) {
        const rows = prepared.statement.all(...values) as Record<string, unknown>[]
        return { toArray: () => rows, rowsWritten: 0 }
      }
      const { changes } = prepared.statement.run(...values)
      return { toArray: () => [], rowsWritten: Number(changes) }
    },
  }

  transactionSync<T>(body: () => T): T {
    if (this.#inTransaction) throw new Error('transactions do not nest')
    this.#inTransaction = true
    this.#database.exec('BEGIN')
    try {
      const answer = body()
      this.#database.exec('COMMIT')
      return answer
    } catch (fault) {
      this.#database.exec('ROLLBACK')
      throw fault
    } finally {
      this.#inTransaction = false
    }
  }

  all<R extends object>(query: string, ...values: Value[]): R[] {
    return this.sql.exec(query, ...values).toArray() as R[]
  }

  /** Statements that run once in the life of this database, after its migrations. */
  once(statements: readonly string[]): void {
    if (this.#done) return
    this.#done = true
    for (const statement of statements) this.#database.exec(statement)
  }

  /** Empties all tables but the schema's version. */
  clear(): void {
    this.#clear ??= [
      ...this.all<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_version'`),
      ...this.all<{ name: string }>(`SELECT name FROM sqlite_temp_master WHERE type = 'table'`),
    ].map(({ name }) => `DELETE FROM ${name}`)
    this.transactionSync(() => {
      for (const statement of this.#clear ?? []) this.sql.exec(statement)
    })
  }
}

const idle = new Map<string, Database[]>()

/** An empty database of this kind of object; `fresh` ones have no schema yet. */
export const borrow = (kind: string): Database => idle.get(kind)?.pop() ?? new Database()

export const giveBack = (kind: string, database: Database): void => {
  database.clear()
  const list = idle.get(kind)
  if (list) list.push(database)
  else idle.set(kind, [database])
}

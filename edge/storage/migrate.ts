import { first, type Store } from './store.ts'

/**
 * Brings a database to the newest schema: `migrations[n]` holds the statements that lead from version n to n + 1.
 * A migration that was ever released does not change any more. All in one transaction, so a crash leaves the old version.
 * Throws when the database is newer than the code: an old Worker must not write into it.
 */
export const migrate = (store: Store, migrations: readonly (readonly string[])[]): void => {
  store.run('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)')
  const version = first<{ version: number }>(store, 'SELECT version FROM schema_version')?.version ?? 0
  if (version > migrations.length)
    throw new Error(`the database has schema ${version}, this code knows ${migrations.length}: deploy the newer code`)
  if (version === migrations.length) return
  store.transaction(() => {
    for (const statements of migrations.slice(version)) for (const statement of statements) store.run(statement)
    store.run('DELETE FROM schema_version')
    store.run('INSERT INTO schema_version (version) VALUES (?)', migrations.length)
  })
}

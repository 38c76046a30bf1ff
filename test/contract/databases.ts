import { CATALOG_MIGRATIONS } from '../../edge/catalog/catalog.ts'
import { MIGRATIONS as DIRECTORY_MIGRATIONS } from '../../edge/directory/schema.ts'
import { LEDGER_MIGRATIONS } from '../../edge/ledger/schema.ts'
import { LINK_MIGRATIONS } from '../../edge/link/schema.ts'
import { POOL_MIGRATIONS } from '../../edge/pool/schema.ts'
import { migrate } from '../../edge/storage/migrate.ts'
import { nodeStore } from '../../edge/storage/node-store.ts'
import type { Store } from '../../edge/storage/store.ts'
import { TABLE_MIGRATIONS } from '../../edge/table/migrations.ts'

/** The migrations of every Durable Object that has a database. */
export const DATABASES: Record<string, readonly (readonly string[])[]> = {
  catalog: CATALOG_MIGRATIONS,
  directory: DIRECTORY_MIGRATIONS,
  ledger: LEDGER_MIGRATIONS,
  link: LINK_MIGRATIONS,
  pool: POOL_MIGRATIONS,
  table: TABLE_MIGRATIONS,
}

/** Tables and indexes of a database as SQL, by name; what the platform keeps there is left out. */
export const shapeOf = (store: Store): Record<string, string> =>
  Object.fromEntries(
    store
      .all<{ name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name",
      )
      .map(({ name, sql }) => [name, sql.replace(/\s+/g, ' ')]),
  )

/** The shape that a new database gets from the first `versions` migrations. */
export const shapeAfter = (migrations: readonly (readonly string[])[], versions: number): Record<string, string> => {
  const store = nodeStore()
  migrate(store, migrations.slice(0, versions))
  const shape = shapeOf(store)
  store.close()
  return shape
}

/** Every database's schema at version 1. */
export const firstShapes = (): Record<string, Record<string, string>> =>
  Object.fromEntries(Object.entries(DATABASES).map(([name, migrations]) => [name, shapeAfter(migrations, 1)]))

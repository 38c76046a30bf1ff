import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'

/**
 * Tables of a Pool. Version 1 is frozen.
 *
 * - `lanes`: lanes of tenants that have waiting jobs. `seq` is the ledger's announcement; `ready` 0 means drained at that number.
 * - `nodes`: connected nodes; `free` is how many more offers each can hold, as far as the pool knows.
 * - `shares`: what each tenant was given, as virtual time (slots divided by weight), for the fair choice.
 */
export const POOL_MIGRATIONS = [
  [
    `CREATE TABLE lanes (
      tenant TEXT NOT NULL, queue TEXT NOT NULL, seq INTEGER NOT NULL, ready INTEGER NOT NULL, since INTEGER NOT NULL,
      PRIMARY KEY (tenant, queue)
    ) WITHOUT ROWID`,
    `CREATE TABLE nodes (
      node TEXT NOT NULL PRIMARY KEY, session TEXT NOT NULL, free INTEGER NOT NULL, queues TEXT, tenants TEXT NOT NULL
    ) WITHOUT ROWID`,
    'CREATE TABLE shares (tenant TEXT NOT NULL PRIMARY KEY, used REAL NOT NULL) WITHOUT ROWID',
    TIMERS_TABLE,
    TIMERS_INDEX,
  ],
] as const

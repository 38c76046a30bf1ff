import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'

/**
 * Tables of a Pool: what its next life begins with (memory.ts says what is written, and when). Versions 1 and 2 are frozen.
 *
 * - `lanes`: lanes of tenants that have waiting jobs, and how they are to be served. `seq` is an announcement of the ledger,
 *   not always the newest; rows with `ready` 0 are of version 1, and say nothing.
 * - `nodes`: connected nodes; `free` is at least how many more offers each can hold.
 * - `shares`, `timers`: of version 1, not used any more.
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
  [
    'ALTER TABLE lanes ADD COLUMN priority INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE lanes ADD COLUMN weight INTEGER NOT NULL DEFAULT 1',
    'ALTER TABLE lanes ADD COLUMN reserve INTEGER NOT NULL DEFAULT 0',
    'ALTER TABLE nodes ADD COLUMN slots INTEGER NOT NULL DEFAULT 1',
    'DELETE FROM shares',
    'DELETE FROM timers',
  ],
] as const

import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'

/**
 * Tables of a Link. Version 1 is frozen.
 *
 * - `session`: the one session of this node that counts; a further hello of another session ends it.
 * - `tasks`: what the session announced and the directory accepted.
 * - `ledgers`: tenants in whose ledgers the session may hold something; all of them hear when it ends.
 */
export const LINK_MIGRATIONS = [
  [
    `CREATE TABLE session (
      one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), session TEXT NOT NULL, node TEXT NOT NULL, pool TEXT NOT NULL,
      tenants TEXT NOT NULL, queues TEXT, connected INTEGER NOT NULL, ride INTEGER NOT NULL
    )`,
    'CREATE TABLE tasks (name TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL, columns TEXT, partition_by TEXT) WITHOUT ROWID',
    'CREATE TABLE ledgers (tenant TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID',
    TIMERS_TABLE,
    TIMERS_INDEX,
  ],
  // Version 2: by what a job binds to a definition, and since when this node has it.
  ['ALTER TABLE tasks ADD COLUMN signature TEXT', 'ALTER TABLE tasks ADD COLUMN since INTEGER'],
] as const

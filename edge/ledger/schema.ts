import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'
import { LEDGER_VERSION_2 } from './schema-2.ts'
import { LEDGER_VERSION_3 } from './schema-3.ts'
import { LEDGER_VERSION_4 } from './schema-4.ts'
import { LEDGER_VERSION_5 } from './schema-5.ts'
import { LEDGER_VERSION_6 } from './schema-6.ts'

/**
 * Tables of a Ledger. Version 1 is frozen: a later change is a further entry, never an edit.
 *
 * - `jobs`: one row a job. `state` is the inner state (states.ts). Times are milliseconds since 1970.
 * - `events`: numbered without gaps per job (I9). `body` holds what is not in the other columns, as JSON.
 * - `results`: the signed manifest as JSON, and the inline copy of a small result until it is published;
 *   `archived` names the object that holds both once they have left this database.
 * - `lanes`: what the pool was told. `announced` and a higher `seq` than `acked` mean: tell it again.
 * - `sessions`: node sessions that hold leases here, renewed once a minute.
 * - `outbox`: results on their way to (or out of) their family's table, until the outcome is known.
 * - `keys`: idempotency keys, kept 24 h. `slices`: normal forms of slices that were asked, so that GET by hash works.
 */
export const LEDGER_MIGRATIONS = [
  [
    `CREATE TABLE jobs (
      id TEXT NOT NULL PRIMARY KEY, alias TEXT, task TEXT NOT NULL, args TEXT NOT NULL, queue TEXT NOT NULL, pool TEXT NOT NULL,
      db TEXT, engine_hint TEXT, family TEXT NOT NULL, run_date TEXT NOT NULL, max_runtime_seconds INTEGER,
      state TEXT NOT NULL, publication TEXT NOT NULL, attempt INTEGER NOT NULL, tries INTEGER NOT NULL, seq INTEGER NOT NULL,
      node TEXT, session TEXT, offer_by INTEGER, task_hash TEXT,
      created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, due_at INTEGER, engine TEXT,
      rows INTEGER, bytes INTEGER, error_code TEXT, error_message TEXT,
      cancel_at INTEGER, cancel_outcome TEXT, cancel_reason TEXT, deleted_at INTEGER
    ) WITHOUT ROWID`,
    `CREATE INDEX jobs_lane ON jobs (pool, queue, id) WHERE state = 'waiting'`,
    `CREATE INDEX jobs_held ON jobs (session, id) WHERE state IN ('offered', 'leased', 'running')`,
    'CREATE INDEX jobs_alias ON jobs (alias, id) WHERE alias IS NOT NULL',
    `CREATE TABLE events (
      job TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, state TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
      PRIMARY KEY (job, seq)
    ) WITHOUT ROWID`,
    `CREATE TABLE results (
      job TEXT NOT NULL PRIMARY KEY, manifest TEXT, inline_rows TEXT, inline_parquet BLOB, archived TEXT, pack_bytes INTEGER, pack_sha256 TEXT
    ) WITHOUT ROWID`,
    `CREATE TABLE lanes (
      pool TEXT NOT NULL, queue TEXT NOT NULL, seq INTEGER NOT NULL, announced INTEGER NOT NULL, acked INTEGER NOT NULL,
      PRIMARY KEY (pool, queue)
    ) WITHOUT ROWID`,
    'CREATE TABLE sessions (session TEXT NOT NULL PRIMARY KEY, node TEXT NOT NULL, renewed_at INTEGER NOT NULL) WITHOUT ROWID',
    `CREATE TABLE outbox (
      job TEXT NOT NULL PRIMARY KEY, family TEXT NOT NULL, kind TEXT NOT NULL, accepted INTEGER NOT NULL, at INTEGER NOT NULL
    ) WITHOUT ROWID`,
    'CREATE TABLE keys (key TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL, job TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID',
    'CREATE INDEX keys_at ON keys (at)',
    `CREATE TABLE slices (
      result TEXT NOT NULL, hash TEXT NOT NULL, query TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (result, hash)
    ) WITHOUT ROWID`,
    TIMERS_TABLE,
    TIMERS_INDEX,
  ],
  LEDGER_VERSION_2,
  LEDGER_VERSION_3,
  LEDGER_VERSION_4,
  LEDGER_VERSION_5,
  LEDGER_VERSION_6,
] as const

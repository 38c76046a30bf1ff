/**
 * Version 4 of a Ledger's tables.
 *
 * - `jobs`: `fresh` and `reuse_seconds` are what its submitter asked for. `jobs_leading` finds the job that an identical one may
 *   join, however many have; `jobs_standing` those that wait in a place of their own for an execution that they share.
 * - `sessions.turns`: the last words by which the session came back, as JSON, so that a copy of one is known for what it is.
 * - `reusable`: results of jobs that have moved to object storage, for `reuse`, by the order in which they moved.
 */
export const LEDGER_VERSION_4 = [
  'ALTER TABLE jobs ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0',
  'ALTER TABLE jobs ADD COLUMN reuse_seconds INTEGER',
  'DROP INDEX jobs_live_same',
  `CREATE INDEX jobs_leading ON jobs (sameness, id) WHERE sameness IS NOT NULL AND finished_at IS NULL AND coalesced_with IS NULL AND fresh = 0`,
  `CREATE INDEX jobs_standing ON jobs (coalesced_with, id) WHERE state = 'waiting' AND coalesced_with IS NOT NULL`,
  'ALTER TABLE sessions ADD COLUMN turns TEXT',
  `CREATE TABLE reusable (
    n INTEGER NOT NULL PRIMARY KEY, job TEXT NOT NULL, sameness TEXT NOT NULL, finished_at INTEGER NOT NULL, rows INTEGER, bytes INTEGER, engine TEXT
  )`,
  'CREATE INDEX reusable_same ON reusable (sameness, finished_at)',
] as const

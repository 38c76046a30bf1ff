/**
 * What really happened to jobs, written down by the database itself: no code of the edge has a part in it. One row for
 * each insertion and each change of state, attempt or publication, in order. Temporary, so it is no part of the schema.
 */
export const LEDGER_TRACE = [
  `CREATE TEMP TABLE IF NOT EXISTS trace (
    n INTEGER PRIMARY KEY, job TEXT NOT NULL, alias TEXT, before TEXT, after TEXT NOT NULL, attempt_before INTEGER, attempt INTEGER NOT NULL,
    session_before TEXT, session TEXT, publication_before TEXT, publication TEXT NOT NULL, tries INTEGER NOT NULL, cancel TEXT, deleted INTEGER, at REAL NOT NULL
  )`,
  `CREATE TEMP TRIGGER IF NOT EXISTS trace_insert AFTER INSERT ON main.jobs BEGIN
    INSERT INTO trace (job, alias, before, after, attempt_before, attempt, session_before, session, publication_before, publication, tries, at)
    VALUES (NEW.id, NEW.alias, NULL, NEW.state, NULL, NEW.attempt, NULL, NEW.session, NULL, NEW.publication, NEW.tries, virtual_now());
  END`,
  `CREATE TEMP TRIGGER IF NOT EXISTS trace_update AFTER UPDATE ON main.jobs
   WHEN OLD.state <> NEW.state OR OLD.attempt <> NEW.attempt OR OLD.publication <> NEW.publication OR OLD.deleted_at IS NOT NEW.deleted_at BEGIN
    INSERT INTO trace (job, alias, before, after, attempt_before, attempt, session_before, session, publication_before, publication, tries, cancel, deleted, at)
    VALUES (NEW.id, NEW.alias, OLD.state, NEW.state, OLD.attempt, NEW.attempt, OLD.session, NEW.session, OLD.publication, NEW.publication,
      NEW.tries, NEW.cancel_outcome, NEW.deleted_at, virtual_now());
  END`,
] as const

/** One row of it. `before` is null for the insertion. */
export interface Traced {
  n: number
  job: string
  alias: string | null
  before: string | null
  after: string
  attempt_before: number | null
  attempt: number
  session_before: string | null
  session: string | null
  publication_before: string | null
  publication: string
  tries: number
  cancel: string | null
  deleted: number | null
  /** Virtual milliseconds. */
  at: number
}

import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'

/** The first is schema v1 of a `Table` object's database, and frozen; later versions are further migrations. */
export const TABLE_MIGRATIONS: readonly (readonly string[])[] = [
  [
    // Which family this is, and its columns: one row. `columns` is JSON (`FamilyColumns`).
    `CREATE TABLE family (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      tenant TEXT NOT NULL,
      family TEXT NOT NULL,
      uuid TEXT NOT NULL,
      columns TEXT NOT NULL
    )`,
    // What ensureSchema answered, by its id. `schema` is JSON (ResultSchema), `partition` a JSON array of field ids.
    `CREATE TABLE schemas (
      id TEXT PRIMARY KEY,
      schema TEXT NOT NULL,
      partition TEXT NOT NULL
    ) WITHOUT ROWID`,
    // One row a job, kept for ever: it is the proof that a job was appended (I4), and the tombstone of a withdrawn one.
    // attempt 0: withdrawn before any result came. ns: JSON array of the numbers of its files. snapshot: where it was appended.
    `CREATE TABLE results (
      job TEXT PRIMARY KEY,
      attempt INTEGER NOT NULL,
      state TEXT NOT NULL,
      batch TEXT,
      schema_id TEXT,
      rows INTEGER NOT NULL,
      bytes INTEGER NOT NULL,
      files INTEGER NOT NULL,
      ns TEXT NOT NULL,
      snapshot TEXT,
      reason TEXT,
      arrived INTEGER NOT NULL
    ) WITHOUT ROWID`,
    "CREATE INDEX results_waiting ON results (arrived, job) WHERE state = 'waiting'",
    "CREATE INDEX results_leaving ON results (arrived, job) WHERE state = 'leaving'",
    'CREATE INDEX results_batch ON results (batch) WHERE batch IS NOT NULL',
    // Files of results on their way into the table; file is JSON (NodeFile). parquet: the bytes of an inline result.
    `CREATE TABLE files (
      job TEXT NOT NULL,
      n INTEGER NOT NULL,
      file TEXT NOT NULL,
      parquet BLOB,
      PRIMARY KEY (job, n)
    ) WITHOUT ROWID`,
    // The one commit that is under way. expired and obsolete are JSON: what it stops naming. manifests is not used any more.
    `CREATE TABLE intent (
      one INTEGER PRIMARY KEY CHECK (one = 1),
      snapshot TEXT NOT NULL,
      operation TEXT NOT NULL,
      parent TEXT,
      expected TEXT,
      tries INTEGER NOT NULL,
      manifests INTEGER NOT NULL,
      expired TEXT NOT NULL,
      obsolete TEXT NOT NULL,
      begun INTEGER NOT NULL
    )`,
    // What the ledger must still be told; a later outcome of a job replaces an earlier one.
    `CREATE TABLE outcomes (
      job TEXT PRIMARY KEY,
      attempt INTEGER NOT NULL,
      publication TEXT NOT NULL,
      snapshot TEXT,
      reason TEXT
    ) WITHOUT ROWID`,
    // Objects that nothing names any more. due is null while a retained snapshot older than sequence may name them.
    // list: 1 for the manifest list of an expired snapshot, whose manifests go with it.
    `CREATE TABLE garbage (
      key TEXT PRIMARY KEY,
      list INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      due INTEGER
    ) WITHOUT ROWID`,
    'CREATE INDEX garbage_due ON garbage (due) WHERE due IS NOT NULL',
    TIMERS_TABLE,
    TIMERS_INDEX,
  ],
  [
    // Asked for at every commit, among all that waits for its time.
    'CREATE INDEX garbage_lists ON garbage (sequence) WHERE list = 1',
    'CREATE INDEX garbage_held ON garbage (sequence) WHERE due IS NULL',
  ],
]

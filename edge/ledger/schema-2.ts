/**
 * Version 2 of a Ledger's tables: priorities, times, coalescing, groups, schedules, queues, the tenant's stream and the archive.
 *
 * - `jobs`: `sameness` is equal for jobs that may share one execution; `coalesced_with` and `reused_from` name the job whose
 *   result this one points to; `signature` covers parameters and schema of the task as submitted, `submitted_hash` its text.
 * - `events.n`: the tenant-wide number of an event.
 * - `queues`: settings of lanes. `schedules`: what starts jobs by the clock.
 * - `groups`, `steps`, `group_events`: DAGs. `request` is the hash of what was asked for; `stop` says why what is left is being
 *   cancelled; `phase` and `outcome` are what `groups/decide.ts` decides by, `state` is what clients see; `carried` holds the
 *   values of the job's first row that other steps take as arguments.
 * - `lateness`: how late timers of each kind that people count on have fired.
 * - `pages`: finished jobs that have moved to object storage, from the id `first` to `last`; pages do not overlap. `words` is
 *   a Bloom filter over what lists filter by. `away`: of those, jobs that
 *   point to what another one wrote. `litter`: keys of objects that are to be deleted unless a page names them.
 * - `marks`: numbers that must not be forgotten with the rows that they came from (numbers.ts, housekeeping.ts).
 */
export const LEDGER_VERSION_2 = [
  'ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0',
  'ALTER TABLE jobs ADD COLUMN weight INTEGER NOT NULL DEFAULT 1',
  'ALTER TABLE jobs ADD COLUMN eta INTEGER',
  'ALTER TABLE jobs ADD COLUMN expires_at INTEGER',
  'ALTER TABLE jobs ADD COLUMN max_tries INTEGER',
  'ALTER TABLE jobs ADD COLUMN retention_seconds INTEGER',
  `ALTER TABLE jobs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'`,
  'ALTER TABLE jobs ADD COLUMN submitted_hash TEXT',
  'ALTER TABLE jobs ADD COLUMN signature TEXT',
  'ALTER TABLE jobs ADD COLUMN sameness TEXT',
  'ALTER TABLE jobs ADD COLUMN coalesced_with TEXT',
  'ALTER TABLE jobs ADD COLUMN reused_from TEXT',
  'ALTER TABLE jobs ADD COLUMN retried_from TEXT',
  'ALTER TABLE jobs ADD COLUMN retried_as TEXT',
  'ALTER TABLE jobs ADD COLUMN grp TEXT',
  'ALTER TABLE jobs ADD COLUMN step TEXT',
  'ALTER TABLE jobs ADD COLUMN schedule TEXT',
  'ALTER TABLE jobs ADD COLUMN error_class TEXT',
  'DROP INDEX jobs_lane',
  `CREATE INDEX jobs_lane ON jobs (pool, queue, priority DESC, id) WHERE state = 'waiting'`,
  'DROP INDEX jobs_held',
  `CREATE INDEX jobs_held ON jobs (session, id) WHERE state IN ('offered', 'leased', 'running', 'carrying')`,
  `CREATE INDEX jobs_parked ON jobs (id) WHERE state IN ('blocked', 'joined', 'scheduled')`,
  'CREATE INDEX jobs_live_same ON jobs (sameness, id) WHERE sameness IS NOT NULL AND finished_at IS NULL',
  `CREATE INDEX jobs_reusable ON jobs (sameness, finished_at) WHERE sameness IS NOT NULL AND state = 'succeeded' AND coalesced_with IS NULL
     AND reused_from IS NULL AND deleted_at IS NULL`,
  `CREATE INDEX jobs_joined ON jobs (coalesced_with, id) WHERE state = 'joined'`,
  `CREATE INDEX jobs_coalesced ON jobs (coalesced_with, id) WHERE coalesced_with IS NOT NULL`,
  'CREATE INDEX jobs_reused ON jobs (reused_from, id) WHERE reused_from IS NOT NULL',
  'CREATE INDEX jobs_group ON jobs (grp, id) WHERE grp IS NOT NULL',
  `CREATE INDEX jobs_dead ON jobs (id) WHERE state = 'failed' AND retried_as IS NULL AND deleted_at IS NULL`,
  'ALTER TABLE events ADD COLUMN n INTEGER',
  'CREATE INDEX events_n ON events (n) WHERE n IS NOT NULL',
  `CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY, priority INTEGER NOT NULL, concurrency INTEGER, paused INTEGER NOT NULL, weight INTEGER NOT NULL,
    reserve INTEGER NOT NULL, updated_at INTEGER NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE groups (
    id TEXT NOT NULL PRIMARY KEY, alias TEXT, request TEXT NOT NULL, state TEXT NOT NULL, stop TEXT, seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL, finished_at INTEGER, deadline_at INTEGER, deadline_seconds INTEGER, error_code TEXT, error_message TEXT,
    retried_from TEXT, retried_as TEXT, bytes INTEGER NOT NULL DEFAULT 0, deleted_at INTEGER
  ) WITHOUT ROWID`,
  'CREATE INDEX groups_alias ON groups (alias, id) WHERE alias IS NOT NULL',
  'CREATE INDEX groups_live ON groups (id) WHERE finished_at IS NULL',
  'CREATE INDEX groups_ended ON groups (finished_at, id) WHERE finished_at IS NOT NULL',
  `CREATE TABLE steps (
    grp TEXT NOT NULL, name TEXT NOT NULL, plan TEXT NOT NULL, phase TEXT NOT NULL, state TEXT NOT NULL, outcome TEXT, published TEXT,
    stopping INTEGER NOT NULL, carried TEXT, job TEXT, decided_by TEXT, deadline_at INTEGER, error_code TEXT, error_message TEXT,
    PRIMARY KEY (grp, name)
  ) WITHOUT ROWID`,
  'CREATE INDEX steps_job ON steps (job) WHERE job IS NOT NULL',
  `CREATE TABLE group_events (
    grp TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (grp, seq)
  ) WITHOUT ROWID`,
  `CREATE TABLE schedules (
    id TEXT NOT NULL PRIMARY KEY, task TEXT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL, next_at INTEGER, last_at INTEGER,
    last_job TEXT, skipped INTEGER NOT NULL, notice TEXT, created_at INTEGER NOT NULL
  ) WITHOUT ROWID`,
  'CREATE INDEX schedules_task ON schedules (task, id)',
  'CREATE INDEX jobs_runs ON jobs (schedule, id) WHERE schedule IS NOT NULL AND finished_at IS NULL',
  'CREATE TABLE lateness (kind TEXT NOT NULL PRIMARY KEY, fired INTEGER NOT NULL, over_1s INTEGER NOT NULL, over_120s INTEGER NOT NULL, sum_ms INTEGER NOT NULL, max_ms INTEGER NOT NULL, max_at INTEGER NOT NULL) WITHOUT ROWID',
  `CREATE INDEX jobs_stopped ON jobs (id) WHERE state IN ('failed', 'cancelled')`,
  `CREATE TABLE pages (
    last TEXT NOT NULL PRIMARY KEY, first TEXT NOT NULL, jobs INTEGER NOT NULL, bytes INTEGER NOT NULL, key TEXT NOT NULL, words BLOB NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE away (
    writer TEXT NOT NULL, job TEXT NOT NULL, finished_at INTEGER NOT NULL, retention_seconds INTEGER, PRIMARY KEY (writer, job)
  ) WITHOUT ROWID`,
  'CREATE TABLE litter (key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID',
  'CREATE TABLE marks (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID',
] as const

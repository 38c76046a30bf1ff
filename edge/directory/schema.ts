import { TIMERS_INDEX, TIMERS_TABLE } from '../storage/timers.ts'

/** The Directory's database. Version 1 is frozen: later versions append another list. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  [
    TIMERS_TABLE,
    TIMERS_INDEX,
    // A tenant, and which objects exist in its name: a Worker cannot enumerate Durable Objects.
    'CREATE TABLE tenants (tenant TEXT PRIMARY KEY, created_at INTEGER NOT NULL, ledger INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID',
    'CREATE TABLE families (tenant TEXT NOT NULL, family TEXT NOT NULL, PRIMARY KEY (tenant, family)) WITHOUT ROWID',
    // origin: "table", mapped by somebody; "any", made at first use for an issuer that may name its tenants.
    'CREATE TABLE issuer_claims (issuer TEXT NOT NULL, claim TEXT NOT NULL, tenant TEXT NOT NULL, origin TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (issuer, claim)) WITHOUT ROWID',
    'CREATE INDEX issuer_claims_tenant ON issuer_claims (tenant)',
    'CREATE TABLE issuer_keys (issuer TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID',
    // tenants, engines, labels: JSON. generation: which announcement is the newest.
    'CREATE TABLE nodes (node TEXT PRIMARY KEY, session TEXT NOT NULL, pool TEXT NOT NULL, tenants TEXT NOT NULL, slots INTEGER NOT NULL, engines TEXT NOT NULL, labels TEXT NOT NULL, online INTEGER NOT NULL, generation INTEGER NOT NULL, last_seen_at INTEGER NOT NULL) WITHOUT ROWID',
    // A definition that many nodes announce is kept once.
    'CREATE TABLE definitions (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, hash TEXT NOT NULL, body TEXT NOT NULL)',
    'CREATE INDEX definitions_name ON definitions (name, hash)',
    // since: when this node first announced this hash; it decides which of two definitions is the newest.
    'CREATE TABLE announcements (node TEXT NOT NULL, name TEXT NOT NULL, definition INTEGER NOT NULL, since INTEGER NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (node, name)) WITHOUT ROWID',
    'CREATE INDEX announcements_name ON announcements (name)',
    'CREATE INDEX announcements_definition ON announcements (definition)',
  ],
  [
    // queues: JSON; NULL: all of them.
    'ALTER TABLE nodes ADD COLUMN queues TEXT',
  ],
]

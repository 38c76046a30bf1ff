/**
 * Version 5 of a Ledger's tables: `jobs_left` finds results, for `reuse`, whose writers were cancelled while they ran for others.
 * Of other jobs it holds none.
 */
export const LEDGER_VERSION_5 = [
  `CREATE INDEX jobs_left ON jobs (sameness, finished_at) WHERE sameness IS NOT NULL AND state = 'cancelled' AND deleted_at IS NULL
     AND coalesced_with IS NULL AND publication IN ('pending', 'published')`,
] as const

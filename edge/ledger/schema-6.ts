/**
 * Version 6 of a Ledger's tables.
 *
 * - `jobs_leading` holds no job any more that was put off and may not lead yet: thousands of them, all alike, would be walked
 *   through by each of them when its time comes.
 * - Groups that were being undone before there was a time for that have an hour from now on.
 */
export const LEDGER_VERSION_6 = [
  'DROP INDEX jobs_leading',
  `CREATE INDEX jobs_leading ON jobs (sameness, id) WHERE sameness IS NOT NULL AND finished_at IS NULL AND coalesced_with IS NULL AND fresh = 0
     AND (due_at IS NULL OR eta IS NULL OR due_at > eta)`,
  `UPDATE groups SET undo_by = (CAST(strftime('%s', 'now') AS INTEGER) + 3600) * 1000 WHERE state = 'compensating' AND undo_by IS NULL`,
  `INSERT INTO timers (kind, ref, due) SELECT 'group', id, undo_by FROM groups WHERE state = 'compensating'
     ON CONFLICT (kind, ref) DO UPDATE SET due = excluded.due`,
] as const

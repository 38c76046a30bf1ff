/**
 * Version 3 of a Ledger's tables.
 *
 * - `groups`: `undo_seconds` is how long what undoes steps, and the alert, may take (null: as long as anybody's);
 *   `undo_by` is when that is over, once it has begun.
 * - `schedules`: a paused one is never due.
 */
export const LEDGER_VERSION_3 = [
  'ALTER TABLE groups ADD COLUMN undo_seconds INTEGER',
  'ALTER TABLE groups ADD COLUMN undo_by INTEGER',
  'ALTER TABLE schedules ADD COLUMN paused INTEGER NOT NULL DEFAULT 0',
] as const

import type { Lateness } from '../contract/ledger.ts'
import type { LedgerContext } from './context.ts'

/** Timers that people count on: a back-off or an `eta`, a schedule, a `ttl`. */
export const TIMED = ['due', 'schedule', 'expire'] as const
type Timed = (typeof TIMED)[number]
const isTimed = (kind: string): kind is Timed => (TIMED as readonly string[]).includes(kind)

/**
 * Adds to what is known of how late timers fire: one row a kind and firing of the alarm. `fired` are those that did
 * something; times in milliseconds.
 */
export const noteLateness = (context: LedgerContext, fired: readonly { kind: string; due: number }[]): void => {
  const now = context.now()
  for (const kind of TIMED) {
    const late = fired.flatMap((timer) => (isTimed(timer.kind) && timer.kind === kind ? [Math.max(0, now - timer.due)] : []))
    if (late.length === 0) continue
    const max = Math.max(...late)
    context.store.run(
      `INSERT INTO lateness (kind, fired, over_1s, over_120s, sum_ms, max_ms, max_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (kind) DO UPDATE SET fired = fired + excluded.fired, over_1s = over_1s + excluded.over_1s,
         over_120s = over_120s + excluded.over_120s, sum_ms = sum_ms + excluded.sum_ms,
         max_at = CASE WHEN excluded.max_ms > max_ms THEN excluded.max_at ELSE max_at END, max_ms = max(max_ms, excluded.max_ms)`,
      kind,
      late.length,
      late.filter((ms) => ms > 1_000).length,
      late.filter((ms) => ms > 120_000).length,
      late.reduce((sum, ms) => sum + ms, 0),
      max,
      now,
    )
  }
}

interface LatenessRow {
  kind: Timed
  fired: number
  over_1s: number
  over_120s: number
  sum_ms: number
  max_ms: number
  max_at: number
}

const NONE: Lateness = { fired: 0, over_1s: 0, over_120s: 0, mean_ms: null, max_ms: null, max_at: null }

/** Since this ledger was made. */
export const latenessOf = ({ store }: LedgerContext): Record<Timed, Lateness> => {
  const shown: Record<Timed, Lateness> = { due: NONE, schedule: NONE, expire: NONE }
  for (const { kind, sum_ms, max_at, fired, over_1s, over_120s, max_ms } of store.all<LatenessRow>('SELECT * FROM lateness'))
    shown[kind] = {
      fired,
      over_1s,
      over_120s,
      mean_ms: Math.round(sum_ms / fired),
      max_ms,
      max_at: new Date(max_at).toISOString(),
    }
  return shown
}

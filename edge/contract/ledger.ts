import { z } from 'zod'
import { Instant } from './ids.ts'

/** How late timers of a kind have fired: how many, how many of them over a second and over two minutes, mean and worst. */
export const Lateness = z.object({
  fired: z.int().min(0),
  over_1s: z.int().min(0),
  over_120s: z.int().min(0),
  mean_ms: z.int().min(0).nullable(),
  max_ms: z.int().min(0).nullable(),
  /** When the worst one fired. */
  max_at: Instant.nullable(),
})
export type Lateness = z.infer<typeof Lateness>

/** A tenant's ledger in numbers. */
export const LedgerFigures = z.object({
  /** Jobs that have not ended. */
  live_jobs: z.int().min(0),
  /** Failed jobs that nobody has run again, counted up to 10,000. */
  dead_jobs: z.int().min(0),
  schedules: z.int().min(0),
  /** When the next timer is due; null when none is set. */
  next_timer_at: Instant.nullable(),
  /** `due`: back-offs and `eta`. `schedule`: runs of schedules. `expire`: `ttl`. Since the ledger was made. */
  lateness: z.object({ due: Lateness, schedule: Lateness, expire: Lateness }),
})
export type LedgerFigures = z.infer<typeof LedgerFigures>

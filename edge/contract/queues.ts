import { z } from 'zod'
import { Instant, QueueName } from './ids.ts'

/** How a tenant's queue (lane) is served. What is absent in a PUT keeps its default. */
export const QueueSettings = z.strictObject({
  /** Among the tenant's own lanes a higher number goes first; the tenant's share among tenants stays the same. */
  priority: z.int().min(-100).max(100).default(0),
  /** Jobs of the queue that are held by nodes at once, all pools together; null: no limit. */
  concurrency: z.int().min(1).max(10_000).nullable().default(null),
  /** Nothing new is given out; what runs goes on. */
  paused: z.boolean().default(false),
  /** Share among the tenant's lanes of equal priority. */
  weight: z.int().min(1).max(100).default(1),
  /** Slots that other lanes leave free for this one. */
  reserve: z.int().min(0).max(1_000).default(0),
})
export type QueueSettings = z.infer<typeof QueueSettings>

/** What of it a pool decides; the rest is the ledger's. */
export type LaneSettings = Pick<QueueSettings, 'priority' | 'weight' | 'reserve'>

export const Queue = QueueSettings.extend({
  name: QueueName,
  waiting: z.int().min(0),
  held: z.int().min(0),
  /** Null: never set, everything is the default. */
  updated_at: Instant.nullable(),
})
export type Queue = z.infer<typeof Queue>

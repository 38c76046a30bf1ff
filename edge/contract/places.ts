import { z } from 'zod'
import { Instant, NodeId, PoolName, QueueName, TenantId } from './ids.ts'

/** A node as a tenant sees it. Which other tenants it serves is not that tenant's business. */
export const Node = z.object({
  node: NodeId,
  pool: PoolName,
  slots: z.int().min(0),
  /** Those it listens to; null: all. */
  queues: z.array(QueueName).nullable(),
  engines: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  online: z.boolean(),
  last_seen_at: Instant,
  /** Slots that jobs of this tenant take. */
  busy: z.int().min(0),
})

/** A report family: `namespace.table` of the catalog. */
export const Table = z.object({ name: z.string() })

/** Who the token says one is. */
export const Session = z.object({ tenant: TenantId, subject: z.string(), scopes: z.array(z.string()), expires_at: Instant })

/** Whom to ask for a token; `sign_in`: where a page sends somebody who has none. */
export const SignIn = z.object({ issuers: z.array(z.object({ issuer: z.string(), sign_in: z.string().nullable() })) })

export const Health = z.object({ status: z.literal('ok') })
export const Readiness = z.object({ status: z.enum(['ready', 'no_node']), nodes: z.int().min(0) })

/** A derived object that is not there yet: ask again after `Retry-After` seconds. */
export const Making = z.object({ status: z.literal('making'), detail: z.string() })

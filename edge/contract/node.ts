import { z } from 'zod'
import { Column, ResultSchema } from './columns.ts'
import {
  CalendarDate,
  Family,
  Instant,
  JobId,
  NodeId,
  PoolName,
  QueueName,
  ResultId,
  SessionId,
  Sha256,
  TaskName,
  TenantId,
} from './ids.ts'
import { CancelOutcome, Phase } from './jobs.ts'
import { InlineResult, NodeManifest } from './manifests.ts'
import { NormalSlice, SliceFile } from './slices.ts'
import { AnnouncedTask, Argument } from './tasks.ts'

/**
 * Node protocol, version 1: JSON text frames over one WebSocket, `GET /node/v1/link`, authorised by a node token.
 * The text frame `ping` is answered with `pong` by the platform and wakes nobody. A request carries a number `re`
 * chosen by its sender and the answer repeats it. Messages that change a job are repeated by the node until answered,
 * and are harmless when they arrive twice. Unknown fields are ignored; an unknown `type` is answered with `refused`.
 */
export const NODE_PROTOCOL_VERSION = 1

/** An offer that is not accepted within this time goes back to its lane. Architecture, section 3. */
export const OFFER_SECONDS = 5
/** How long the leases of a lost socket wait for the same session to return. */
export const GRACE_SECONDS = 10
/** A node sends `ping` this often; a socket silent for three of them counts as lost. */
export const PING_SECONDS = 10
/** Life of an upload grant and of a read link. */
export const GRANT_SECONDS = 15 * 60
/** A file above this size is uploaded in parts: a Worker's request body ends at 100 MB (platform limit). */
export const SINGLE_PUT_BYTES = 90 * 1024 * 1024
/** All parts but the last have this size: R2 demands equal parts. */
export const PART_BYTES = 32 * 1024 * 1024
/** Parts of one upload, at most: 93 GiB. R2 itself ends at 10,000 (platform limit). */
export const MAX_UPLOAD_PARTS = 3_000

const re = z.int().min(1)
/** Names one attempt of one job. */
export const Lease = z.object({ tenant: TenantId, job: JobId, attempt: z.int().min(1) })
export type Lease = z.infer<typeof Lease>

/** Why an attempt failed. The class decides about retries: `lost` (node or connection) and `overloaded` (engine) are tried again. */
export const FailureClass = z.enum([
  'sql',
  'arguments',
  'schema',
  'source',
  'lost',
  'limit',
  'cancelled',
  'internal',
  'overloaded',
  'budget',
])
export type FailureClass = z.infer<typeof FailureClass>
export const Failure = z.object({ code: z.string().max(100), message: z.string().max(8_000), class: FailureClass })
export type Failure = z.infer<typeof Failure>

export const Offer = Lease.extend({
  task: TaskName,
  /** The hash this node announced for the task. */
  task_hash: Sha256,
  args: z.array(Argument),
  db: z.string().nullable(),
  engine_hint: z.string().nullable(),
  family: Family,
  run_date: CalendarDate,
  /** Null: describe the query with these arguments and ask by a `schema` message before it runs. */
  schema: ResultSchema.nullable(),
  max_runtime_seconds: z.int().min(1).nullable(),
  /** Slots that it takes on the node; 1 when absent. */
  weight: z.int().min(1).optional(),
  /** After this instant the offer is no longer valid. */
  accept_by: Instant,
})
export type Offer = z.infer<typeof Offer>

// ---- node → edge ---------------------------------------------------------------------------------------------------

export const Hello = z.object({
  type: z.literal('hello'),
  version: z.int(),
  session: SessionId,
  name: NodeId,
  slots: z.int().min(1).max(1_000),
  /** Queues it listens to; null: all. */
  queues: z.array(QueueName).nullable(),
  labels: z.record(z.string(), z.string()),
  engines: z.array(z.string()),
  /** What it is working on, when it comes back. */
  holding: z.array(Lease.extend({ running: z.boolean() })),
})
/** All tasks of the node, or one part of them: the list is complete with the message whose `last` is true. */
export const Announce = z.object({ type: z.literal('announce'), re, tasks: z.array(AnnouncedTask).max(200), last: z.boolean() })
export const Accept = z.object({ type: z.literal('accept'), re, items: z.array(Lease.extend({ start: z.boolean() })).max(1_000) })
/** Hands work back: an offer not taken, a lease not begun, or a run stopped by a drain. Never burns a try. */
export const Return = z.object({ type: z.literal('return'), re, items: z.array(Lease.extend({ reason: z.string().max(500) })).max(1_000) })
/** A leased job that was accepted without `start` begins now. */
export const Start = z.object({ type: z.literal('start'), re, items: z.array(Lease).max(1_000) })
export const SchemaRequest = Lease.extend({ type: z.literal('schema'), re, columns: z.array(Column).min(1).max(1_000) })
export const ProgressReport = Lease.extend({
  type: z.literal('progress'),
  phase: Phase,
  percent: z.number().min(0).max(100).nullable(),
  rows: z.int().min(0).nullable(),
  engine: z.string().nullable(),
})
/** Asked when the file exists. `pack` may be asked for by the winning attempt for 15 minutes after completion. */
export const GrantRequest = Lease.extend({
  type: z.literal('grant'),
  re,
  files: z
    .array(z.object({ kind: z.enum(['data', 'pack']), n: z.int().min(0), bytes: z.int().min(1), sha256: Sha256 }))
    .min(1)
    .max(400),
})
export const UploadedFile = z.object({
  n: z.int().min(0),
  upload: z.string().nullable(),
  parts: z.array(z.object({ part: z.int().min(1), etag: z.string() })),
})
export const Complete = z.object({
  type: z.literal('complete'),
  re,
  items: z
    .array(
      Lease.extend({
        manifest: NodeManifest,
        inline: InlineResult.nullable(),
        /** Only for files uploaded in parts, which the edge completes. */
        uploads: z.array(UploadedFile),
      }),
    )
    .min(1)
    .max(500),
  /** Slots' worth of offers that the node can hold besides. */
  want: z.int().min(0),
  /** Slots of these that would begin at once; the rest waits ahead of the slots. Below zero: a heavy job took more than was free. */
  idle: z.int().optional(),
})
export const Packed = Lease.extend({
  type: z.literal('packed'),
  re,
  bytes: z.int().min(1),
  sha256: Sha256,
  upload: UploadedFile.nullable(),
})
export const Fail = z.object({
  type: z.literal('fail'),
  re,
  items: z
    .array(Lease.extend({ failure: Failure }))
    .min(1)
    .max(500),
  want: z.int().min(0),
  idle: z.int().optional(),
})
/** What became of a cancel. `confirmed` ends the job as cancelled. */
export const Cancelled = Lease.extend({
  type: z.literal('cancelled'),
  re,
  outcome: CancelOutcome,
  reason: z.string().max(1_000).nullable(),
})
/** How many slots' worth of offers it could hold now; sent when it has room and no `complete` in flight. */
export const Want = z.object({ type: z.literal('want'), want: z.int().min(0), idle: z.int().optional() })
export const Drain = z.object({ type: z.literal('drain'), re })
export const Sliced = z.object({
  type: z.literal('sliced'),
  /** The number of the edge's `slice` message. */
  re,
  outcome: z.union([
    /** The answer's bytes as text, for answers up to 256 KiB. */
    z.object({ ok: z.literal(true), body: z.string() }),
    z.object({ ok: z.literal(true), stored: z.object({ bytes: z.int(), sha256: Sha256 }) }),
    z.object({
      ok: z.literal(false),
      code: z.enum(['slice_failed', 'slice_timeout', 'invalid_slice', 'unavailable']),
      detail: z.string().max(4_000),
    }),
  ]),
})

export const FromNode = z.discriminatedUnion('type', [
  Hello,
  Announce,
  Accept,
  Return,
  Start,
  SchemaRequest,
  ProgressReport,
  GrantRequest,
  Complete,
  Packed,
  Fail,
  Cancelled,
  Want,
  Drain,
  Sliced,
])
export type FromNode = z.infer<typeof FromNode>

// ---- edge → node ---------------------------------------------------------------------------------------------------

export const Welcome = z.object({
  type: z.literal('welcome'),
  version: z.literal(NODE_PROTOCOL_VERSION),
  node: NodeId,
  session: SessionId,
  pool: PoolName,
  tenants: z.array(z.string()),
  ping_seconds: z.int(),
  offer_seconds: z.int(),
  /** Leases of `holding` that are no longer the node's: stop them. */
  fenced: z.array(Lease),
})
export const Announced = z.object({
  type: z.literal('announced'),
  re,
  accepted: z.int(),
  refused: z.array(z.object({ task: z.string(), code: z.string(), detail: z.string() })),
})
export const Offers = z.object({ type: z.literal('offers'), items: z.array(Offer) })
export const LeaseOutcome = z.enum(['ok', 'fenced', 'cancelled', 'refused'])
/** Answer to accept, return, start, complete, fail, packed, cancelled, drain. One outcome an item, in order. */
export const Ack = z.object({
  type: z.literal('ack'),
  re,
  items: z.array(Lease.extend({ outcome: LeaseOutcome, detail: z.string().nullable() })),
  /** The next offers, which ride along. */
  offers: z.array(Offer),
})
export const SchemaAnswer = z.object({
  type: z.literal('schema'),
  re,
  answer: z.union([
    z.object({ ok: z.literal(true), schema: ResultSchema }),
    z.object({ ok: z.literal(false), code: z.string(), detail: z.string() }),
  ]),
})
/** One upload: a PUT of the whole file, or one PUT a part. */
export const Put = z.object({
  kind: z.enum(['data', 'pack']),
  n: z.int(),
  /** Absolute for object storage; a path for the Worker's own route. Secrets stand in headers, never in the address, but for S3's own signature. */
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  /** Set for an upload in parts: the n-th part goes to the n-th address. */
  upload: z.string().nullable(),
  parts: z.array(z.object({ part: z.int(), url: z.string(), headers: z.record(z.string(), z.string()) })),
})
export const Granted = z.object({
  type: z.literal('granted'),
  re,
  answer: z.union([
    z.object({ ok: z.literal(true), puts: z.array(Put) }),
    z.object({ ok: z.literal(false), code: z.string(), detail: z.string() }),
  ]),
})
export const Cancel = Lease.extend({ type: z.literal('cancel'), reason: z.string() })
/** The lease is gone: stop the work and drop its files. */
export const Fence = Lease.extend({ type: z.literal('fence'), reason: z.string() })
export const Slice = z.object({
  type: z.literal('slice'),
  re,
  tenant: TenantId,
  result: ResultId,
  schema: ResultSchema,
  rows: z.int(),
  query: NormalSlice,
  /** `all` asks for the whole result in the format, without a limit of rows. */
  scope: z.enum(['slice', 'all']),
  format: z.enum(['json', 'csv']),
  /** Repeated in a JSON answer. */
  hash: z.string(),
  files: z.array(SliceFile),
  /** Answers above this many bytes go to `put`. */
  max_body_bytes: z.int(),
  put: z.object({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    /** Where to ask, with the same headers, for an upload in parts of an answer above `SINGLE_PUT_BYTES`. An edge that says none takes one PUT only. */
    uploads: z.string().optional(),
  }),
  timeout_seconds: z.int(),
})
export const Refused = z.object({ type: z.literal('refused'), re: z.int().nullable(), code: z.string(), detail: z.string() })
/** The edge ends this connection; `retry` says whether coming back makes sense. */
export const Bye = z.object({ type: z.literal('bye'), code: z.string(), detail: z.string(), retry: z.boolean() })

export const ToNode = z.discriminatedUnion('type', [
  Welcome,
  Announced,
  Offers,
  Ack,
  SchemaAnswer,
  Granted,
  Cancel,
  Fence,
  Slice,
  Refused,
  Bye,
])
export type ToNode = z.infer<typeof ToNode>

// ---- upload in parts of what a slice left: HTTP beside the socket, as its size is known only when it is made ----------

/** `POST` to `put.uploads` of a slice message: how long the answer is. */
export const OpenUpload = z.object({ bytes: z.int().min(1) })
export type OpenUpload = z.infer<typeof OpenUpload>
/** The n-th part of `part_bytes` goes to the n-th address; `close` takes what the parts were answered with. */
export const OpenedUpload = z.object({
  upload: z.string(),
  part_bytes: z.int().min(1),
  parts: z.array(z.object({ part: z.int(), url: z.string(), headers: z.record(z.string(), z.string()) })),
  close: z.object({ url: z.string(), headers: z.record(z.string(), z.string()) }),
})
export type OpenedUpload = z.infer<typeof OpenedUpload>
export const CloseUpload = z.object({
  parts: z
    .array(z.object({ part: z.int().min(1), etag: z.string().max(200) }))
    .min(1)
    .max(MAX_UPLOAD_PARTS),
})
export type CloseUpload = z.infer<typeof CloseUpload>

/** Sub-protocol name that a node must offer (RFC 6455, section 1.9). */
export const NODE_SUBPROTOCOL = 'scarab.node.v1'

export type OfferBatch = z.infer<typeof Offers>
export type AckMessage = z.infer<typeof Ack>
export type SliceMessage = z.infer<typeof Slice>
export type PutGrant = z.infer<typeof Put>
export type UploadedFile = z.infer<typeof UploadedFile>

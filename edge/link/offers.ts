import { createHash } from 'node:crypto'
import type { Column, ResultSchema } from '../contract/columns.ts'
import { Family, type QueueName, type TaskName, type TenantId } from '../contract/ids.ts'
import { OFFER_SECONDS, type Offer } from '../contract/node.ts'
import type { NodeTasks, OfferAsk } from '../ledger/known-tasks.ts'
import type { OfferAnswer, OfferedJob } from '../ledger/leases.ts'
import { type LinkReport, RIDE_MS } from '../pool/pool.ts'
import { first } from '../storage/store.ts'
import type { LinkContext, SchemaOutcome } from './ports.ts'
import { currentSession, holderOf, queuesOf, rememberLedger, type SessionRow, servesTenant } from './session.ts'

/** What a link remembers between messages. `Kept` travels with the socket through hibernation; the rest is read again. */
export interface LinkMemory {
  /** Slots' worth of offers that the node said it can hold besides. */
  free: number
  /** Slots of these that would begin at once. */
  idle: number
  /** The node's slots, as its hello said. */
  slots: number
  /** What the pool believes of `free` … */
  told: number | null
  /** … and of `idle`. */
  toldIdle: number
  /** Some lane has a reserve on this node: the pool must know its idle slots exactly. */
  strict: boolean
  /** Ends when the pool has answered all that it was told. */
  telling: Promise<void>
  /** How many hellos came in this life of the object. */
  hellos: number
  /** How often the node has said what it can hold, or that it begins or ends. */
  words: number
  /** The node has said since its hello what it can hold, and does not drain: it belongs into the pool. */
  joined: boolean
  /** Offers may ride on a completion's answer: the pool saw one ready lane only … */
  ride: boolean
  /** … until then (ms): the pool cannot say that another lane has become ready while it is never asked. */
  rideUntil: number
  /** The lane of each tenant that offers last came from. */
  lanes: Map<TenantId, QueueName>
  /** Answers of `ensureSchema` by tenant and task hash. */
  schemas: Map<string, SchemaOutcome>
  /** What the session announced, under a version that is the same in every life of this object. */
  tasks: { version: string; list: NodeTasks } | null
  /** While a new list of tasks comes in: the definitions of the one before. */
  since: Map<string, { hash: string; since: number }>
  /** Rows of the tasks announced, as far as they were asked for. */
  rows: Map<string, TaskRow>
  /** Of each lane the last announcement that offers riding on an answer found to be over: told once, not with every answer. */
  drained: Map<string, number>
}

interface TaskRow {
  hash: string
  columns: string | null
  partition_by: string | null
}

export const newMemory = (): LinkMemory => ({
  free: 0,
  idle: 0,
  slots: 1,
  told: null,
  toldIdle: 0,
  strict: false,
  telling: Promise.resolve(),
  hellos: 0,
  words: 0,
  joined: false,
  ride: false,
  rideUntil: 0,
  lanes: new Map(),
  schemas: new Map(),
  tasks: null,
  since: new Map(),
  rows: new Map(),
  drained: new Map(),
})

/** The part that must survive an eviction of the object while its socket lives. */
export interface Kept {
  free: number
  /** Absent in what an earlier version has kept. */
  idle?: number
  slots?: number
  strict?: boolean
  told: number | null
  joined: boolean
  ride: boolean
  rideUntil: number
  lanes: [TenantId, QueueName][]
}

/** Lanes of the tenants served last: more would not fit into what a socket can carry. */
const KEPT_LANES = 20

export const keep = (memory: LinkMemory): Kept => ({
  free: memory.free,
  idle: memory.idle,
  slots: memory.slots,
  strict: memory.strict,
  told: memory.told,
  joined: memory.joined,
  ride: memory.ride,
  rideUntil: memory.rideUntil,
  lanes: [...memory.lanes].slice(-KEPT_LANES),
})

export const restore = (memory: LinkMemory, kept: Kept): void => {
  memory.free = kept.free
  memory.idle = kept.idle ?? kept.free
  memory.slots = kept.slots ?? Math.max(1, kept.free)
  memory.strict = kept.strict ?? false
  memory.told = kept.told
  memory.joined = kept.joined
  memory.ride = kept.ride
  memory.rideUntil = kept.rideUntil
  memory.lanes = new Map(kept.lanes)
}

interface NodeTaskRow {
  name: string
  hash: string
  signature: string | null
  since: number | null
}

const announced = (context: LinkContext, memory: LinkMemory): { version: string; list: NodeTasks } => {
  if (!memory.tasks) {
    const rows = context.store.all<NodeTaskRow>('SELECT name, hash, signature, since FROM tasks ORDER BY name')
    memory.tasks = {
      version: createHash('sha256').update(JSON.stringify(rows)).digest('hex'),
      list: Object.fromEntries(
        rows.map(({ name, hash, signature, since }) => [name, { hash, signature: signature ?? '', since: since ?? 0 }]),
      ),
    }
  }
  return memory.tasks
}

export const offerAsk = (context: LinkContext, memory: LinkMemory, row: SessionRow, queue: QueueName, want: number): OfferAsk => ({
  ...holderOf(row),
  pool: row.pool,
  queue,
  tasks_version: announced(context, memory).version,
  want,
  offer_seconds: OFFER_SECONDS,
})

/** Asks with the list of tasks, where the ledger has said that it does not know it. */
export const told = async (
  context: LinkContext,
  memory: LinkMemory,
  tenant: TenantId,
  ask: OfferAsk,
  answer: OfferAnswer,
): Promise<OfferAnswer> => {
  if (!answer.untold) return answer
  // As it is now: another list may have come meanwhile, and must not be known by the version of the one before.
  const { version, list } = announced(context, memory)
  return context.ledger(tenant).offer({ ...ask, tasks_version: version, tasks: list })
}

/** The schema under which a task's result will be kept for a tenant: judged once, at the first offer (architecture, section 3, step 4). */
const schemaFor = async (context: LinkContext, memory: LinkMemory, tenant: TenantId, job: OfferedJob): Promise<SchemaOutcome | null> => {
  const task =
    memory.rows.get(job.task) ?? first<TaskRow>(context.store, 'SELECT hash, columns, partition_by FROM tasks WHERE name = ?', job.task)
  if (!task) return null
  memory.rows.set(job.task, task)
  if (task.columns === null) return null
  const key = `${tenant} ${job.family} ${task.hash}`
  const known = memory.schemas.get(key)
  if (known) return known
  const family = Family.parse(job.family)
  const outcome = await context.table(tenant, family).ensureSchema({
    tenant,
    family,
    columns: JSON.parse(task.columns) as Column[],
    partition_by: task.partition_by === null ? null : (JSON.parse(task.partition_by) as string[]),
  })
  // A refusal is not remembered: the family may be mended while this link lives.
  if (outcome.ok) memory.schemas.set(key, outcome)
  return outcome
}

/** Turns what the ledger offers into messages for the node; a job whose schema cannot be kept fails here. */
export const prepare = async (
  context: LinkContext,
  memory: LinkMemory,
  row: SessionRow,
  tenant: TenantId,
  jobs: OfferedJob[],
): Promise<Offer[]> => {
  const offers: Offer[] = []
  for (const job of jobs) {
    const outcome = await schemaFor(context, memory, tenant, job)
    if (outcome && !outcome.ok) {
      await context
        .ledger(tenant)
        .fail(
          holderOf(row),
          [{ job: job.job, attempt: job.attempt, failure: { code: outcome.code, message: outcome.detail, class: 'schema' } }],
          null,
        )
      continue
    }
    offers.push(offerOf(tenant, job, announced(context, memory).list[job.task]?.hash ?? '', outcome?.schema ?? null))
  }
  return offers
}

/** Names of the ledger's rows and of the announcement were checked when they went in; the casts name their brands again. */
const offerOf = (tenant: TenantId, job: OfferedJob, hash: string, schema: ResultSchema | null): Offer => ({
  tenant,
  job: job.job,
  attempt: job.attempt,
  task: job.task as TaskName,
  task_hash: hash,
  args: JSON.parse(job.args) as Offer['args'],
  db: job.db,
  engine_hint: job.engine_hint,
  family: job.family as Family,
  run_date: job.run_date,
  schema,
  max_runtime_seconds: job.max_runtime_seconds,
  ...(job.weight === 1 ? {} : { weight: job.weight }),
  accept_by: new Date(job.accept_by).toISOString(),
})

/** Slots that offers take on the node. */
export const slotsOf = (items: readonly { weight?: number | undefined }[]): number => items.reduce((sum, { weight = 1 }) => sum + weight, 0)

/** Takes slots off what the node has; below zero gives them back. A heavy job may take more than there are: idle slots are owed then. */
export const takeSlots = (memory: LinkMemory, count: number): void => {
  memory.free = Math.max(0, memory.free - count)
  memory.idle -= count
}

/** The pool gave this node slots of a lane: fetch offers, send them, and tell the pool what it got wrong. */
export const dispatch = async (
  context: LinkContext,
  memory: LinkMemory,
  given: { session: string; tenant: TenantId; queue: QueueName; seq?: number; count: number; ride: boolean; strict?: boolean },
): Promise<void> => {
  const row = currentSession(context)
  if (!row || row.session !== given.session || !row.connected) {
    if (row) await context.pool(row.pool).leave(row.node, given.session as SessionRow['session'])
    return
  }
  // The pool knows the bounds of an older token still.
  if (!servesTenant(row, given.tenant)) {
    const { tenant, queue, count } = given
    await reportTo(context, memory, row, [], [{ tenant, queue }], [{ tenant, queue, count }])
    return
  }
  memory.ride = given.ride
  memory.strict = given.strict ?? false
  memory.rideUntil = context.now() + RIDE_MS
  memory.lanes.set(given.tenant, given.queue)
  if (memory.told !== null) memory.told = Math.max(0, memory.told - given.count)
  memory.toldIdle -= given.count
  const want = Math.min(given.count, memory.free)
  // Taken before the first await: a second dispatch must not count the same room twice.
  takeSlots(memory, want)
  rememberLedger(context, given.tenant)
  let answer: OfferAnswer
  let items: Offer[]
  try {
    const ask = { ...offerAsk(context, memory, row, given.queue, want), seq: given.seq }
    answer = await told(context, memory, given.tenant, ask, await context.ledger(given.tenant).offer(ask))
    items = await prepare(context, memory, row, given.tenant, answer.offers)
  } catch (reason) {
    // The node never hears of what was offered, so its room is as it was; the offers lapse after OFFER_SECONDS.
    takeSlots(memory, -want)
    await reportTo(context, memory, row, [], [], [{ tenant: given.tenant, queue: given.queue, count: given.count }])
    throw reason
  }
  takeSlots(memory, slotsOf(items) - want)
  if (items.length > 0) context.send({ type: 'offers', items })
  const nothing = answer.offers.length === 0 && answer.drained === null && want > 0
  await reportTo(
    context,
    memory,
    row,
    answer.drained === null ? [] : [{ tenant: given.tenant, queue: given.queue, seq: answer.drained }],
    nothing ? [{ tenant: given.tenant, queue: given.queue, seq: given.seq }] : [],
    [{ tenant: given.tenant, queue: given.queue, count: given.count - slotsOf(answer.offers) }],
  )
}

/** The pool has another lane for this node, or one with a reserve: it chooses each slot from now on. */
export const unride = async (context: LinkContext, memory: LinkMemory, given: { session: string; strict: boolean }): Promise<void> => {
  const row = currentSession(context)
  if (row?.session !== given.session) return
  memory.ride = false
  memory.strict ||= given.strict
  if (memory.joined) await reportTo(context, memory, row, [], [])
}

/** Tells the pool what it does not know: drained lanes, lanes of no use to this node, and a changed number of free slots. */
export const reportTo = async (
  context: LinkContext,
  memory: LinkMemory,
  row: SessionRow,
  drained: { tenant: TenantId; queue: QueueName; seq: number }[],
  unsuitable: LinkReport['unsuitable'],
  unused: NonNullable<LinkReport['unused']> = [],
): Promise<void> => {
  const news = drained.length + unsuitable.length + unused.filter(({ count }) => count !== 0).length
  if (news === 0 && isNearEnough(memory)) return
  await telling(memory, (free, idle) =>
    context.pool(row.pool).report({ node: row.node, session: row.session, free, idle, drained, unsuitable, unused }),
  )
}

/**
 * A pool that believes in at least half of the room goes on giving work, and hears the rest with the next news: else every
 * lone job would cost it a message more. Where it keeps idle slots for a lane, it must know how many there are.
 */
const isNearEnough = ({ told, free, toldIdle, idle, strict }: LinkMemory): boolean =>
  told !== null && told <= free && told * 2 >= free && (!strict || toldIdle === idle)

/**
 * One message to the pool at a time, for an older number that overtakes a newer one would take slots away. What the pool
 * was told counts as unknown when it did not answer.
 */
const telling = async (memory: LinkMemory, tell: (free: number, idle: number) => Promise<void>): Promise<void> => {
  const turn = memory.telling.then(async () => {
    const { free, idle } = memory
    memory.told = free
    memory.toldIdle = idle
    try {
      await tell(free, idle)
    } catch (reason) {
      memory.told = null
      throw reason
    }
  })
  memory.telling = turn.catch(() => undefined)
  await turn
}

/** Enters the node into its pool with all the room it has, whatever the pool believed before. */
export const joinPool = (context: LinkContext, memory: LinkMemory, row: SessionRow): Promise<void> =>
  telling(memory, (free, idle) =>
    context.pool(row.pool).join({
      node: row.node,
      session: row.session,
      free,
      idle,
      slots: memory.slots,
      queues: queuesOf(row),
      tenants: JSON.parse(row.tenants) as string[],
    }),
  )

import type { z } from 'zod'
import type { QueueName, TenantId } from '../contract/ids.ts'
import { MAX_INLINE_PARQUET_BYTES, MAX_INLINE_ROWS_BYTES } from '../contract/manifests.ts'
import type {
  Accept,
  Cancelled,
  Complete,
  FromNode,
  GrantRequest,
  Lease,
  Offer,
  Packed,
  ProgressReport,
  Return,
  SchemaRequest,
  Start,
} from '../contract/node.ts'
import type { Completion } from '../ledger/finish.ts'
import type { OfferAsk } from '../ledger/known-tasks.ts'
import type { LeaseVerdict, OfferAnswer } from '../ledger/leases.ts'
import { first } from '../storage/store.ts'
import { announce, hello } from './arrival.ts'
import { joinPool, type LinkMemory, offerAsk, prepare, reportTo, slotsOf, takeSlots, told } from './offers.ts'
import type { LinkContext } from './ports.ts'
import { currentSession, holderOf, type NodeBounds, rememberLedger, type SessionRow, servesTenant } from './session.ts'

/** A manifest is one row of the ledger, and a row ends at 2 MB (platform limit): a larger one could never be written down. */
const MAX_MANIFEST_BYTES = 1_900_000

type Verdict = LeaseVerdict | 'refused'
interface Answered {
  outcome: Verdict
  detail: string | null
}

const answered = (outcome: Verdict, detail: string | null = null): Answered => ({ outcome, detail })

/** Groups the items of a message by tenant, asks each ledger once, and puts the answers back in order. */
const perTenant = async <Item extends Lease>(
  row: SessionRow,
  items: Item[],
  ask: (tenant: TenantId, items: Item[], last: boolean) => Promise<Answered[]>,
): Promise<(z.infer<typeof Lease> & Answered)[]> => {
  const groups = new Map<TenantId, { item: Item; at: number }[]>()
  const outcomes: Answered[] = items.map(() => answered('refused', 'this node does not serve the tenant'))
  items.forEach((item, at) => {
    if (!servesTenant(row, item.tenant)) return
    const group = groups.get(item.tenant)
    if (group) group.push({ item, at })
    else groups.set(item.tenant, [{ item, at }])
  })
  let left = groups.size
  for (const [tenant, group] of groups) {
    const answers = await ask(
      tenant,
      group.map(({ item }) => item),
      --left === 0,
    )
    group.forEach(({ at }, index) => {
      outcomes[at] = answers[index] ?? answered('fenced')
    })
  }
  return items.map(({ tenant, job, attempt }, at) => ({ tenant, job, attempt, ...(outcomes[at] ?? answered('fenced')) }))
}

/** Said when the node has more room than it told: the pool hears of it in any case, so that a lost report does no lasting harm. */
const want = (context: LinkContext, memory: LinkMemory, row: SessionRow, free: number, idle: number): Promise<void> => {
  memory.words++
  memory.free = free
  memory.idle = idle
  memory.joined = true
  return joinPool(context, memory, row)
}

/** The lane whose next offers may ride on an answer to this tenant, when the pool allows it. */
const rideOn = (
  context: LinkContext,
  memory: LinkMemory,
  row: SessionRow,
  tenant: TenantId,
  free: number,
): { queue: QueueName; ask: OfferAsk } | null => {
  const queue = memory.lanes.get(tenant)
  return memory.ride && context.now() < memory.rideUntil && free > 0 && queue !== undefined
    ? { queue, ask: offerAsk(context, memory, row, queue, free) }
    : null
}

/** Answers a complete or fail: acknowledgement, the offers that rode along, and the pool's share of the news. */
const finish = async (
  context: LinkContext,
  memory: LinkMemory,
  row: SessionRow,
  { re, want: free, idle = free }: { re: number; want: number; idle?: number | undefined },
  items: Lease[],
  ask: (tenant: TenantId, items: Lease[], ride: OfferAsk | null) => Promise<{ outcomes: Answered[]; next: OfferAnswer | null }>,
): Promise<void> => {
  const offers: Offer[] = []
  const drained: { tenant: TenantId; queue: QueueName; seq: number }[] = []
  let room = free
  memory.words++
  const word = memory.words
  memory.free = 0
  memory.idle = 0
  const outcomes = await perTenant(row, items, async (tenant, group, last) => {
    const ride = last ? rideOn(context, memory, row, tenant, room) : null
    const { outcomes: answers, next: answer } = await ask(tenant, group, ride?.ask ?? null)
    if (ride && answer) {
      const next = await told(context, memory, tenant, ride.ask, answer)
      const prepared = await prepare(context, memory, row, tenant, next.offers)
      offers.push(...prepared)
      room -= slotsOf(prepared)
      const lane = `${tenant} ${ride.queue}`
      if (next.drained !== null && next.drained > (memory.drained.get(lane) ?? -1)) {
        drained.push({ tenant, queue: ride.queue, seq: next.drained })
        memory.drained.set(lane, next.drained)
      }
    }
    return answers
  })
  // What the node has said of its room since then counts: this answer may have taken long, even over a reconnection.
  const isLatest = memory.words === word
  if (isLatest) Object.assign(memory, { free, idle })
  takeSlots(memory, slotsOf(offers))
  context.send({ type: 'ack', re, items: outcomes, offers })
  // The first room that a node tells after its hello may be told here: it then has no reason to say `want` as well.
  if (isLatest && room > 0 && !memory.joined && currentSession(context)?.session === row.session) {
    memory.joined = true
    await joinPool(context, memory, row)
  }
  await reportTo(context, memory, row, drained, [])
}

/** A loop, not `Uint8Array.from` with a function for each byte, which cost a twentieth of a small job. */
const bytesOf = (base64: string): Uint8Array => {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at)
  return bytes
}

const complete = (context: LinkContext, memory: LinkMemory, row: SessionRow, message: z.infer<typeof Complete>): Promise<void> =>
  finish(context, memory, row, message, message.items, async (tenant, leases, ride) => {
    const outcomes = new Map<string, Answered>()
    const good: Completion[] = []
    for (const { job, attempt } of leases) {
      const item = message.items.find((candidate) => candidate.job === job && candidate.attempt === attempt && candidate.tenant === tenant)
      if (!item) continue
      const inline = item.inline ? { parquet: bytesOf(item.inline.parquet_base64), rows: item.inline.rows } : null
      const completion: Completion = { job, attempt, manifest: item.manifest, inline }
      const wrong = await faultOf(context, row, tenant, completion, item.uploads)
      if (wrong === null) good.push(completion)
      else outcomes.set(job, wrong)
    }
    const { verdicts, next } = await context.ledger(tenant).complete(holderOf(row), good, ride)
    for (const [index, { job }] of good.entries()) outcomes.set(job, answered(verdicts[index] ?? 'fenced'))
    return { outcomes: leases.map(({ job }) => outcomes.get(job) ?? answered('fenced')), next }
  })

/** What is wrong with a completion, or null. A completion that does not hold what it says ends the job: it would be served for ever. */
const faultOf = async (
  context: LinkContext,
  row: SessionRow,
  tenant: TenantId,
  completion: Completion,
  uploads: z.infer<typeof Complete>['items'][number]['uploads'],
): Promise<Answered | null> => {
  const { job, attempt, manifest, inline } = completion
  // The file of an inline result has no place yet; that of any other was granted under the job's family.
  const place = inline ? null : await context.ledger(tenant).place(job)
  if (!inline && !place) return answered('fenced')
  // A repeated word about a job that has ended: the ledger knows the answer, and what its files hold must not change any
  // more, which a further upload in parts, completed now, would do.
  if (place?.ended) return null
  let wrong: string | null = null
  if (inline) {
    if (inline.parquet.length > MAX_INLINE_PARQUET_BYTES)
      wrong = `an inline result has ${inline.parquet.length} bytes of Parquet, at most ${MAX_INLINE_PARQUET_BYTES} are taken`
    else if (inline.rows.length !== manifest.rows) wrong = `the completion says ${manifest.rows} rows and brings ${inline.rows.length}`
    else if (manifest.files.length !== 1) wrong = `an inline result has one file, not ${manifest.files.length}`
    else if (JSON.stringify(inline.rows).length > MAX_INLINE_ROWS_BYTES)
      wrong = `an inline result's rows are over ${MAX_INLINE_ROWS_BYTES} bytes of JSON`
  }
  if (JSON.stringify(manifest).length > MAX_MANIFEST_BYTES)
    wrong = `the manifest of ${manifest.files.length} files and ${manifest.schema.columns.length} columns is over ${MAX_MANIFEST_BYTES} bytes`
  wrong ??= await context.objects.verify({ tenant, family: place?.family ?? null }, completion, uploads)
  if (wrong === null) return null
  const [verdict] = (
    await context
      .ledger(tenant)
      .fail(holderOf(row), [{ job, attempt, failure: { code: 'bad_result', message: wrong, class: 'internal' } }], null)
  ).verdicts
  return answered(verdict === 'ok' ? 'refused' : (verdict ?? 'fenced'), wrong)
}

const grant = async (context: LinkContext, row: SessionRow, message: z.infer<typeof GrantRequest>): Promise<void> => {
  const { re, tenant, job, attempt, files } = message
  const ledger = context.ledger(tenant)
  const refuse = (code: string, detail: string): boolean => context.send({ type: 'granted', re, answer: { ok: false, code, detail } })
  const packs = files.some(({ kind }) => kind === 'pack')
  // A fenced attempt gets none (I2): a zombie cannot even begin to write.
  const allowed =
    servesTenant(row, tenant) && (packs ? await ledger.mayPack(holderOf(row), job, attempt) : await ledger.holds(row.session, job, attempt))
  if (!allowed) {
    refuse('fenced', `attempt ${attempt} of job ${job} is not current in this session`)
    return
  }
  const place = await ledger.place(job)
  if (!place) {
    refuse('fenced', `job ${job} is not here`)
    return
  }
  const puts = await context.objects.grant({ tenant, family: place.family, job, attempt, session: row.session }, files)
  context.send({ type: 'granted', re, answer: { ok: true, puts } })
}

const schema = async (context: LinkContext, row: SessionRow, message: z.infer<typeof SchemaRequest>): Promise<void> => {
  const { re, tenant, job, attempt, columns } = message
  const refuse = (code: string, detail: string): boolean => context.send({ type: 'schema', re, answer: { ok: false, code, detail } })
  const ledger = context.ledger(tenant)
  if (!servesTenant(row, tenant) || !(await ledger.holds(row.session, job, attempt))) {
    refuse('fenced', `attempt ${attempt} of job ${job} is not current in this session`)
    return
  }
  const place = await ledger.place(job)
  if (!place) {
    refuse('fenced', `job ${job} is not here`)
    return
  }
  const task = first<{ partition_by: string | null }>(context.store, 'SELECT partition_by FROM tasks WHERE name = ?', place.task)
  const partition_by = task?.partition_by == null ? null : (JSON.parse(task.partition_by) as string[])
  const outcome = await context.table(tenant, place.family).ensureSchema({ tenant, family: place.family, columns, partition_by })
  context.send({ type: 'schema', re, answer: outcome })
}

const packed = async (context: LinkContext, row: SessionRow, message: z.infer<typeof Packed>): Promise<void> => {
  const { re, tenant, job, attempt, bytes, sha256, upload } = message
  const ledger = context.ledger(tenant)
  let outcome = answered('fenced')
  if (servesTenant(row, tenant) && (await ledger.mayPack(holderOf(row), job, attempt))) {
    const wrong = await context.objects.verifyPack({ tenant, job }, { bytes, sha256 }, upload)
    if (wrong !== null) outcome = answered('refused', wrong)
    else if (await ledger.packed(holderOf(row), job, attempt, { bytes, sha256 })) outcome = answered('ok')
    else outcome = answered('refused', 'the pack is recorded already')
    // Said once more, because the answer was lost.
  } else if (servesTenant(row, tenant) && (await ledger.hasPack(holderOf(row), job, attempt, { bytes, sha256 }))) outcome = answered('ok')
  context.send({ type: 'ack', re, items: [{ tenant, job, attempt, ...outcome }], offers: [] })
}

const simple = async (
  context: LinkContext,
  row: SessionRow,
  message: {
    re: number
    items: (z.infer<typeof Accept>['items'][number] | z.infer<typeof Return>['items'][number] | z.infer<typeof Start>['items'][number])[]
  },
  ask: (tenant: TenantId, items: never[]) => Promise<LeaseVerdict[]>,
): Promise<void> => {
  const items = await perTenant(row, message.items, async (tenant, group) =>
    (await ask(tenant, group as never[])).map((verdict) => answered(verdict)),
  )
  context.send({ type: 'ack', re: message.re, items, offers: [] })
}

const cancelled = async (context: LinkContext, row: SessionRow, message: z.infer<typeof Cancelled>): Promise<void> => {
  const { re, tenant, job, attempt, outcome, reason } = message
  const verdict = servesTenant(row, tenant)
    ? answered(await context.ledger(tenant).cancelAnswered(holderOf(row), { job, attempt, outcome, reason }))
    : answered('refused', 'this node does not serve the tenant')
  context.send({ type: 'ack', re, items: [{ tenant, job, attempt, ...verdict }], offers: [] })
}

const progress = async (context: LinkContext, row: SessionRow, message: z.infer<typeof ProgressReport>): Promise<void> => {
  if (servesTenant(row, message.tenant)) await context.ledger(message.tenant).progress(holderOf(row), message)
}

export interface Conversation {
  bounds: NodeBounds
  /** Whether the next announce message begins a new list. */
  part: { first: boolean }
}

/** One message of the node. `sliced` and texts that are no message are handled by the caller. */
export const receive = async (
  context: LinkContext,
  memory: LinkMemory,
  conversation: Conversation,
  message: Exclude<FromNode, { type: 'sliced' }>,
): Promise<void> => {
  if (message.type === 'hello') {
    conversation.part.first = true
    await hello(context, memory, conversation.bounds, message)
    return
  }
  const row = currentSession(context)
  if (!row?.connected) {
    context.hangUp('hello_first', 'the first message of a connection is hello', true)
    return
  }
  switch (message.type) {
    case 'announce':
      return announce(context, memory, conversation.bounds, row, message, conversation.part)
    case 'want':
      return want(context, memory, row, message.want, message.idle ?? message.want)
    case 'accept':
      return simple(context, row, message, async (tenant, items) => {
        const verdicts = await context.ledger(tenant).accept(holderOf(row), items)
        // Once more: a renewal that was on its way when the offer came has perhaps forgotten the ledger, and then nobody
        // would renew this lease.
        if (verdicts.includes('ok')) rememberLedger(context, tenant)
        return verdicts
      })
    case 'start':
      return simple(context, row, message, (tenant, items) => context.ledger(tenant).start(holderOf(row), items))
    case 'return':
      return simple(context, row, message, (tenant, items) => context.ledger(tenant).handBack(holderOf(row), items))
    case 'complete':
      return complete(context, memory, row, message)
    case 'fail':
      return finish(context, memory, row, message, message.items, async (tenant, leases, ride) => {
        const items = leases.flatMap(({ job, attempt }) =>
          message.items.filter((item) => item.tenant === tenant && item.job === job && item.attempt === attempt),
        )
        const { verdicts, next } = await context.ledger(tenant).fail(holderOf(row), items, ride)
        return { outcomes: verdicts.map((verdict) => answered(verdict)), next }
      })
    case 'schema':
      return schema(context, row, message)
    case 'progress':
      return progress(context, row, message)
    case 'grant':
      return grant(context, row, message)
    case 'packed':
      return packed(context, row, message)
    case 'cancelled':
      return cancelled(context, row, message)
    case 'drain':
      memory.words++
      memory.free = 0
      memory.idle = 0
      memory.joined = false
      memory.ride = false
      await context.pool(row.pool).leave(row.node, row.session)
      context.send({ type: 'ack', re: message.re, items: [], offers: [] })
      return
  }
}

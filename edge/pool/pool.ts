import type { NodeId, QueueName, SessionId, TenantId } from '../contract/ids.ts'
import { first, type Store } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import { choose, type LaneState, type NodeState } from './choose.ts'

/** What the pool wants done outside. Losing one is harmless: lanes stay ready, nodes report their slots again. */
export type PoolEffect =
  /** Ask the node's link to fetch up to `count` offers of a lane, known by announcement `seq`. */
  {
    kind: 'dispatch'
    node: NodeId
    session: SessionId
    tenant: TenantId
    queue: QueueName
    seq: number
    count: number
    ride: boolean
  }

export interface PoolContext {
  store: Store
  now(): number
  emit(effect: PoolEffect): void
  /** (lane, node) pairs that had nothing for each other lately: in memory, a hint against asking in circles. */
  unsuitable: Map<string, number>
}

/** A lane that had nothing this node can run is not asked for it again for this long, unless it is announced anew. */
export const UNSUITABLE_MS = 2_000

interface LaneRow {
  tenant: TenantId
  queue: QueueName
  seq: number
  ready: number
  since: number
}
interface NodeRow {
  node: NodeId
  session: SessionId
  free: number
  queues: string | null
  tenants: string
}

const pair = (tenant: string, queue: string, node: string): string => `${tenant} ${queue} ${node}`

/** A ledger has waiting jobs in a lane. Acknowledged by returning; an older announcement than the known one changes nothing. */
export const ready = (context: PoolContext, lane: { tenant: TenantId; queue: QueueName; seq: number }): void => {
  const known = first<LaneRow>(context.store, 'SELECT * FROM lanes WHERE tenant = ? AND queue = ?', lane.tenant, lane.queue)
  if (known && known.seq > lane.seq) return
  if (known?.ready && known.seq === lane.seq) {
    match(context)
    return
  }
  // `drained` of this very number overtook its `ready`: the lane is empty already.
  if (known && known.seq === lane.seq) return
  context.store.run(
    `INSERT INTO lanes (tenant, queue, seq, ready, since) VALUES (?, ?, ?, 1, ?)
     ON CONFLICT (tenant, queue) DO UPDATE SET seq = excluded.seq, ready = 1, since = excluded.since`,
    lane.tenant,
    lane.queue,
    lane.seq,
    context.now(),
  )
  forgetUnsuitable(context, lane.tenant, lane.queue)
  catchUp(context, lane.tenant)
  match(context)
}

const forgetUnsuitable = (context: PoolContext, tenant: string, queue: string): void => {
  for (const key of context.unsuitable.keys()) if (key.startsWith(`${tenant} ${queue} `)) context.unsuitable.delete(key)
}

/**
 * A tenant that was away does not come back with a claim on the past: it starts at the least share of those that wait.
 * Where nobody waits it starts at the greatest, for what a tenant was given while it was alone took nothing from others.
 */
const catchUp = (context: PoolContext, tenant: TenantId): void => {
  const least =
    first<{ used: number | null }>(
      context.store,
      'SELECT min(s.used) AS used FROM shares s WHERE s.tenant <> ? AND EXISTS (SELECT 1 FROM lanes l WHERE l.tenant = s.tenant AND l.ready = 1)',
      tenant,
    )?.used ?? first<{ used: number | null }>(context.store, 'SELECT max(used) AS used FROM shares')?.used
  context.store.run(
    'INSERT INTO shares (tenant, used) VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET used = max(used, excluded.used)',
    tenant,
    least ?? 0,
  )
}

export interface LinkReport {
  node: NodeId
  session: SessionId
  /** How many more offers the node can hold now. */
  free: number
  /** Lanes that turned out empty, with the number of the announcement they were empty at. */
  drained: { tenant: TenantId; queue: QueueName; seq: number }[]
  /** Lanes that have jobs, but none that this node can run: seen at announcement `seq`. */
  unsuitable: { tenant: TenantId; queue: QueueName; seq?: number | undefined }[]
  /** Slots that were given and found no job: not held against the tenant. */
  unused?: { tenant: TenantId; count: number }[]
}

/** A link says what its node can take and what became of the lanes it asked. A report of an old session changes no slots. */
export const report = (context: PoolContext, message: LinkReport): void => {
  for (const { tenant, queue, seq } of message.drained)
    context.store.run(
      `INSERT INTO lanes (tenant, queue, seq, ready, since) VALUES (?, ?, ?, 0, ?)
       ON CONFLICT (tenant, queue) DO UPDATE SET seq = excluded.seq, ready = 0 WHERE lanes.seq <= excluded.seq`,
      tenant,
      queue,
      seq,
      context.now(),
    )
  // A lane that was announced anew meanwhile has a job that the link has not seen.
  const stale = ({ tenant, queue, seq }: LinkReport['unsuitable'][number]): boolean =>
    seq !== undefined &&
    first(context.store, 'SELECT seq FROM lanes WHERE tenant = ? AND queue = ? AND seq > ?', tenant, queue, seq) !== undefined
  pause(
    context,
    message.node,
    message.unsuitable.filter((lane) => !stale(lane)),
  )
  for (const { tenant, count } of message.unused ?? []) giveBack(context, tenant, count)
  context.store.run('UPDATE nodes SET free = ? WHERE node = ? AND session = ?', message.free, message.node, message.session)
  match(context)
}

/** A node is connected, or says anew what it listens to. */
export const join = (
  context: PoolContext,
  node: { node: NodeId; session: SessionId; free: number; queues: QueueName[] | null; tenants: string[] },
): void => {
  context.store.run(
    `INSERT INTO nodes (node, session, free, queues, tenants) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (node) DO UPDATE SET session = excluded.session, free = excluded.free, queues = excluded.queues, tenants = excluded.tenants`,
    node.node,
    node.session,
    node.free,
    node.queues ? JSON.stringify(node.queues) : null,
    JSON.stringify(node.tenants),
  )
  for (const key of context.unsuitable.keys()) if (key.endsWith(` ${node.node}`)) context.unsuitable.delete(key)
  match(context)
}

export const leave = (context: PoolContext, node: NodeId, session: SessionId): void => {
  context.store.run('DELETE FROM nodes WHERE node = ? AND session = ?', node, session)
}

const readLanes = (context: PoolContext): LaneState[] =>
  context.store
    .all<LaneRow & { used: number | null }>(
      'SELECT l.tenant, l.queue, l.seq, l.since, s.used FROM lanes l LEFT JOIN shares s ON s.tenant = l.tenant WHERE l.ready = 1',
    )
    .map(({ tenant, queue, seq, since, used }) => ({ tenant, queue, seq, since, used: used ?? 0, weight: 1 }))

const readNodes = (context: PoolContext): NodeState[] =>
  context.store.all<NodeRow>('SELECT * FROM nodes WHERE free > 0').map(({ node, session, free, queues, tenants }) => ({
    node,
    session,
    free,
    queues: queues === null ? null : (JSON.parse(queues) as QueueName[]),
    tenants: JSON.parse(tenants) as string[],
  }))

/** Gives free slots to ready lanes in fair order. What was given is taken off the node's slots at once; its link's next report corrects it. */
export const match = (context: PoolContext): void => {
  const lanes = readLanes(context)
  if (lanes.length === 0) return
  const nodes = readNodes(context)
  if (nodes.length === 0) return
  const now = context.now()
  const fits = (lane: LaneState, node: NodeState): boolean => (context.unsuitable.get(pair(lane.tenant, lane.queue, node.node)) ?? 0) <= now
  const { given, used } = choose(lanes, nodes, fits)
  // Offers may ride on a completion's answer only while one lane waits alone: else each slot is chosen anew, or fairness is lost.
  const ride = lanes.length === 1
  for (const { node, session, tenant, queue, seq, count } of given) {
    context.store.run('UPDATE nodes SET free = free - ? WHERE node = ?', count, node)
    context.emit({ kind: 'dispatch', node, session, tenant, queue, seq, count, ride })
  }
  for (const [tenant, share] of used)
    context.store.run(
      'INSERT INTO shares (tenant, used) VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET used = excluded.used',
      tenant,
      share,
    )
}

/**
 * The link did not answer. Whether the dispatch has worked is not known, so its slots are given back: a number that is too
 * high is corrected by the link's next report, one that is too low by nobody until the link joins again. The pair pauses,
 * so that a link that is gone is not asked in circles.
 */
export const unreachable = (context: PoolContext, { node, session, tenant, queue, count }: PoolEffect): void => {
  context.store.run('UPDATE nodes SET free = free + ? WHERE node = ? AND session = ?', count, node, session)
  giveBack(context, tenant, count)
  pause(context, node, [{ tenant, queue }])
  match(context)
}

/** Takes back what a tenant was charged for slots that brought it nothing. */
const giveBack = (context: PoolContext, tenant: TenantId, count: number): void => {
  if (count > 0) context.store.run('UPDATE shares SET used = max(0, used - ?) WHERE tenant = ?', count, tenant)
}

/** These lanes are not tried on this node for a while. */
const pause = (context: PoolContext, node: NodeId, lanes: { tenant: TenantId; queue: QueueName }[]): void => {
  if (lanes.length === 0) return
  const until = context.now() + UNSUITABLE_MS
  for (const { tenant, queue } of lanes) context.unsuitable.set(pair(tenant, queue, node), until)
  setTimer(context.store, 'match', '', until)
}

/** Pauses of unsuitable pairs are over. */
export const fireTimers = (context: PoolContext): void => {
  clearTimer(context.store, 'match', '')
  const now = context.now()
  for (const [key, until] of context.unsuitable) if (until <= now) context.unsuitable.delete(key)
  match(context)
}

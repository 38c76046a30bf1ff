import type { NodeId, PoolName, SessionId, TaskName, TenantId } from '../contract/ids.ts'
import { PoolName as Pool } from '../contract/ids.ts'
import { AnnouncedTask, type TaskInfo } from '../contract/tasks.ts'
import { matchesAny } from '../identity/patterns.ts'
import { first, type Store } from '../storage/store.ts'
import { nodeRow, SERVES } from './nodes.ts'
import { noteSchedules } from './schedules.ts'

/** More tasks than this of one node are refused. */
export const MAX_TASKS_PER_NODE = 5_000
/** A larger description is refused: a row of a Durable Object ends at 2 MB (platform limit). */
export const MAX_TASK_BYTES = 1_500_000

/** What a node told about its tasks, with the bounds of its token, which its Link knows. */
export interface Announcement {
  node: NodeId
  session: SessionId
  pool: PoolName
  tenants: string[]
  /** The token's task patterns. Without them nothing is accepted. */
  patterns: string[]
  tasks: AnnouncedTask[]
  /** The list comes in parts: the first begins it anew, with the last one it is complete. */
  first: boolean
  last: boolean
}

export interface Announced {
  accepted: number
  refused: { task: string; code: string; detail: string }[]
}

export type CataloguedTask = TaskInfo & { sql: string }

/**
 * Takes (a part of) a node's list of tasks. With the last part, tasks that this node no longer has are forgotten; those
 * of a node that is gone stay. Idempotent: the same list again changes nothing.
 */
export const announce = (store: Store, now: number, announcement: Announcement): Announced =>
  store.transaction(() => {
    const known = nodeRow(store, announcement.node)
    // A late message of a session that another one replaced must not bring its tasks back.
    if (known && known.online === 1 && known.session !== announcement.session)
      return refuseAll(announcement.tasks, 'fenced', 'another session of this node is connected')
    const generation = (known?.generation ?? 0) + (announcement.first ? 1 : 0)
    store.run(
      `INSERT INTO nodes (node, session, pool, tenants, slots, engines, labels, online, generation, last_seen_at) VALUES (?, ?, ?, ?, 0, '[]', '{}', 1, ?, ?)
       ON CONFLICT (node) DO UPDATE SET session = excluded.session, pool = excluded.pool, tenants = excluded.tenants, online = 1,
         generation = excluded.generation, last_seen_at = excluded.last_seen_at`,
      announcement.node,
      announcement.session,
      announcement.pool,
      JSON.stringify(announcement.tenants),
      generation,
      now,
    )
    const refused: Announced['refused'] = []
    let room = MAX_TASKS_PER_NODE - count(store, announcement.node, generation)
    for (const task of announcement.tasks) {
      const fault = faultOf(task, announcement, room)
      if (fault) refused.push({ task: task.name, ...fault })
      else {
        enter(store, now, announcement.node, task, generation)
        room -= 1
      }
    }
    if (announcement.last) {
      store.run('DELETE FROM announcements WHERE node = ? AND generation < ?', announcement.node, generation)
      store.run('DELETE FROM definitions WHERE NOT EXISTS (SELECT 1 FROM announcements WHERE definition = definitions.id)')
      noteSchedules(store, now, announcement.tenants)
    }
    return { accepted: announcement.tasks.length - refused.length, refused }
  })

const refuseAll = (tasks: readonly AnnouncedTask[], code: string, detail: string): Announced => ({
  accepted: 0,
  refused: tasks.map((task) => ({ task: task.name, code, detail })),
})

const faultOf = (task: AnnouncedTask, { patterns, tenants }: Announcement, room: number): { code: string; detail: string } | null => {
  if (!matchesAny(patterns, task.name))
    return { code: 'insufficient_scope', detail: `the node's token allows only tasks that match ${patterns.join(', ') || '(none)'}` }
  if (tenants.length === 0) return { code: 'insufficient_scope', detail: "the node's token names no tenant" }
  const bytes = new TextEncoder().encode(JSON.stringify(task)).byteLength
  if (bytes > MAX_TASK_BYTES)
    return { code: 'too_large', detail: `statement and columns have ${bytes} bytes as JSON, at most ${MAX_TASK_BYTES} are kept` }
  if (room <= 0) return { code: 'too_many_tasks', detail: `a node announces at most ${MAX_TASKS_PER_NODE} tasks` }
  return null
}

const count = (store: Store, node: NodeId, generation: number): number =>
  first<{ n: number }>(store, 'SELECT count(*) AS n FROM announcements WHERE node = ? AND generation = ?', node, generation)?.n ?? 0

const enter = (store: Store, now: number, node: NodeId, task: AnnouncedTask, generation: number): void => {
  const body = JSON.stringify(task)
  const same = first<{ id: number }>(
    store,
    'SELECT id FROM definitions WHERE name = ? AND hash = ? AND body = ?',
    task.name,
    task.hash,
    body,
  )
  const id =
    same?.id ??
    first<{ id: number }>(store, 'INSERT INTO definitions (name, hash, body) VALUES (?, ?, ?) RETURNING id', task.name, task.hash, body)
      ?.id ??
    0
  const before = first<{ hash: string; since: number }>(
    store,
    'SELECT d.hash, a.since FROM announcements a JOIN definitions d ON d.id = a.definition WHERE a.node = ? AND a.name = ?',
    node,
    task.name,
  )
  store.run(
    `INSERT INTO announcements (node, name, definition, since, generation) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (node, name) DO UPDATE SET definition = excluded.definition, since = excluded.since, generation = excluded.generation`,
    node,
    task.name,
    id,
    before?.hash === task.hash ? before.since : now,
    generation,
  )
}

interface Entry {
  name: string
  definition: number
  hash: string
  since: number
  node: string
  pool: string
  online: number
  last_seen_at: number
}

const ENTRIES = `SELECT a.name, a.definition, d.hash, a.since, a.node, n.pool, n.online, n.last_seen_at
  FROM announcements a JOIN nodes n ON n.node = a.node JOIN definitions d ON d.id = a.definition WHERE ${SERVES}`

/** The tenant's catalogue, by name: what nodes announced that serve this tenant, and nothing of others (I6). */
export const tasks = (store: Store, tenant: TenantId): CataloguedTask[] => {
  const byName = new Map<string, Entry[]>()
  for (const entry of store.all<Entry>(`${ENTRIES} ORDER BY a.name, a.node`, tenant)) {
    const entries = byName.get(entry.name)
    if (entries) entries.push(entry)
    else byName.set(entry.name, [entry])
  }
  return [...byName.values()].map((entries) => describe(store, entries)).filter((task) => task !== null)
}

export const task = (store: Store, tenant: TenantId, name: TaskName): CataloguedTask | null => {
  const entries = store.all<Entry>(`${ENTRIES} AND a.name = ? ORDER BY a.node`, tenant, name)
  return describe(store, entries)
}

/** The pools whose connected nodes have each task in the definition that counts; none where no node has it now. */
export const poolsOf = (store: Store, tenant: TenantId, names: readonly string[]): PoolName[][] =>
  names.map((name) => {
    const found = task(store, tenant, name as TaskName)
    return found?.available ? found.pools : []
  })

/** One task out of what several nodes say about it: a connected node's word before that of one that is gone, then the newest. */
const describe = (store: Store, entries: readonly Entry[]): CataloguedTask | null => {
  const online = entries.filter((entry) => entry.online === 1)
  const candidates = online.length > 0 ? online : entries
  const winner = candidates.reduce<Entry | null>((best, entry) => (best && best.since >= entry.since ? best : entry), null)
  if (!winner) return null
  const stored = first<{ body: string }>(store, 'SELECT body FROM definitions WHERE id = ?', winner.definition)
  if (!stored) return null
  const announced = AnnouncedTask.parse(JSON.parse(stored.body))
  const pools = new Set(candidates.filter((entry) => entry.hash === winner.hash).map((entry) => entry.pool))
  const conflicting = candidates.filter((entry) => entry.hash !== winner.hash).length
  return {
    ...announced,
    pools: [...pools].sort().map((pool) => Pool.parse(pool)),
    available: online.length > 0,
    notice: notice(announced, online.length > 0, conflicting),
    last_seen_at: new Date(Math.max(...entries.map((entry) => entry.last_seen_at))).toISOString(),
  }
}

const notice = (announced: AnnouncedTask, available: boolean, conflicting: number): string | null => {
  if (!available) return 'No node that has this task is connected: jobs are taken and wait.'
  if (conflicting > 0)
    return `${conflicting} other ${conflicting === 1 ? 'node announces' : 'nodes announce'} a different definition under this name: the newest one is used.`
  if (announced.error !== null) return `The task could not be described: ${announced.error.slice(0, 500)}`
  return null
}

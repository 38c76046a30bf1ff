import { clearTimer, setTimer, setTimerBy } from '../../storage/timers.ts'
import type { LedgerContext } from '../context.ts'
import { GROUP_DAYS, MAX_GROUP_BYTES, MAX_KEPT_GROUPS } from '../limits.ts'

/** What one event takes, about. */
const EVENT_BYTES = 250
const AT_ONCE = 100
const HOUR_MS = 3_600_000
const KEEP_MS = GROUP_DAYS * 24 * HOUR_MS

/** A group has ended: whether older ones are to be forgotten is looked at within the hour. */
export const expectForgetting = (context: LedgerContext): void => setTimerBy(context.store, 'groups', '', context.now() + HOUR_MS)

/** Forgets ended groups, the oldest first, beyond the days, the number and the bytes that are kept. Their jobs have a retention of their own. */
export const forgetGroups = (context: LedgerContext): void => {
  const { store } = context
  const [all = { count: 0, bytes: 0 }] = store.all<{ count: number; bytes: number }>(
    `SELECT count(*) AS count, coalesce(sum(bytes + seq * ${EVENT_BYTES}), 0) AS bytes FROM groups WHERE finished_at IS NOT NULL`,
  )
  const oldest = store.all<{ id: string; at: number; bytes: number }>(
    `SELECT id, finished_at AS at, bytes + seq * ${EVENT_BYTES} AS bytes FROM groups WHERE finished_at IS NOT NULL ORDER BY finished_at, id LIMIT ?`,
    AT_ONCE + 1,
  )
  let { count, bytes } = all
  for (const group of oldest) {
    if (count <= MAX_KEPT_GROUPS && bytes <= MAX_GROUP_BYTES && group.at + KEEP_MS > context.now()) {
      setTimer(store, 'groups', '', group.at + KEEP_MS)
      return
    }
    for (const [table, column] of [
      ['steps', 'grp'],
      ['group_events', 'grp'],
      ['groups', 'id'],
    ] as const)
      store.run(`DELETE FROM ${table} WHERE ${column} = ?`, group.id)
    count -= 1
    bytes -= group.bytes
  }
  if (count === 0) clearTimer(store, 'groups', '')
  else setTimer(store, 'groups', '', context.now() + 1_000)
}

import { clearTimer, dueTimers, setTimer } from '../storage/timers.ts'
import { cancelOverdue } from './cancel.ts'
import { settleFollowers } from './coalesce.ts'
import { commit, type LedgerContext, moveOneTimer } from './context.ts'
import { expireJob } from './expire.ts'
import { approvalDue, groupDue } from './groups/persons.ts'
import { forgetGroups } from './groups/retention.ts'
import { carryDue } from './groups/sync.ts'
import { repeatLane } from './lanes.ts'
import { noteLateness } from './lateness.ts'
import { becomeDue, endSession, lapseOffers } from './leases.ts'
import {
  AWAY_SECONDS,
  CROWD_PER_TURN,
  HOUSEKEEPING_SECONDS,
  KEY_SECONDS,
  KEYS_PER_FIRING,
  REPEAT_LAST_MS,
  SCHEDULES_PER_ALARM,
  SESSION_SECONDS,
  TIMERS_PER_ALARM,
} from './limits.ts'
import { overdueFamilies } from './publication.ts'
import { expireResult } from './retention.ts'
import { type CurrentTasks, scheduleDue } from './scheduled.ts'
import { goOnTelling } from './sharers.ts'

/** `lane` an unacknowledged announcement; `offers` the oldest open offer; `due` a back-off or an `eta`; `session` a silent node;
 *  `cancel` a node that owes an answer; `outbox` results not handed over; `keys` old idempotency keys; `purge` objects to delete;
 *  `expire` the end of a job's `ttl`; `schedule` a schedule's next run; `group` a group's deadline; `approval` a decision's;
 *  `carry` values of a first row that are to be read from object storage; `housekeeping` jobs that are to move, old events;
 *  `groups` ended groups to forget; `followers` jobs that are to end with the one they joined; `retain` the end of a
 *  result's time; `tell` jobs that are to hear what became of the result that they share. */
export const LEDGER_TIMERS = [
  'lane',
  'offers',
  'due',
  'session',
  'cancel',
  'outbox',
  'keys',
  'purge',
  'expire',
  'schedule',
  'group',
  'approval',
  'carry',
  'housekeeping',
  'groups',
  'followers',
  'tell',
  'retain',
] as const
export type LedgerTimer = (typeof LEDGER_TIMERS)[number]

/** A session's silence counts only while this ledger was there to hear of it: after a fail-over the node gets its time anew. */
const sessionSilent = (context: LedgerContext, session: string, due: number): void => {
  const now = context.now()
  if (now - due > AWAY_SECONDS * 1000) setTimer(context.store, 'session', session, now + SESSION_SECONDS * 1000)
  else endSession(context, session, `The node was not heard of for ${SESSION_SECONDS} s.`)
}

/** Timers of crowds: of all that are due together no more jobs are dealt with in one transaction than of one. */
const CROWDS = {
  followers: (context: LedgerContext, ref: string, most: number): number => {
    clearTimer(context.store, 'followers', ref)
    return settleFollowers(context, ref, most)
  },
  tell: goOnTelling,
  // The result expires in any case; who shares it hears of it by `tell`.
  retain: expireResult,
}

const FIRE: Record<
  Exclude<LedgerTimer, keyof typeof CROWDS>,
  (context: LedgerContext, ref: string, due: number, current: CurrentTasks) => void
> = {
  lane: repeatLane,
  offers: (context) => lapseOffers(context),
  due: becomeDue,
  session: sessionSilent,
  expire: expireJob,
  schedule: (context, ref, _due, current) => scheduleDue(context, ref, current),
  cancel: cancelOverdue,
  outbox: (context) => {
    for (const family of overdueFamilies(context)) context.emit({ kind: 'outbox', family })
  },
  keys: (context) => {
    const now = context.now()
    context.store.run(
      'DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE at <= ? ORDER BY at LIMIT ?)',
      now - KEY_SECONDS * 1000,
      KEYS_PER_FIRING,
    )
    const oldest = context.store.all<{ at: number | null }>('SELECT min(at) AS at FROM keys')[0]?.at ?? null
    const due = oldest === null ? null : oldest + KEY_SECONDS * 1000
    // They go by the minute, and not each by an alarm of its own; an old one counts no more in any case.
    moveOneTimer(context, 'keys', due === null ? null : due <= now ? now : Math.max(now + 60_000, due))
  },
  housekeeping: (context) => {
    // Moved or cleared by whoever has done a step; until then it comes back.
    moveOneTimer(context, 'housekeeping', context.now() + HOUSEKEEPING_SECONDS * 1000)
    context.emit({ kind: 'housekeeping' })
  },
  purge: (context, ref) => {
    // Cleared by whoever purged; until then it comes back.
    setTimer(context.store, 'purge', ref, context.now() + REPEAT_LAST_MS)
    context.emit({ kind: 'purge', job: ref as never })
  },
  group: groupDue,
  approval: approvalDue,
  carry: carryDue,
  groups: forgetGroups,
}

type DueTimer = ReturnType<typeof dueTimers<LedgerTimer>>[number]

const fire = (context: LedgerContext, due: readonly DueTimer[], current: CurrentTasks): void =>
  commit(context, (inner) => {
    let crowd = 0
    for (const { kind, ref, due: at } of due) {
      if (kind !== 'followers' && kind !== 'tell' && kind !== 'retain') FIRE[kind](inner, ref, at, current)
      // What is left out is due at once again.
      else if (crowd < CROWD_PER_TURN) crowd += CROWDS[kind](inner, ref, CROWD_PER_TURN - crowd)
    }
    noteLateness(inner, due)
  })

/**
 * Handles what is due, bounded and in one transaction. Harmless when called too often. `current`: tasks of schedules that are
 * due. A timer that cannot be handled is put off, and holds up none of the others.
 */
export const fireTimers = (context: LedgerContext, current: CurrentTasks = new Map()): void => {
  let schedules = 0
  // What is left is due still, and rings again at once.
  const due = dueTimers<LedgerTimer>(context.store, context.now(), TIMERS_PER_ALARM).filter(
    ({ kind }) => kind !== 'schedule' || ++schedules <= SCHEDULES_PER_ALARM,
  )
  if (due.length === 0) return
  try {
    fire(context, due, current)
  } catch (failed) {
    console.warn(`timers of ${context.tenant} failed together, and fire one by one: ${String(failed)}`)
    for (const timer of due) {
      try {
        fire(context, [timer], current)
      } catch (reason) {
        console.error(`the timer ${timer.kind} ${timer.ref} of ${context.tenant} failed; it is tried again: ${String(reason)}`)
        commit(context, (inner) => setTimer(inner.store, timer.kind, timer.ref, inner.now() + REPEAT_LAST_MS))
      }
    }
  }
}

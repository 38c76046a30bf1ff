import type { LedgerContext } from './context.ts'
import { settleGroups } from './groups/advance.ts'
import { releaseRun } from './scheduled.ts'

/** The last thing in every transaction: groups follow their jobs, and a schedule's next run the one that has ended. */
export const settle = (context: LedgerContext): void => {
  const { schedules } = context.memory
  settleGroups(context)
  for (const schedule of schedules) releaseRun(context, schedule)
  schedules.clear()
}

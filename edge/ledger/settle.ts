import { leads, settleFollowers } from './coalesce.ts'
import type { LedgerContext } from './context.ts'
import { settleGroups } from './groups/advance.ts'
import { findJob } from './jobs.ts'
import { settleQueues } from './queues.ts'
import { retain } from './retention.ts'
import { releaseRun } from './scheduled.ts'

/**
 * The last thing in every transaction, for the jobs that it has ended: those that joined them end too, results get their
 * term, groups go on, and a schedule's next run begins. One end may bring others about, so it goes round until nothing moves.
 * Then lanes open that were full.
 */
export const settle = (context: LedgerContext): void => {
  const { ended, touched, schedules } = context.memory
  do {
    settleEnded(context)
    settleGroups(context)
    for (const schedule of schedules) {
      schedules.delete(schedule)
      releaseRun(context, schedule)
    }
  } while (ended.size + touched.size + schedules.size > 0)
  settleQueues(context)
}

const settleEnded = (context: LedgerContext): void => {
  const { ended } = context.memory
  for (const id of ended) {
    ended.delete(id)
    if (leads(context, id)) settleFollowers(context, id)
    const row = findJob(context, id)
    if (row?.state === 'succeeded' && row.retention_seconds !== null) retain(context, row)
  }
}

import type { LedgerContext } from './context.ts'

/**
 * Slots that this tenant's running jobs take, by node. Others' jobs on a shared node are not its business (I6). Looks only
 * at jobs that a node holds, which are as many as there are slots and offers.
 */
export const busySlots = ({ store }: Pick<LedgerContext, 'store'>): Record<string, number> =>
  Object.fromEntries(
    store
      .all<{ node: string; slots: number }>(
        // The first condition is that of the index, word for word: else SQLite would read every job.
        `SELECT node, sum(weight) AS slots FROM jobs WHERE state IN ('offered', 'leased', 'running', 'carrying')
         AND state IN ('running', 'carrying') AND node IS NOT NULL GROUP BY node`,
      )
      .map(({ node, slots }) => [node, slots]),
  )

import type { LedgerContext } from '../context.ts'
import type { JobRow } from '../jobs.ts'
import { viewOf } from './advance.ts'
import { seenBy } from './decide.ts'
import { findStep } from './rows.ts'

/** What a step's job waits for: of the parents that have not ended for it the jobs, and the names of those that a person decides. */
export const awaitedBy = (context: LedgerContext, { grp, step, state }: Pick<JobRow, 'grp' | 'step' | 'state'>): string[] => {
  const own = state !== 'blocked' || grp === null || step === null ? undefined : findStep(context, grp, step)
  if (!own) return []
  return own.plan.needs.flatMap((need) => {
    const parent = findStep(context, own.row.grp, need)
    return parent && seenBy(viewOf(own), viewOf(parent)) === null ? [parent.row.job ?? need] : []
  })
}

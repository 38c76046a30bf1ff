import type { Group } from '../../contract/groups.ts'
import type { Fault } from '../../contract/problems.ts'
import type { ArchivedResult } from '../archive.ts'
import type { LedgerContext } from '../context.ts'
import { advance } from './advance.ts'
import { cancelGroup, type Decision, decideStep, lookUpGroup, removeGroup, type Verdict } from './persons.ts'
import { findGroup, stepsOf } from './rows.ts'
import { showGroup } from './show.ts'
import { bodyOf, type GroupSubmission, type GroupSubmitted, submitGroup } from './submit.ts'
import { awaitsCarrying, carryArchived, firstRowOf } from './sync.ts'

/** What is asked of one group. */
export type GroupDeed = { do: 'show' | 'cancel' | 'remove' } | { do: 'decide'; step: string; decision: Decision; subject: string }
export type GroupAnswer = { ok: true; group: Group } | ({ ok: false } & Fault)

export interface Desk {
  context: LedgerContext
  commit: <T>(body: (context: LedgerContext) => T) => T
}

/** … and waits for the end of a job or a group, for a time at most. */
export interface WaitingDesk extends Desk {
  untilEnded: (id: string, wait_ms: number) => Promise<void>
}

const missing = (found: 'no' | 'gone', id: string): { ok: false } & Fault =>
  found === 'gone'
    ? { ok: false, code: 'gone', detail: `The group ${id} was deleted.` }
    : { ok: false, code: 'not_found', detail: `There is no group "${id}".` }

/** Takes a group. `live` is the number of jobs that have not ended; `made` is told of new ones before any of them ends. */
export const takeGroup = ({ commit }: Desk, wanted: GroupSubmission, live: number, made: (jobs: number) => void): GroupAnswer =>
  commit((context) => {
    const submitted: GroupSubmitted = submitGroup(context, wanted, live)
    if (!submitted.ok) return submitted
    made(submitted.jobs)
    const row = findGroup(context, submitted.id)
    return row ? { ok: true, group: showGroup(context, row) } : missing('no', submitted.id)
  })

/** Does one deed and shows what became of the group. */
export const askGroup = ({ context, commit }: Desk, id: string, deed: GroupDeed): GroupAnswer => {
  const found = lookUpGroup(context, id)
  if (found.found !== 'yes') return missing(found.found, id)
  const { row } = found
  const shown = showGroup(context, row)
  if (deed.do === 'show') return { ok: true, group: shown }
  const verdict = commit((inner): Verdict => {
    if (deed.do === 'decide') return decideStep(inner, row, deed.step, deed.decision, deed.subject)
    return deed.do === 'cancel' ? cancelGroup(inner, row) : removeGroup(inner, row)
  })
  if (!verdict.ok) return verdict
  const after = findGroup(context, id)
  // A removed group is shown as it was.
  return { ok: true, group: deed.do === 'remove' || !after ? shown : showGroup(context, after) }
}

/** The group when it has ended, or as it is after the time. */
export const groupEnded = async (desk: WaitingDesk, answer: GroupAnswer, wait_ms: number): Promise<GroupAnswer> => {
  if (!answer.ok || wait_ms <= 0 || answer.group.finished_at !== null) return answer
  await desk.untilEnded(answer.group.id, wait_ms)
  return askGroup(desk, answer.group.id, { do: 'show' })
}

/** A group's body as it was sent, for whoever wants to run it again. */
export const groupBody = (context: LedgerContext, id: string): { ok: true; body: string } | ({ ok: false } & Fault) => {
  const found = lookUpGroup(context, id)
  return found.found === 'yes' ? { ok: true, body: JSON.stringify(bodyOf(found.row, stepsOf(context, id))) } : missing(found.found, id)
}

/** Reads the values of a first row that other steps take, where the result has moved to object storage, and lets the group go on. */
export const fetchCarried = async ({ context, commit }: Desk, bucket: R2Bucket, group: string, step: string): Promise<void> => {
  const wanted = awaitsCarrying(context, group, step)
  const object = wanted?.archived == null ? null : await bucket.get(wanted.archived)
  const kept = object && (await object.json<ArchivedResult>())
  commit((inner) => {
    carryArchived(inner, group, step, kept && firstRowOf(kept.manifest, kept.rows))
    advance(inner, group)
  })
}

import { toSeconds } from '../../contract/durations.ts'
import type { GroupState } from '../../contract/groups.ts'
import { isTerminal, type JobError } from '../../contract/jobs.ts'
import { clearTimer, setTimer } from '../../storage/timers.ts'
import { cancel } from '../cancel.ts'
import type { LedgerContext } from '../context.ts'
import { findJob, move } from '../jobs.ts'
import { UNDO_SECONDS } from '../limits.ts'
import { SHOWN } from '../states.ts'
import { type Action, decide, type GroupView, type SkipReason, type StepView } from './decide.ts'
import { release } from './release.ts'
import { expectForgetting } from './retention.ts'
import { addGroupEvent, changeStep, type GroupStep, type LoadedGroup, loadGroup, stepRef, updateGroup, updateStep } from './rows.ts'
import { syncJob } from './sync.ts'

export const viewOf = ({ row, plan }: GroupStep): StepView => ({
  name: plan.name,
  kind: plan.kind,
  ord: plan.ord,
  needs: plan.needs,
  when: plan.when,
  after: plan.after,
  compensates: plan.compensates,
  phase: row.phase,
  outcome: row.outcome,
  published: row.published,
  valued: plan.wanted.length === 0 || row.carried !== null,
  stopping: row.stopping === 1,
})

const WHY: Record<SkipReason, string> = {
  upstream_failed: 'A step before it failed.',
  condition_not_met: 'Its condition did not hold.',
  not_needed: 'It was not needed.',
}

export const STOPPED: Record<NonNullable<GroupView['stop']> | 'overdue', JobError> = {
  cancel: { code: 'group_cancelled', message: 'The group was cancelled.' },
  deadline: { code: 'group_deadline', message: 'The group did not end by its deadline.' },
  overdue: { code: 'group_deadline', message: 'What undoes steps of the group, and its alert, did not end in their time.' },
}

const errorColumns = (error: JobError | null) => ({ error_code: error?.code ?? null, error_message: error?.message ?? null })

/** A person is asked: until the deadline, if there is one, then the default counts. */
const ask = (context: LedgerContext, group: LoadedGroup, step: GroupStep): void => {
  const { approval } = step.plan
  const deadline = approval?.deadline === undefined ? null : context.now() + toSeconds(approval.deadline) * 1000
  if (deadline !== null) setTimer(context.store, 'approval', stepRef(group.row.id, step.row.name), deadline)
  changeStep(context, group.row, step, { phase: 'live', state: 'approval', deadline_at: deadline }, approval?.message)
}

const skip = (context: LedgerContext, group: LoadedGroup, step: GroupStep, { because, outcome }: Extract<Action, { do: 'skip' }>): void => {
  changeStep(context, group.row, step, { phase: 'ended', state: 'skipped', outcome, error_code: because, error_message: WHY[because] })
  const job = step.row.job === null ? undefined : findJob(context, step.row.job)
  const error = { code: 'step_skipped', message: WHY[because] }
  if (job) move(context, job, 'skip', errorColumns(error), { error, reason: error.message })
}

/** What is left of a group that stops: a job is asked to end, a person is not asked any more. */
const stop = (context: LedgerContext, group: LoadedGroup, step: GroupStep): void => {
  const error = STOPPED[group.row.state === 'compensating' ? 'overdue' : (group.row.stop ?? 'cancel')]
  if (step.row.job === null) {
    clearTimer(context.store, 'approval', stepRef(group.row.id, step.row.name))
    changeStep(context, group.row, step, { phase: 'ended', state: 'cancelled', outcome: 'bad', stopping: 1, ...errorColumns(error) })
    return
  }
  // Whatever becomes of the job now is taken over when it has ended; what is said here is why it was asked to.
  updateStep(context, step.row, { phase: 'live', stopping: 1, ...errorColumns(error) })
  const job = findJob(context, step.row.job)
  if (job && !isTerminal(SHOWN[job.state])) cancel(context, job, error.message)
}

const failureOf = ({ row: { name, outcome, error_message } }: GroupStep): JobError => ({
  code: 'step_failed',
  message: `The step "${name}" ${outcome === 'bad' ? `failed: ${error_message ?? ''}` : 'succeeded, but its table did not take the result.'}`,
})

/** Why the group failed: what stopped it, or its first step that did not succeed. */
const errorOf = ({ row, steps }: LoadedGroup): JobError | null => {
  const ran = [...steps.values()].filter(({ row: { state } }) => state !== 'skipped')
  const failed = ran.find(
    ({ row: { outcome, published }, plan: { kind } }) =>
      (kind === 'job' || kind === 'approval') && (outcome === 'bad' || published === 'bad'),
  )
  const undone = ran
    .filter(({ row: { outcome: how }, plan: { kind } }) => kind === 'compensation' && how === 'bad')
    .map(({ row: { name: which } }) => `"${which}"`)
  const why = row.stop !== null ? STOPPED[row.stop] : failed && failureOf(failed)
  if (!why) return null
  const left = undone.length > 0 ? ` Its compensation failed: ${undone.join(', ')}.` : ''
  return { code: why.code, message: `${why.message.slice(0, 2_000 - left.length)}${left}` }
}

const enter = (context: LedgerContext, group: LoadedGroup, state: GroupState): void => {
  const error = state === 'succeeded' ? null : errorOf(group)
  const undo_by = state === 'compensating' ? context.now() + (group.row.undo_seconds ?? UNDO_SECONDS) * 1000 : null
  updateGroup(context, group.row, { state, ...errorColumns(error), ...(undo_by === null ? { finished_at: context.now() } : { undo_by }) })
  if (undo_by !== null) setTimer(context.store, 'group', group.row.id, undo_by)
  else {
    clearTimer(context.store, 'group', group.row.id)
    expectForgetting(context)
  }
  addGroupEvent(context, group.row, { type: 'group', state, ...(error ? { error } : {}) })
}

const perform = (context: LedgerContext, group: LoadedGroup, action: Action): void => {
  if (action.do === 'enter') {
    enter(context, group, action.state)
    return
  }
  const step = group.steps.get(action.step)
  if (!step) return
  switch (action.do) {
    case 'release':
      release(context, group, step)
      return
    case 'ask':
      ask(context, group, step)
      return
    case 'skip':
      skip(context, group, step, action)
      return
    case 'cancel':
      stop(context, group, step)
  }
}

/** Does what is to be done in a group now. Each action decides a step or ends the group, so it comes to an end. */
export const advance = (context: LedgerContext, id: string): void => {
  const group = loadGroup(context, id)
  if (!group || group.row.finished_at !== null) return
  for (;;) {
    const { state, stop, undo_by } = group.row
    const overdue = undo_by !== null && undo_by <= context.now()
    const actions = decide({ state, stop, overdue }, [...group.steps.values()].map(viewOf))
    if (actions.length === 0) return
    for (const action of actions) perform(context, group, action)
  }
}

/**
 * The last thing in every transaction: groups follow their jobs. A job that ended may release, skip or fail others, which
 * are looked at in turn; every round ends or starts a step, and there are at most so many.
 */
export const settleGroups = (context: LedgerContext): void => {
  const { touched } = context.memory
  while (touched.size > 0) {
    const jobs = [...touched]
    touched.clear()
    const groups = new Set(jobs.flatMap((job) => syncJob(context, job)))
    for (const group of groups) advance(context, group)
  }
}

import type { GroupState, StepInfo } from '../../contract/groups.ts'
import type { StepKind } from './plan.ts'

/**
 * What a group does next, from what its steps are now. Pure and total: no clock, no storage. Whoever calls it carries the
 * actions out, each of which changes a step or the group, and asks again until it answers nothing.
 */

/** How a step ended, as its children see it. `neutral`: it was skipped, and nothing had failed before it. */
export type Outcome = 'ok' | 'bad' | 'neutral'

export interface StepView {
  name: string
  kind: StepKind
  ord: number
  needs: readonly string[]
  when: StepInfo['when']
  after: StepInfo['after']
  compensates: string | null
  /** `idle`: nothing was decided yet; `live`: its job may run, or its person was asked. */
  phase: 'idle' | 'live' | 'ended'
  /** Once it has ended. */
  outcome: Outcome | null
  /** Whether its result stands in its table, where a child waits for that; null while it is not known. */
  published: 'ok' | 'bad' | null
  /** What other steps take of its first row is at hand, or nothing is taken. */
  valued: boolean
  /** It was asked to stop. */
  stopping: boolean
}

export interface GroupView {
  state: GroupState
  /** Why everything that is left ends: somebody cancelled, or the deadline has passed. */
  stop: 'cancel' | 'deadline' | null
  /** What undoes steps, and the alert, have had their time. */
  overdue: boolean
}

export type SkipReason = 'upstream_failed' | 'condition_not_met' | 'not_needed'
export type Action =
  /** Its job may run (or fails, where an argument is not to be had). */
  | { do: 'release'; step: string }
  /** A person is asked. */
  | { do: 'ask'; step: string }
  | { do: 'skip'; step: string; because: SkipReason; outcome: Outcome }
  | { do: 'cancel'; step: string }
  | { do: 'enter'; state: GroupState }

/** How a parent ended for this child; null while that is open. */
export const seenBy = (child: StepView, parent: StepView): Outcome | null => {
  if (parent.phase !== 'ended' || parent.outcome === null) return null
  if (parent.outcome !== 'ok') return parent.outcome
  if (!parent.valued) return null
  return child.after === 'published' ? parent.published : 'ok'
}

/** What becomes of a step of which nothing was decided yet: nothing before all its parents have ended. */
const judge = (step: StepView, byName: ReadonlyMap<string, StepView>): Action | null => {
  const seen: Outcome[] = []
  for (const need of step.needs) {
    const parent = byName.get(need)
    const outcome = parent ? seenBy(step, parent) : 'bad'
    if (outcome === null) return null
    seen.push(outcome)
  }
  const failed = seen.includes('bad')
  const go: Action = { do: step.kind === 'approval' ? 'ask' : 'release', step: step.name }
  const skip = (because: SkipReason, outcome: Outcome): Action => ({ do: 'skip', step: step.name, because, outcome })
  switch (step.when) {
    case 'always':
      return go
    case 'failed':
      return failed ? go : skip('condition_not_met', 'neutral')
    case 'succeeded':
      if (failed) return skip('upstream_failed', 'bad')
      return seen.includes('neutral') ? skip('condition_not_met', 'neutral') : go
  }
}

/** While the group runs: its steps and approvals, then what the end brings. */
const running = (group: GroupView, steps: readonly StepView[], byName: ReadonlyMap<string, StepView>): Action[] => {
  const main = steps.filter(({ kind }) => kind === 'job' || kind === 'approval')
  const actions: Action[] = []
  for (const step of main) {
    if (step.phase === 'ended') continue
    if (group.stop !== null) {
      if (!step.stopping) actions.push({ do: 'cancel', step: step.name })
    } else if (step.phase === 'idle') {
      const action = judge(step, byName)
      if (action) actions.push(action)
    }
  }
  if (actions.length > 0 || main.some(({ phase }) => phase !== 'ended')) return actions
  // A result that its table refused has failed for the child that waited for the table.
  const failed = group.stop !== null || main.some(({ outcome, published }) => outcome === 'bad' || published === 'bad')
  const isNeeded = (step: StepView): boolean =>
    step.kind === 'alert' ? failed && group.stop !== 'cancel' : failed && byName.get(step.compensates ?? '')?.outcome === 'ok'
  const rest = steps.filter((step) => !main.includes(step) && step.phase === 'idle')
  for (const step of rest) if (!isNeeded(step)) actions.push({ do: 'skip', step: step.name, because: 'not_needed', outcome: 'neutral' })
  actions.push({ do: 'enter', state: rest.some(isNeeded) ? 'compensating' : endOf(group, failed) })
  return actions
}

const endOf = ({ stop }: GroupView, failed: boolean): GroupState => (stop === 'cancel' ? 'cancelled' : failed ? 'failed' : 'succeeded')

/** Once it has failed: the alert at once, compensations one after the other, the last step's first; all of it in its time. */
const compensating = (group: GroupView, steps: readonly StepView[], byName: ReadonlyMap<string, StepView>): Action[] => {
  const actions: Action[] = []
  const rest = steps.filter(({ kind }) => kind === 'compensation' || kind === 'alert')
  if (rest.every(({ phase }) => phase === 'ended')) return [{ do: 'enter', state: endOf(group, true) }]
  if (group.overdue)
    return rest.filter(({ phase, stopping }) => phase !== 'ended' && !stopping).map(({ name }) => ({ do: 'cancel', step: name }))
  for (const { kind, phase, name } of rest) if (kind === 'alert' && phase === 'idle') actions.push({ do: 'release', step: name })
  const placeOf = (step: StepView): number => byName.get(step.compensates ?? '')?.ord ?? 0
  const undo = rest
    .filter(({ kind, phase }) => kind === 'compensation' && phase !== 'ended')
    .sort((one, other) => placeOf(other) - placeOf(one) || one.ord - other.ord)
  const [next] = undo
  if (next && undo.every(({ phase }) => phase === 'idle') && byName.get(next.compensates ?? '')?.valued !== false)
    actions.push({ do: 'release', step: next.name })
  return actions
}

export const decide = (group: GroupView, steps: readonly StepView[]): Action[] => {
  const byName = new Map(steps.map((step) => [step.name, step]))
  switch (group.state) {
    case 'running':
      return running(group, steps, byName)
    case 'compensating':
      return compensating(group, steps, byName)
    case 'succeeded':
    case 'failed':
    case 'cancelled':
      return []
  }
}

import type { Group, GroupEvent, StepInfo } from '../../client/wire.ts'
import { stateWord } from '../icons.tsx'

/** One step with its name, as lists and pictures show it. */
export interface NamedStep extends StepInfo {
  name: string
}

const ENDED = new Set<string>(['succeeded', 'failed', 'cancelled', 'skipped'])
export const isEnded = (state: string): boolean => ENDED.has(state)

export const isLiveGroup = (group: Group): boolean => group.state === 'running' || group.state === 'compensating'

export const stepsOfGroup = (group: Group): NamedStep[] => Object.entries(group.steps).map(([name, step]) => ({ name, ...step }))

/** What a group runs unless something goes wrong. */
export const isMain = (step: StepInfo): boolean => step.kind === 'job' || step.kind === 'approval'

/** A step's state in words: an approval is given or refused, it does not run. */
export const stepWord = (step: StepInfo): string => {
  if (step.kind === 'approval' && step.state === 'succeeded') return 'Approved'
  if (step.kind === 'approval' && step.state === 'failed') return 'Rejected'
  if (!isMain(step) && step.state === 'waiting') return 'Only if it fails'
  if (!isMain(step) && step.state === 'skipped') return 'Not needed'
  return stateWord(step.state)
}

const list = (names: readonly string[], word = 'and'): string =>
  names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`

/** When a step runs, as one would say it. */
export const conditionWords = (step: StepInfo): string => {
  if (step.kind === 'alert') return 'when the group has failed'
  if (step.kind === 'compensation') return `undoes ${step.compensates ?? 'a step'} when the group fails or is cancelled`
  if (step.needs.length === 0) return 'at once'
  const one = step.needs.length === 1
  const parents = list(step.needs)
  if (step.when === 'failed') return `when ${list(step.needs, 'or')} did not succeed`
  if (step.when === 'always') return `when ${parents} ${one ? 'has' : 'have'} ended, however`
  const published = step.after !== 'published' ? '' : one ? ' and stands in its table' : ' and stand in their tables'
  return `when ${parents} ${one ? 'has' : 'have'} succeeded${published}`
}

export const summaryWords = (group: Group): string => {
  const main = stepsOfGroup(group).filter(isMain)
  const ended = main.filter((step) => isEnded(step.state)).length
  const waits = main.filter((step) => step.state === 'approval').map((step) => step.name)
  const failed = main.filter((step) => step.state === 'failed').map((step) => step.name)
  const parts = [`${ended} of ${main.length} steps ended`]
  if (waits.length > 0) parts.push(`${list(waits)} ${waits.length === 1 ? 'is' : 'are'} to be decided`)
  if (failed.length > 0) parts.push(`${list(failed)} failed`)
  return parts.join(' · ')
}

/** When a step began and ended, as its group's events tell; a step that runs again begins anew. */
export interface StepTimes {
  started: number | null
  ended: number | null
}

export const applyTimes = (times: ReadonlyMap<string, StepTimes>, event: GroupEvent): ReadonlyMap<string, StepTimes> => {
  if (event.step === undefined || event.step_state === undefined) return times
  const at = Date.parse(event.at)
  const before = times.get(event.step) ?? { started: null, ended: null }
  const after: StepTimes =
    event.step_state === 'running' || event.step_state === 'approval'
      ? { started: at, ended: null }
      : isEnded(event.step_state)
        ? { ...before, ended: at }
        : { started: null, ended: null }
  return new Map(times).set(event.step, after)
}

/** A group after one of its events; what events do not tell comes with the next look at the whole group. */
export const applyEvent = (group: Group, event: GroupEvent): Group => {
  if (event.seq <= group.seq) return group
  const changed: Group = {
    ...group,
    seq: event.seq,
    state: event.state,
    ...(event.type === 'group' && event.error ? { error: event.error } : {}),
  }
  const step = event.step !== undefined && Object.hasOwn(group.steps, event.step) ? group.steps[event.step] : undefined
  if (event.step === undefined || step === undefined) return changed
  return {
    ...changed,
    steps: {
      ...group.steps,
      [event.step]: {
        ...step,
        ...(event.step_state === undefined ? {} : { state: event.step_state }),
        ...(event.job === undefined ? {} : { job: event.job }),
        ...(event.error === undefined ? {} : { error: event.error }),
      },
    },
  }
}

import { bindArguments } from '../../contract/arguments.ts'
import type { Column } from '../../contract/columns.ts'
import {
  type ApprovalStep,
  type GroupBody,
  type JobStep,
  MAX_STEPS,
  type ParentValue,
  type StepArguments,
  type StepInfo,
} from '../../contract/groups.ts'
import { StepName, type TaskName } from '../../contract/ids.ts'
import type { Argument, Param, ParamType } from '../../contract/tasks.ts'

/** What the check of a step has to know of its task. */
export interface PlanTask {
  name: string
  params: Param[]
  arity: number
  db: string[]
  columns: Column[] | null
}

/** An argument that a parent's first row brings: the place among `$1…`, and the type of the parameter where it has one. */
export interface Reference {
  index: number
  from: StepName
  column: string
  param: string
  type: ParamType | null
}

export type StepKind = StepInfo['kind']
/** What a submit says of the moment at which a job begins to wait: for a step that is when its parents are done. */
export interface StepRun {
  ttl_seconds: number | null
  /** Whether an identical job may be shared (then with whose rights), and a finished result that is not older. */
  shared: boolean
  rights: readonly string[]
  reuse_seconds: number | null
}
export type JobBody = Omit<JobStep, 'needs' | 'when' | 'after' | 'compensates'>

/** A step as it is kept: everything that is decided later is decided by this. */
export interface StepPlan {
  name: StepName
  kind: StepKind
  /** Its place in an order in which parents stand before their children. */
  ord: number
  needs: StepName[]
  when: StepInfo['when']
  after: StepInfo['after']
  compensates: StepName | null
  references: Reference[]
  /** Columns of its first row that other steps take. */
  wanted: string[]
  /** A child waits until its result stands in its table. */
  awaited: boolean
  task: TaskName | null
  approval: ApprovalStep['approval'] | null
  /** How its job is to be run once its parents are done; put in when the group is taken. */
  run?: StepRun
  body: GroupBody['steps'][StepName] | NonNullable<GroupBody['alert']>
}

/** A step and, where it runs a task, its arguments in order; those that a parent brings are null until then. */
export interface PlannedStep<Task extends PlanTask = PlanTask> {
  plan: StepPlan
  job: { task: Task; args: Argument[]; body: JobBody } | null
}

export interface GroupFault {
  /** Where in the body, as a JSON pointer. */
  path: string
  message: string
}
export type Planned<Task extends PlanTask> = { ok: true; steps: PlannedStep<Task>[] } | { ok: false; faults: GroupFault[] }

/** The name under which the alert stands among the steps. */
export const ALERT = StepName.parse('alert')
/** Faults told at once. */
const MAX_FAULTS = 100

type Step = GroupBody['steps'][StepName]
type Tell = (path: string, message: string) => void

export const isApproval = (step: Step): step is ApprovalStep => 'approval' in step

/** Quoted for a sentence. */
const names = (list: readonly string[]): string => list.map((name) => `"${name}"`).join(', ')

/** The names of a circle, from its first member back to it; null where there is none. */
const circleFrom = (start: StepName, steps: ReadonlyMap<StepName, Step>, cleared: ReadonlySet<StepName>): StepName[] | null => {
  // Depth first along `needs`, without recursion: 200 steps in a chain are no reason to go deep.
  const way: { name: StepName; next: number }[] = [{ name: start, next: 0 }]
  const seen = new Set<StepName>([start])
  for (let top = way.at(-1); top; top = way.at(-1)) {
    const need = steps.get(top.name)?.needs[top.next++]
    if (need === undefined) way.pop()
    else if (need === start) return [...way.map(({ name }) => name), start]
    else if (!seen.has(need) && !cleared.has(need) && steps.has(need)) {
      seen.add(need)
      way.push({ name: need, next: 0 })
    }
  }
  return null
}

/** Names in an order in which parents stand before their children, otherwise as they came. Without circles it holds all. */
const ordered = (steps: ReadonlyMap<StepName, Step>): StepName[] => {
  const done = new Set<StepName>()
  let left = [...steps.keys()]
  for (let before = -1; left.length > 0 && left.length !== before; ) {
    before = left.length
    left = left.filter((name) => {
      if (!steps.get(name)?.needs.every((need) => done.has(need))) return true
      done.add(name)
      return false
    })
  }
  return [...done]
}

const isReference = (value: Argument | ParentValue): value is ParentValue => typeof value === 'object' && value !== null

/** Arguments without what parents bring (null in its place), and what they bring. */
const split = (
  task: PlanTask,
  args: StepArguments | undefined,
): { literal: Argument[] | Record<string, Argument> | undefined; taken: { key: string; index: number; value: ParentValue }[] } => {
  if (args === undefined) return { literal: undefined, taken: [] }
  const taken: { key: string; index: number; value: ParentValue }[] = []
  if (Array.isArray(args)) {
    const literal = args.map((value, index) => {
      if (!isReference(value)) return value
      taken.push({ key: String(index), index, value })
      return null
    })
    return { literal, taken }
  }
  const literal: Record<string, Argument> = {}
  for (const [key, value] of Object.entries(args)) {
    if (isReference(value)) taken.push({ key, index: task.params.findIndex(({ name }) => name === key), value })
    literal[key] = isReference(value) ? null : value
  }
  return { literal, taken }
}

interface Around<Task extends PlanTask> {
  steps: ReadonlyMap<StepName, Step>
  taskOf: (name: TaskName) => Task | null
  tell: Tell
}

/** Task, source and arguments of a step that runs something. `parents`: the steps whose rows it may take values of. */
const checkJob = <Task extends PlanTask>(
  around: Around<Task>,
  path: string,
  body: JobBody,
  parents: readonly StepName[],
  why: string,
): { job: PlannedStep<Task>['job']; references: Reference[] } => {
  const { tell, taskOf, steps } = around
  const none = { job: null, references: [] }
  const task = taskOf(body.task)
  if (!task) {
    tell(`${path}/task`, `No node that serves this tenant has announced a task "${body.task}". GET /v1/tasks lists them.`)
    return none
  }
  if (body.db !== undefined && !task.db.includes(body.db) && !(task.db.length === 0 && body.db === 'duckdb'))
    tell(`${path}/db`, `The task "${task.name}" runs on ${task.db.join(', ') || 'duckdb'}, not on "${body.db}".`)
  const { literal, taken } = split(task, body.args)
  const bound = bindArguments(task, literal)
  if (!bound.ok) {
    tell(`${path}/args`, bound.detail)
    return none
  }
  const references = taken.map(({ key, index, value }): Reference => {
    const at = `${path}/args/${key}`
    const parent = steps.get(value.from)
    if (!parents.includes(value.from)) tell(`${at}/from`, `"${value.from}" brings no values here: ${why}`)
    else if (parent && isApproval(parent)) tell(`${at}/from`, `"${value.from}" is an approval, which has no result.`)
    else if (parent) {
      const columns = taskOf(parent.task)?.columns
      if (columns && !columns.some(({ name }) => name === value.column))
        tell(
          `${at}/column`,
          `The result of "${parent.task}" has no column "${value.column}"; it has ${names(columns.map(({ name }) => name))}.`,
        )
    }
    const param = task.params[index]
    return { index, from: value.from, column: value.column, param: param?.name ?? `$${index + 1}`, type: param?.type ?? null }
  })
  return { job: { task, args: bound.args, body }, references }
}

/** Parents of a step that is no compensation. */
const checkNeeds = ({ steps, tell }: Around<PlanTask>, path: string, name: StepName, step: Step): void => {
  for (const [index, need] of step.needs.entries()) {
    const at = `${path}/needs/${index}`
    const parent = steps.get(need)
    if (need === name) tell(at, `"${name}" cannot wait for itself.`)
    else if (!parent) tell(at, `There is no step "${need}".`)
    else if (!isApproval(parent) && parent.compensates !== undefined) tell(at, `"${need}" undoes a step: nothing can wait for it.`)
    else if (step.needs.indexOf(need) !== index) tell(at, `"${need}" is named twice.`)
  }
  if (step.when === 'failed' && step.needs.length === 0) tell(`${path}/when`, `"${name}" has no parents: nothing can fail before it.`)
}

/** A compensation has no place in the order but that of the step it undoes. */
const checkCompensation = ({ steps, tell }: Around<PlanTask>, path: string, step: JobStep, undone: StepName): void => {
  const target = steps.get(undone)
  if (!target) tell(`${path}/compensates`, `There is no step "${undone}".`)
  else if (isApproval(target)) tell(`${path}/compensates`, `"${undone}" is an approval: there is nothing to undo.`)
  else if (target.compensates !== undefined) tell(`${path}/compensates`, `"${undone}" is a compensation itself.`)
  if (step.needs.length > 0) tell(`${path}/needs`, 'A compensation waits for nothing: it runs when its step is to be undone.')
  if (step.when !== 'succeeded' || step.after !== 'result') tell(path, 'A compensation has no "when" and no "after".')
}

/** Tells parents what their children want of them. */
const link = (plans: readonly StepPlan[]): void => {
  const byName = new Map(plans.map((plan) => [plan.name, plan]))
  for (const { references, needs, after } of plans) {
    for (const { from, column } of references) {
      const parent = byName.get(from)
      if (parent && !parent.wanted.includes(column)) parent.wanted.push(column)
    }
    if (after === 'published')
      for (const need of needs) {
        const parent = byName.get(need)
        if (parent) parent.awaited = true
      }
  }
}

/**
 * Checks a group whole against the catalogue and puts it in order: either every step can be kept, or each fault is told
 * with its place and nothing is taken.
 */
export const planGroup = <Task extends PlanTask>(body: GroupBody, taskOf: (name: TaskName) => Task | null): Planned<Task> => {
  const faults: GroupFault[] = []
  const tell: Tell = (path, message) => {
    if (faults.length < MAX_FAULTS) faults.push({ path, message })
  }
  const steps = new Map(Object.entries(body.steps).map(([name, step]) => [name as StepName, step]))
  const around: Around<Task> = { steps, taskOf, tell }
  if (steps.size === 0) tell('/steps', 'A group has at least one step.')
  if (steps.size > MAX_STEPS)
    return { ok: false, faults: [{ path: '/steps', message: `A group has at most ${MAX_STEPS} steps, not ${steps.size}.` }] }
  if (body.alert && steps.has(ALERT))
    tell(`/steps/${ALERT}`, `With "alert" a group has a step of that name already; name this one otherwise.`)
  const cleared = new Set<StepName>()
  for (const name of steps.keys()) {
    const circle = circleFrom(name, steps, cleared)
    // One word for each circle, at the first of its steps.
    if (circle && circle.length > 2) {
      tell(`/steps/${name}/needs`, `These wait for each other: ${circle.join(' → ')}.`)
      for (const member of circle) cleared.add(member)
    }
    cleared.add(name)
  }
  const order = new Map(ordered(steps).map((name, index) => [name, index]))
  const planned: PlannedStep<Task>[] = []
  for (const [name, step] of steps) {
    const path = `/steps/${name}`
    const common = { name, ord: order.get(name) ?? 0, needs: step.needs, when: step.when, after: step.after, body: step }
    if (isApproval(step)) {
      checkNeeds(around, path, name, step)
      planned.push({
        plan: {
          ...common,
          kind: 'approval',
          compensates: null,
          references: [],
          wanted: [],
          awaited: false,
          task: null,
          approval: step.approval,
        },
        job: null,
      })
      continue
    }
    const { needs, when: _when, after: _after, compensates, ...rest } = step
    if (compensates === undefined) checkNeeds(around, path, name, step)
    else checkCompensation(around, path, step, compensates)
    const { job, references } = checkJob(
      around,
      path,
      rest,
      compensates === undefined ? needs : [compensates],
      compensates === undefined ? 'only a step among its "needs" does.' : 'only the step that it undoes does.',
    )
    planned.push({
      plan: {
        ...common,
        kind: compensates === undefined ? 'job' : 'compensation',
        compensates: compensates ?? null,
        references,
        wanted: [],
        awaited: false,
        task: step.task,
        approval: null,
      },
      job,
    })
  }
  if (body.alert) {
    const { job } = checkJob(around, '/alert', body.alert, [], 'an alert has no parents.')
    planned.push({
      plan: {
        name: ALERT,
        kind: 'alert',
        ord: steps.size,
        needs: [],
        when: 'succeeded',
        after: 'result',
        compensates: null,
        references: [],
        wanted: [],
        awaited: false,
        task: body.alert.task,
        approval: null,
        body: body.alert,
      },
      job,
    })
  }
  link(planned.map(({ plan }) => plan))
  return faults.length > 0 ? { ok: false, faults } : { ok: true, steps: planned.sort((one, other) => one.plan.ord - other.plan.ord) }
}

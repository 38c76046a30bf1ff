import type { GroupEvent, GroupState, StepState } from '../../contract/groups.ts'
import type { GroupId } from '../../contract/ids.ts'
import { first, type SqlValue } from '../../storage/store.ts'
import type { LedgerContext } from '../context.ts'
import type { GroupView, Outcome, StepView } from './decide.ts'
import type { StepPlan } from './plan.ts'
import type { CarriedRow } from './values.ts'

/** A row of `groups`. Times are milliseconds since 1970. */
export interface GroupRow {
  id: string
  alias: string | null
  /** Hash of what was asked for. */
  request: string
  state: GroupState
  stop: GroupView['stop']
  seq: number
  created_at: number
  finished_at: number | null
  deadline_at: number | null
  deadline_seconds: number | null
  /** How long what undoes steps, and the alert, may take; null: `UNDO_SECONDS`. And until when, once it has begun. */
  undo_seconds: number | null
  undo_by: number | null
  error_code: string | null
  error_message: string | null
  retried_from: string | null
  retried_as: string | null
  /** Of its steps' plans, about. */
  bytes: number
  deleted_at: number | null
}

/** A row of `steps`. */
export interface StepRow {
  grp: string
  name: string
  plan: string
  phase: StepView['phase']
  state: StepState
  outcome: Outcome | null
  published: StepView['published']
  stopping: number
  carried: string | null
  job: string | null
  decided_by: string | null
  deadline_at: number | null
  error_code: string | null
  error_message: string | null
}

/** A step with its plan read. */
export interface GroupStep {
  row: StepRow
  plan: StepPlan
}
export interface LoadedGroup {
  row: GroupRow
  steps: Map<string, GroupStep>
}

export const findGroup = (context: LedgerContext, id: string): GroupRow | undefined =>
  first<GroupRow>(context.store, 'SELECT * FROM groups WHERE id = ?', id)

// Written by `submitGroup` from checked values: reading them back needs no second check.
const readStep = (row: StepRow): GroupStep => ({ row, plan: JSON.parse(row.plan) as StepPlan })

export const findStep = (context: LedgerContext, group: string, name: string): GroupStep | undefined => {
  const row = first<StepRow>(context.store, 'SELECT * FROM steps WHERE grp = ? AND name = ?', group, name)
  return row && readStep(row)
}

/** All steps, parents before their children. */
export const stepsOf = (context: LedgerContext, group: string): GroupStep[] =>
  context.store
    .all<StepRow>('SELECT * FROM steps WHERE grp = ?', group)
    .map(readStep)
    .sort((one, other) => one.plan.ord - other.plan.ord)

export const loadGroup = (context: LedgerContext, id: string): LoadedGroup | null => {
  const row = findGroup(context, id)
  return row ? { row, steps: new Map(stepsOf(context, id).map((step) => [step.row.name, step])) } : null
}

const update = (context: LedgerContext, table: string, where: string, key: SqlValue[], row: object, change: object): void => {
  const columns = Object.keys(change)
  if (columns.length === 0) return
  context.store.run(
    `UPDATE ${table} SET ${columns.map((column) => `${column} = ?`).join(', ')} WHERE ${where}`,
    ...(Object.values(change) as SqlValue[]),
    ...key,
  )
  Object.assign(row, change)
}

export const updateGroup = (context: LedgerContext, row: GroupRow, change: Partial<GroupRow>): void =>
  update(context, 'groups', 'id = ?', [row.id], row, change)

export const updateStep = (context: LedgerContext, row: StepRow, change: Partial<StepRow>): void =>
  update(context, 'steps', 'grp = ? AND name = ?', [row.grp, row.name], row, change)

export const insertRow = (context: LedgerContext, table: 'groups' | 'steps', row: GroupRow | StepRow): void => {
  const columns = Object.keys(row)
  context.store.run(
    `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
    ...(Object.values(row) as SqlValue[]),
  )
}

export const isLive = ({ state }: Pick<GroupRow, 'state'>): boolean => state === 'running' || state === 'compensating'

type EventBody = Omit<GroupEvent, 'seq' | 'group' | 'at'>

/** I9 for groups: the number is the row's counter plus one, in the transaction that made the change. */
export const addGroupEvent = (context: LedgerContext, group: GroupRow, body: EventBody): void => {
  const at = context.now()
  updateGroup(context, group, { seq: group.seq + 1 })
  context.store.run('INSERT INTO group_events (grp, seq, at, body) VALUES (?, ?, ?, ?)', group.id, group.seq, at, JSON.stringify(body))
  const id = group.id as GroupId
  const event: GroupEvent = { seq: group.seq, group: id, at: new Date(at).toISOString(), ...body }
  context.emit({ kind: 'group_events', group: id, events: [event], ended: body.type === 'group' && !isLive(body) })
}

/** Changes a step and, where its state is another one than before, tells it. */
export const changeStep = (
  context: LedgerContext,
  group: GroupRow,
  { row, plan }: GroupStep,
  change: Partial<StepRow>,
  reason?: string,
): void => {
  const before = row.state
  updateStep(context, row, change)
  if (row.state === before) return
  const { state, job, error_code, error_message } = row
  addGroupEvent(context, group, {
    type: 'step',
    state: group.state,
    step: plan.name,
    step_state: state,
    ...(job === null ? {} : { job: job as NonNullable<GroupEvent['job']> }),
    ...(reason === undefined ? {} : { reason }),
    ...(error_code === null ? {} : { error: { code: error_code, message: error_message ?? '' } }),
  })
}

export const carriedBy = (step: GroupStep | undefined): CarriedRow | null =>
  step?.row.carried == null ? null : (JSON.parse(step.row.carried) as CarriedRow)

export const stepRef = (group: string, step: string): string => `${group}/${step}`
export const ofStepRef = (ref: string): { group: string; step: string } => {
  const slash = ref.indexOf('/')
  return { group: ref.slice(0, slash), step: ref.slice(slash + 1) }
}

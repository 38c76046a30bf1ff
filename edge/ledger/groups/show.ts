import type { Group, StepInfo } from '../../contract/groups.ts'
import type { JobError } from '../../contract/jobs.ts'
import type { SqlValue } from '../../storage/store.ts'
import type { LedgerContext } from '../context.ts'
import { MAX_GROUP_PAGE, MAX_GROUP_PAGE_STEPS } from '../limits.ts'
import { type GroupRow, type GroupStep, isLive, stepsOf } from './rows.ts'

const instant = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())
const errorOf = ({ error_code, error_message }: { error_code: string | null; error_message: string | null }): JobError | null =>
  error_code === null ? null : { code: error_code, message: error_message ?? '' }

const showStep = ({ row, plan }: GroupStep): StepInfo => ({
  job: row.job as StepInfo['job'],
  state: row.state,
  needs: plan.needs,
  when: plan.when,
  after: plan.after,
  kind: plan.kind,
  task: plan.task,
  compensates: plan.compensates,
  error: errorOf(row),
  approval: plan.approval && {
    by: plan.approval.by ?? [],
    deadline_at: instant(row.deadline_at),
    default: plan.approval.default,
    message: plan.approval.message ?? null,
    decided_by: row.decided_by,
  },
})

/** A group as the API shows it, steps in order. All of it stands in its own rows, also when its jobs have been archived. */
export const showGroup = (context: LedgerContext, row: GroupRow): Group => {
  const self = `/v1/groups/${row.id}`
  return {
    // Columns were checked when they went in; the casts name their brands again.
    id: row.id as Group['id'],
    alias: row.alias as Group['alias'],
    state: row.state,
    steps: Object.fromEntries(stepsOf(context, row.id).map((step) => [step.row.name, showStep(step)])),
    created_at: instant(row.created_at) ?? '',
    finished_at: instant(row.finished_at),
    deadline_at: instant(row.deadline_at),
    compensation_deadline_at: instant(row.undo_by),
    seq: row.seq,
    error: errorOf(row),
    stop: row.stop,
    retried_from: row.retried_from as Group['id'] | null,
    retried_as: row.retried_as as Group['id'] | null,
    links: {
      self,
      events: `${self}/events`,
      ...(isLive(row) ? { cancel: `${self}/cancel` } : {}),
      ...(!isLive(row) && row.state !== 'succeeded' && row.retried_as === null ? { retry: `${self}/retry` } : {}),
    },
  }
}

export interface GroupQuery {
  alias: string | null
  state: string | null
  /** Groups older than this id. */
  before: string | null
  limit: number
}

/** Newest first, keyset by id; deleted groups are not listed. A page ends early where its groups have many steps. */
export const listGroups = (context: LedgerContext, query: GroupQuery): { items: Group[]; next: string | null } => {
  const where = ['deleted_at IS NULL']
  const values: SqlValue[] = []
  const ask = (condition: string, value: string | null): void => {
    if (value === null) return
    where.push(condition)
    values.push(value)
  }
  ask('id < ?', query.before)
  ask('alias = ?', query.alias)
  ask('state = ?', query.state)
  const limit = Math.min(Math.max(1, query.limit), MAX_GROUP_PAGE)
  const rows = context.store.all<GroupRow & { steps: number }>(
    `SELECT groups.*, (SELECT count(*) FROM steps WHERE grp = groups.id) AS steps FROM groups WHERE ${where.join(' AND ')} ORDER BY id DESC LIMIT ?`,
    ...values,
    limit + 1,
  )
  let steps = 0
  const over = rows.findIndex((row, index) => {
    steps += row.steps
    return index >= limit || (index > 0 && steps > MAX_GROUP_PAGE_STEPS)
  })
  const page = over < 0 ? rows : rows.slice(0, over)
  return { items: page.map((row) => showGroup(context, row)), next: over < 0 ? null : (page.at(-1)?.id ?? null) }
}

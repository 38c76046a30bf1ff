import type { z } from 'zod'
import type { Column, WireValue } from '../../edge/contract/columns.ts'
import type { DeadJob } from '../../edge/contract/dead.ts'
import type { JobEvent, ProgressEvent } from '../../edge/contract/events.ts'
import type { Group, GroupBody, GroupEvent } from '../../edge/contract/groups.ts'
import type { BatchBody, Job, SubmitBody as SubmitSchema } from '../../edge/contract/jobs.ts'
import type { ResultDocument } from '../../edge/contract/manifests.ts'
import type { Queue, QueueSettings } from '../../edge/contract/queues.ts'
import type { Schedule, ScheduleBody } from '../../edge/contract/schedules.ts'
import type { Filter, SliceAnswer, StructuredSlice } from '../../edge/contract/slices.ts'
import type { TaskInfo } from '../../edge/contract/tasks.ts'

export type { Column, ColumnType } from '../../edge/contract/columns.ts'
export type { DeadJob } from '../../edge/contract/dead.ts'
export type { JobEvent, ProgressEvent } from '../../edge/contract/events.ts'
export type { Group, GroupEvent, GroupState, StepInfo, StepState } from '../../edge/contract/groups.ts'
export type { Job } from '../../edge/contract/jobs.ts'
export type { Pack, ResultDocument } from '../../edge/contract/manifests.ts'
export type { Queue } from '../../edge/contract/queues.ts'
export type { Schedule } from '../../edge/contract/schedules.ts'
export type { Filter, FilterOp, SliceAnswer, SliceRequest, StructuredSlice } from '../../edge/contract/slices.ts'
export type { Param, TaskInfo } from '../../edge/contract/tasks.ts'

/** What requests carry: the contract's forms before defaults are filled in. */
export type SubmitBody = z.input<typeof SubmitSchema>
export type BatchJob = z.input<typeof BatchBody>['jobs'][number]
export type GroupSubmit = z.input<typeof GroupBody>
export type QueueSubmit = z.input<typeof QueueSettings>
export type ScheduleSubmit = z.input<typeof ScheduleBody>

/** One job of a batch, in the order in which they were sent. */
export type BatchItem = { status: number; job: Job } | { status: number; problem: { code: string; detail: string } }

/**
 * A value of a row, in the one form that server, preview and local copy share (`WireValue` of the contract): 64-bit
 * integers and decimals are text with every digit, so nothing is rounded; `BigInt(cell)` is one call away.
 */
export type Cell = WireValue

export interface Page<Item> {
  items: Item[]
  next: string | null
}

/** What the server said no with: an RFC 9457 problem, or the plain status where a proxy answered. `status` 0: no answer at all. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.name = 'ApiError'
    this.status = status
    this.code = code
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/*
 * The guards below look at the fields that this library relies on, no more. The full zod schemas of the contract weigh 78 kB
 * compressed, more than the whole page; they judge at the server, and additions of a later server must pass here anyway.
 */
const texts = (value: Record<string, unknown>, ...names: string[]): boolean => names.every((name) => typeof value[name] === 'string')

export const isJob = (value: unknown): value is Job =>
  isRecord(value) && texts(value, 'id', 'task', 'state', 'publication', 'created_at') && typeof value.attempt === 'number'

export const isBatchItem = (value: unknown): value is BatchItem =>
  isRecord(value) &&
  typeof value.status === 'number' &&
  (isJob(value.job) || (isRecord(value.problem) && texts(value.problem, 'code', 'detail')))

export const isBatchAnswer = (value: unknown): value is { items: BatchItem[] } =>
  isRecord(value) && Array.isArray(value.items) && value.items.every(isBatchItem)

const isStep = (value: unknown): boolean =>
  isRecord(value) && texts(value, 'state', 'kind') && Array.isArray(value.needs) && (value.job === null || typeof value.job === 'string')

export const isGroup = (value: unknown): value is Group =>
  isRecord(value) &&
  texts(value, 'id', 'state', 'created_at') &&
  typeof value.seq === 'number' &&
  isRecord(value.steps) &&
  Object.values(value.steps).every(isStep)

export const isGroupEvent = (value: unknown): value is GroupEvent =>
  isRecord(value) && typeof value.seq === 'number' && texts(value, 'group', 'type', 'state', 'at')

export const isQueue = (value: unknown): value is Queue =>
  isRecord(value) && texts(value, 'name') && typeof value.waiting === 'number' && typeof value.held === 'number'

export const isSchedule = (value: unknown): value is Schedule => isRecord(value) && texts(value, 'id', 'task', 'cron', 'tz', 'source')

export const isDeadJob = (value: unknown): value is DeadJob =>
  isJob(value) && 'dead' in value && isRecord(value.dead) && texts(value.dead, 'class', 'explanation', 'remedy')

export const isTask = (value: unknown): value is TaskInfo => isRecord(value) && texts(value, 'name', 'hash') && Array.isArray(value.params)

const isColumn = (value: unknown): value is Column => isRecord(value) && texts(value, 'name') && 'type' in value

export const isResultDocument = (value: unknown): value is ResultDocument =>
  isRecord(value) &&
  texts(value, 'result', 'job', 'task') &&
  typeof value.rows === 'number' &&
  Array.isArray(value.columns) &&
  value.columns.every(isColumn) &&
  Array.isArray(value.first_rows) &&
  Array.isArray(value.added) &&
  isRecord(value.links)

export const isSliceAnswer = (value: unknown): value is SliceAnswer =>
  isRecord(value) && Array.isArray(value.columns) && Array.isArray(value.rows)

export const isJobEvent = (value: unknown): value is JobEvent =>
  isRecord(value) && typeof value.seq === 'number' && texts(value, 'job', 'state', 'at')

export const isProgressEvent = (value: unknown): value is ProgressEvent =>
  isRecord(value) && value.seq === undefined && texts(value, 'job', 'state') && 'phase' in value

export const isPage =
  <Item>(isItem: (value: unknown) => value is Item) =>
  (value: unknown): value is Page<Item> =>
    isRecord(value) && Array.isArray(value.items) && value.items.every(isItem) && (value.next === null || typeof value.next === 'string')

/**
 * What to see of a result. The fields are those of a slice request without its page; `sql` replaces the relation that the
 * others work on (locally; the server takes one or the other).
 */
export interface ViewSpec {
  where?: Filter[] | undefined
  select?: StructuredSlice['select'] | undefined
  group?: string[] | undefined
  /** Column names, "-" in front sorts descending. */
  order?: string[] | undefined
  sql?: string | undefined
}

/** A typed SELECT is kept as a table of the engine; above this it is cut, and says so. */
export const MAX_SQL_ROWS = 2_000_000

/** The request does not fit the result: which part, and why. */
export class ViewError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ViewError'
  }
}

/** Where a view's rows come from now. */
export type Mode = 'preview' | 'remote' | 'local'

export interface Progress {
  phase: 'engine' | 'waiting' | 'download' | 'open' | 'ready'
  loaded?: number
  total?: number
}

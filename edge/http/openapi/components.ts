import type { z } from 'zod'
import { Column, ColumnType, WireValue } from '../../contract/columns.ts'
import { DeadJob } from '../../contract/dead.ts'
import { eventPage, JobEvent, ResetEvent } from '../../contract/events.ts'
import { Group, GroupBody, GroupEvent } from '../../contract/groups.ts'
import { BatchAnswer, BatchBody, Job, page, SubmitBody } from '../../contract/jobs.ts'
import { LedgerFigures } from '../../contract/ledger.ts'
import { ResultDocument } from '../../contract/manifests.ts'
import { Health, Making, Node, Readiness, Session, SignIn, Table } from '../../contract/places.ts'
import { ProblemDocument } from '../../contract/problems.ts'
import { Queue, QueueSettings } from '../../contract/queues.ts'
import { Schedule, ScheduleBody, SchedulePatch, SchedulePut } from '../../contract/schedules.ts'
import { SliceAnswer, SliceRequest } from '../../contract/slices.ts'
import { TaskInfo } from '../../contract/tasks.ts'

/** The contract's schemas by the names they have in the document. */
export const COMPONENTS = {
  Column,
  ColumnType,
  WireValue,
  Task: TaskInfo,
  TaskPage: page(TaskInfo),
  Submit: SubmitBody,
  Batch: BatchBody,
  BatchAnswer,
  Job,
  JobPage: page(Job),
  JobEvent,
  JobEventPage: eventPage(JobEvent),
  GroupEvent,
  GroupEventPage: eventPage(GroupEvent),
  ResetEvent,
  GroupSubmit: GroupBody,
  Group,
  GroupPage: page(Group),
  QueueSettings,
  Queue,
  QueuePage: page(Queue),
  ScheduleSubmit: ScheduleBody,
  SchedulePut,
  SchedulePatch,
  Schedule,
  SchedulePage: page(Schedule),
  DeadJob,
  DeadPage: page(DeadJob),
  LedgerFigures,
  Result: ResultDocument,
  SliceRequest,
  SliceAnswer,
  Making,
  Node,
  NodePage: page(Node),
  Table,
  TablePage: page(Table),
  Session,
  SignIn,
  Health,
  Readiness,
  Problem: ProblemDocument,
} as const satisfies Record<string, z.ZodType>
export type Component = keyof typeof COMPONENTS

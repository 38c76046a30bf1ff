import { z } from 'zod'
import { Column, ColumnType, WireValue } from '../contract/columns.ts'
import { DeadJob } from '../contract/dead.ts'
import { eventPage, JobEvent, ResetEvent } from '../contract/events.ts'
import { Group, GroupBody, GroupEvent } from '../contract/groups.ts'
import { BatchAnswer, BatchBody, Job, page, SubmitBody } from '../contract/jobs.ts'
import { LedgerFigures } from '../contract/ledger.ts'
import { ResultDocument } from '../contract/manifests.ts'
import { Health, Making, Node, Readiness, Session, SignIn, Table } from '../contract/places.ts'
import { ProblemDocument } from '../contract/problems.ts'
import { Queue, QueueSettings } from '../contract/queues.ts'
import { Schedule, ScheduleBody, SchedulePatch, SchedulePut } from '../contract/schedules.ts'
import { SliceAnswer, SliceRequest } from '../contract/slices.ts'
import { TaskInfo } from '../contract/tasks.ts'
import { EVENT_OPERATIONS } from './openapi-events.ts'
import { GROUP_OPERATIONS } from './openapi-groups.ts'
import { QUEUE_OPERATIONS } from './openapi-queues.ts'
import { TIME_OPERATIONS } from './openapi-time.ts'

type Schema = Record<string, unknown>

/** The contract's schemas by the names they have in the document. */
const COMPONENTS = {
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

export interface Operation {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head'
  path: string
  summary: string
  scope: string | null
  parameters?: { name: string; in: 'query' | 'header'; schema: Schema; description: string }[]
  body?: Component
  /** Status → what it carries. */
  answers: Record<
    number,
    {
      description: string
      schema?: Component
      type?: string
      /** The same as JSON, for who asks for it. */
      json?: Component
      /** The same as CSV, for who asks for it. */
      csv?: true
    }
  >
  problems: number[]
}

const text = { type: 'string' }
const integer = (minimum: number, maximum: number): Schema => ({ type: 'integer', minimum, maximum })
/** Answers of what carries a tag. */
const notModified = { 304: { description: 'It is as the tag of If-None-Match says' } }
const ifNoneMatch = {
  name: 'If-None-Match',
  in: 'header',
  schema: text,
  description: '`ETag` of an answer before. RFC 9110, section 13.1.2.',
} as const
const prefer = {
  name: 'Prefer',
  in: 'header',
  schema: text,
  description: '`wait=N`: answer when the job has ended, after N seconds at most (30). RFC 7240.',
} as const
const range = { name: 'Range', in: 'header', schema: text, description: 'One byte range. RFC 9110, section 14.2.' } as const
const ifMatch = {
  name: 'If-Match',
  in: 'header',
  schema: text,
  description: 'Answer only this version (`ETag`), else 412. RFC 9110, section 13.1.1.',
} as const
const ifRange = {
  name: 'If-Range',
  in: 'header',
  schema: text,
  description: '`ETag` of the version that the range belongs to; of another one all is sent. RFC 9110, section 13.1.5.',
} as const
const format = {
  name: 'format',
  in: 'query',
  schema: { type: 'string', enum: ['json', 'csv'] },
  description: 'JSON unless Accept says text/csv',
} as const
const fileNumber = {
  name: 'file',
  in: 'query',
  schema: integer(0, 9_999),
  description: 'Which file of a result of several: `n` of the manifest',
} as const
const file = (extension: string, type: string, derived: boolean, more: Operation['parameters'] = []): Operation => ({
  method: 'get',
  path: `/v1/jobs/{id}/result.${extension}`,
  summary: `The whole result as ${extension}`,
  scope: 'results:read',
  parameters: [range, ifRange, ifMatch, ifNoneMatch, ...more],
  answers: {
    200: { description: 'The whole object', type },
    206: { description: 'A part of it', type },
    ...(derived ? { 202: { description: 'It is being made: ask again after `Retry-After` seconds', schema: 'Making' as const } } : {}),
    ...notModified,
  },
  problems: [...(more.length > 0 ? [400] : []), 401, 403, 404, 409, 410, 412, 416, ...(derived ? [422, 503, 504] : [])],
})

/** Every operation of the native API. A test compares this list with the routes that are mounted. */
export const OPERATIONS: Operation[] = [
  {
    method: 'get',
    path: '/v1/tasks',
    summary: 'Tasks that nodes have announced for this tenant',
    scope: 'tasks:read',
    answers: { 200: { description: 'All tasks', schema: 'TaskPage' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/tasks/{task}',
    summary: 'One task',
    scope: 'tasks:read',
    answers: { 200: { description: 'The task', schema: 'Task' } },
    problems: [401, 403, 404],
  },
  {
    method: 'post',
    path: '/v1/tasks/{task}/jobs',
    summary: 'Run a task',
    scope: 'jobs:submit',
    parameters: [
      prefer,
      { name: 'Idempotency-Key', in: 'header', schema: text, description: 'Same key and body within 24 h: same answer. Other body: 422.' },
    ],
    body: 'Submit',
    answers: { 202: { description: 'Taken', schema: 'Job' }, 200: { description: 'Ended while the request waited', schema: 'Job' } },
    problems: [400, 401, 403, 404, 409, 413, 415, 422, 429],
  },
  {
    method: 'post',
    path: '/v1/jobs/batch',
    summary: 'Run many tasks: one transaction, an answer for each in order',
    scope: 'jobs:submit',
    parameters: [
      { name: 'Idempotency-Key', in: 'header', schema: text, description: 'For the whole batch: each job has it with its place.' },
    ],
    body: 'Batch',
    answers: { 200: { description: 'A job or a problem for each, with its status', schema: 'BatchAnswer' } },
    problems: [400, 401, 403, 413, 415],
  },
  {
    method: 'get',
    path: '/v1/jobs',
    summary: 'Jobs, newest first',
    scope: 'jobs:read',
    parameters: [
      { name: 'limit', in: 'query', schema: integer(1, 500), description: 'Jobs a page' },
      { name: 'cursor', in: 'query', schema: text, description: '`next` of the page before' },
      { name: 'alias', in: 'query', schema: text, description: 'Only jobs of this alias' },
      { name: 'task', in: 'query', schema: text, description: 'Only jobs of this task' },
      { name: 'state', in: 'query', schema: text, description: 'Only jobs in this state' },
      ifNoneMatch,
    ],
    answers: { 200: { description: 'A page; it may be short, or empty, while `next` leads on', schema: 'JobPage' }, ...notModified },
    problems: [400, 401, 403],
  },
  {
    method: 'get',
    path: '/v1/jobs/{id}',
    summary: 'One job',
    scope: 'jobs:read',
    parameters: [prefer, ifNoneMatch],
    answers: { 200: { description: 'The job', schema: 'Job' }, ...notModified },
    problems: [400, 401, 403, 404, 410],
  },
  {
    method: 'delete',
    path: '/v1/jobs/{id}',
    summary: 'Delete a finished job and its result',
    scope: 'jobs:delete',
    answers: { 204: { description: 'Deleted' } },
    problems: [401, 403, 404, 409, 410],
  },
  {
    method: 'post',
    path: '/v1/jobs/{id}/cancel',
    summary: 'Cancel a job',
    scope: 'jobs:cancel',
    answers: {
      200: { description: 'Cancelled: it had not begun', schema: 'Job' },
      202: { description: 'The node was asked to stop the query', schema: 'Job' },
    },
    problems: [401, 403, 404, 409, 410],
  },
  ...EVENT_OPERATIONS,
  ...GROUP_OPERATIONS,
  ...TIME_OPERATIONS,
  ...QUEUE_OPERATIONS,
  {
    method: 'get',
    path: '/v1/jobs/{id}/result',
    summary: "A result's manifest with its links",
    scope: 'results:read',
    answers: { 200: { description: 'The manifest', schema: 'Result' } },
    problems: [401, 403, 404, 409, 410],
  },
  file('parquet', 'application/vnd.apache.parquet', false, [fileNumber]),
  file('csv', 'text/csv', true),
  file('json', 'application/json', true),
  file('duckdb', 'application/vnd.duckdb', false),
  {
    method: 'post',
    path: '/v1/jobs/{id}/slice',
    summary: 'Ask a finished result a question',
    scope: 'results:read',
    parameters: [format],
    body: 'SliceRequest',
    answers: { 200: { description: 'The slice; Content-Location is its address for ever', schema: 'SliceAnswer', csv: true } },
    problems: [400, 401, 403, 404, 409, 410, 413, 415, 422, 503, 504],
  },
  {
    method: 'get',
    path: '/v1/results/{result}/slice/{hash}',
    summary: 'A slice that was asked for before',
    scope: 'results:read',
    parameters: [format, range, ifRange, ifMatch, ifNoneMatch],
    answers: {
      200: { description: 'The slice', schema: 'SliceAnswer', csv: true },
      206: { description: 'A part of it', type: 'application/json', csv: true },
      ...notModified,
    },
    problems: [400, 401, 403, 404, 409, 410, 412, 416, 422, 503, 504],
  },
  {
    method: 'get',
    path: '/v1/nodes',
    summary: 'Nodes that serve this tenant',
    scope: 'jobs:read',
    answers: { 200: { description: 'All nodes', schema: 'NodePage' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/tables',
    summary: 'Report families of this tenant',
    scope: 'catalog:read',
    answers: { 200: { description: 'All families', schema: 'TablePage' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/session',
    summary: 'Who the token says one is',
    scope: 'tasks:read',
    answers: { 200: { description: 'Tenant, subject, scopes', schema: 'Session' } },
    problems: [401, 403],
  },
  {
    method: 'get',
    path: '/v1/session/config',
    summary: 'Where to sign in',
    scope: null,
    answers: { 200: { description: 'Issuers', schema: 'SignIn' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    scope: null,
    answers: { 200: { description: 'OpenAPI 3.1', type: 'application/json' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/healthz',
    summary: 'The Worker runs',
    scope: null,
    answers: { 200: { description: 'ok', schema: 'Health' } },
    problems: [],
  },
  {
    method: 'get',
    path: '/readyz',
    summary: 'A job could be taken',
    scope: null,
    parameters: [{ name: 'pool', in: 'query', schema: text, description: 'Which pool (default)' }],
    answers: {
      200: { description: 'A node has joined', schema: 'Readiness' },
      503: { description: 'No node has joined', schema: 'Readiness' },
    },
    problems: [400],
  },
]

const reference = (name: Component): Schema => ({ $ref: `#/components/schemas/${name}` })

const problem = { description: 'Problem', content: { 'application/problem+json': { schema: reference('Problem') } } }

const operationOf = ({ summary, scope, parameters = [], path, body, answers, problems }: Operation): Schema => ({
  summary,
  ...(scope === null ? { security: [] } : { security: [{ bearer: [scope] }] }),
  parameters: [...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: text })), ...parameters],
  ...(body ? { requestBody: { required: false, content: { 'application/json': { schema: reference(body) } } } } : {}),
  responses: {
    ...Object.fromEntries(
      Object.entries(answers).map(([status, { description, schema, type, json, csv }]) => {
        const content = {
          ...(schema || type ? { [type ?? 'application/json']: schema ? { schema: reference(schema) } : {} } : {}),
          ...(json ? { 'application/json': { schema: reference(json) } } : {}),
          ...(csv ? { 'text/csv': {} } : {}),
        }
        return [status, { description, ...(Object.keys(content).length > 0 ? { content } : {}) }]
      }),
    ),
    ...Object.fromEntries(problems.map((status) => [status, problem])),
    // Whatever else goes wrong: another method or host, a part that does not answer.
    default: problem,
  },
})

/** Each component once, under its name; what refers to another component, or to itself, does so by `$ref`. */
const schemas = (): Record<string, Schema> => {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(COMPONENTS)) registry.add(schema, { id })
  const made = z.toJSONSchema(registry, {
    target: 'draft-2020-12',
    unrepresentable: 'any',
    io: 'input',
    uri: (id) => `#/components/schemas/${id}`,
  })
  // Dialect and address are the document's, not the component's.
  return Object.fromEntries(Object.entries(made.schemas).map(([id, { $schema: _dialect, $id: _address, ...schema }]) => [id, schema]))
}

let document: Schema | null = null

/** OpenAPI 3.1 (whose schemas are JSON Schema 2020-12), derived from the contract's schemas once a Worker. */
export const openApiDocument = (origin: string): Schema => {
  document ??= {
    openapi: '3.1.0',
    info: { title: 'Scarab', version: '1.0.0', description: 'Run SQL reports once, slice the results anywhere.' },
    paths: OPERATIONS.reduce<Record<string, Schema>>((paths, operation) => {
      paths[operation.path] = { ...paths[operation.path], [operation.method]: operationOf(operation) }
      return paths
    }, {}),
    components: {
      schemas: schemas(),
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
  return { ...document, servers: [{ url: origin }] }
}

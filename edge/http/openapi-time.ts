import type { Operation } from './openapi.ts'

const text = { type: 'string' }
const paging = (what: string): NonNullable<Operation['parameters']> => [
  { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 500 }, description: `${what} a page` },
  { name: 'cursor', in: 'query', schema: text, description: '`next` of the page before' },
  { name: 'task', in: 'query', schema: text, description: 'Only those of this task' },
  { name: 'If-None-Match', in: 'header', schema: text, description: '`ETag` of an answer before. RFC 9110, section 13.1.2.' },
]
const notModified = { 304: { description: 'It is as the tag of If-None-Match says' } }

/** Schedules, dead letters, and how late timers are. */
export const TIME_OPERATIONS: Operation[] = [
  {
    method: 'post',
    path: '/v1/schedules',
    summary: "Run a task at given times; without `cron` at those of the task's own `schedule` line",
    scope: 'queues:manage',
    body: 'ScheduleSubmit',
    answers: {
      201: { description: 'Kept', schema: 'Schedule' },
      200: { description: 'A schedule that says the same was there already', schema: 'Schedule' },
    },
    problems: [400, 401, 403, 404, 413, 415, 422, 429],
  },
  {
    method: 'get',
    path: '/v1/schedules',
    summary: 'Schedules, newest first',
    scope: 'jobs:read',
    parameters: paging('Schedules'),
    answers: { 200: { description: 'A page', schema: 'SchedulePage' }, ...notModified },
    problems: [400, 401, 403],
  },
  {
    method: 'delete',
    path: '/v1/schedules',
    summary: 'Delete a schedule by its id in the query',
    scope: 'queues:manage',
    parameters: [{ name: 'id', in: 'query', schema: text, description: 'Which' }],
    answers: { 204: { description: 'Deleted; runs that have begun go on' } },
    problems: [400, 401, 403, 404, 409],
  },
  {
    method: 'get',
    path: '/v1/schedules/{id}',
    summary: 'One schedule',
    scope: 'jobs:read',
    answers: { 200: { description: 'The schedule', schema: 'Schedule' }, ...notModified },
    problems: [401, 403, 404],
  },
  {
    method: 'put',
    path: '/v1/schedules/{id}',
    summary: 'Say a schedule anew: what is left out gets its default, its task stays',
    scope: 'queues:manage',
    body: 'SchedulePut',
    answers: { 200: { description: 'As it is now', schema: 'Schedule' } },
    problems: [400, 401, 403, 404, 409, 413, 415, 422],
  },
  {
    method: 'patch',
    path: '/v1/schedules/{id}',
    summary: 'Change parts of a schedule, or pause it; one of a file can only be paused',
    scope: 'queues:manage',
    body: 'SchedulePatch',
    answers: { 200: { description: 'As it is now', schema: 'Schedule' } },
    problems: [400, 401, 403, 404, 409, 413, 415, 422],
  },
  {
    method: 'delete',
    path: '/v1/schedules/{id}',
    summary: 'Delete a schedule; 409 where it stands in a file',
    scope: 'queues:manage',
    answers: { 204: { description: 'Deleted; runs that have begun go on' } },
    problems: [401, 403, 404, 409],
  },
  {
    method: 'get',
    path: '/v1/dead',
    summary: 'Failed jobs that nobody has run again, newest first, each explained',
    scope: 'jobs:read',
    parameters: paging('Jobs'),
    answers: { 200: { description: 'A page', schema: 'DeadPage' }, ...notModified },
    problems: [400, 401, 403],
  },
  {
    method: 'post',
    path: '/v1/jobs/{id}/retry',
    summary: 'Run a dead job again, as a new job',
    scope: 'jobs:submit',
    answers: { 202: { description: 'Taken: `retried_from` names the dead one', schema: 'Job' } },
    problems: [401, 403, 404, 409, 410, 422, 429],
  },
  {
    method: 'get',
    path: '/v1/ledger',
    summary: "The tenant's ledger in numbers: what waits, and how late timers are",
    scope: 'jobs:read',
    answers: { 200: { description: 'Figures', schema: 'LedgerFigures' }, ...notModified },
    problems: [401, 403],
  },
]

import { ifNoneMatch, notModified, type Operation, paging } from './parts.ts'

/** How queues are served. */
export const QUEUE_OPERATIONS: Operation[] = [
  {
    method: 'get',
    path: '/v1/queues',
    summary: 'Queues that were set or used, by name, and what waits in them',
    scope: 'jobs:read',
    parameters: [...paging('Queues a page'), ifNoneMatch],
    answers: { 200: { description: 'A page', schema: 'QueuePage' }, ...notModified },
    problems: [400, 401, 403],
  },
  {
    method: 'get',
    path: '/v1/queues/{name}',
    summary: 'One queue',
    scope: 'jobs:read',
    parameters: [ifNoneMatch],
    answers: { 200: { description: 'The queue', schema: 'Queue' }, ...notModified },
    problems: [400, 401, 403, 404],
  },
  {
    method: 'put',
    path: '/v1/queues/{name}',
    summary: 'Say how a queue is served; what the body leaves out is the default',
    scope: 'queues:manage',
    body: 'QueueSettings',
    answers: { 200: { description: 'Served like this from now on', schema: 'Queue' } },
    problems: [400, 401, 403, 413, 415, 429],
  },
  {
    method: 'delete',
    path: '/v1/queues/{name}',
    summary: 'Put a queue back to the defaults; its jobs stay',
    scope: 'queues:manage',
    answers: { 204: { description: 'As every queue is by default' } },
    problems: [400, 401, 403, 404],
  },
]

import { idempotencyKey, ifNoneMatch, notModified, type Operation, paging, prefer, query } from './parts.ts'

const decide = (word: 'approve' | 'reject', what: string): Operation => ({
  method: 'post',
  path: `/v1/groups/{id}/steps/{step}/${word}`,
  summary: what,
  scope: 'jobs:submit',
  answers: { 200: { description: 'Decided', schema: 'Group' } },
  problems: [401, 403, 404, 409, 410],
})

/** Groups and their steps. */
export const GROUP_OPERATIONS: Operation[] = [
  {
    method: 'post',
    path: '/v1/groups',
    summary: 'Run several tasks, in the order that their needs give',
    scope: 'jobs:submit',
    parameters: [prefer('group'), idempotencyKey()],
    body: 'GroupSubmit',
    answers: {
      202: { description: 'Taken whole', schema: 'Group' },
      200: { description: 'Ended while the request waited', schema: 'Group' },
    },
    problems: [400, 401, 403, 409, 410, 413, 415, 422, 429],
  },
  {
    method: 'get',
    path: '/v1/groups',
    summary: 'Groups, newest first',
    scope: 'jobs:read',
    parameters: [
      ...paging('Groups a page; fewer where they have many steps', 100),
      query('alias', 'Only groups of this alias'),
      query('state', 'Only groups in this state'),
      ifNoneMatch,
    ],
    answers: { 200: { description: 'A page', schema: 'GroupPage' }, ...notModified },
    problems: [400, 401, 403],
  },
  {
    method: 'get',
    path: '/v1/groups/{id}',
    summary: 'One group with its steps',
    scope: 'jobs:read',
    parameters: [prefer('group'), ifNoneMatch],
    answers: { 200: { description: 'The group', schema: 'Group' }, ...notModified },
    problems: [401, 403, 404, 410],
  },
  {
    method: 'delete',
    path: '/v1/groups/{id}',
    summary: 'Delete a finished group with its jobs and their results',
    scope: 'jobs:delete',
    answers: { 204: { description: 'Deleted' } },
    problems: [401, 403, 404, 409, 410],
  },
  {
    method: 'post',
    path: '/v1/groups/{id}/cancel',
    summary: 'Cancel what is left of a group, and undo what has compensations',
    scope: 'jobs:cancel',
    answers: {
      200: { description: 'Cancelled: nothing ran any more', schema: 'Group' },
      202: { description: 'It ends when its queries have stopped and its compensations have run', schema: 'Group' },
    },
    problems: [401, 403, 404, 409, 410],
  },
  {
    method: 'post',
    path: '/v1/groups/{id}/retry',
    summary: 'A new group that takes over what succeeded, and runs the rest again',
    scope: 'jobs:submit',
    parameters: [prefer('group')],
    answers: {
      202: { description: 'The new group', schema: 'Group' },
      200: { description: 'Ended while the request waited', schema: 'Group' },
    },
    problems: [401, 403, 404, 409, 410, 422, 429],
  },
  decide('approve', 'Say yes to a step that awaits it'),
  decide('reject', 'Say no to a step that awaits a word'),
]

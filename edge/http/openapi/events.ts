import { STREAM_FILTERS } from '../../contract/events.ts'
import { UNTILS } from '../../ledger/events.ts'
import type { Component } from './components.ts'
import { lastEventId, type Operation, type Parameter, query } from './parts.ts'

const resume: Parameter[] = [
  lastEventId,
  query('after', 'The same, for the first request', { type: 'integer', minimum: 0 }),
  query(
    'wait',
    'Answer a page of JSON, after so many seconds at most (30) when there is nothing yet. So does `Accept: application/json`, at once',
    { type: 'integer', minimum: 0 },
  ),
]

const stream = (event: Component, page: Component, what: string): Operation['answers'] => ({
  200: {
    description: `${what} \`event: reset\` (a ResetEvent) comes first when the number is older than what is kept, or was never given out`,
    schema: event,
    type: 'text/event-stream',
    json: page,
  },
})
const ended = { 204: { description: 'Everything has happened and was seen: do not come back' } }

/** Streams of events. */
export const EVENT_OPERATIONS: Operation[] = [
  {
    method: 'get',
    path: '/v1/jobs/{id}/events',
    summary: 'Events of a job as Server-Sent Events, or as a page',
    scope: 'jobs:read',
    parameters: [
      ...resume,
      query(
        'until',
        "End with the job (default), with its publication, or when the browser's copy is there (or 15 minutes after the end)",
        {
          type: 'string',
          enum: [...UNTILS],
        },
      ),
    ],
    answers: { ...stream('JobEvent', 'JobEventPage', 'Each `data` is a JobEvent; `event: progress` has no id.'), ...ended },
    problems: [400, 401, 403, 404, 410, 503],
  },
  {
    method: 'get',
    path: '/v1/groups/{id}/events',
    summary: 'Events of a group as Server-Sent Events, or as a page',
    scope: 'jobs:read',
    parameters: resume,
    answers: { ...stream('GroupEvent', 'GroupEventPage', 'Each `data` is a GroupEvent.'), ...ended },
    problems: [400, 401, 403, 404, 410, 503],
  },
  {
    method: 'get',
    path: '/v1/events',
    summary: 'Events of all jobs as Server-Sent Events, or as a page; without a number: from now on',
    scope: 'jobs:read',
    parameters: [
      ...resume,
      ...STREAM_FILTERS.map((name) => query(name, `Only events of jobs of this ${name}; may be given several times`)),
    ],
    answers: stream('JobEvent', 'JobEventPage', 'Each `data` is a JobEvent whose `n` is the number to resume by.'),
    problems: [400, 401, 403, 503],
  },
]

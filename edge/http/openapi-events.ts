import { STREAM_FILTERS } from '../contract/events.ts'
import { UNTILS } from '../ledger/events.ts'
import type { Component, Operation } from './openapi.ts'

const text = { type: 'string' }

const resume: NonNullable<Operation['parameters']> = [
  { name: 'Last-Event-ID', in: 'header', schema: text, description: 'Go on after this number' },
  { name: 'after', in: 'query', schema: { type: 'integer', minimum: 0 }, description: 'The same, for the first request' },
  {
    name: 'wait',
    in: 'query',
    schema: { type: 'integer', minimum: 0 },
    description:
      'Answer a page of JSON, after so many seconds at most (30) when there is nothing yet. So does `Accept: application/json`, at once',
  },
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
      {
        name: 'until',
        in: 'query',
        schema: { type: 'string', enum: [...UNTILS] },
        description: "End with the job (default), with its publication, or when the browser's copy is there (or 15 minutes after the end)",
      },
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
      ...STREAM_FILTERS.map((name) => ({
        name,
        in: 'query' as const,
        schema: text,
        description: `Only events of jobs of this ${name}; may be given several times`,
      })),
    ],
    answers: stream('JobEvent', 'JobEventPage', 'Each `data` is a JobEvent whose `n` is the number to resume by.'),
    problems: [400, 401, 403, 503],
  },
]

import { ifMatch, ifNoneMatch, ifRange, integer, notModified, type Operation, query, range } from './parts.ts'

const format = query('format', 'JSON unless Accept says text/csv', { type: 'string', enum: ['json', 'csv'] })
const fileNumber = query('file', 'Which file of a result of several: `n` of the manifest', integer(0, 9_999))
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

/** Finished results, whole and sliced. */
export const RESULT_OPERATIONS: Operation[] = [
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
]

import { z } from 'zod'

/**
 * Every error that leaves Scarab over HTTP is an RFC 9457 problem with one of these codes. A code, once given, keeps its
 * meaning for ever; `status` and `title` belong to the code, `detail` names the thing, the bad value and the remedy.
 */
export const PROBLEMS = {
  missing_token: { status: 401, title: 'No bearer token' },
  invalid_token: { status: 401, title: 'The bearer token is not valid' },
  insufficient_scope: { status: 403, title: 'The token does not allow this' },
  invalid_host: { status: 421, title: 'This host name is not served here' },
  not_found: { status: 404, title: 'No such resource' },
  unknown_task: { status: 404, title: 'No such task' },
  gone: { status: 410, title: 'Deleted' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  invalid_body: { status: 400, title: 'The body does not have the expected form' },
  invalid_parameter: { status: 400, title: 'A parameter has a wrong value' },
  invalid_header: { status: 400, title: 'A header has a wrong value' },
  invalid_cursor: { status: 400, title: 'The cursor is not one that was given out' },
  invalid_arguments: { status: 422, title: "The arguments do not fit the task's parameters" },
  invalid_slice: { status: 422, title: 'The slice does not fit the result' },
  slice_failed: { status: 422, title: 'The slice could not be computed' },
  slice_timeout: { status: 504, title: 'The slice took too long' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  precondition_failed: { status: 412, title: 'The object has another tag' },
  range_not_satisfiable: { status: 416, title: 'The range lies outside the object' },
  job_not_finished: { status: 409, title: 'The job has not finished' },
  job_finished: { status: 409, title: 'The job has finished' },
  no_result: { status: 409, title: 'The job has no result' },
  result_expired: { status: 410, title: 'The result has expired' },
  several_files: { status: 409, title: 'The result consists of several files' },
  alias_in_use: { status: 409, title: 'A live job has this alias' },
  idempotency_mismatch: { status: 422, title: 'The idempotency key was used with another request' },
  too_many_jobs: { status: 429, title: 'Too many jobs are waiting' },
  too_many_waiters: { status: 503, title: 'Too many requests are waiting' },
  no_node: { status: 503, title: 'No compute node serves this tenant' },
  fenced: { status: 409, title: 'The attempt is no longer current' },
  already_exists: { status: 412, title: 'The object exists already' },
  checksum_mismatch: { status: 422, title: 'The bytes are not those announced' },
  invalid_group: { status: 422, title: 'The group cannot be run' },
  schedule_of_file: { status: 409, title: 'The schedule stands in a file' },
  invalid_schedule: { status: 422, title: 'The schedule cannot be kept' },
  not_awaiting_approval: { status: 409, title: 'The step does not await an approval' },
  not_an_approver: { status: 403, title: 'Somebody else decides this step' },
  group_not_finished: { status: 409, title: 'The group has not finished' },
  group_finished: { status: 409, title: 'The group has finished' },
  not_retryable: { status: 409, title: 'The job has nothing to run again' },
  limit_reached: { status: 429, title: 'A limit is reached' },
  unavailable: { status: 503, title: 'A part of the service did not answer' },
  internal: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemCode = keyof typeof PROBLEMS

/** RFC 9457, section 3: `application/problem+json`. */
export const ProblemDocument = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]),
  detail: z.string(),
  /** Which request this was; the same id stands in the edge's log. */
  instance: z.string().optional(),
  /** Where in the request the fault lies, where it can be said. */
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  links: z.record(z.string(), z.string()).optional(),
})
export type ProblemDocument = z.infer<typeof ProblemDocument>

export interface ProblemExtras {
  errors?: { path: string; message: string }[]
  links?: Record<string, string>
  headers?: Record<string, string>
}

/** Thrown at the HTTP border only; inside, faults are tagged values. One funnel (`edge/http`) turns it into a response. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly extras: ProblemExtras
  constructor(code: ProblemCode, detail: string, extras: ProblemExtras = {}) {
    super(detail)
    this.name = 'Problem'
    this.code = code
    this.extras = extras
  }
}

/** A fault as a plain value, which crosses RPC and the node's socket unharmed. */
export interface Fault {
  code: ProblemCode
  detail: string
}

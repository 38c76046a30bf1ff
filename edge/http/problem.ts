import type { ZodError, z } from 'zod'
import { PROBLEMS, Problem, type ProblemCode, type ProblemDocument } from '../contract/problems.ts'
import type { AppContext } from './context.ts'

/** RFC 9457 problem as a response. The one funnel: every error of the API passes here. */
export const problemResponse = (problem: Problem, requestId: string): Response => {
  const { status, title } = PROBLEMS[problem.code]
  const { errors, links, headers } = problem.extras
  const body: ProblemDocument = {
    type: `urn:scarab:problem:${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    instance: `urn:scarab:request:${requestId}`,
    ...(errors ? { errors } : {}),
    ...(links ? { links } : {}),
  }
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      // RFC 6750, section 3: what a client must send.
      ...(status === 401
        ? { 'www-authenticate': `Bearer realm="scarab"${problem.code === 'invalid_token' ? ', error="invalid_token"' : ''}` }
        : {}),
      ...(problem.code === 'insufficient_scope' ? { 'www-authenticate': 'Bearer realm="scarab", error="insufficient_scope"' } : {}),
      ...headers,
    },
  })
}

/** Turns whatever was thrown into a problem. What is not ours is logged with the request's id and told as `internal`. */
export const onError = (error: unknown, c: AppContext): Response => {
  const requestId = c.get('requestId') ?? 'unknown'
  if (error instanceof Problem) return problemResponse(error, requestId)
  console.error(JSON.stringify({ request: requestId, method: c.req.method, path: new URL(c.req.url).pathname, error: String(error) }))
  const retryable = typeof error === 'object' && error !== null && ('retryable' in error || 'overloaded' in error)
  return retryable
    ? problemResponse(
        new Problem('unavailable', 'A part of the service did not answer. Try again.', { headers: { 'retry-after': '1' } }),
        requestId,
      )
    : problemResponse(new Problem('internal', `Something went wrong on our side. Report it with the id ${requestId}.`), requestId)
}

/**
 * How far a form was missed: one that knows none of the names that came is another one, then fewer faults are nearer, then
 * those that lie deeper within what came.
 */
const distanceOf = (faults: z.core.$ZodIssue[]): [number, number, number] => [
  faults.some(({ code }) => code === 'unrecognized_keys') ? 1 : 0,
  faults.length,
  -Math.max(...faults.map(({ path }) => path.length)),
]
const byDistance = (one: z.core.$ZodIssue[], other: z.core.$ZodIssue[]): number => {
  const [mine, yours] = [distanceOf(one), distanceOf(other)]
  return mine[0] - yours[0] || mine[1] - yours[1] || mine[2] - yours[2]
}

/** A fault with its whole path; of forms of which one was to fit, the faults of the one that was missed by least. */
const innermost = (issue: z.core.$ZodIssue, before: PropertyKey[] = []): { path: PropertyKey[]; message: string }[] => {
  const path = [...before, ...issue.path]
  if (issue.code === 'invalid_key' && issue.issues[0]) return [{ path, message: issue.issues[0].message }]
  if (issue.code !== 'invalid_union') return [{ path, message: issue.message }]
  const [nearest] = issue.errors.filter((faults) => faults.length > 0).sort(byDistance)
  return nearest ? nearest.flatMap((fault) => innermost(fault, path)) : [{ path, message: issue.message }]
}

/** The first faults of a schema, with their places. */
export const schemaProblem = (code: ProblemCode, what: string, error: ZodError): Problem => {
  const errors = error.issues
    .flatMap((issue) => innermost(issue))
    .slice(0, 10)
    .map((issue) => ({ path: `/${issue.path.map(String).join('/')}`, message: issue.message }))
  const [one] = errors
  return new Problem(
    code,
    `${what}: ${one ? `${one.path === '/' ? '' : `${one.path}: `}${one.message}` : 'it has not the expected form'}`,
    { errors },
  )
}

/** Throws the fault of a plain value. */
export const fromFault = (fault: { code: ProblemCode; detail: string }): Problem => new Problem(fault.code, fault.detail)

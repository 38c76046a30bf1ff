import { Hono } from 'hono'
import { stub } from '../addressing.ts'
import { canonicalJson } from '../contract/canonical.ts'
import { Alias, JobId } from '../contract/ids.ts'
import { isTerminal, type Job, JobState, SubmitBody } from '../contract/jobs.ts'
import { Problem } from '../contract/problems.ts'
import type { LedgerObject } from '../ledger/object.ts'
import { prepareSubmission } from '../ledger/prepare.ts'
import { readBody } from './body.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { idempotencyKey, preferredWait, queryInteger, queryOf } from './headers.ts'
import { fromFault } from './problem.ts'
import { findTask } from './tasks.ts'

const DEFAULT_PAGE = 50
const MAX_PAGE = 500

export const ledgerOf = (c: AppContext): DurableObjectStub<LedgerObject> => stub(c.env.LEDGER, personOf(c).tenant, c.env)

/** A job id of the path. One that cannot be an id is as unknown as one of another tenant (I6). */
export const jobIdOf = (c: AppContext): JobId => {
  const parsed = JobId.safeParse(c.req.param('id'))
  if (!parsed.success) throw notFound(String(c.req.param('id')))
  return parsed.data
}

/** "has succeeded", "was cancelled": how a job has ended, in a sentence. */
export const pastOf = (state: JobState): string => `${state === 'cancelled' ? 'was' : 'has'} ${state}`

export const notFound = (id: string): Problem => new Problem('not_found', `There is no job "${id.slice(0, 100)}".`)

/** Throws what a look-up did not find. */
export const foundOr = (found: 'no' | 'gone' | 'yes', id: string): void => {
  if (found === 'no') throw notFound(id)
  if (found === 'gone') throw new Problem('gone', `The job ${id} was deleted.`)
}

/** RFC 7240, section 3: what of the preference was granted. */
export const applied = (wait: number): Record<string, string> => (wait > 0 ? { 'preference-applied': `wait=${wait}` } : {})

const hex = (bytes: ArrayBuffer): string => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
export const digest = async (text: string): Promise<string> => hex(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))

const remembered = new Set<string>()
/** The sweep must find this ledger again; told once a tenant and Worker. */
export const rememberLedger = async (c: AppContext): Promise<void> => {
  const { tenant } = personOf(c)
  if (remembered.has(tenant)) return
  await stub(c.env.DIRECTORY, 'directory', c.env).remember({ ledger: tenant })
  remembered.add(tenant)
}

/**
 * An idempotency key within its scope, the tenant (each has a ledger of its own) and the route: a task's name, or what begins with
 * a line feed, which no such name has.
 */
export const keyOf = (route: string, key: string): Promise<string> => digest(canonicalJson([route, key]))

const answerSubmit = (c: AppContext, job: Job, wait: number): Response => {
  const headers = { location: job.links.self ?? '', ...applied(wait) }
  return c.json(job, wait > 0 && isTerminal(job.state) ? 200 : 202, headers)
}

export const submitHandler = async (c: AppContext): Promise<Response> => {
  const task = await findTask(c)
  const wait = preferredWait(c)
  const key = idempotencyKey(c)
  const body = await readBody(c, SubmitBody)
  const prepared = prepareSubmission(
    personOf(c),
    task,
    body,
    // A replay was authorised anew before it came here.
    key === null ? null : { key: await keyOf(task.name, key), body: await digest(canonicalJson(body)) },
  )
  if (!prepared.ok) throw fromFault(prepared)
  await rememberLedger(c)
  const submitted = await ledgerOf(c).submit(prepared.submission, wait * 1000)
  if (!submitted.ok) throw fromFault(submitted)
  return answerSubmit(c, submitted.job, wait)
}

const cursorOf = (id: string): string => btoa(`1:${id}`).replace(/=+$/, '')
const idOfCursor = (cursor: string): JobId => {
  try {
    const [, id] = /^1:([0-9a-z]{26})$/.exec(atob(cursor)) ?? []
    return JobId.parse(id)
  } catch {
    throw new Problem('invalid_cursor', 'The cursor is not one that this list gave out. Begin without a cursor.')
  }
}

const listHandler = async (c: AppContext): Promise<Response> => {
  const limit = queryInteger(c, 'limit', DEFAULT_PAGE, 1, MAX_PAGE)
  const cursor = queryOf(c, 'cursor')
  const state = queryOf(c, 'state')
  const alias = queryOf(c, 'alias')
  const parsedState = state === undefined ? null : JobState.safeParse(state)
  if (parsedState && !parsedState.success)
    throw new Problem('invalid_parameter', `state is one of ${JobState.options.join(', ')}, not "${String(state).slice(0, 50)}".`)
  if (alias !== undefined && !Alias.safeParse(alias).success)
    throw new Problem('invalid_parameter', `alias is 1 to 200 characters of A-Z, a-z, 0-9, ":", "_" and "-", not "${alias.slice(0, 50)}".`)
  const { items, next } = await ledgerOf(c).list({
    alias: alias ?? null,
    task: queryOf(c, 'task') ?? null,
    state: parsedState?.success ? parsedState.data : null,
    before: cursor === undefined ? null : idOfCursor(cursor),
    limit,
  })
  return taggedJson(c, { items, next: next === null ? null : cursorOf(next) })
}

export const jobsApp = new Hono<AppEnv>()
  .get('/', allow('jobs:read'), listHandler)
  .get('/:id', allow('jobs:read'), async (c) => {
    const id = jobIdOf(c)
    const wait = preferredWait(c)
    const answer = await ledgerOf(c).job(id, wait * 1000)
    foundOr(answer.found, id)
    if (answer.found !== 'yes') throw notFound(id)
    return taggedJson(c, answer.job, applied(wait))
  })
  .post('/:id/cancel', allow('jobs:cancel'), async (c) => {
    const id = jobIdOf(c)
    const answer = await ledgerOf(c).cancel(id, `cancelled by ${personOf(c).subject}`.slice(0, 200))
    foundOr(answer.found, id)
    if (answer.found !== 'yes') throw notFound(id)
    if (answer.answer === 'ended')
      throw new Problem('job_finished', `The job ${id} ${pastOf(answer.job.state)} already: there is nothing to cancel.`)
    return c.json(answer.job, answer.answer === 'cancelled' ? 200 : 202)
  })
  .delete('/:id', allow('jobs:delete'), async (c) => {
    const id = jobIdOf(c)
    const answer = await ledgerOf(c).remove(id)
    foundOr(answer.found, id)
    if (answer.found !== 'yes') throw notFound(id)
    if (!answer.removed)
      throw new Problem('job_not_finished', `The job ${id} is ${answer.job.state}. Cancel it first, or wait until it has ended.`)
    return c.body(null, 204)
  })

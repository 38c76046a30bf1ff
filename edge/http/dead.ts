import { Hono } from 'hono'
import { JobId } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import { prepareSubmission } from '../ledger/prepare.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { cursorAfter, idBehind } from './cursors.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { queryInteger, queryOf } from './headers.ts'
import { foundOr, jobIdOf, ledgerOf, notFound } from './jobs.ts'
import { fromFault } from './problem.ts'
import { taskNamed } from './tasks.ts'

const DEFAULT_PAGE = 50
const MAX_PAGE = 500

const notRetryable = (detail: string, as: string | null): Problem =>
  new Problem('not_retryable', detail, as === null ? {} : { links: { retried_as: `/v1/jobs/${as}` } })

/** Runs a dead job again: its request is checked anew against the task as it is, and for whoever asks. */
const retryHandler = async (c: AppContext): Promise<Response> => {
  const id = jobIdOf(c)
  const ledger = ledgerOf(c)
  const dead = await ledger.findDead(id)
  foundOr(dead.found, id)
  if (dead.found !== 'yes') throw notFound(id)
  if (dead.refusal !== null) throw notRetryable(dead.refusal, dead.as)
  const prepared = prepareSubmission(personOf(c), await taskNamed(c, dead.task), dead.body, null)
  if (!prepared.ok) throw fromFault(prepared)
  const retried = await ledger.retry(id, prepared.submission)
  foundOr(retried.found, id)
  if (retried.found !== 'yes') throw notFound(id)
  if (!retried.ok) throw retried.code === 'not_retryable' ? notRetryable(retried.detail, retried.as) : fromFault(retried)
  return c.json(retried.job, 202, { location: retried.job.links.self ?? '' })
}

export const deadApp = new Hono<AppEnv>()
  .get('/dead', allow('jobs:read'), async (c) => {
    const { items, next } = await ledgerOf(c).dead({
      task: queryOf(c, 'task') ?? null,
      before: idBehind('d', JobId, queryOf(c, 'cursor')),
      limit: queryInteger(c, 'limit', DEFAULT_PAGE, 1, MAX_PAGE),
    })
    return taggedJson(c, { items, next: cursorAfter('d', next) })
  })
  .post('/jobs/:id/retry', allow('jobs:submit'), retryHandler)

import { Hono } from 'hono'
import { QueueName } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import { QueueSettings } from '../contract/queues.ts'
import { readBody } from './body.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { cursorAfter, idBehind } from './cursors.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { queryInteger, queryOf } from './headers.ts'
import { ledgerOf, rememberLedger } from './jobs.ts'
import { fromFault } from './problem.ts'

const DEFAULT_PAGE = 100
const MAX_PAGE = 500

const notFound = (name: string): Problem =>
  new Problem(
    'not_found',
    `Nobody has set a queue "${name.slice(0, 100)}", and no job of this tenant has used it. A PUT sets it; GET /v1/queues lists all.`,
  )

const nameOf = (c: AppContext): QueueName => {
  const given = String(c.req.param('name'))
  const parsed = QueueName.safeParse(given)
  if (!parsed.success)
    throw new Problem(
      'invalid_parameter',
      `"${given.slice(0, 100)}" cannot be a queue: ${parsed.error.issues[0]?.message ?? 'wrong name'}.`,
    )
  return parsed.data
}

/** A queue needs no creation: any job may name one. What is set here is how it is served. */
export const queuesApp = new Hono<AppEnv>()
  .get('/', allow('jobs:read'), async (c) => {
    const { items, next } = await ledgerOf(c).queues({
      after: idBehind('q', QueueName, queryOf(c, 'cursor')),
      limit: queryInteger(c, 'limit', DEFAULT_PAGE, 1, MAX_PAGE),
    })
    return taggedJson(c, { items, next: cursorAfter('q', next) })
  })
  .get('/:name', allow('jobs:read'), async (c) => {
    const name = nameOf(c)
    const queue = await ledgerOf(c).queue(name)
    if (!queue) throw notFound(name)
    return taggedJson(c, queue)
  })
  .put('/:name', allow('queues:manage'), async (c) => {
    const name = nameOf(c)
    const settings = await readBody(c, QueueSettings)
    await rememberLedger(c)
    const put = await ledgerOf(c).putQueue(name, settings)
    if (!put.ok) throw fromFault(put)
    return c.json(put.queue)
  })
  .delete('/:name', allow('queues:manage'), async (c) => {
    const name = nameOf(c)
    if (!(await ledgerOf(c).resetQueue(name)))
      throw new Problem(
        'not_found',
        `The queue "${name}" of tenant ${personOf(c).tenant} has no settings: it is as every queue is by default.`,
      )
    return c.body(null, 204)
  })

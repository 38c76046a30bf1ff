import { Hono } from 'hono'
import { z } from 'zod'
import { isTimeZone, readCron } from '../contract/cron.ts'
import { ScheduleId } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import { MissedPolicy, OverlapPolicy, type Schedule, ScheduleBody, SchedulePatch, SchedulePut } from '../contract/schedules.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { prepareRun } from '../ledger/scheduled.ts'
import type { NewSchedule, Wanted } from '../ledger/schedules.ts'
import { readBody } from './body.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { cursorAfter, idBehind } from './cursors.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { queryInteger, queryOf } from './headers.ts'
import { ledgerOf, rememberLedger } from './jobs.ts'
import { fromFault } from './problem.ts'
import { taskNamed } from './tasks.ts'

const DEFAULT_PAGE = 50
const MAX_PAGE = 500

const notFound = (id: string): Problem => new Problem('not_found', `There is no schedule "${id.slice(0, 100)}".`)

/** A schedule id. One that cannot be an id is as unknown as one of another tenant (I6). */
const scheduleIdOf = (id: string | undefined): ScheduleId => {
  const parsed = ScheduleId.safeParse(id)
  if (!parsed.success) throw notFound(String(id))
  return parsed.data
}

const refuse = (detail: string): never => {
  throw new Problem('invalid_schedule', detail)
}

/** The times, zone and policies that a body and the task's own line come to. */
const settled = (task: CataloguedTask, { paused: _paused, ...body }: ScheduleBody): Wanted => {
  const line = task.schedule ?? null
  const cron =
    body.cron ?? line?.cron ?? refuse(`/cron: the task "${task.name}" has no schedule line of its own: say when, such as "0 6 * * 1-5".`)
  const read = readCron(cron)
  if (!read.ok) return refuse(`/cron: ${read.detail}.`)
  const tz = body.tz ?? (body.cron === undefined ? line?.tz : undefined) ?? 'UTC'
  if (!isTimeZone(tz)) refuse(`/tz: ${JSON.stringify(tz)} is not an IANA time zone such as Europe/Berlin.`)
  const missed = MissedPolicy.safeParse(line?.missed)
  const overlap = OverlapPolicy.safeParse(line?.overlap)
  return {
    ...body,
    cron: read.text,
    tz,
    missed: body.missed ?? (missed.success ? missed.data : 'latest'),
    overlap: body.overlap ?? (overlap.success ? overlap.data : 'skip'),
  }
}

/** A body against its task as it is now: what the ledger is to keep. */
const prepared = async (c: AppContext, body: ScheduleBody): Promise<NewSchedule> => {
  const task = await taskNamed(c, body.task)
  const wanted = settled(task, body)
  const rights = personOf(c).scopes
  const { task: _task, ...options } = wanted
  const run = prepareRun(rights, task, options)
  if (!run.ok) throw fromFault(run)
  const { paused } = body
  return { task: task.name, source: 'api', wanted, run: run.submission, rights: [...rights], ...(paused === undefined ? {} : { paused }) }
}

const createHandler = async (c: AppContext): Promise<Response> => {
  const schedule = await prepared(c, await readBody(c, ScheduleBody))
  await rememberLedger(c)
  const made = await ledgerOf(c).createSchedule(schedule)
  if (!made.ok) throw fromFault(made)
  return c.json(made.schedule, made.created ? 201 : 200, { location: made.schedule.links?.self ?? '' })
}

/** Replaces a schedule (PUT: what is left out gets its default) or parts of it (PATCH: that stays). Its task stays. */
const changeHandler = async (c: AppContext, way: 'put' | 'patch'): Promise<Response> => {
  const id = scheduleIdOf(c.req.param('id'))
  const body: SchedulePut = await readBody(c, way === 'put' ? SchedulePut : SchedulePatch)
  const ledger = ledgerOf(c)
  const schedule = await ledger.schedule(id)
  if (!schedule) throw notFound(id)
  const { task = schedule.task, paused, ...said } = body
  if (task !== schedule.task) refuse(`/task: the schedule ${id} runs "${schedule.task}". Delete it, and make another one for "${task}".`)
  const isWhole = way === 'put' || Object.keys(said).length > 0
  const changed = await ledger.changeSchedule(id, {
    // What a file says is refused by the ledger, whatever its task is now.
    to: isWhole ? await prepared(c, { ...(way === 'put' ? {} : saidBy(schedule)), ...said, task }) : null,
    paused: paused ?? (way === 'put' ? false : null),
  })
  if (!changed.ok) throw fromFault(changed)
  return c.json(changed.schedule)
}

/** What a client said of a schedule, among what is shown of it. */
const saidBy = (schedule: Schedule): ScheduleBody => z.object(ScheduleBody.shape).parse(schedule)

const removeHandler = async (c: AppContext, given: string | undefined): Promise<Response> => {
  const id = scheduleIdOf(given)
  const answer = await ledgerOf(c).removeSchedule(id)
  if (answer.found === 'no') throw notFound(id)
  if (!answer.removed)
    throw new Problem(
      'schedule_of_file',
      `The schedule ${id} stands in the file of the task "${answer.schedule.task}": remove its "-- schedule:" line on the nodes.`,
    )
  return c.body(null, 204)
}

export const schedulesApp = new Hono<AppEnv>()
  .get('/', allow('jobs:read'), async (c) => {
    const { items, next } = await ledgerOf(c).schedules({
      task: queryOf(c, 'task') ?? null,
      before: idBehind('s', ScheduleId, queryOf(c, 'cursor')),
      limit: queryInteger(c, 'limit', DEFAULT_PAGE, 1, MAX_PAGE),
    })
    return taggedJson(c, { items, next: cursorAfter('s', next) })
  })
  .post('/', allow('queues:manage'), (c) => createHandler(c))
  .delete('/', allow('queues:manage'), (c) => {
    const id = queryOf(c, 'id')
    if (id === undefined) throw new Problem('invalid_parameter', 'Say which: DELETE /v1/schedules?id=…, or DELETE /v1/schedules/{id}.')
    return removeHandler(c, id)
  })
  .get('/:id', allow('jobs:read'), async (c) => {
    const id = scheduleIdOf(c.req.param('id'))
    const schedule = await ledgerOf(c).schedule(id)
    if (!schedule) throw notFound(id)
    return taggedJson(c, schedule)
  })
  .put('/:id', allow('queues:manage'), (c) => changeHandler(c, 'put'))
  .patch('/:id', allow('queues:manage'), (c) => changeHandler(c, 'patch'))
  .delete('/:id', allow('queues:manage'), (c) => removeHandler(c, c.req.param('id')))

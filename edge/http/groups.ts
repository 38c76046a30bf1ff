import { Hono } from 'hono'
import { canonicalJson } from '../contract/canonical.ts'
import { toSeconds } from '../contract/durations.ts'
import { type Group, GroupBody, GroupState } from '../contract/groups.ts'
import { Alias, GroupId, type TaskName } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import type { CataloguedTask } from '../directory/catalogue.ts'
import { gateOf } from '../identity/wire.ts'
import type { GroupAnswer, GroupDeed } from '../ledger/groups/desk.ts'
import { planGroup } from '../ledger/groups/plan.ts'
import type { GroupSubmission } from '../ledger/groups/submit.ts'
import { prepareSubmission } from '../ledger/prepare.ts'
import { readBody } from './body.ts'
import { type AppContext, type AppEnv, personOf } from './context.ts'
import { taggedJson } from './etags.ts'
import { allow } from './guard.ts'
import { idempotencyKey, preferredWait, queryInteger, queryOf } from './headers.ts'
import { applied, digest, keyOf, ledgerOf, rememberLedger } from './jobs.ts'
import { fromFault } from './problem.ts'

const DEFAULT_PAGE = 20
const MAX_PAGE = 100

const notFound = (id: string): Problem => new Problem('not_found', `There is no group "${id.slice(0, 100)}".`)

/** A group id of the path. One that cannot be an id is as unknown as one of another tenant (I6). */
const groupIdOf = (c: AppContext): GroupId => {
  const parsed = GroupId.safeParse(c.req.param('id'))
  if (!parsed.success) throw notFound(String(c.req.param('id')))
  return parsed.data
}

const groupOf = (answer: GroupAnswer): Group => {
  if (!answer.ok) throw fromFault(answer)
  return answer.group
}

const ask = async (c: AppContext, deed: GroupDeed): Promise<Group> => groupOf(await ledgerOf(c).group(groupIdOf(c), deed))

/** The tasks that a group names, as this tenant sees them; each is asked for once. */
const tasksOf = async (c: AppContext, body: GroupBody): Promise<Map<TaskName, CataloguedTask>> => {
  const steps = [...Object.values(body.steps), ...(body.alert ? [body.alert] : [])]
  const names = new Set(steps.flatMap((step) => ('task' in step ? [step.task] : [])))
  const { directory } = gateOf(c.env)
  const { tenant } = personOf(c)
  const found = await Promise.all([...names].map(async (name) => [name, await directory.task(tenant, name)] as const))
  return new Map(found.flatMap(([name, task]) => (task ? [[name, task] as const] : [])))
}

/** Checks a group whole and turns it into what the ledger takes. Throws `invalid_group` with every fault. */
const prepareGroup = async (
  c: AppContext,
  body: GroupBody,
): Promise<Pick<GroupSubmission, 'alias' | 'deadline_seconds' | 'undo_seconds' | 'rights' | 'steps'>> => {
  const person = personOf(c)
  const tasks = await tasksOf(c, body)
  const planned = planGroup(body, (name) => tasks.get(name) ?? null)
  const faults = planned.ok ? [] : planned.faults
  const steps = (planned.ok ? planned.steps : []).flatMap(({ plan, job }): GroupSubmission['steps'] => {
    if (!job) return [{ plan, job: null }]
    const { task: _task, ...options } = job.body
    const prepared = prepareSubmission(person, job.task, { ...options, args: job.args }, null)
    if (prepared.ok) return [{ plan, job: prepared.submission }]
    faults.push({ path: plan.kind === 'alert' ? '/alert' : `/steps/${plan.name}`, message: prepared.detail })
    return []
  })
  const [one] = faults
  if (one) {
    const more = faults.length > 1 ? ` And ${faults.length - 1} more: see errors.` : ''
    throw new Problem('invalid_group', `${one.path}: ${one.message}${more}`, { errors: faults })
  }
  return {
    alias: body.alias ?? null,
    deadline_seconds: body.deadline === undefined ? null : toSeconds(body.deadline),
    undo_seconds: body.compensation_deadline === undefined ? null : toSeconds(body.compensation_deadline),
    rights: person.scopes,
    steps,
  }
}

const take = async (c: AppContext, wanted: GroupSubmission): Promise<Response> => {
  await rememberLedger(c)
  const wait = preferredWait(c)
  const group = groupOf(await ledgerOf(c).submitGroup(wanted, wait * 1000))
  return c.json(group, wait > 0 && group.finished_at !== null ? 200 : 202, { location: group.links.self ?? '', ...applied(wait) })
}

const submitHandler = async (c: AppContext): Promise<Response> => {
  const key = idempotencyKey(c)
  const body = await readBody(c, GroupBody)
  const request = await digest(canonicalJson(body))
  return take(c, {
    ...(await prepareGroup(c, body)),
    request,
    idempotency: key === null ? null : { key: await keyOf('\n/v1/groups', key), body: request },
    retries: null,
  })
}

/** Runs again what did not succeed: the body of then against the tasks of now. */
const retryHandler = async (c: AppContext): Promise<Response> => {
  const id = groupIdOf(c)
  const kept = await ledgerOf(c).groupBody(id)
  if (!kept.ok) throw fromFault(kept)
  const body = GroupBody.parse(JSON.parse(kept.body))
  return take(c, { ...(await prepareGroup(c, body)), request: await digest(`retry ${id}`), idempotency: null, retries: id })
}

const cursorOf = (id: string): string => btoa(`g:${id}`).replace(/=+$/, '')
const idOfCursor = (cursor: string): GroupId => {
  try {
    const [, id] = /^g:(g[0-9a-z]{26})$/.exec(atob(cursor)) ?? []
    return GroupId.parse(id)
  } catch {
    throw new Problem('invalid_cursor', 'The cursor is not one that this list gave out. Begin without a cursor.')
  }
}

const listHandler = async (c: AppContext): Promise<Response> => {
  const limit = queryInteger(c, 'limit', DEFAULT_PAGE, 1, MAX_PAGE)
  const cursor = queryOf(c, 'cursor')
  const state = queryOf(c, 'state')
  const alias = queryOf(c, 'alias')
  if (state !== undefined && !GroupState.safeParse(state).success)
    throw new Problem('invalid_parameter', `state is one of ${GroupState.options.join(', ')}, not "${state.slice(0, 50)}".`)
  if (alias !== undefined && !Alias.safeParse(alias).success)
    throw new Problem('invalid_parameter', `alias is 1 to 200 characters of A-Z, a-z, 0-9, ":", "_" and "-", not "${alias.slice(0, 50)}".`)
  const { items, next } = await ledgerOf(c).groups({
    alias: alias ?? null,
    state: state ?? null,
    before: cursor === undefined ? null : idOfCursor(cursor),
    limit,
  })
  return taggedJson(c, { items, next: next === null ? null : cursorOf(next) })
}

const decideHandler = (decision: 'approve' | 'reject') => async (c: AppContext) =>
  c.json(await ask(c, { do: 'decide', step: c.req.param('step') ?? '', decision, subject: personOf(c).subject }))

export const groupsApp = new Hono<AppEnv>()
  .post('/', allow('jobs:submit'), submitHandler)
  .get('/', allow('jobs:read'), listHandler)
  .get('/:id', allow('jobs:read'), async (c) => {
    const wait = preferredWait(c)
    return taggedJson(c, groupOf(await ledgerOf(c).group(groupIdOf(c), { do: 'show' }, wait * 1000)), applied(wait))
  })
  .delete('/:id', allow('jobs:delete'), async (c) => {
    await ask(c, { do: 'remove' })
    return c.body(null, 204)
  })
  .post('/:id/cancel', allow('jobs:cancel'), async (c) => {
    const group = await ask(c, { do: 'cancel' })
    return c.json(group, group.finished_at === null ? 202 : 200)
  })
  .post('/:id/retry', allow('jobs:submit'), retryHandler)
  .post('/:id/steps/:step/approve', allow('jobs:submit'), decideHandler('approve'))
  .post('/:id/steps/:step/reject', allow('jobs:submit'), decideHandler('reject'))

import { GroupBody } from '../../edge/contract/groups.ts'
import { QueueName, type TenantId } from '../../edge/contract/ids.ts'
import { planGroup } from '../../edge/ledger/groups/plan.ts'
import type { GroupSubmission } from '../../edge/ledger/groups/submit.ts'
import type { Submission } from '../../edge/ledger/submit.ts'
import type { Clients } from './client.ts'
import type { World } from './world.ts'

/** Clients who want the same thing, at about the same time; some leave, the first of them too. */
export const comeTogether = (world: World, clients: Clients, tenant: TenantId, plain: Submission): void => {
  const { chance, schedule } = world
  const [serial = 0, , ending = 'good'] = plain.args
  // Long enough that some come, and some leave, while it runs.
  const args = [serial, chance.pick([400, 5_000, 5_000, 20_000]), ending]
  const wanted = { ...plain, args, alias: null, idempotency: null, sameness: `twin ${serial}` }
  const first = chance.between(0, world.weather.storm)
  const spread = chance.pick([5, 500, 5_000])
  const one = async (patience: number): Promise<void> => {
    const reuse_seconds = chance.happens(0.2) ? 60 : null
    const queue = chance.happens(0.3) ? QueueName.parse(chance.pick(['default', 'fast'])) : wanted.queue
    const priority = chance.happens(0.3) ? 5 : 0
    const ttl_seconds = chance.happens(0.15) ? 3 : null
    const job = await clients.submit(tenant, 0, { ...wanted, queue, priority, reuse_seconds, ttl_seconds })
    if (job === null) return
    world.note(`taken ${job}, a twin`)
    if (chance.happens(0.2) && reuse_seconds === null) void clients.read(tenant, job)
    if (!chance.happens(patience))
      schedule.after(chance.between(0, chance.pick([20, 500, 3_000, 20_000])), () => void clients.cancel(tenant, job))
    if (chance.happens(0.2)) schedule.after(chance.between(0, 10_000), () => void clients.remove(tenant, job))
  }
  schedule.after(first, () => void one(chance.pick([0.2, 0.8])))
  const patience = chance.pick([0.2, 0.8, 0.9])
  for (let left = chance.between(1, 6); left > 0; left--) schedule.after(first + chance.between(1, spread), () => void one(patience))
}

/** A small group: some steps, what follows from what, an alert, somebody who does not decide in time. */
export const groupOf = (world: World, key: string, make: () => Submission): GroupSubmission => {
  const { chance } = world
  const steps: Record<string, unknown> = {}
  const names = ['a', 'b', 'c', 'd'].slice(0, chance.between(2, 4))
  names.forEach((name, n) => {
    const needs = names.slice(0, n).filter(() => chance.happens(0.6))
    const edges = { needs, ...(needs.length > 0 ? { when: chance.pick(['succeeded', 'succeeded', 'failed', 'always']) } : {}) }
    const after = chance.happens(0.3) ? { after: 'published' } : {}
    steps[name] = chance.happens(0.15)
      ? { approval: { deadline: 10, default: chance.pick(['approve', 'reject']) }, ...edges }
      : { task: 'known', ...edges, ...after }
    if (n === 0 && 'task' in (steps[name] as object) && chance.happens(0.3)) steps.undo = { task: 'known', compensates: name }
  })
  const planned = planGroup(GroupBody.parse({ steps, ...(chance.happens(0.3) ? { alert: { task: 'known' } } : {}) }), (name) => ({
    name,
    params: [],
    arity: 0,
    db: [],
    columns: null,
  }))
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults))
  return {
    alias: null,
    deadline_seconds: chance.happens(0.15) ? 20 : null,
    undo_seconds: chance.happens(0.15) ? 20 : null,
    request: key,
    idempotency: { key, body: key },
    rights: [],
    retries: null,
    steps: planned.steps.map(({ plan, job }) => ({ plan, job: job && make() })),
  }
}

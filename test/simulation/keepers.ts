import { QueueName, type TenantId } from '../../edge/contract/ids.ts'
import type { World } from './world.ts'

/** A request of the storm has arrived by then, also the second copy of one that was late. */
const LATEST_MS = 30_000

/** Somebody who sets queues while it storms: pauses them, bounds them, keeps slots for them. In the end all is as by default. */
export const keepQueues = (world: World, tenants: readonly TenantId[], times: number): void => {
  const { chance, schedule } = world
  const { storm } = world.weather
  const queues = ['default', 'fast'].map((name) => QueueName.parse(name))
  const ask = (method: string, tenant: TenantId, ...args: unknown[]): Promise<unknown> => world.request('LEDGER', tenant, method, args)
  for (let left = times; left > 0; left--)
    schedule.after(chance.between(0, storm), () => {
      const settings = {
        priority: chance.between(-1, 1),
        concurrency: chance.happens(0.5) ? chance.between(1, 2) : null,
        paused: chance.happens(0.4),
        weight: chance.between(1, 3),
        reserve: chance.happens(0.3) ? 1 : 0,
      }
      const tenant = chance.pick(tenants)
      const queue = chance.pick(queues)
      world.note(`sets ${queue} of ${tenant}: ${JSON.stringify(settings)}`)
      ask('putQueue', tenant, queue, settings).catch(() => undefined)
    })
  if (times === 0) return
  /** A paused queue would wait for ever: said again until it is answered. */
  const putBack = (tenant: TenantId, queue: QueueName): void => {
    ask('resetQueue', tenant, queue).catch(() => schedule.after(500, () => putBack(tenant, queue)))
  }
  schedule.after(storm + LATEST_MS, () => {
    for (const tenant of tenants) for (const queue of queues) putBack(tenant, queue)
  })
}

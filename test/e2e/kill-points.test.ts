import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/patience.ts'
import type { Client } from './support/client.ts'
import { type FaultServer, faultPointsInSource, startFaultServer } from './support/faults.ts'
import { type Ended, judge, LOAD_TASKS, runJob } from './support/load.ts'
import { startWorld, type World } from './support/world.ts'

/** Every moment at which the edge can be stopped between two steps that belong together. */
const POINTS = [
  'ledger.accepted',
  'ledger.completed',
  'ledger.failed',
  'ledger.handing-over',
  'ledger.offered',
  'ledger.page-announced',
  'ledger.page-cut',
  'ledger.page-written',
  'ledger.published',
  'ledger.submitted',
  'pool.ready',
  'table.accepted',
  'table.data-put',
  'table.intent-written',
  'table.list-put',
  'table.manifest-put',
  'table.metadata-put',
  'table.pointer-moved',
  'table.reported',
  'table.settled',
]

/** Jobs move to object storage as soon as they have ended, so that the points there are passed. */
const SCARAB_HOUSEKEEPING = JSON.stringify({ most_jobs: 0, kept_jobs: 0, stay_seconds: 1, begin_seconds: 1 })

describe('workerd killed at a named point', () => {
  const tenant = 'points'
  const ended: Ended[] = []
  let faults: FaultServer
  let world: World
  let client: Client
  let n = 0

  beforeAll(async () => {
    faults = await startFaultServer()
    world = await startWorld({ tasks: LOAD_TASKS, bindings: { SCARAB_FAULT_URL: faults.url, SCARAB_HOUSEKEEPING } })
    client = await world.as(tenant)
  })
  afterAll(async () => {
    await world.end()
    faults.close()
  })

  test('the points exercised here are those in the source', () => {
    expect(POINTS).toEqual(faultPointsInSource())
  })

  test.each(POINTS)('%s: what was acknowledged ends once, and its readers miss nothing', async (point) => {
    // Jobs move after they have ended: the kill before this one may have come last of all.
    const before = await eventually(() => world.system.workerdPid() ?? Promise.reject(new Error('workerd is not back')))
    const killed = faults.killAt(point, () => world.system.kill9Workerd())
    const jobs = (['small', 'large', 'failing', 'small'] as const).map((task) => runJob(client, task, n++))
    const [, ...results] = await Promise.all([killed, ...jobs])
    ended.push(...results)
    // What was killed last of all may not be gone yet.
    await eventually(() => expect(world.system.workerdPid()).not.toBe(before))
  })

  test('after all of it, everything is there once', async () => {
    expect(ended).toHaveLength(POINTS.length * 4)
    await judge(client, tenant, ended)
  })
})

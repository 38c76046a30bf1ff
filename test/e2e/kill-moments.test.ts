import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/patience.ts'
import type { Client } from './support/client.ts'
import { persistently } from './support/follow.ts'
import { type Ended, judge, LOAD_TASKS, type LoadTask, runJob } from './support/load.ts'
import { startWorld, type World } from './support/world.ts'

const KILLS = 50
/** Submitters at once; each takes its job to the end before it submits the next. */
const LANES = 5
/**
 * A moment lies so many events after the edge answers again, at most, and a little later. Counted in what was done, not in time
 * alone: on a slow machine the edge would else be killed before it has done anything, each time.
 */
const MOST_EVENTS = 6
const MOST_MS = 100
const MIX: readonly LoadTask[] = ['small', 'small', 'large', 'small', 'failing']

/** mulberry32: the same numbers from the same seed. */
const numbers = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

describe('workerd killed at random moments under load', () => {
  const tenant = 'moments'
  let world: World
  let client: Client

  beforeAll(async () => {
    world = await startWorld({ tasks: LOAD_TASKS })
    client = await world.as(tenant)
  })
  afterAll(() => world.end())

  test(`${KILLS} kills: everything acknowledged ends once, readers miss nothing, rows are there once`, { timeout: 1_800_000 }, async () => {
    const seed = Number(process.env.SCARAB_SEED ?? Math.floor(Math.random() * 2 ** 32))
    console.info(`kill-moments: SCARAB_SEED=${seed}`)
    const random = numbers(seed)
    const ended: Ended[] = []
    let over = false
    let n = 0
    let told = 0
    const lane = async (): Promise<void> => {
      while (!over) {
        n += 1
        ended.push(await runJob(client, MIX[n % MIX.length] ?? 'small', n, () => told++))
      }
    }
    const lanes = Promise.all(Array.from({ length: LANES }, lane))
    const killing = (async () => {
      for (let kill = 0; kill < KILLS; kill += 1) {
        await persistently(client, '/healthz')
        const goal = told + Math.floor(random() * MOST_EVENTS)
        await eventually(() => {
          if (told < goal) throw new Error(`kill ${kill}: ${told} events of ${goal} were told`)
        })
        // The moment itself: nothing is waited for here but the time at which the process is to die.
        await new Promise((resolve) => setTimeout(resolve, random() * MOST_MS))
        const pid = world.system.workerdPid()
        world.system.kill9Workerd()
        expect(pid, `kill ${kill} met no process`).not.toBeNull()
      }
      over = true
    })()
    await Promise.all([lanes, killing])

    // The load was one: it went on through the kills, and readers were cut off and resumed.
    expect(ended.length).toBeGreaterThan(LANES)
    expect(Math.max(...ended.map(({ followed }) => followed.connections))).toBeGreaterThan(1)
    await judge(client, tenant, ended)
  })
})

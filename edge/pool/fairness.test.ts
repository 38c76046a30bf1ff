import { beforeEach, describe, expect, test } from 'vitest'
import { TenantId as Tenant, type TenantId } from '../contract/ids.ts'
import { nodeStore } from '../storage/node-store.ts'
import { ACME, BOB, TestPool } from './fixture.ts'
import { FairWorld } from './test-fair-world.ts'

/** The same numbers in every run. */
const dice = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
const between =
  (random: () => number, from: number, to: number): (() => number) =>
  () =>
    from + random() * (to - from)

let pool: TestPool
let world: FairWorld
beforeEach(() => {
  pool = new TestPool(nodeStore())
  pool.now = 0
  world = new FairWorld(pool)
})
const waitsOf = (tenant: TenantId, queue?: string): number[] =>
  world.begun.filter((one) => one.tenant === tenant && (queue === undefined || one.queue === queue)).map(({ waited }) => waited)

describe('between tenants', () => {
  test('a job of a tenant below its share gets the next slot that frees, while another has 10,000 waiting', () => {
    const random = dice(1)
    world.node(1, 5)
    world.node(2, 3)
    world.submit(world.lane(ACME), 10_000, between(random, 20, 200))
    // A job every 300 ms on 8 slots of about 110 ms: far below a half.
    for (let n = 1; n <= 300; n++) world.at(n * 300 + random() * 250, () => world.submit(world.lane(BOB), 1, between(random, 20, 200)))
    world.until(100_000)
    expect(waitsOf(BOB)).toHaveLength(300)
    expect(Math.max(...waitsOf(BOB))).toBe(1)
    // Nobody paid with idle slots for that.
    expect(world.idle()).toBe(0)
  })

  test('of ten small tenants that come at once, each waits for its place in the row and no longer', () => {
    const random = dice(2)
    const small = Array.from({ length: 10 }, (_, n) => Tenant.parse(`small-${n}`))
    world.node(1, 4)
    world.submit(world.lane(ACME), 10_000, between(random, 20, 200))
    for (let n = 1; n <= 50; n++)
      world.at(n * 5_000, () => {
        for (const tenant of small) world.submit(world.lane(tenant), 1, between(random, 20, 200))
      })
    world.until(260_000)
    for (const tenant of small) {
      expect(waitsOf(tenant)).toHaveLength(50)
      // The big one may be as low as they are when they come, and no lower.
      expect(Math.max(...waitsOf(tenant))).toBeLessThanOrEqual(small.length + 1)
    }
  })

  test('slots follow the weights of tenants, at any time within one slot of each', () => {
    const carol = Tenant.parse('carol')
    pool.weights = { acme: 1, bob: 2, carol: 4.5 }
    const random = dice(3)
    world.node(1, 3)
    world.node(2, 2)
    // They come one after the other: the first has had many slots by then.
    world.submit(world.lane(ACME), 10_000, between(random, 50, 150))
    world.at(5_000, () => world.submit(world.lane(BOB), 10_000, between(random, 50, 150)))
    world.at(9_000, () => world.submit(world.lane(carol), 10_000, between(random, 50, 150)))
    for (let at = 10_000; at <= 100_000; at += 10_000) {
      world.until(at)
      const [a, b, c] = [ACME, BOB, carol].map((tenant) => world.slotsOf(tenant, undefined, 9_000))
      if (a === undefined || b === undefined || c === undefined) throw new Error('three tenants')
      expect(Math.abs(a - b / 2)).toBeLessThanOrEqual(1.5)
      expect(Math.abs(a - c / 4.5)).toBeLessThanOrEqual(1.5)
    }
    expect(world.slotsOf(ACME, undefined, 9_000)).toBeGreaterThan(500)
  })

  test('a heavy job is charged all its slots, and none is given beyond the one it starts on', () => {
    const random = dice(4)
    world.submit(world.lane(ACME), 5_000, between(random, 50, 150), 4)
    world.submit(world.lane(BOB), 5_000, between(random, 50, 150))
    world.node(1, 6)
    let deepest = 0
    for (let at = 100; at <= 100_000; at += 100) {
      world.until(at)
      for (const { idle } of pool.context.memory.nodes.values()) deepest = Math.min(deepest, idle)
    }
    const [heavy, light] = [world.slotsOf(ACME), world.slotsOf(BOB)]
    expect(Math.abs(heavy - light)).toBeLessThanOrEqual(8)
    expect(heavy).toBeGreaterThan(1_000)
    expect(deepest).toBeGreaterThanOrEqual(-3)
    expect(deepest).toBeLessThan(0)
  })
})

describe("between a tenant's lanes", () => {
  test('slots follow the weights of its lanes, and no lane starves beside a heavy one', () => {
    const random = dice(5)
    world.submit(world.lane(BOB), 20_000, between(random, 20, 80))
    world.submit(world.lane(ACME, 'wide', { weight: 100 }), 20_000, between(random, 20, 80))
    world.submit(world.lane(ACME, 'thin', { weight: 1 }), 20_000, between(random, 20, 80))
    world.node(1, 4)
    world.until(100_000)
    const [wide, thin, other] = [world.slotsOf(ACME, 'wide'), world.slotsOf(ACME, 'thin'), world.slotsOf(BOB)]
    // Two lanes are no more than one towards another tenant.
    expect(Math.abs(wide + thin - other)).toBeLessThanOrEqual(2)
    expect(Math.abs(wide / 100 - thin)).toBeLessThanOrEqual(2)
    // Each hundredth slot of the tenant, so each two-hundredth of all.
    const turns = world.begun.filter(({ queue }) => queue === 'thin').map((one) => world.begun.indexOf(one))
    const gaps = turns.slice(1).map((turn, n) => turn - (turns[n] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(210)
  })

  test('the higher priority goes first, at the expense of its own tenant only', () => {
    const random = dice(6)
    world.submit(world.lane(BOB), 20_000, between(random, 20, 80))
    world.submit(world.lane(ACME, 'low', { priority: -1 }), 20_000, between(random, 20, 80))
    world.node(1, 4)
    for (let n = 1; n <= 400; n++)
      world.at(n * 100, () => world.submit(world.lane(ACME, 'high', { priority: 5 }), 1, between(random, 20, 80)))
    world.until(50_000)
    expect(waitsOf(ACME, 'high')).toHaveLength(400)
    // Every second slot is Bob's: at most his one, then the tenant's own.
    expect(Math.max(...waitsOf(ACME, 'high'))).toBeLessThanOrEqual(3)
    expect(Math.abs(world.slotsOf(ACME) - world.slotsOf(BOB))).toBeLessThanOrEqual(2)
    expect(world.slotsOf(ACME, 'low')).toBeGreaterThan(1_000)
  })
})

describe('a reserve', () => {
  const LONG = 3_600_000

  test('keeps slots free: its job begins at once, whoever has 10,000 long ones waiting', () => {
    world.node(1, 4)
    world.node(2, 4)
    const quick = world.lane(ACME, 'quick', { reserve: 2 })
    world.submit(world.lane(ACME, 'slow'), 10_000, () => LONG)
    world.submit(world.lane(BOB), 10_000, () => LONG)
    expect(world.idle()).toBe(2)
    for (let n = 1; n <= 50; n++) world.at(n * 1_000, () => world.submit(quick, 2, () => 900))
    world.until(60_000)
    expect(waitsOf(ACME, 'quick')).toEqual(Array.from({ length: 100 }, () => 0))
    expect(world.idle()).toBe(2)
  })

  test('is what the lane holds and what is kept free for it together: no more is kept', () => {
    world.node(1, 8)
    const quick = world.lane(ACME, 'quick', { reserve: 3 })
    world.submit(quick, 3, () => LONG)
    world.submit(world.lane(ACME, 'slow'), 10, () => LONG)
    expect(world.idle()).toBe(0)
    expect(world.slotsOf(ACME, 'slow')).toBe(5)
  })

  test('counts towards other tenants up to a fair share, so that nobody keeps a pool for itself', () => {
    world.node(1, 4)
    world.lane(ACME, 'mine', { reserve: 100 })
    world.submit(world.lane(BOB), 10, () => LONG)
    expect(world.slotsOf(BOB)).toBe(2)
    world.submit(world.lane(ACME, 'other'), 10, () => LONG)
    expect(world.slotsOf(ACME, 'other')).toBe(0)
  })

  test('survives a restart, also while its lane is empty', () => {
    world.lane(ACME, 'quick', { reserve: 2 })
    pool.restarted()
    world.node(1, 4)
    world.submit(world.lane(BOB), 10, () => LONG)
    expect(world.idle()).toBe(2)
  })
})

test('all together, ridden through by chance: every slot is used, and who is below its share waits for one release', () => {
  for (let seed = 10; seed < 40; seed++) {
    pool = new TestPool(nodeStore())
    pool.now = 0
    world = new FairWorld(pool)
    const random = dice(seed)
    const slots = 2 + Math.floor(random() * 10)
    world.node(1, slots)
    world.node(2, 1 + Math.floor(random() * 4))
    const ms = between(random, 20, 20 + random() * 500)
    world.submit(world.lane(ACME, 'a', { weight: 1 + Math.floor(random() * 5) }), 2_000, ms)
    world.submit(world.lane(ACME, 'b', { priority: Math.floor(random() * 3) - 1 }), 2_000, ms)
    // One job at a time, whenever the one before has ended: always below a half.
    const again = (): void => {
      if (world.lane(BOB).held === 0 && world.lane(BOB).waiting.length === 0) world.submit(world.lane(BOB), 1, ms)
    }
    for (let at = 0; at < 30_000; at += 50) world.at(at + random() * 50, again)
    world.until(10_000)
    expect(world.idle(), `seed ${seed}`).toBe(0)
    expect(waitsOf(BOB).length, `seed ${seed}`).toBeGreaterThan(10)
    expect(Math.max(...waitsOf(BOB)), `seed ${seed}`).toBeLessThanOrEqual(1)
  }
})

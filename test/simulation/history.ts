import { createHash } from 'node:crypto'
import { plainTask } from '../../edge/contract/fixture.ts'
import { PoolName, QueueName, TenantId } from '../../edge/contract/ids.ts'
import type { AnnouncedTask } from '../../edge/contract/tasks.ts'
import type { Submission } from '../../edge/ledger/submit.ts'
import { within } from './ambient.ts'
import { beginAvro } from './avro-double.ts'
import { Chance } from './chance.ts'
import { check, slots, stuck } from './checker.ts'
import { Clients } from './client.ts'
import { comeTogether, groupOf } from './crowd.ts'
import { setClock } from './database.ts'
import { keepQueues } from './keepers.ts'
import { type EngineRun, SimulatedNode } from './node.ts'
import { keepSchedule, someTimes } from './timekeepers.ts'
import { calm, weatherOf } from './weather.ts'
import { World } from './world.ts'

export interface Told {
  seed: number
  /** What is wrong; empty: every invariant held. */
  violations: string[]
  log: string[]
  /** Of the log: equal for equal histories. */
  digest: string
  steps: number
  jobs: number
  crashes: number
  struck: string[]
}

/** After the storm, every accepted job must have ended within this virtual time: ten losses at 30 s, a silent session at 150 s. */
const CALM_LIMIT_MS = 600_000
/** …and everything must be as it should after one more minute: every lost report has been made good by then. */
/** A history that does more than this goes in circles. */
const MAX_STEPS = 50_000
const SETTLE_MS = 75_000
const PROBE_LIMIT_MS = 30_000

const task = (name: string, columns: AnnouncedTask['columns']): AnnouncedTask =>
  plainTask(name, { hash: createHash('sha256').update(name).digest('hex'), emit_format: ['parquet'], columns })
/** The columns of one are known when it is announced; the other's node has to ask for its schema. */
const KNOWN = task('known', [{ name: 'n', type: 'long' }])
const LATE = task('late', null)

/** The event loop's next turn: every promise that could go on has gone on by then. */
const turn = setImmediate
const drained = (): Promise<void> => new Promise((resolve) => void turn(resolve))

/** Runs the history of one seed to its quiet end and judges it. */
export const tell = async (seed: number): Promise<Told> => {
  const chance = new Chance(seed)
  const world = new World(chance, weatherOf(chance))
  beginAvro(world.weather.encodes)
  setClock(() => world.schedule.now)
  return await within(world.ambient, async () => {
    try {
      return await play(seed, world)
    } finally {
      world.end()
    }
  })
}

const play = async (seed: number, world: World): Promise<Told> => {
  const { chance, schedule } = world
  const { storm } = world.weather
  // What was left behind needs a quiet minute to show, so not every history waits for it.
  const thorough = chance.happens(0.3)
  world.note(JSON.stringify(world.weather))
  const tenants = (chance.happens(0.25) ? ['acme', 'bolt'] : ['acme']).map((name) => TenantId.parse(name))
  for (const tenant of tenants) world.directory.remember({ ledger: tenant })
  const runs: EngineRun[] = []
  const both = [KNOWN, LATE]
  const nodes = [
    { name: 'n1', slots: chance.between(1, 3), queues: null, tenants: ['*'], tasks: both },
    {
      name: 'n2',
      slots: chance.between(1, 2),
      queues: chance.happens(0.3) ? ['fast'] : null,
      tenants: ['*'],
      tasks: chance.happens(0.2) ? [LATE] : both,
    },
    { name: 'n3', slots: chance.between(1, 2), queues: null, tenants: chance.happens(0.3) ? ['bolt'] : ['*'], tasks: both },
  ].map((settings) => new SimulatedNode(world, settings, runs))
  for (const node of nodes) schedule.after(chance.between(0, 200), () => node.start())

  const clients = new Clients(world)
  let serial = 0
  const submission = (ms: number, ending: string, queue: string, alias: string | null): Submission => {
    const wanted = chance.happens(0.75) ? KNOWN : LATE
    const n = serial++
    return {
      task: wanted.name,
      args: [n, ms, ending],
      alias: alias as Submission['alias'],
      queue: QueueName.parse(queue),
      pool: PoolName.parse('main'),
      db: null,
      engine_hint: null,
      family: wanted.family,
      max_runtime_seconds: null,
      weight: chance.happens(0.2) ? chance.between(2, 4) : 1,
      idempotency: chance.happens(0.4) ? { key: `key-${n}`, body: 'b' } : null,
    }
  }
  const oneJob = async (): Promise<void> => {
    const tenant = chance.pick(tenants)
    const ending = chance.pick(['good', 'good', 'good', 'good', 'large', 'empty', 'sql', 'lost'])
    const alias = chance.happens(0.25) ? chance.pick(['daily', 'weekly']) : null
    const plain = submission(chance.pick([2, 30, 400, 5_000, 20_000]), ending, chance.pick(['default', 'default', 'fast']), alias)
    const wanted = { ...plain, ...someTimes(world) }
    const job = await clients.submit(tenant, serial, wanted)
    if (job === null) return
    world.note(`taken ${job}`)
    if (chance.happens(0.3)) void clients.read(tenant, job)
    if (chance.happens(0.25))
      schedule.after(chance.pick([0, 5, 50, 500, 5_000, 15_000, 25_000]) + chance.between(0, 20), () => void clients.cancel(tenant, job))
    if (chance.happens(0.25)) schedule.after(chance.between(0, 10_000), () => void clients.remove(tenant, job))
  }
  const any = (): Submission =>
    submission(
      chance.pick([2, 30, 400, 5_000, 20_000]),
      chance.pick(['good', 'good', 'good', 'large', 'empty', 'sql', 'lost']),
      chance.pick(['default', 'default', 'fast']),
      null,
    )
  const crowded = chance.happens(0.35)
  if (crowded) comeTogether(world, clients, chance.pick(tenants), any())
  if (chance.happens(0.15)) {
    const tenant = chance.pick(tenants)
    const list = Array.from({ length: chance.between(2, 4) }, () => {
      const wanted = any()
      return { ...wanted, priority: chance.between(-1, 1), idempotency: { key: `key-${wanted.args[0]}`, body: 'b' } }
    })
    schedule.after(chance.between(0, storm), () => void clients.submitBatch(tenant, list))
  }
  if (chance.happens(0.15)) {
    const tenant = chance.pick(tenants)
    const group = groupOf(world, `group-${serial}`, () => ({ ...any(), idempotency: null }))
    const cancelAfter = chance.happens(0.3) ? chance.pick([10, 1_000, 10_000]) : null
    schedule.after(chance.between(0, storm), () => void clients.submitGroup(tenant, group, cancelAfter))
  }
  let when = 0
  for (let left = chance.between(1, crowded ? 3 : 6); left > 0; left--) {
    // Some come together, and share a transaction.
    if (!chance.happens(0.3)) when = chance.between(0, storm)
    schedule.after(when, () => void oneJob())
  }
  const incident = (times: number, happen: () => void): void => {
    for (let left = times; left > 0; left--) schedule.after(chance.between(0, storm), happen)
  }
  const { weather } = world
  const restart = (): number => chance.pick([200, 1_000, 5_000, 15_000])
  incident(weather.socketBreaks, () => chance.pick(nodes).breakSocket())
  incident(weather.nodeCrashes, () => chance.pick(nodes).kill(restart()))
  incident(weather.drains, () => chance.pick(nodes).drain(chance.pick([0, 1, 10]), restart()))
  incident(weather.edgeCrashes, () => world.crash())
  incident(weather.objectResets, () => {
    if (world.places.size > 0) world.reset(chance.pick([...world.places.values()]))
  })
  keepQueues(world, tenants, chance.happens(0.3) ? chance.between(1, 4) : 0)
  if (chance.happens(0.2)) {
    const run = submission(chance.pick([2, 400, 20_000]), chance.pick(['good', 'good', 'sql', 'lost']), 'default', null)
    keepSchedule(world, clients, chance.pick(tenants), { ...run, idempotency: null })
  }
  let setBack = 0
  incident(weather.clockJumps, () => {
    const ms = chance.pick([-90_000, -5_000, 5_000, 90_000, 400_000])
    // Whatever is due at an hour comes that much later.
    setBack += Math.max(0, -ms)
    world.jump(ms)
  })
  const every = (ms: number, happen: () => void): void => {
    schedule.after(ms, () => {
      happen()
      every(ms, happen)
    })
  }
  every(5_000, () => world.evictIdle())
  if (weather.cron) every(60_000, () => world.sweep())
  schedule.after(storm, () => {
    world.note('the storm is over')
    world.weather = { ...calm(), cron: weather.cron, copies: weather.copies }
  })

  const violations: string[] = []
  /** Runs until `done` answers true, looked at each virtual second; false when `limit` is over first. */
  const until = async (limit: number, done: () => boolean): Promise<boolean> => {
    const end = schedule.now + limit
    let look = schedule.now + 1_000
    while (schedule.now < end) {
      if (schedule.steps > MAX_STEPS) return false
      if (!schedule.step()) return done()
      await drained()
      if (schedule.now < look) continue
      look = schedule.now + 1_000
      if (done()) return true
    }
    return false
  }
  await until(storm, () => false)
  const settled = (): boolean => clients.open === 0 && stuck(world, tenants).length === 0
  const ended = await until(CALM_LIMIT_MS + setBack, settled)
  if (!ended) {
    violations.push(...stuck(world, tenants).map((what) => `never ended: ${what}`))
    if (clients.open > 0) violations.push(`never ended: ${clients.open} clients wait`)
  } else if (thorough) {
    await until(SETTLE_MS + setBack, () => false)
    // Whoever submits now must be served at once, on every lane: a slot or an announcement that was lost would show.
    const probes: Promise<string | null>[] = []
    for (const tenant of tenants)
      for (const queue of ['default', 'fast']) probes.push(clients.submit(tenant, serial, submission(5, 'good', queue, null)))
    void Promise.all(probes).then((jobs) => world.note(`probes ${jobs.join()}`))
    const served = await until(PROBE_LIMIT_MS, settled)
    if (!served) violations.push(...stuck(world, tenants).map((what) => `not served at once: ${what}`))
    else await until(5_000, () => false)
    // A node that lied about its work has lied about its room as well.
    if (weather.lies === 0) violations.push(...slots(world, nodes))
  }
  if (schedule.steps > MAX_STEPS) violations.push(`still busy after ${MAX_STEPS} steps`)
  clients.over = true
  violations.push(...(await check(world, tenants, clients, nodes, runs)))
  return {
    seed,
    violations,
    log: world.log,
    digest: createHash('sha256').update(world.log.join('\n')).digest('hex'),
    steps: schedule.steps,
    jobs: clients.submitted.length,
    crashes: world.crashes,
    struck: world.struck,
  }
}

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Offer } from '../../edge/contract/node.ts'
import { Queue } from '../../edge/contract/queues.ts'
import { findBun, ROOT } from '../../edge/embedded/runtimes.mjs'
import { type Client, problemOf } from './support/client.ts'
import { dialNode, type FakeNode, fakeTask, leaseOf, serve } from './support/fake-node.ts'
import { startWorld, type World } from './support/world.ts'

/** Queues, shares and slots at the real edge, with nodes written by hand that count what they are given. */
let world: World
beforeAll(async () => {
  world = await startWorld({ node: false, tenantWeights: '{"wide": 3}' })
})
afterAll(() => world.end())

interface Worker {
  node: FakeNode
  slots: number
  held: Offer[]
  /** Takes what it is offered until it holds so many jobs. */
  holds(count: number): Promise<Offer[]>
  /** Ends the job it has held longest; what it has room for then is in its word. */
  ends(): Promise<void>
}

const worker = async (name: string, slots: number, tenants: string[], queues?: string[]): Promise<Worker> => {
  const token = await world.system.nodeToken({ name, tenants })
  const node = await dialNode({ origin: world.system.origin, token, slots, ...(queues ? { queues } : {}) })
  await serve(node, [fakeTask('work')], slots)
  const held: Offer[] = []
  const room = (): number => slots - held.reduce((sum, { weight = 1 }) => sum + weight, 0)
  return {
    node,
    slots,
    held,
    holds: async (count) => {
      while (held.length < count) {
        const offers = await node.offers(count - held.length)
        held.push(...offers)
        // In one word: an offer is good for some seconds only.
        await node.ask({ type: 'accept', items: offers.map((offer) => ({ ...leaseOf(offer), start: true })) })
      }
      return held
    },
    ends: async () => {
      const [first] = held.splice(0, 1)
      if (!first) throw new Error(`${name} holds nothing`)
      const failure = { code: 'sql', message: 'the test ends it', class: 'sql' }
      await node.ask({ type: 'fail', items: [{ ...leaseOf(first), failure }], want: Math.max(0, room()), idle: room() })
    },
  }
}

const submit = async (client: Client, count: number, body: object = {}): Promise<void> => {
  const jobs = Array.from({ length: count }, () => ({ task: 'work', fresh: true, ...body }))
  const answer = await client.ask('/v1/jobs/batch', { body: { jobs } })
  expect(answer.status).toBe(200)
}
const queue = async (client: Client, name: string): Promise<Queue> => Queue.parse(await (await client.ask(`/v1/queues/${name}`)).json())
const put = async (client: Client, name: string, settings: object): Promise<Queue> => {
  const answer = await client.ask(`/v1/queues/${name}`, { method: 'PUT', body: settings })
  expect(answer.status).toBe(200)
  return Queue.parse(await answer.json())
}

test('thirty workers for one queue and five for another, as in the example of DungBeetle', async () => {
  const client = await world.as('dung')
  const high = await worker('high', 30, ['dung'], ['high_priority'])
  const low = await worker('low', 5, ['dung'], ['low_priority'])
  await submit(client, 40, { queue: 'high_priority' })
  await submit(client, 40, { queue: 'low_priority' })
  await submit(client, 1, { queue: 'nobody' })
  await high.holds(30)
  await low.holds(5)
  const [many, few, none] = await Promise.all(['high_priority', 'low_priority', 'nobody'].map((name) => queue(client, name)))
  expect([many?.held, many?.waiting]).toEqual([30, 10])
  expect([few?.held, few?.waiting]).toEqual([5, 35])
  expect([none?.held, none?.waiting]).toEqual([0, 1])
  await low.ends()
  await low.holds(5)
  expect(await queue(client, 'low_priority')).toMatchObject({ held: 5, waiting: 34 })
  const nodes = z.object({
    items: z.array(z.object({ node: z.string(), slots: z.int(), busy: z.int(), queues: z.array(z.string()).nullable() })),
  })
  const { items } = nodes.parse(await (await client.ask('/v1/nodes')).json())
  expect(items.filter(({ node }) => node === 'high' || node === 'low').sort((a, b) => b.slots - a.slots)).toMatchObject([
    { node: 'high', slots: 30, busy: 30, queues: ['high_priority'] },
    { node: 'low', slots: 5, busy: 5, queues: ['low_priority'] },
  ])
  await high.node.hangUp()
  await low.node.hangUp()
})

test('a node says --concurrency as well as --slots, and listens to the queues it names', async () => {
  const bun = findBun()
  if (!bun) throw new Error('no bun')
  const token = join(world.folder, 'cli-token')
  writeFileSync(token, await world.system.nodeToken({ name: 'cli', tenants: ['cli'] }), { mode: 0o600 })
  const start = (...args: string[]) =>
    spawn(bun, [join(ROOT, 'compute/main.ts'), '--edge', world.system.origin, '--token-file', token, '--name', 'cli', ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, SCARAB_TASKS: join(world.folder, 'tasks') },
    })
  const node = start('--queue', 'high_priority,urgent', '--queue', 'night', '--concurrency', '30', '--spool', join(world.folder, 'cli'))
  try {
    await new Promise<void>((resolve, reject) => {
      let said = ''
      node.stdout.on('data', (text: Buffer) => {
        said += text.toString()
        if (/node cli: 30 slots/.test(said)) resolve()
      })
      node.once('exit', () => reject(new Error(said)))
    })
  } finally {
    const ended = new Promise((resolve) => node.once('exit', resolve))
    node.kill('SIGTERM')
    await ended
  }
  const both = start('--slots', '4', '--concurrency', '30')
  let told = ''
  both.stderr.on('data', (text: Buffer) => {
    told += text.toString()
  })
  expect(await new Promise((resolve) => both.once('close', resolve))).toBe(78)
  expect(told).toContain('--slots 4 and --concurrency 30 mean the same')
})

describe('settings of a queue', () => {
  test('hold at once: paused, bounded, and back to the defaults', async () => {
    const client = await world.as('keeper')
    const one = await worker('keeper', 6, ['keeper'])
    await put(client, 'nightly', { paused: true })
    await submit(client, 9, { queue: 'nightly' })
    await submit(client, 1)
    expect((await one.holds(1))[0]).toMatchObject({ tenant: 'keeper' })
    expect(await queue(client, 'nightly')).toMatchObject({ paused: true, waiting: 9, held: 0 })
    expect(await put(client, 'nightly', { concurrency: 2 })).toMatchObject({ paused: false, concurrency: 2, weight: 1 })
    await one.holds(3)
    expect(await queue(client, 'nightly')).toMatchObject({ waiting: 7, held: 2 })
    // The first one was of the other queue.
    await one.ends()
    await one.ends()
    await one.holds(2)
    expect(await queue(client, 'nightly')).toMatchObject({ waiting: 6, held: 2 })
    expect((await client.ask('/v1/queues/nightly', { method: 'DELETE' })).status).toBe(204)
    await one.holds(6)
    expect(await queue(client, 'nightly')).toMatchObject({ concurrency: null, updated_at: null, waiting: 2, held: 6 })
    await one.node.hangUp()
  })

  test('keep slots free for a lane, which another may not take', async () => {
    const client = await world.as('reserver')
    const one = await worker('reserver', 4, ['reserver'])
    await put(client, 'quick', { reserve: 2 })
    // A pool hears of a queue with its first job.
    await submit(client, 1, { queue: 'quick' })
    await one.holds(1)
    await submit(client, 10, { queue: 'slow' })
    await one.holds(3)
    expect(await queue(client, 'slow')).toMatchObject({ waiting: 8, held: 2 })
    await submit(client, 1, { queue: 'quick' })
    await one.holds(4)
    expect(await queue(client, 'quick')).toMatchObject({ waiting: 0, held: 2 })
    await one.node.hangUp()
  })

  test('need their scope, a possible name and possible values; nobody sees those of another tenant', async () => {
    const client = await world.as('owner')
    await put(client, 'mine', { weight: 7 })
    const reader = await world.as('owner', 'jobs:read')
    expect(await queue(reader, 'mine')).toMatchObject({ weight: 7 })
    const refused = await reader.ask('/v1/queues/mine', { method: 'PUT', body: {} })
    expect([refused.status, (await problemOf(refused)).code]).toEqual([403, 'insufficient_scope'])
    const other = await (await world.as('neighbour')).ask('/v1/queues/mine')
    expect([other.status, (await problemOf(other)).code]).toEqual([404, 'not_found'])
    for (const [name, body, code] of [
      ['mine', { weight: 0 }, 'invalid_body'],
      ['mine', { wait: 1 }, 'invalid_body'],
      ['a%20b', {}, 'invalid_parameter'],
    ] as const) {
      const answer = await client.ask(`/v1/queues/${name}`, { method: 'PUT', body })
      expect([answer.status, (await problemOf(answer)).code], JSON.stringify(body)).toEqual([400, code])
    }
    const tagged = await client.ask('/v1/queues')
    const etag = tagged.headers.get('etag') ?? ''
    expect((await client.ask('/v1/queues', { headers: { 'if-none-match': etag } })).status).toBe(304)
  })
})

test('a small tenant gets the next slot that frees, also where offers rode on completions just before', async () => {
  const [big, small] = [await world.as('big'), await world.as('small')]
  const one = await worker('shared', 3, ['big', 'small'])
  await submit(big, 300)
  await one.holds(3)
  for (let round = 0; round < 3; round++) {
    // These offers ride: the pool knows of one lane only.
    for (let n = 0; n < 4; n++) {
      await one.ends()
      await one.holds(3)
    }
    await submit(small, 1)
    // Some slots may be given before the pool's word has come. Without it they would all be, for a second.
    let releases = 0
    while (!one.held.some(({ tenant }) => tenant === 'small')) {
      await one.ends()
      await one.holds(3)
      releases++
    }
    expect(releases).toBeLessThanOrEqual(10)
    while (one.held.some(({ tenant }) => tenant === 'small')) {
      await one.ends()
      await one.holds(3)
    }
  }
  await one.node.hangUp()
})

test('a tenant of weight three gets three slots for each one of another', async () => {
  const [wide, thin] = [await world.as('wide'), await world.as('thin')]
  const one = await worker('weighed', 4, ['wide', 'thin'])
  await submit(thin, 60)
  await one.holds(4)
  await submit(wide, 60)
  const next = async (): Promise<string> => {
    await one.ends()
    return String((await one.holds(4)).at(-1)?.tenant)
  }
  // What rode or was on its way when the second one came is not counted.
  while ((await next()) === 'thin');
  for (let n = 0; n < 4; n++) await next()
  const counted: string[] = []
  while (counted.length < 40) counted.push(await next())
  const ofWide = counted.filter((tenant) => tenant === 'wide').length
  expect(ofWide).toBeGreaterThanOrEqual(29)
  expect(ofWide).toBeLessThanOrEqual(31)
  await one.node.hangUp()
})

test('a heavy job takes its weight of a node', async () => {
  const client = await world.as('heavy')
  const token = await world.system.nodeToken({ name: 'heavy', tenants: ['heavy'] })
  const node = await dialNode({ origin: world.system.origin, token, slots: 4 })
  await serve(node, [{ ...fakeTask('work'), weight: 3 }, fakeTask('light')], 4)
  await submit(client, 3)
  const [first, second] = [await node.offer(), await node.offer()]
  expect([first.weight, second.weight]).toEqual([3, 3])
  // Six slots of four are taken: the third waits.
  expect(await queue(client, 'default')).toMatchObject({ held: 2, waiting: 1 })
  await node.hangUp()
})

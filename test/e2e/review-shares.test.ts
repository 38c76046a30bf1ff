import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { JobPage, parsed } from './support/client.ts'
import { dialNode, fakeTask } from './support/fake-node.ts'
import { eventOf } from './support/follow.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'one.sql': '-- name: one\n-- db: duckdb\nSELECT 1 AS n\n',
  // Holds a slot until it is cancelled.
  'endless.sql': '-- name: endless\n-- db: duckdb\nSELECT count(*) AS n FROM range(1000000000000) t(i) WHERE sqrt(i) < -1\n',
  'huge.sql': '-- name: huge\n-- db: duckdb\nSELECT uuid() AS id FROM range(6100000)\n',
}

const SLOTS = 2
let world: World
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS, nodeToml: `[node]\nslots = ${SLOTS}\n` })
})
afterAll(() => world.end())

test('a tenant with one job does not wait for all jobs of another', async () => {
  const [acme, bolt, corp] = [await world.as('acme'), await world.as('bolt'), await world.as('corp')]
  await Promise.all([acme.run('one'), bolt.run('one')])
  // Nothing is served until all of them wait, however slowly they are submitted.
  const holders = await Promise.all(Array.from({ length: SLOTS }, () => corp.submit('endless', { fresh: true })))
  await Promise.all(holders.map(({ id }) => eventOf(corp, id, ({ state }) => state === 'running')))
  // Each for itself: identical jobs would be one.
  const many = await acme.ask('/v1/jobs/batch', { body: { jobs: Array.from({ length: 400 }, () => ({ task: 'one', fresh: true })) } })
  expect(many.status).toBe(200)
  const { id } = await bolt.submit('one', { fresh: true })
  for (const holder of holders) expect((await corp.ask(`/v1/jobs/${holder.id}/cancel`, { method: 'POST' })).status).toBe(202)
  const job = await bolt.ended(id)
  expect(job.state).toBe('succeeded')
  const { items } = await parsed(await acme.ask('/v1/jobs?limit=500'), JobPage)
  // Without a fair share none would begin after it: the lane of the other tenant is served to its end.
  const later = items.filter(({ started_at }) => started_at === null || Date.parse(started_at) > Date.parse(job.started_at ?? ''))
  expect(later.length).toBeGreaterThan(300)
  await Promise.all(later.map((one) => acme.ask(`/v1/jobs/${one.id}/cancel`, { method: 'POST' })))
})

test('a job whose node is gone does not hold up others in its lane', async () => {
  const corp = await world.as('corp')
  await corp.run('one')
  const ghost = await dialNode({ origin: world.system.origin, token: await world.system.nodeToken({ name: 'ghost', tenants: ['corp'] }) })
  await ghost.ask({ type: 'announce', tasks: [fakeTask('haunted')], last: true })
  await ghost.hangUp()
  const waits = await corp.submit('haunted')
  // That they need not wait for the pool's next try is tested in its own time: edge/pool/unreachable.test.ts.
  for (let n = 0; n < 10; n++) expect((await corp.run('one')).state).toBe('succeeded')
  expect((await (await corp.ask(`/v1/jobs/${waits.id}`)).json()) as object).toMatchObject({ state: 'waiting' })
})

test('a file that is uploaded in parts is whole', async () => {
  const acme = await world.as('acme')
  const job = await acme.run('huge')
  expect(job).toMatchObject({ state: 'succeeded', rows: 6_100_000, error: null })
  const { files } = await acme.result(job.id)
  expect(files[0]?.bytes).toBeGreaterThan(90 * 1024 * 1024)
  const file = await acme.ask(`/v1/jobs/${job.id}/result.parquet`)
  expect(file.headers.get('content-length')).toBe(String(files[0]?.bytes))
  const hash = createHash('sha256')
  for await (const bytes of file.body ?? []) hash.update(bytes)
  expect(hash.digest('hex')).toBe(files[0]?.sha256)
}, 900_000)

test('nobody without a token can make the edge keep objects for pools that never were', async () => {
  const count = (): number =>
    execFileSync('find', [join(world.system.state, 'v3'), '-name', '*.sqlite'])
      .toString()
      .trim()
      .split('\n').length
  await fetch(`${world.system.origin}/readyz`)
  const before = count()
  for (let n = 0; n < 5; n++) {
    const answer = await fetch(`${world.system.origin}/readyz?pool=never-${n}`)
    expect([answer.status, await answer.json()]).toEqual([503, { status: 'no_node', nodes: 0 }])
  }
  expect(count()).toBe(before)
})

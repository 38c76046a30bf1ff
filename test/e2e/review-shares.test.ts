import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dialNode, fakeTask } from './support/fake-node.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'one.sql': '-- name: one\n-- db: duckdb\nSELECT 1 AS n\n',
  'huge.sql': '-- name: huge\n-- db: duckdb\nSELECT uuid() AS id FROM range(6100000)\n',
}

let world: World
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
})
afterAll(() => world.end())

test('a tenant with one job does not wait for all jobs of another', async () => {
  const [acme, bolt] = [await world.as('acme'), await world.as('bolt')]
  await Promise.all([acme.run('one'), bolt.run('one')])
  // Each for itself: identical jobs would be one.
  const one = () => acme.ask('/v1/tasks/one/jobs', { body: { fresh: true } })
  for (let sent = 0; sent < 400; sent += 50) await Promise.all(Array.from({ length: 50 }, one))
  const job = await bolt.run('one')
  expect(job.state).toBe('succeeded')
  const answer = await acme.ask('/v1/jobs?state=waiting&limit=500')
  const { items } = (await answer.json()) as { items: { id: string }[] }
  // Without a fair share none would be left: the lane of the other tenant is served to its end.
  expect(items.length).toBeGreaterThan(50)
  await Promise.all(items.map(({ id }) => acme.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })))
})

test('a job whose node is gone does not hold up others in its lane', async () => {
  const corp = await world.as('corp')
  await corp.run('one')
  const ghost = await dialNode({ origin: world.system.origin, token: await world.system.nodeToken({ name: 'ghost', tenants: ['corp'] }) })
  await ghost.ask({ type: 'announce', tasks: [fakeTask('haunted')], last: true })
  await ghost.hangUp()
  const waits = await corp.submit('haunted')
  const began = performance.now()
  for (let n = 0; n < 10; n++) expect((await corp.run('one')).state).toBe('succeeded')
  // Each would wait for the pool's next try, two seconds.
  expect(performance.now() - began).toBeLessThan(15_000)
  expect((await (await corp.ask(`/v1/jobs/${waits.id}`)).json()) as object).toMatchObject({ state: 'waiting' })
})

test('a file that is uploaded in parts is whole', async () => {
  const acme = await world.as('acme')
  const job = await acme.run('huge')
  expect(job).toMatchObject({ state: 'succeeded', rows: 6_100_000, error: null })
  const { files } = await acme.result(job.id)
  expect(files[0]?.bytes).toBeGreaterThan(90 * 1024 * 1024)
  const head = await acme.ask(`/v1/jobs/${job.id}/result.parquet`, { method: 'HEAD' })
  expect(head.headers.get('content-length')).toBe(String(files[0]?.bytes))
  expect(await acme.slice(job.id, { group: [], select: [{ fn: 'count_distinct', col: 'id', as: 'n' }] })).toMatchObject({
    rows: [['6100000']],
  })
}, 180_000)

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

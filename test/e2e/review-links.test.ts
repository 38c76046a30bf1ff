import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/patience.ts'
import { dialNode, type FakeNode, fakeTask, leaseOf, newSession, serve } from './support/fake-node.ts'
import { serverEvents } from './support/sse.ts'
import { startWorld, type World } from './support/world.ts'

const TASKS = {
  'large.sql': '-- name: large\n-- db: duckdb\nSELECT i AS n, sha256(i::VARCHAR) AS noise FROM range(30000) r(i) ORDER BY n\n',
}

let world: World
beforeAll(async () => {
  world = await startWorld({ tasks: TASKS, node: false })
})
afterAll(() => world.end())

/** Dials until the edge is there again. */
const redial = (session: string, token: string): Promise<FakeNode> =>
  eventually(() => dialNode({ origin: world.system.origin, token, session }))

test('an answer to a question of the life before is not taken for another question’s (I6)', async () => {
  const real = await world.system.startNode({ name: 'real' })
  await world.system.ready()
  const acme = await world.as('acme')
  const job = await acme.run('large')
  expect(job.state).toBe('succeeded')
  await real.stop(1)

  const token = await world.system.nodeToken({ name: 'fake', tenants: ['acme'] })
  const session = newSession()
  const enter = async (node: FakeNode): Promise<void> => {
    await node.ask({ type: 'announce', tasks: [fakeTask('idle')], last: true })
    node.tell({ type: 'want', want: 1 })
    await world.system.ready()
  }
  const before = await redial(session, token)
  await enter(before)
  const question = (limit: number): Promise<Response> => acme.ask(`/v1/jobs/${job.id}/slice`, { body: { order: ['noise'], limit } })
  const lost = question(1).catch(() => null)
  const old = await before.next('slice')
  world.system.kill9Workerd()
  await lost

  const after = await redial(session, token)
  await enter(after)
  const asked = question(2)
  const next = await after.next('slice')
  // What the node was still computing comes first, under its old number.
  after.tell({ type: 'sliced', re: old.re, outcome: { ok: true, body: '"of another question"' } })
  after.tell({ type: 'sliced', re: next.re, outcome: { ok: true, body: '"of this question"' } })
  expect(await (await asked).json()).toBe('of this question')

  // A socket that has not said hello was asked nothing.
  const stranger = new WebSocket(`${world.system.origin.replace('http', 'ws')}/node/v1/link`, {
    protocols: ['scarab.node.v1'],
    headers: { authorization: `Bearer ${token}` },
  } as never)
  await new Promise((resolve) => stranger.addEventListener('open', resolve))
  const again = question(3)
  const third = await after.next('slice')
  stranger.send(JSON.stringify({ type: 'sliced', re: third.re, outcome: { ok: true, body: '"of a stranger"' } }))
  // Its frame has been read when it is told off for a message before hello.
  const told = new Promise((resolve) => stranger.addEventListener('message', resolve))
  stranger.send('this is not JSON')
  await told
  after.tell({ type: 'sliced', re: third.re, outcome: { ok: true, body: '"of the node"' } })
  expect(await (await again).json()).toBe('of the node')
  stranger.close()
  await after.hangUp()
})

test('the progress of an attempt that was given back is not told of the job that waits again', async () => {
  const bolt = await world.as('bolt')
  const node = await dialNode({
    origin: world.system.origin,
    token: await world.system.nodeToken({ name: 'bolt-node', tenants: ['bolt'] }),
  })
  await serve(node, [fakeTask('slow')], 1)
  const { id } = await bolt.submit('slow')
  const lease = leaseOf(await node.offer())
  expect(await node.outcome({ type: 'accept', items: [{ ...lease, start: true }] })).toMatchObject({ outcome: 'ok' })
  node.tell({ type: 'progress', ...lease, phase: 'executing', percent: 40, rows: 7, engine: 'duckdb' })
  await eventually(async () => expect(await (await bolt.ask(`/v1/jobs/${id}`)).json()).toMatchObject({ progress: { percent: 40 } }))
  expect(await node.ask({ type: 'drain' })).toMatchObject({ type: 'ack' })
  expect(await node.outcome({ type: 'return', items: [{ ...lease, reason: 'the test gives it back' }] })).toMatchObject({ outcome: 'ok' })
  const stream = await bolt.ask(`/v1/jobs/${id}/events`)
  await bolt.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  const types: string[] = []
  for await (const { type } of serverEvents(stream)) types.push(type)
  expect(types).toEqual(['state', 'state', 'state', 'state', 'state'])
  await node.hangUp()
})

import { expect, test } from 'vitest'
import { commit } from './context.ts'
import { complete } from './finish.ts'
import { completion, HOLDER, POOL, QUEUE, request, submission, testLedger } from './fixture.ts'
import { laneAcknowledged, loadLanes } from './lanes.ts'
import { accept, offer } from './leases.ts'
import { handedOver, publicationOutcome } from './publication.ts'
import { submit } from './submit.ts'
import { fireTimers } from './timers.ts'

type Bench = ReturnType<typeof testLedger>

const after = (bench: Bench, ms: number): string[] => {
  bench.take()
  bench.pass(ms)
  fireTimers(bench.context)
  return bench.take().map(({ kind }) => kind)
}

test('a lane is announced again until the pool has it written down (I3)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  expect(bench.take().map(({ kind }) => kind)).toContain('ready')
  expect(after(bench, 1_000)).toEqual(['ready'])
  expect(after(bench, 4_000)).toEqual(['ready'])
  laneAcknowledged(bench.context, POOL, QUEUE, 1)
  expect(after(bench, 20_000)).toEqual([])
})

test('a lane in which jobs wait is announced again now and then, in case the pool has lost what it had acknowledged (I3)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  laneAcknowledged(bench.context, POOL, QUEUE, 1)
  expect(after(bench, 1_000)).toEqual([])
  expect(after(bench, 30_000)).toEqual(['ready'])
  expect(after(bench, 29_000)).toEqual([])
  expect(after(bench, 1_000)).toEqual(['ready'])
})

test('a new life of the ledger announces the lanes in which jobs wait, by a number that none had before (I3)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  const said = (): number[] => bench.take().flatMap((effect) => (effect.kind === 'ready' ? [effect.seq] : []))
  const [before = 0] = said()
  bench.context.memory.forget()
  commit(bench.context, loadLanes)
  const [now = 0] = said()
  expect(now).toBeGreaterThan(before)
  commit(bench.context, (context) => offer(context, request(HOLDER, 1)))
  bench.context.memory.forget()
  commit(bench.context, loadLanes)
  expect(said()).toEqual([])
})

test('a result is handed over again until its table has it, and once more when its outcome stays out (I3)', () => {
  const bench = testLedger()
  commit(bench.context, (context) => submit(context, submission(), 0))
  const [offered] = commit(bench.context, (context) => offer(context, request(HOLDER, 1))).offers
  if (!offered) throw new Error('nothing was offered')
  const { job, attempt } = offered
  commit(bench.context, (context) => accept(context, HOLDER, [{ job, attempt, start: true }]))
  commit(bench.context, (context) => complete(context, HOLDER, [completion(job, attempt)]))
  expect(bench.take().map(({ kind }) => kind)).toContain('outbox')
  expect(after(bench, 1_000)).toEqual(['outbox'])
  expect(after(bench, 5_000)).toEqual(['outbox'])
  handedOver(bench.context, 'publish', [job])
  expect(after(bench, 5_000)).toEqual([])
  expect(after(bench, 150_000)).toContain('outbox')
  commit(bench.context, (context) => publicationOutcome(context, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
  expect(after(bench, 10_000)).not.toContain('outbox')
  expect(after(bench, 300_000)).not.toContain('outbox')
})

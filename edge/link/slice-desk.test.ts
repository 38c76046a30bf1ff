import { expect, test } from 'vitest'
import { ResultId, TenantId } from '../contract/ids.ts'
import type { SliceMessage } from '../contract/node.ts'
import { AVOID_MS, MAX_DERIVATIONS, type SliceAsk, SliceDesk } from './slice-desk.ts'

const request = (change: Partial<SliceAsk> = {}): SliceAsk => ({
  tenant: TenantId.parse('acme'),
  result: ResultId.parse(`r${'0'.repeat(26)}`),
  schema: { id: 's1', columns: [], added: [] },
  rows: 1,
  query: { sql: 'SELECT 1' },
  scope: 'all',
  format: 'csv',
  hash: 'all',
  files: [],
  max_body_bytes: 0,
  put: { url: '/o', headers: {} },
  timeout_seconds: 30,
  ...change,
})

const bench = () => {
  const asked: SliceMessage[] = []
  const timers = new Set<{ at: number; run: () => void }>()
  const state = { connected: true, now: 0 }
  const desk = new SliceDesk({
    ask: (_tenant, message) => {
      if (state.connected) asked.push(message)
      return state.connected
    },
    now: () => state.now,
    after: (ms, run) => {
      const timer = { at: state.now + ms, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    first: 7,
  })
  /** Moves the clock on and lets everything settle. */
  const pass = async (ms: number): Promise<void> => {
    state.now += ms
    for (const timer of [...timers]) if (timer.at <= state.now) timer.run()
    await Promise.resolve()
    await Promise.resolve()
  }
  return { desk, asked, state, timers, pass, last: () => asked.at(-1)?.re ?? 0 }
}
const failed = (code: 'slice_failed' | 'unavailable') => ({ ok: false as const, code, detail: 'why' })

test('a question is answered by its number, in time, or not', async () => {
  const { desk, asked, state, timers, pass, last } = bench()
  const one = desk.ask(request())
  expect(last()).toBe(7)
  desk.answered(99, { ok: true, body: 'of another' })
  desk.answered(7, { ok: true, body: 'yes' })
  expect(await one).toEqual({ ok: true, body: 'yes' })
  const late = desk.ask(request())
  await pass(35_000)
  expect(await late).toMatchObject({ ok: false, code: 'slice_timeout' })
  state.connected = false
  expect(await desk.ask(request())).toMatchObject({ ok: false, code: 'unavailable' })
  expect(asked).toHaveLength(2)
  // Nothing that is answered keeps the object awake.
  expect(timers.size).toBe(0)
})

test('what a node was asked ends with its session: the next one knows nothing of it', async () => {
  const { desk, asked, pass } = bench()
  const open = desk.ask(request())
  expect(desk.derive('k', request())).toBeNull()
  desk.sessionOver()
  expect(await open).toMatchObject({ ok: false, code: 'unavailable' })
  await pass(0)
  expect(desk.derive('k', request())).toBeNull()
  expect(asked).toHaveLength(3)
})

test('a derived object is begun once, and its fault is told once', async () => {
  const { desk, asked, pass, last } = bench()
  for (let n = 0; n < 3; n++) expect(desk.derive('k', request())).toBeNull()
  expect(asked).toHaveLength(1)
  desk.answered(last(), failed('slice_failed'))
  await pass(0)
  expect(desk.derive('k', request())).toEqual({ code: 'slice_failed', detail: 'why' })
  expect(desk.derive('k', request())).toBeNull()
  expect(asked).toHaveLength(2)
})

test('a node that cannot is not asked again for a while: another one is', async () => {
  const { desk, asked, pass, last } = bench()
  desk.derive('k', request())
  desk.answered(last(), failed('unavailable'))
  await pass(0)
  await pass(AVOID_MS - 1)
  for (let n = 0; n < 2; n++) expect(desk.derive('k', request())).toMatchObject({ code: 'unavailable' })
  expect(asked).toHaveLength(1)
  await pass(1)
  expect(desk.derive('k', request())).toBeNull()
  expect(asked).toHaveLength(2)
})

test('faults that nobody asks for do not pile up', async () => {
  const { desk, asked, pass, last } = bench()
  desk.derive('first', request())
  desk.answered(last(), failed('slice_failed'))
  await pass(0)
  desk.derive('at work', request())
  for (let n = 0; n < MAX_DERIVATIONS; n++) {
    desk.derive(`k${n}`, request())
    desk.answered(last(), failed('slice_failed'))
    await pass(0)
  }
  const before = asked.length
  expect(desk.derive('first', request())).toBeNull()
  expect(asked).toHaveLength(before + 1)
  // What is being made is never forgotten.
  desk.derive('at work', request())
  expect(asked).toHaveLength(before + 1)
})

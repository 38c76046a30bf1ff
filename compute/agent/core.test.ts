import { describe, expect, test } from 'bun:test'
import { FromNode, type Lease, Offer } from '../../edge/contract/node.ts'
import { AgentCore, mostAhead } from './core.ts'
import type { CoreSettings, Effect } from './words.ts'

const HASH = 'a'.repeat(64)
const jobId = (n: number): string => `0${String(n).padStart(25, '0')}`
const offer = (n: number, more: Partial<Offer> = {}): Offer => ({
  ...Offer.parse({
    tenant: 'demo',
    job: jobId(n),
    attempt: 1,
    task: 'summary',
    task_hash: HASH,
    args: [],
    db: null,
    engine_hint: null,
    family: 'reports.summary',
    run_date: '2026-01-02',
    schema: null,
    max_runtime_seconds: null,
    accept_by: '2026-01-02T00:00:05.000Z',
  }),
  ...more,
})
const leaseOf = ({ tenant, job, attempt }: Lease): Lease => ({ tenant, job, attempt })

const settings = (more: Partial<CoreSettings> = {}): CoreSettings => ({
  slots: 2,
  task: () => ({ concurrency: null }),
  place: (_offer, full) => (full('duckdb') ? null : 'duckdb'),
  maxActive: () => 1_000,
  ...more,
})

/** Every message the core sends must fit the contract. */
const sent = (effects: Effect[]): FromNode[] =>
  effects.flatMap((effect) => (effect.do === 'send' ? [FromNode.parse(JSON.parse(effect.text))] : []))
const done = (effects: Effect[]): string[] =>
  effects.flatMap((effect) => {
    if (effect.do === 'run') return [`run ${effect.offer.job}`]
    if (effect.do === 'abort') return [`abort ${effect.lease.job} ${effect.reason}`]
    if (effect.do === 'end') return [`end ${effect.lease.job}${effect.won ? ' won' : ''}`]
    return effect.do === 'idle' ? ['idle'] : []
  })
const find = <Type extends FromNode['type']>(messages: FromNode[], type: Type): Extract<FromNode, { type: Type }> => {
  const found = messages.find((message) => message.type === type)
  if (found?.type !== type) throw new Error(`no ${type} among ${messages.map((message) => message.type).join(', ') || 'nothing'}`)
  return found as Extract<FromNode, { type: Type }>
}
const answer = (message: FromNode, outcome: 'ok' | 'fenced' | 'cancelled' | 'refused' = 'ok', offers: Offer[] = []) => {
  if (!('re' in message)) throw new Error(`${message.type} has no number`)
  const items = 'items' in message ? message.items : [message as unknown as Lease]
  return { re: message.re, items: items.map((item) => ({ ...leaseOf(item), outcome, detail: null })), offers }
}
const manifest = {
  schema: { id: 's1', columns: [{ id: 4, name: 'n', type: 'long' }], added: [] },
  rows: 0,
  files: [],
  first_rows: [],
  engine: { name: 'duckdb', version: null, query_id: null },
  source: null,
  seconds: { planning: 0, executing: 0, uploading: 0 },
}
const completion = (lease: Lease) => ({
  kind: 'complete' as const,
  item: JSON.stringify({ ...leaseOf(lease), manifest, inline: null, uploads: [] }),
})
const connected = (more: Partial<CoreSettings> = {}): AgentCore => {
  const core = new AgentCore(settings(more))
  core.welcome([])
  core.announced()
  return core
}
/** Offers and accepts until the attempts run. */
const running = (core: AgentCore, ...numbers: number[]): void => {
  core.ack(answer(find(sent(core.offers(numbers.map((n) => offer(n)))), 'accept')))
}

describe('offers', () => {
  test('an attempt begins only after its acceptance was answered', () => {
    const core = connected()
    const accept = core.offers([offer(1)])
    expect(done(accept)).toEqual([])
    expect(find(sent(accept), 'accept').items).toEqual([{ ...leaseOf(offer(1)), start: true }])
    expect(done(core.ack(answer(find(sent(accept), 'accept'))))).toEqual([`run ${jobId(1)}`])
  })

  test('a job cancelled while it waited never runs', () => {
    const core = connected()
    const accept = find(sent(core.offers([offer(1)])), 'accept')
    expect(done(core.ack(answer(accept, 'cancelled')))).toEqual([`end ${jobId(1)}`])
    expect(core.counts()).toEqual({})
  })

  test('a cancel that overtakes the answer to an acceptance keeps the job from running and is confirmed', () => {
    const core = connected()
    const accept = find(sent(core.offers([offer(1)])), 'accept')
    core.cancel(offer(1))
    const effects = core.ack(answer(accept))
    expect(done(effects)).toEqual([])
    expect(find(sent(effects), 'cancelled')).toMatchObject({ ...leaseOf(offer(1)), outcome: 'confirmed' })
  })

  test('an offer beyond the slots is accepted and begun in one when a slot is free', () => {
    const core = connected({ slots: 1 })
    const accept = find(sent(core.offers([offer(1), offer(2)])), 'accept')
    expect(accept.items).toEqual([{ ...leaseOf(offer(1)), start: true }])
    expect(done(core.ack(answer(accept)))).toEqual([`run ${jobId(1)}`])
    expect(core.counts()).toEqual({ running: 1, offered: 1 })
    const effects = core.settled(offer(1), completion(offer(1)), 5)
    expect(done(effects)).toEqual([])
    const next = find(sent(effects), 'accept')
    expect(next.items).toEqual([{ ...leaseOf(offer(2)), start: true }])
    expect(done(core.ack(answer(next)))).toEqual([`run ${jobId(2)}`])
  })

  test('one that has waited a second for a slot is accepted, and begins when its start was answered', () => {
    const core = connected({ slots: 1 })
    running(core, 1, 2)
    const accept = find(sent(core.tick()), 'accept')
    expect(accept.items).toEqual([{ ...leaseOf(offer(2)), start: false }])
    core.ack(answer(accept))
    expect(core.counts()).toEqual({ running: 1, leased: 1 })
    const effects = core.settled(offer(1), completion(offer(1)), 5)
    expect(done(effects)).toEqual([])
    expect(done(core.ack(answer(find(sent(effects), 'start'))))).toEqual([`run ${jobId(2)}`])
  })

  test('an offer for a task that the node does not have goes back', () => {
    const core = connected({ task: () => null })
    const messages = sent(core.offers([offer(1)]))
    expect(find(messages, 'return').items[0]?.reason).toContain('summary')
  })

  test('a task runs no more often at once than its own bound', () => {
    const core = connected({ slots: 4, task: () => ({ concurrency: 2 }) })
    const accept = find(sent(core.offers([offer(1), offer(2), offer(3)])), 'accept')
    expect(accept.items.map(({ job }) => String(job))).toEqual([jobId(1), jobId(2)])
    expect(core.counts()).toEqual({ accepting: 2, offered: 1 })
  })

  test('a source runs no more statements at once than its bound', () => {
    const core = connected({ slots: 4, maxActive: () => 1 })
    const accept = find(sent(core.offers([offer(1), offer(2)])), 'accept')
    expect(accept.items.map(({ job }) => String(job))).toEqual([jobId(1)])
    expect(core.counts()).toEqual({ accepting: 1, offered: 1 })
  })

  test('the same offer twice is accepted once', () => {
    const core = connected()
    core.offers([offer(1)])
    expect(sent(core.offers([offer(1)])).filter(({ type }) => type === 'accept')).toEqual([])
  })
})

describe('messages that change a job', () => {
  test('one completion is in flight, the rest gathers behind it', () => {
    const core = connected({ slots: 3 })
    running(core, 1, 2, 3)
    const first = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    expect(sent(core.settled(offer(2), completion(offer(2)), 5))).toEqual([])
    expect(sent(core.settled(offer(3), completion(offer(3)), 5))).toEqual([])
    const second = find(sent(core.ack(answer(first))), 'complete')
    expect(second.items.map(({ job }) => String(job))).toEqual([jobId(2), jobId(3)])
  })

  test('what was not answered is sent again after a reconnect, with the same number', () => {
    const core = connected()
    running(core, 1)
    const first = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    core.lost()
    expect(find(sent(core.welcome([])), 'complete')).toEqual(first)
    expect(done(core.ack(answer(first)))).toEqual([`end ${jobId(1)} won`])
  })

  test('an end that comes while the link is down is reported after the reconnect', () => {
    const core = connected()
    running(core, 1)
    core.lost()
    expect(sent(core.settled(offer(1), completion(offer(1)), 5))).toEqual([])
    expect(core.holding()).toEqual([{ ...leaseOf(offer(1)), running: true }])
    expect(find(sent(core.welcome([])), 'complete').items).toHaveLength(1)
  })

  test('a completion that the edge refuses becomes a failure, so that the job ends', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    const fail = find(sent(core.ack(answer(complete, 'refused'))), 'fail')
    expect(fail.items[0]?.failure.code).toBe('completion_refused')
    expect(done(core.ack(answer(fail)))).toEqual([`end ${jobId(1)}`])
  })

  test('a message that the edge could not take now is sent again, and nothing ends', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    const refused = core.refused(complete.re, 'unavailable', 'the ledger did not answer')
    expect(refused).toEqual([{ do: 'again', re: complete.re }])
    expect(find(sent(core.again(complete.re)), 'complete')).toEqual(complete)
    expect(done(core.ack(answer(complete)))).toEqual([`end ${jobId(1)} won`])
    expect(core.again(complete.re)).toEqual([])
  })

  test('a completion that the edge does not understand becomes a failure', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    const fail = find(sent(core.refused(complete.re, 'invalid_message', 'rows: too many')), 'fail')
    expect(fail.items[0]?.failure.message).toContain('rows: too many')
  })

  test('a fenced completion drops its files', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    expect(done(core.ack(answer(complete, 'fenced')))).toEqual([`end ${jobId(1)}`])
  })

  test('large items do not share one message', () => {
    const core = connected({ slots: 3 })
    running(core, 1, 2, 3)
    core.settled(offer(1), completion(offer(1)), 5)
    const padding = 'x'.repeat(600_000)
    for (const n of [2, 3])
      core.settled(
        offer(n),
        { kind: 'complete', item: JSON.stringify({ ...leaseOf(offer(n)), manifest, inline: null, uploads: [], padding }) },
        5,
      )
    const next = core.ack({ re: 0, items: [], offers: [] })
    expect(sent(next)).toEqual([])
    // The first completion's number is the third message: want, accept, complete.
    const second = find(sent(core.ack({ re: 2, items: [{ ...leaseOf(offer(1)), outcome: 'ok', detail: null }], offers: [] })), 'complete')
    expect(second.items).toHaveLength(1)
  })
})

describe('room', () => {
  test('the node asks for offers once its tasks are known, at first as many as it has slots', () => {
    const core = new AgentCore(settings({ slots: 2 }))
    expect(sent(core.welcome([])).filter(({ type }) => type === 'want')).toEqual([])
    expect(find(sent(core.announced()), 'want').want).toBe(2)
  })

  test('after short runs it holds offers ahead, and a completion carries the room', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    expect(complete.want).toBe(2 + mostAhead(2))
    const effects = core.ack(answer(complete, 'ok', [offer(2)]))
    expect(find(sent(effects), 'accept').items[0]?.job as string).toBe(jobId(2))
    expect(sent(effects).filter(({ type }) => type === 'want')).toEqual([])
  })

  test('at most as many ahead as slots, or 8', () => {
    expect([1, 8, 20].map(mostAhead)).toEqual([8, 8, 20])
  })

  test('after long runs nothing is held ahead: another node may be free', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 60_000)), 'complete')
    expect(complete.want).toBe(2)
  })

  test('room that opens without a completion is told by itself', () => {
    const core = connected()
    running(core, 1)
    expect(find(sent(core.fence(offer(1))), 'want').want).toBe(2)
  })

  test('a lease that waits long for a slot goes back, and no offer is asked for until a slot is free', () => {
    const core = connected({ slots: 1 })
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    core.ack(answer(complete))
    running(core, 2, 3)
    core.ack(answer(find(sent(core.tick()), 'accept')))
    for (let second = 2; second < 5; second += 1) expect(sent(core.tick())).toEqual([])
    const messages = sent(core.tick())
    expect(find(messages, 'return').items.map(({ job }) => String(job))).toEqual([jobId(3)])
    expect(find(messages, 'want').want).toBe(0)
    core.ack(answer(find(messages, 'return')))
    expect(find(sent(core.settled(offer(2), completion(offer(2)), 60_000)), 'complete').want).toBe(1)
  })

  test("attempts that wait for their task's own bound do not keep a free slot from other tasks", () => {
    const core = connected({ slots: 2, task: ({ task }) => ({ concurrency: task === 'summary' ? 1 : null }) })
    const accept = find(sent(core.offers([offer(1), offer(2)])), 'accept')
    const effects = core.ack(answer(accept))
    expect(core.counts()).toEqual({ running: 1, offered: 1 })
    expect(find(sent(effects), 'want').want).toBe(1)
    core.ack(answer(find(sent(core.tick()), 'accept')))
    expect(core.counts()).toEqual({ running: 1, leased: 1 })
    for (let second = 0; second < 20; second += 1) expect(sent(core.tick())).toEqual([])
  })
})

describe('cancel and fence', () => {
  test('a running attempt is aborted and its outcome reported', () => {
    const core = connected()
    running(core, 1)
    expect(done(core.cancel(offer(1)))).toEqual([`abort ${jobId(1)} cancel`])
    const effects = core.settled(offer(1), { kind: 'cancelled', outcome: 'confirmed', reason: 'killed' }, 5)
    const cancelled = find(sent(effects), 'cancelled')
    expect(cancelled).toMatchObject({ outcome: 'confirmed', reason: 'killed' })
    expect(done(core.ack(answer(cancelled)))).toEqual([`end ${jobId(1)}`])
  })

  test('a leased attempt is cancelled without having run', () => {
    const core = connected({ slots: 1 })
    running(core, 1, 2)
    core.ack(answer(find(sent(core.tick()), 'accept')))
    expect(core.counts()).toEqual({ running: 1, leased: 1 })
    expect(find(sent(core.cancel(offer(2))), 'cancelled').outcome).toBe('confirmed')
  })

  test('a cancel after the end was reported is too late, and the completion still counts', () => {
    const core = connected()
    running(core, 1)
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    const cancelled = find(sent(core.cancel(offer(1))), 'cancelled')
    expect(cancelled.outcome).toBe('too_late')
    expect(done(core.ack(answer(cancelled)))).toEqual([])
    expect(done(core.ack(answer(complete)))).toEqual([`end ${jobId(1)} won`])
  })

  test('a fenced attempt is aborted and reports nothing', () => {
    const core = connected()
    running(core, 1)
    expect(done(core.fence(offer(1)))).toEqual([`abort ${jobId(1)} fence`, `end ${jobId(1)}`])
    expect(sent(core.settled(offer(1), completion(offer(1)), 5))).toEqual([])
  })

  test('leases that are ours no more are named by the welcome and stopped', () => {
    const core = connected()
    running(core, 1)
    core.lost()
    expect(done(core.welcome([leaseOf(offer(1))]))).toEqual([`abort ${jobId(1)} fence`, `end ${jobId(1)}`])
  })
})

describe('drain', () => {
  test('what has not begun goes back at once, what runs goes on', () => {
    const core = connected({ slots: 1 })
    running(core, 1, 2)
    const effects = core.drain()
    expect(find(sent(effects), 'return').items.map(({ job }) => String(job))).toEqual([jobId(2)])
    expect(done(effects)).toEqual([])
    expect(core.counts()).toEqual({ running: 1, returning: 1 })
  })

  test('the drain is over when everything is answered', () => {
    const core = connected({ slots: 1 })
    running(core, 1, 2)
    const back = find(sent(core.drain()), 'return')
    core.ack(answer(back))
    const complete = find(sent(core.settled(offer(1), completion(offer(1)), 5)), 'complete')
    expect(complete.want).toBe(0)
    expect(done(core.ack(answer(complete)))).toEqual([`end ${jobId(1)} won`, 'idle'])
  })

  test('an attempt that outlives the drain is stopped and given back', () => {
    const core = connected()
    running(core, 1)
    core.drain()
    expect(done(core.drainOver())).toEqual([`abort ${jobId(1)} drain`])
    const back = find(sent(core.settled(offer(1), { kind: 'stopped' }, 5)), 'return')
    expect(back.items[0]?.reason).toContain('shutting down')
    expect(done(core.ack(answer(back)))).toEqual([`end ${jobId(1)}`, 'idle'])
  })

  test('an acceptance answered during a drain is given back instead of run', () => {
    const core = connected()
    const accept = find(sent(core.offers([offer(1)])), 'accept')
    core.drain()
    const effects = core.ack(answer(accept))
    expect(done(effects)).toEqual([])
    expect(find(sent(effects), 'return').items).toHaveLength(1)
  })

  test('offers that come during a drain go back', () => {
    const core = connected()
    core.drain()
    expect(find(sent(core.offers([offer(1)])), 'return').items).toHaveLength(1)
  })
})

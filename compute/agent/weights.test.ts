import { expect, test } from 'bun:test'
import { FromNode, Offer } from '../../edge/contract/node.ts'
import { AgentCore } from './core.ts'
import type { Effect } from './words.ts'

/** A job's weight is how many slots it takes. It may begin while one is free; what it takes more is owed. */

const offer = (n: number, weight?: number): Offer =>
  Offer.parse({
    tenant: 'demo',
    job: `0${String(n).padStart(25, '0')}`,
    attempt: 1,
    task: 'summary',
    task_hash: 'a'.repeat(64),
    args: [],
    db: null,
    engine_hint: null,
    family: 'reports.summary',
    run_date: '2026-01-02',
    schema: null,
    max_runtime_seconds: null,
    accept_by: '2026-01-02T00:00:05.000Z',
    ...(weight === undefined ? {} : { weight }),
  })
const connected = (slots: number): { core: AgentCore; first: FromNode[] } => {
  const core = new AgentCore({ slots, task: () => ({ concurrency: null }), place: () => 'duckdb', maxActive: () => 1_000 })
  core.welcome([])
  return { core, first: sent(core.announced()) }
}
const sent = (effects: Effect[]): FromNode[] =>
  effects.flatMap((effect) => (effect.do === 'send' ? [FromNode.parse(JSON.parse(effect.text))] : []))
const of = <Type extends FromNode['type']>(messages: FromNode[], type: Type): Extract<FromNode, { type: Type }> => {
  const found = messages.find((message) => message.type === type)
  if (found?.type !== type) throw new Error(`no ${type} among ${messages.map((message) => message.type).join()}`)
  return found as Extract<FromNode, { type: Type }>
}
/** Accepts what is offered; answers the jobs that run now. */
const take = (core: AgentCore, ...offers: Offer[]): string[] => {
  const accept = sent(core.offers(offers)).find((message) => message.type === 'accept')
  if (accept?.type !== 'accept') return []
  const effects = core.ack({ re: accept.re, items: accept.items.map((item) => ({ ...item, outcome: 'ok', detail: null })), offers: [] })
  return effects.flatMap((effect) => (effect.do === 'run' ? [effect.offer.job] : []))
}
const fails = (core: AgentCore, one: Offer): FromNode[] =>
  sent(core.settled(one, { kind: 'fail', failure: { code: 'sql', message: 'no', class: 'sql' } }, 60_000))

test('a node says how many slots are idle, beside what it can hold', () => {
  const { core, first } = connected(4)
  expect(of(first, 'want')).toMatchObject({ want: 4, idle: 4 })
  const heavy = offer(1, 3)
  take(core, heavy, offer(2))
  expect(of(fails(core, heavy), 'fail')).toMatchObject({ want: 3, idle: 3 })
})

test('a heavy job begins while a slot is free, and until it has ended nothing else does', () => {
  const { core } = connected(4)
  const heavy = offer(4, 8)
  expect(take(core, offer(1), offer(2), offer(3))).toHaveLength(3)
  expect(take(core, heavy)).toEqual([heavy.job])
  expect(take(core, offer(5))).toEqual([])
  // Three of its four neighbours end: eight slots of four are taken still.
  for (const n of [1, 2, 3]) {
    const messages = fails(core, offer(n))
    expect(messages.some(({ type }) => type === 'accept')).toBe(false)
    const said = messages.find((message) => message.type === 'fail')
    if (said?.type === 'fail') expect([said.want, Number(said.idle) < 0]).toEqual([0, true])
  }
  expect(of(fails(core, heavy), 'accept').items.map(({ job, start }) => [job, start])).toEqual([[offer(5).job, true]])
})

test('a tenant with fewer jobs running begins before another whose offers the node holds ahead', () => {
  const { core } = connected(2)
  const theirs = (n: number): Offer => ({ ...offer(n), tenant: 'small' as Offer['tenant'] })
  expect(take(core, offer(1), offer(2), offer(3), offer(4), offer(5), theirs(6))).toEqual([offer(1).job, theirs(6).job])
  expect(of(fails(core, theirs(6)), 'accept').items.map(({ job }) => job)).toEqual([offer(2).job])
})

test('the same holds for what was accepted ahead', () => {
  const { core } = connected(2)
  const theirs = (n: number): Offer => ({ ...offer(n), tenant: 'small' as Offer['tenant'] })
  take(core, offer(1), offer(2), offer(3))
  take(core, offer(4), theirs(5))
  const accept = of(sent(core.tick()), 'accept')
  core.ack({ re: accept.re, items: accept.items.map((item) => ({ ...item, outcome: 'ok', detail: null })), offers: [] })
  expect(of(fails(core, offer(1)), 'start').items.map(({ job }) => job)).toEqual([theirs(5).job])
})

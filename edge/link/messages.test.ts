import { expect, test } from 'vitest'
import { Family, JobId, NodeId, PoolName, SessionId, TenantId } from '../contract/ids.ts'
import { Complete, type ToNode } from '../contract/node.ts'
import { nodeManifest } from '../ledger/fixture.ts'
import { migrate } from '../storage/migrate.ts'
import { nodeStore } from '../storage/node-store.ts'
import { receive } from './messages.ts'
import { newMemory } from './offers.ts'
import { type LedgerPort, type LinkContext, newCache, type PoolPort } from './ports.ts'
import { LINK_MIGRATIONS } from './schema.ts'

const SESSION = SessionId.parse('session-0000000001')
const JOB = JobId.parse('01m7z8ds812ztwde00005fq974')
const ACME = TenantId.parse('acme')

/** A link whose node is connected, before a ledger of which the test says what it answers. */
const bench = (ledger: Partial<LedgerPort>) => {
  const store = nodeStore()
  migrate(store, LINK_MIGRATIONS)
  store.run(
    `INSERT INTO session (one, session, node, pool, tenants, queues, connected, ride) VALUES (1, ?, 'n1', 'default', '["acme"]', NULL, 1, 0)`,
    SESSION,
  )
  const sent: ToNode[] = []
  const verified: JobId[] = []
  const packs: string[] = []
  const pool: PoolPort = { report: async () => undefined, join: async () => undefined, leave: async () => undefined }
  const never = (): never => {
    throw new Error('nobody should ask for this')
  }
  const context: LinkContext = {
    store,
    cache: newCache(),
    now: () => 1_000,
    ledger: () => ledger as LedgerPort,
    pool: () => pool,
    table: never,
    directory: { announce: never, seen: never, gone: never },
    objects: {
      grant: never,
      verify: async (_at, { job }) => {
        verified.push(job)
        return null
      },
      verifyPack: async (_at, { sha256 }) => {
        packs.push(sha256)
        return null
      },
    },
    send: (message) => sent.push(message) > 0,
    hangUp: never,
  }
  const bounds = { name: NodeId.parse('n1'), pool: PoolName.parse('default'), tenants: ['acme'], tasks: ['*'] }
  const memory = newMemory()
  return {
    context,
    sent,
    verified,
    packs,
    say: (message: Parameters<typeof receive>[3]) => receive(context, memory, { bounds, part: { first: true } }, message),
  }
}

const completion = Complete.parse({
  type: 'complete',
  re: 1,
  items: [
    {
      tenant: ACME,
      job: JOB,
      attempt: 1,
      manifest: nodeManifest(),
      inline: null,
      uploads: [{ n: 0, upload: 'another', parts: [{ part: 1, etag: 'e' }] }],
    },
  ],
  want: 0,
})

test('a completion that is repeated after the end is answered, and touches no object any more', async () => {
  const place = { family: Family.parse('reports.daily'), task: 'daily', ended: false }
  const link = bench({
    place: async () => place,
    complete: async () => ({ verdicts: ['ok'], next: null }),
  })
  await link.say(completion)
  expect(link.verified).toEqual([JOB])
  place.ended = true
  await link.say(completion)
  expect(link.verified).toEqual([JOB])
  expect(link.sent.map((message) => (message.type === 'ack' ? message.items.map(({ outcome }) => outcome) : message.type))).toEqual([
    ['ok'],
    ['ok'],
  ])
})

test('a pack that is recorded stays: the same word is answered as before, another one touches no object', async () => {
  let recorded: string | null = null
  const link = bench({
    mayPack: async () => recorded === null,
    hasPack: async (_holder, _job, _attempt, { sha256 }) => sha256 === recorded,
    packed: async (_holder, _job, _attempt, { sha256 }) => {
      recorded = sha256
      return true
    },
  })
  for (const letter of ['a', 'a', 'b'])
    await link.say({
      type: 'packed',
      re: 1,
      tenant: ACME,
      job: JOB,
      attempt: 1,
      bytes: 10,
      sha256: letter.repeat(64),
      upload: { n: 0, upload: letter, parts: [] },
    })
  expect(link.packs).toEqual(['a'.repeat(64)])
  expect(link.sent.map((message) => (message.type === 'ack' ? message.items[0]?.outcome : message.type))).toEqual(['ok', 'ok', 'fenced'])
})

test('a ledger that gave a lease is renewed, also when a renewal under way has just forgotten it', async () => {
  let forget = (): void => undefined
  const link = bench({
    accept: async () => {
      forget()
      return ['ok']
    },
  })
  link.context.store.run('INSERT INTO ledgers (tenant) VALUES (?)', ACME)
  forget = () => void link.context.store.run('DELETE FROM ledgers')
  await link.say({ type: 'accept', re: 2, items: [{ tenant: ACME, job: JOB, attempt: 1, start: true }] })
  expect(link.context.store.all('SELECT tenant FROM ledgers')).toEqual([{ tenant: 'acme' }])
})

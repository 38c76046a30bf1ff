import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TinyColumn, tinyParquet } from '../../compute/results/tiny-parquet.ts'
import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { NodeManifest } from '../../edge/contract/manifests.ts'
import { type Lease, OFFER_SECONDS, type Offer } from '../../edge/contract/node.ts'
import { type Client, problemOf } from './support/client.ts'
import { dialNode, type FakeNode, fakeTask, leaseOf, newSession, serve } from './support/fake-node.ts'
import { eventOf, follow, readJob } from './support/follow.ts'
import { rowsPerJob } from './support/iceberg.ts'
import { startWorld, type World } from './support/world.ts'

/** Nodes written by hand against the real edge: what they may not do is refused, whatever they say. */
let world: World
beforeAll(async () => {
  world = await startWorld({ node: false })
})
afterAll(() => world.end())

const dial = async (
  name: string,
  options: { session?: string; holding?: (Lease & { running: boolean })[]; tenants?: string[]; tasks?: string[] } = {},
): Promise<FakeNode> => {
  const { tenants, tasks, ...rest } = options
  const token = await world.system.nodeToken({ name, ...(tenants ? { tenants } : {}), ...(tasks ? { tasks } : {}) })
  return dialNode({ origin: world.system.origin, token, ...rest })
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A file with one column `n` and what the edge asked to add, as an honest node would write it. */
const fileOf = (offer: Offer, schema: ResultSchema, values: bigint[]) => {
  const day = Math.floor(Date.parse(`${offer.run_date}T00:00:00Z`) / 86_400_000)
  const own = schema.columns.map(({ id = 0, name, type }): TinyColumn => ({ id, name, type, values }))
  const added: TinyColumn[] = [
    { id: 1, name: 'tenant_id', type: 'string', values: values.map(() => offer.tenant) },
    { id: 2, name: 'job_id', type: 'string', values: values.map(() => offer.job) },
    { id: 3, name: 'run_date', type: 'date', values: values.map(() => day) },
  ]
  return tinyParquet([...own, ...added], values.length)
}

const schemaOf = ({ schema }: Offer): ResultSchema => {
  if (schema === null) throw new Error('the offer brings no schema')
  return schema
}

const completion = (offer: Offer, values: bigint[], change: { rows?: number; bytes?: Uint8Array; inline?: boolean } = {}) => {
  const schema = schemaOf(offer)
  const file = fileOf(offer, schema, values)
  const bytes = change.bytes ?? file.bytes
  const rows = change.rows ?? values.length
  const manifest: NodeManifest = {
    schema,
    rows,
    files: [
      {
        n: 0,
        bytes: bytes.length,
        sha256: sha256(bytes),
        rows,
        run_date: offer.run_date,
        split_offsets: file.splitOffsets,
        stats: file.stats,
      },
    ],
    first_rows: values.map((value) => [value.toString()]),
    engine: { name: 'duckdb', version: null, query_id: null },
    source: null,
    seconds: { planning: 0, executing: 0, uploading: 0 },
  }
  const inline =
    change.inline === false
      ? null
      : { parquet_base64: Buffer.from(bytes).toString('base64'), rows: values.map((value) => [value.toString()]) }
  return { bytes, message: { type: 'complete', items: [{ ...leaseOf(offer), manifest, inline, uploads: [] }], want: 4 } }
}

const accept = (node: FakeNode, offer: Offer, start = true) => node.outcome({ type: 'accept', items: [{ ...leaseOf(offer), start }] })

const put = (grant: Awaited<ReturnType<FakeNode['grant']>>, bytes: Uint8Array): Promise<Response> => {
  const [one] = grant.ok ? grant.puts : []
  if (!one) throw new Error(`nothing was granted: ${JSON.stringify(grant)}`)
  return fetch(new URL(one.url, world.system.origin), { method: 'PUT', headers: one.headers, body: bytes.slice() })
}

describe('a zombie', () => {
  test('whose session was replaced gets no grant, uploads nothing and completes nothing', async () => {
    const client = await world.as('zombie-replaced')
    const first = await dial('replaced')
    await serve(first, [fakeTask('replaced')])
    const { id } = await client.submit('replaced')
    const offer = await first.offer()
    expect(await accept(first, offer)).toMatchObject({ outcome: 'ok' })
    const late = completion(offer, [1n], { inline: false })
    const grant = await first.grant(offer, { bytes: late.bytes.length, sha256: sha256(late.bytes) })
    expect(grant.ok).toBe(true)

    const second = await dial('replaced')
    await serve(second, [fakeTask('replaced')], 0)
    expect(await first.gone).toBe('replaced')

    // The upload that was granted to the old attempt.
    const refused = await put(grant, late.bytes)
    expect(refused.status).toBe(409)
    expect((await problemOf(refused)).code).toBe('fenced')

    // The new session's own claim on the old attempt.
    expect(await second.outcome(late.message)).toMatchObject({ outcome: 'fenced' })
    expect(await second.grant(offer, { bytes: 10, sha256: sha256(late.bytes) })).toMatchObject({ ok: false, code: 'fenced' })

    second.tell({ type: 'want', want: 4 })
    const again = await second.offer()
    expect(again).toMatchObject({ job: id, attempt: offer.attempt + 1 })
    expect(await accept(second, again)).toMatchObject({ outcome: 'ok' })
    // The attempt before is still nobody's, now that the job runs again.
    expect(await second.outcome(late.message)).toMatchObject({ outcome: 'fenced' })
    expect(await second.outcome(completion(again, [2n]).message)).toMatchObject({ outcome: 'ok' })
    const { events } = await follow(client, id)
    expect(events.filter(({ state, type }) => state === 'succeeded' && type === 'state')).toHaveLength(1)
    expect(await (await client.ask(`/v1/jobs/${id}/result.json`)).json()).toMatchObject({ rows: [['2']] })
    expect(await rowsPerJob(client, 'zombie-replaced', 'reports.replaced')).toEqual(new Map([[id, 1]]))
    await second.hangUp()
  })

  test('that was away longer than its grace finds its lease with another node', async () => {
    const client = await world.as('zombie-lost')
    const lost = await dial('lost')
    await serve(lost, [fakeTask('lost')])
    const { id } = await client.submit('lost')
    const offer = await lost.offer()
    await accept(lost, offer)
    const late = completion(offer, [1n], { inline: false })
    const grant = await lost.grant(offer, { bytes: late.bytes.length, sha256: sha256(late.bytes) })
    const other = await dial('other')
    await serve(other, [fakeTask('lost')])
    await lost.hangUp()

    const again = await other.offer()
    expect(again).toMatchObject({ job: id, attempt: offer.attempt + 1 })
    expect(await accept(other, again)).toMatchObject({ outcome: 'ok' })

    const back = await dial('lost', { session: lost.session, holding: [{ ...leaseOf(offer), running: true }] })
    expect(back.welcome.fenced).toEqual([leaseOf(offer)])
    expect(await back.outcome(late.message)).toMatchObject({ outcome: 'fenced' })
    // Neither under its own attempt nor under the one that another session holds.
    expect(await back.outcome(completion(again, [1n]).message)).toMatchObject({ outcome: 'fenced' })
    expect(await back.grant(offer, { bytes: 10, sha256: sha256(late.bytes) })).toMatchObject({ ok: false, code: 'fenced' })
    expect(await back.grant(again, { bytes: 10, sha256: sha256(late.bytes) })).toMatchObject({ ok: false, code: 'fenced' })
    expect((await put(grant, late.bytes)).status).toBe(409)
    expect(
      await back.outcome({ type: 'fail', items: [{ ...leaseOf(offer), failure: { code: 'x', message: 'x', class: 'sql' } }], want: 0 }),
    ).toMatchObject({ outcome: 'fenced' })

    expect(await other.outcome(completion(again, [2n, 3n]).message)).toMatchObject({ outcome: 'ok' })
    await follow(client, id)
    expect(await readJob(client, id)).toMatchObject({ state: 'succeeded', attempt: again.attempt, rows: 2 })
    expect(await rowsPerJob(client, 'zombie-lost', 'reports.lost')).toEqual(new Map([[id, 2]]))
    await Promise.all([back.hangUp(), other.hangUp()])
  })

  test('that comes back within its grace in the same session goes on', async () => {
    const client = await world.as('returned')
    const before = await dial('returned')
    await serve(before, [fakeTask('returned')])
    const { id } = await client.submit('returned')
    const offer = await before.offer()
    await accept(before, offer)
    await before.hangUp()
    const back = await dial('returned', { session: before.session, holding: [{ ...leaseOf(offer), running: true }] })
    expect(back.welcome.fenced).toEqual([])
    expect(await back.outcome(completion(offer, [7n]).message)).toMatchObject({ outcome: 'ok' })
    expect(await client.ended(id)).toMatchObject({ state: 'succeeded', attempt: 1, tries: 1 })
    await back.hangUp()
  })

  test('that comes back in the same session hears of the cancel that it missed', async () => {
    const client = await world.as('missed')
    const before = await dial('missed')
    await serve(before, [fakeTask('missed')])
    const { id } = await client.submit('missed')
    const offer = await before.offer()
    await accept(before, offer)
    await before.hangUp()
    expect((await client.ask(`/v1/jobs/${id}/cancel`, { method: 'POST' })).status).toBe(202)
    const back = await dial('missed', { session: before.session, holding: [{ ...leaseOf(offer), running: true }] })
    expect(await back.next('cancel')).toMatchObject(leaseOf(offer))
    const stopped = { type: 'cancelled', ...leaseOf(offer), outcome: 'confirmed', reason: 'the engine said so' }
    expect(await back.outcome(stopped)).toMatchObject({ outcome: 'ok' })
    expect(await client.ended(id)).toMatchObject({ state: 'cancelled', cancel: { outcome: 'confirmed', reason: 'the engine said so' } })
    // What it computed all the same comes too late.
    expect(await back.outcome(completion(offer, [1n]).message)).toMatchObject({ outcome: 'cancelled' })
    expect(await client.ended(id)).toMatchObject({ state: 'cancelled', result: null })
    await back.hangUp()
  })

  test('cannot write over what its attempt has written', async () => {
    const client = await world.as('once')
    const node = await dial('once')
    await serve(node, [fakeTask('once')])
    const { id } = await client.submit('once')
    const offer = await node.offer()
    await accept(node, offer)
    const { bytes, message } = completion(offer, [1n, 2n], { inline: false })
    const grant = await node.grant(offer, { bytes: bytes.length, sha256: sha256(bytes) })
    expect((await put(grant, bytes)).status).toBe(200)
    const twice = await put(grant, bytes)
    expect((await problemOf(twice)).code).toBe('already_exists')
    expect(await node.outcome(message)).toMatchObject({ outcome: 'ok' })
    // The lease ended with the completion: the grant is worth nothing any more, though it has not expired.
    expect((await problemOf(await put(grant, bytes))).code).toBe('fenced')
    expect(await client.ended(id)).toMatchObject({ state: 'succeeded', rows: 2 })
    await node.hangUp()
  })
})

describe('a completion that does not hold what it says', () => {
  let client: Client
  let node: FakeNode
  beforeAll(async () => {
    client = await world.as('liar')
    node = await dial('liar')
    await serve(node, [fakeTask('liar')])
  })
  afterAll(() => node.hangUp())

  const begin = async (): Promise<Offer> => {
    await client.submit('liar')
    const offer = await node.offer()
    expect(await accept(node, offer)).toMatchObject({ outcome: 'ok' })
    return offer
  }
  const endsBad = async (offer: Offer, message: object, detail: RegExp): Promise<void> => {
    const { outcome, detail: said } = await node.outcome(message)
    expect(outcome).toBe('refused')
    expect(said).toMatch(detail)
    const job = await client.ended(offer.job)
    expect(job).toMatchObject({ state: 'failed', error: { code: 'bad_result' }, result: null })
    expect(job.error?.message).toMatch(detail)
    expect((await client.ask(`/v1/jobs/${offer.job}/result`)).status).toBe(409)
  }

  test('more rows announced than sent', async () => {
    const offer = await begin()
    await endsBad(offer, completion(offer, [1n], { rows: 2 }).message, /says 2 rows and brings 1/)
  })

  test('a file with other rows than announced', async () => {
    const offer = await begin()
    const { message } = completion(offer, [1n, 2n], { bytes: fileOf(offer, schemaOf(offer), [1n]).bytes })
    await endsBad(offer, message, /it has 1 rows, but 2 were announced/)
  })

  test('a file with other field ids than those ensured', async () => {
    const offer = await begin()
    const schema = schemaOf(offer)
    const other = { ...schema, columns: schema.columns.map((column) => ({ ...column, id: (column.id ?? 0) + 100 })) }
    const { message } = completion(offer, [1n], { bytes: fileOf(offer, other, [1n]).bytes })
    await endsBad(offer, message, /carries field id 104 instead of 4/)
  })

  test('bytes that are no Parquet file', async () => {
    const offer = await begin()
    await endsBad(offer, completion(offer, [1n], { bytes: new Uint8Array(200) }).message, /does not end like a Parquet file/)
  })

  test('a file that was never uploaded', async () => {
    const offer = await begin()
    await endsBad(offer, completion(offer, [1n], { inline: false }).message, /was not uploaded/)
  })

  test('bytes other than those granted', async () => {
    const offer = await begin()
    const { bytes, message } = completion(offer, [1n], { inline: false })
    const grant = await node.grant(offer, { bytes: bytes.length, sha256: sha256(bytes) })
    const forged = Uint8Array.from(bytes, (byte) => byte ^ 1)
    expect((await problemOf(await put(grant, forged))).code).toBe('checksum_mismatch')
    expect((await problemOf(await put(grant, bytes.slice(1)))).code).toBe('checksum_mismatch')
    await endsBad(offer, message, /was not uploaded/)
  })

  test('an inline result that is too large', async () => {
    const offer = await begin()
    await endsBad(offer, completion(offer, [1n], { bytes: new Uint8Array(32 * 1024 + 1) }).message, /at most 32768 are taken/)
  })

  test('an inline result far too large is no message at all, and the job is still to be failed', async () => {
    const offer = await begin()
    const { message } = completion(offer, [1n], { bytes: new Uint8Array(100_000) })
    expect(await node.outcome(message)).toEqual({ outcome: 'refused', detail: 'invalid_message' })
    expect(await readJob(client, offer.job)).toMatchObject({ state: 'running' })
    const failure = { code: 'completion_refused', message: 'too large', class: 'internal' }
    expect(await node.outcome({ type: 'fail', items: [{ ...leaseOf(offer), failure }], want: 4 })).toMatchObject({ outcome: 'ok' })
    expect(await client.ended(offer.job)).toMatchObject({ state: 'failed' })
  })

  test('an honest one after all of these', async () => {
    const offer = await begin()
    expect(await node.outcome(completion(offer, [5n]).message)).toMatchObject({ outcome: 'ok' })
    expect(await client.ended(offer.job)).toMatchObject({ state: 'succeeded', rows: 1 })
  })
})

describe('a node bound to one tenant', () => {
  test('shows its tasks to that tenant only, and gets nothing of others', async () => {
    const [own, foreign] = await Promise.all([world.as('bound'), world.as('unbound')])
    const bound = await dial('bound', { tenants: ['bound'] })
    await serve(bound, [fakeTask('bound_task')])
    expect((await own.ask('/v1/tasks/bound_task')).status).toBe(200)
    const hidden = await foreign.ask('/v1/tasks/bound_task')
    expect((await problemOf(hidden)).code).toBe('unknown_task')
    expect((await problemOf(await foreign.ask('/v1/tasks/bound_task/jobs', { body: {} }))).code).toBe('unknown_task')

    // A job of the other tenant, held by a node that may hold it.
    const open = await dial('open')
    await serve(open, [fakeTask('open_task'), fakeTask('bound_task')])
    const { id } = await foreign.submit('open_task')
    const offer = await open.offer()
    expect(offer.job).toBe(id)
    await accept(open, offer)
    expect(await accept(bound, offer)).toMatchObject({ outcome: 'refused' })
    expect(await bound.outcome({ type: 'return', items: [{ ...leaseOf(offer), reason: 'mine' }] })).toMatchObject({ outcome: 'refused' })
    expect(await bound.outcome(completion(offer, [1n]).message)).toMatchObject({ outcome: 'refused' })
    expect(await bound.grant(offer, { bytes: 10, sha256: '0'.repeat(64) })).toMatchObject({ ok: false, code: 'fenced' })
    const schema = await bound.ask({ type: 'schema', ...leaseOf(offer), columns: [{ name: 'n', type: 'long' }] })
    expect(schema).toMatchObject({ type: 'schema', answer: { ok: false, code: 'fenced' } })
    expect(await readJob(foreign, id)).toMatchObject({ state: 'running', attempt: 1 })
    // Both nodes have the task now, and only one of them may be offered the other tenant's job.
    const second = await foreign.submit('bound_task')
    expect(await open.offer()).toMatchObject({ job: second.id })
    await Promise.all([bound.hangUp(), open.hangUp()])
  })

  test('announces only tasks that its token allows', async () => {
    const client = await world.as('patterns')
    const node = await dial('patterns', { tasks: ['allowed_*'] })
    const answer = await node.ask({ type: 'announce', tasks: [fakeTask('allowed_one'), fakeTask('other')], last: true })
    expect(answer).toMatchObject({ type: 'announced', accepted: 1, refused: [{ task: 'other', code: 'insufficient_scope' }] })
    expect((await client.ask('/v1/tasks/allowed_one')).status).toBe(200)
    expect((await client.ask('/v1/tasks/other')).status).toBe(404)
    await node.hangUp()
  })

  test('a person token opens no link', async () => {
    await expect(dialNode({ origin: world.system.origin, token: await world.system.token('bound') })).rejects.toThrow('did not open')
  })
})

describe('a lease', () => {
  test('that nobody takes goes back to its lane when the offer is over, and the late acceptance is fenced', async () => {
    const client = await world.as('lapse')
    const node = await dial('lapse')
    await serve(node, [fakeTask('lapse')])
    const { id } = await client.submit('lapse')
    const offer = await node.offer()
    const again = await node.offer()
    expect(again).toMatchObject({ job: id, attempt: offer.attempt + 1 })
    // The second offer's clock began when the first one's was over.
    expect(Date.parse(again.accept_by) - Date.parse(offer.accept_by)).toBeGreaterThanOrEqual(OFFER_SECONDS * 1000)
    expect(await accept(node, offer)).toMatchObject({ outcome: 'fenced' })
    expect(await accept(node, again)).toMatchObject({ outcome: 'ok' })
    await node.outcome(completion(again, [1n]).message)
    expect(await client.ended(id)).toMatchObject({ state: 'succeeded', tries: 1, attempt: 2 })
    await node.hangUp()
  })

  test('handed back by a drain burns no try, and the draining node is offered nothing more', async () => {
    const client = await world.as('drain')
    const leaving = await dial('leaving')
    await serve(leaving, [fakeTask('drain')])
    const { id } = await client.submit('drain')
    const offer = await leaving.offer()
    await accept(leaving, offer)
    expect(await readJob(client, id)).toMatchObject({ state: 'running', tries: 1 })
    expect(await leaving.ask({ type: 'drain' })).toMatchObject({ type: 'ack' })
    const returned = await leaving.outcome({ type: 'return', items: [{ ...leaseOf(offer), reason: 'the node is shutting down' }] })
    expect(returned).toMatchObject({ outcome: 'ok' })
    expect(await eventOf(client, id, ({ reason }) => reason !== undefined)).toMatchObject({
      state: 'waiting',
      reason: 'the node is shutting down',
    })
    expect(await readJob(client, id)).toMatchObject({ state: 'waiting', tries: 0, attempt: 1 })

    const staying = await dial('staying')
    await serve(staying, [fakeTask('drain')])
    const again = await staying.offer()
    expect(again).toMatchObject({ job: id, attempt: 2 })
    await accept(staying, again)
    expect(await leaving.outcome(completion(offer, [1n]).message)).toMatchObject({ outcome: 'fenced' })
    await staying.outcome(completion(again, [1n]).message)
    expect(await client.ended(id)).toMatchObject({ state: 'succeeded', tries: 1, attempt: 2 })
    await Promise.all([leaving.hangUp(), staying.hangUp()])
  })

  test('accepted and never begun burns no try when its session is replaced', async () => {
    const client = await world.as('unbegun')
    const first = await dial('unbegun', { session: newSession() })
    await serve(first, [fakeTask('unbegun')])
    const { id } = await client.submit('unbegun')
    await accept(first, await first.offer(), false)
    expect(await readJob(client, id)).toMatchObject({ state: 'leased', tries: 0 })
    const second = await dial('unbegun')
    await serve(second, [fakeTask('unbegun')])
    const again = await second.offer()
    await accept(second, again)
    await second.outcome(completion(again, [1n]).message)
    expect(await client.ended(id)).toMatchObject({ state: 'succeeded', tries: 1, attempt: 2 })
    await second.hangUp()
  })
})

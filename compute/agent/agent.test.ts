import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Column } from '../../edge/contract/columns.ts'
import { plainTask } from '../../edge/contract/fixture.ts'
import { type Lease, Offer } from '../../edge/contract/node.ts'
import { type Engine, EngineFault, type Plan, type Produced, type Run, type RunHooks, type SqlTask } from '../engines/engine.ts'
import { EMBEDDED_DUCKDB } from '../tasks/sources.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { type Agent, type AgentOptions, createAgent } from './agent.ts'
import { openSpool } from './spool.ts'
import { TestEdge } from './test-edge.ts'

setDefaultTimeout(PATIENCE_MS)

const HASH = 'a'.repeat(64)
const jobId = (n: number): string => `0${String(n).padStart(25, '0')}`
const schema = { id: 's1', columns: [{ id: 4, name: 'n', type: 'long' as const }], added: [] }
const task: SqlTask = {
  ...plainTask('numbers', { hash: HASH, emit_format: ['parquet'] }),
  file: '/tasks/numbers.sql',
  line: 1,
  folder: '/tasks',
  raw: false,
  types: {},
}
const offer = (n: number, more: object = {}): Offer =>
  Offer.parse({
    tenant: 'demo',
    job: jobId(n),
    attempt: 1,
    task: 'numbers',
    task_hash: HASH,
    args: [],
    db: null,
    engine_hint: null,
    family: 'reports.numbers',
    run_date: '2026-01-02',
    schema,
    max_runtime_seconds: null,
    accept_by: '2126-01-02T00:00:05.000Z',
    ...more,
  })
const leaseOf = ({ tenant, job, attempt }: Lease): Lease => ({ tenant, job, attempt })

/** An engine whose every run waits for the test. */
class HeldEngine implements Engine {
  readonly name = 'duckdb' as const
  columns: Column[] = [{ name: 'n', type: 'long' }]
  readonly #runs: { run: Run; hooks: RunHooks; signal: AbortSignal; finish(produced: Produced): void; fail(fault: Error): void }[] = []
  #waiting: (() => void)[] = []

  async plan(): Promise<Plan> {
    return { columns: this.columns, parameters: null, estimatedRows: null, estimatedBytes: null }
  }
  score() {
    return { fit: 1, reason: 'the only one' }
  }
  execute(run: Run, hooks: RunHooks, signal: AbortSignal): Promise<Produced> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new EngineFault({ code: 'stopped', message: 'stopped', class: 'cancelled' })))
      this.#runs.push({ run, hooks, signal, finish: resolve, fail: reject })
      this.#waiting.shift()?.()
    })
  }
  async next() {
    if (this.#runs.length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const run = this.#runs.shift()
    if (!run) throw new Error('no run')
    return run
  }
  get begun(): number {
    return this.#runs.length
  }
  cancelled() {
    return { outcome: 'confirmed' as const, reason: 'the statement was interrupted' }
  }
  async close() {}
}

const engineNote: Produced['engine'] = { name: 'duckdb', version: '1.5.5', query_id: null }
const inline = (): Produced => ({
  rows: 1,
  files: [{ n: 0, path: '/nowhere', bytes: 4, sha256: HASH, rows: 1, run_date: '2026-01-02', split_offsets: [4], stats: [] }],
  firstRows: [['1']],
  inline: { parquet_base64: 'UEFSMQ==', rows: [['1']] },
  engine: engineNote,
})
const large = async (run: Run, text = 'parquet bytes'): Promise<Produced> => {
  const path = join(run.folder, '0.parquet')
  await writeFile(path, text)
  return {
    rows: 1,
    files: [{ n: 0, path, bytes: text.length, sha256: HASH, rows: 1, run_date: '2026-01-02', split_offsets: [4], stats: [] }],
    firstRows: [],
    inline: null,
    engine: engineNote,
  }
}

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Started {
  edge: TestEdge
  engine: HeldEngine
  agent: Agent
  folder: string
  /** The first attempt's files are gone. */
  dropped: Promise<void>
}

const start = async (more: Partial<AgentOptions> = {}): Promise<Started> => {
  const edge = new TestEdge()
  const engine = new HeldEngine()
  const folder = await mkdtemp(join(tmpdir(), 'scarab-agent-'))
  const spool = await openSpool(folder)
  const { promise: dropped, resolve } = Promise.withResolvers<void>()
  const agent = createAgent({
    edge: edge.url,
    token: async () => 'secret-token\n',
    name: 'node-1',
    session: 's'.repeat(24),
    slots: 2,
    queues: null,
    labels: {},
    sources: [EMBEDDED_DUCKDB],
    engines: new Map([['duckdb', engine]]),
    spool: { ...spool, drop: (lease) => spool.drop(lease).then(resolve) },
    find: (name, hash) => (name === task.name && hash === HASH ? task : null),
    pack: async () => null,
    slice: async () => ({ ok: true, body: '{}' }),
    ended: () => {},
    log: () => {},
    ...more,
  })
  closers.push(
    () => rm(folder, { recursive: true, force: true }),
    () => edge.close(),
    async () => agent.close(),
  )
  agent.start()
  agent.announce([task])
  await edge.next('want')
  return { edge, engine, agent, folder, dropped }
}

const begin = async ({ edge, engine }: { edge: TestEdge; engine: HeldEngine }, one: Offer) => {
  edge.offer(one)
  edge.ack(await edge.next('accept'))
  return engine.next()
}

describe('a node', () => {
  test('says hello with its token, announces, and asks for offers', async () => {
    const { edge } = await start()
    expect(edge.tokens).toEqual(['Bearer secret-token'])
    expect(edge.received.map(({ type }) => type)).toEqual(['hello', 'announce', 'want'])
  })

  test('delivers a small result inside its completion', async () => {
    const system = await start()
    const run = await begin(system, offer(1))
    expect(run.run).toMatchObject({ schema, runDate: '2026-01-02', source: { name: 'duckdb' } })
    run.finish(inline())
    const { items } = await system.edge.next('complete')
    expect(items[0]).toMatchObject({
      ...leaseOf(offer(1)),
      inline: { rows: [['1']] },
      uploads: [],
      manifest: { rows: 1, schema, source: null },
    })
    expect(items[0]?.manifest.files[0]).not.toHaveProperty('path')
  })

  test('asks for the schema when the offer has none, and runs with the answer', async () => {
    const { edge, engine } = await start()
    edge.offer(offer(1, { schema: null }))
    edge.ack(await edge.next('accept'))
    const asked = await edge.next('schema')
    expect(asked.columns).toEqual([{ name: 'n', type: 'long' }])
    edge.send({ type: 'schema', re: asked.re, answer: { ok: true, schema } })
    expect((await engine.next()).run.schema).toEqual(schema)
  })

  test('asks again when a part of the edge did not answer', async () => {
    const { edge, engine } = await start()
    edge.offer(offer(1, { schema: null }))
    edge.ack(await edge.next('accept'))
    const asked = await edge.next('schema')
    edge.send({ type: 'refused', re: asked.re, code: 'unavailable', detail: 'the table did not answer' })
    expect(await edge.next('schema')).toEqual(asked)
    edge.send({ type: 'schema', re: asked.re, answer: { ok: true, schema } })
    expect((await engine.next()).run.schema).toEqual(schema)
  })

  test('fails a job whose columns the edge refuses, without running it', async () => {
    const { edge, engine } = await start()
    edge.offer(offer(1, { schema: null }))
    edge.ack(await edge.next('accept'))
    const asked = await edge.next('schema')
    edge.send({ type: 'schema', re: asked.re, answer: { ok: false, code: 'schema_drift', detail: 'n was a string' } })
    expect((await edge.next('fail')).items[0]?.failure).toEqual({ code: 'schema_drift', message: 'n was a string', class: 'schema' })
    expect(engine.begun).toBe(0)
  })

  test('uploads a larger result by grant, then completes, then drops the file', async () => {
    const system = await start()
    const { edge, folder } = system
    const run = await begin(system, offer(1))
    run.finish(await large(run.run))
    const asked = await edge.next('grant')
    expect(asked.files).toEqual([{ kind: 'data', n: 0, bytes: 13, sha256: HASH }])
    edge.send({
      type: 'granted',
      re: asked.re,
      answer: { ok: true, puts: [{ kind: 'data', n: 0, url: '/node/v1/objects/x', headers: { 'x-grant': 'g' }, upload: null, parts: [] }] },
    })
    const complete = await edge.next('complete')
    expect(new TextDecoder().decode(edge.uploads.get('/node/v1/objects/x'))).toBe('parquet bytes')
    expect(complete.items[0]?.inline).toBeNull()
    edge.ack(complete)
    await system.dropped
    expect(await readdir(folder)).toEqual([])
  })

  test('repeats an upload that failed on the way, and takes "exists already" for its own', async () => {
    const system = await start()
    const { edge } = system
    const run = await begin(system, offer(1))
    edge.uploadAnswers.push(503, 412)
    run.finish(await large(run.run))
    const asked = await edge.next('grant')
    edge.send({
      type: 'granted',
      re: asked.re,
      answer: { ok: true, puts: [{ kind: 'data', n: 0, url: '/o', headers: {}, upload: null, parts: [] }] },
    })
    expect((await edge.next('complete')).items).toHaveLength(1)
  })

  test('a refused checksum fails the attempt', async () => {
    const system = await start()
    const { edge } = system
    const run = await begin(system, offer(1))
    edge.uploadAnswers.push(422)
    run.finish(await large(run.run))
    const asked = await edge.next('grant')
    edge.send({
      type: 'granted',
      re: asked.re,
      answer: { ok: true, puts: [{ kind: 'data', n: 0, url: '/o', headers: {}, upload: null, parts: [] }] },
    })
    expect((await edge.next('fail')).items[0]?.failure).toMatchObject({ code: 'upload_refused', class: 'internal' })
  })

  test('a grant refused because the attempt is fenced ends it without a word about the job', async () => {
    const system = await start()
    const { edge } = system
    const run = await begin(system, offer(1))
    run.finish(await large(run.run))
    const asked = await edge.next('grant')
    edge.send({ type: 'granted', re: asked.re, answer: { ok: false, code: 'fenced', detail: 'attempt 2 is current' } })
    const back = await edge.next('return')
    edge.ack(back, 'fenced')
    expect(edge.received.filter(({ type }) => type === 'complete' || type === 'fail')).toEqual([])
  })

  test('makes the pack after the result was accepted', async () => {
    const packs: string[] = []
    const system = await start({
      pack: async ({ folder }) => {
        const path = join(folder, 'result.duckdb')
        await writeFile(path, 'pack')
        packs.push(path)
        return { path, bytes: 4, sha256: HASH }
      },
    })
    const { edge } = system
    const run = await begin(system, offer(1))
    run.finish(await large(run.run))
    const data = await edge.next('grant')
    edge.send({
      type: 'granted',
      re: data.re,
      answer: { ok: true, puts: [{ kind: 'data', n: 0, url: '/o', headers: {}, upload: null, parts: [] }] },
    })
    const complete = await edge.next('complete')
    expect(packs).toEqual([])
    edge.ack(complete)
    const asked = await edge.next('grant')
    expect(asked.files[0]).toMatchObject({ kind: 'pack', bytes: 4 })
    edge.send({
      type: 'granted',
      re: asked.re,
      answer: { ok: true, puts: [{ kind: 'pack', n: 0, url: '/p', headers: {}, upload: null, parts: [] }] },
    })
    const packed = await edge.next('packed')
    expect(packed).toMatchObject({ ...leaseOf(offer(1)), bytes: 4, upload: null })
    edge.ack(packed)
    await system.dropped
    expect(existsSync(packs[0] ?? '')).toBe(false)
  })

  test("reports the engine's own words when a query fails", async () => {
    const system = await start()
    const run = await begin(system, offer(1))
    run.fail(new EngineFault({ code: 'division_by_zero', message: 'division by zero', class: 'sql' }))
    expect((await system.edge.next('fail')).items[0]?.failure).toEqual({
      code: 'division_by_zero',
      message: 'division by zero',
      class: 'sql',
    })
  })

  test('stops a cancelled run and says what the engine confirmed', async () => {
    const system = await start()
    const run = await begin(system, offer(1))
    system.edge.send({ type: 'cancel', ...leaseOf(offer(1)), reason: 'asked' })
    expect(await system.edge.next('cancelled')).toMatchObject({ outcome: 'confirmed', reason: 'the statement was interrupted' })
    expect(run.signal.aborted).toBe(true)
  })

  test('stops a query that outlives max_runtime', async () => {
    const system = await start()
    await begin(system, offer(1, { max_runtime_seconds: 1 }))
    expect((await system.edge.next('fail')).items[0]?.failure).toMatchObject({ code: 'max_runtime', class: 'limit' })
  })

  test('comes back after a cut with what it is running, and repeats what was not answered', async () => {
    const system = await start()
    const { edge } = system
    const run = await begin(system, offer(1))
    run.finish(inline())
    const first = await edge.next('complete')
    await edge.next('hello')
    edge.cut()
    const hello = await edge.next('hello')
    expect(hello.holding).toEqual([{ ...leaseOf(offer(1)), running: true }])
    expect(await edge.next('complete')).toEqual(first)
  })

  test('stops what the edge fenced while the link was down', async () => {
    const system = await start()
    const { edge } = system
    const run = await begin(system, offer(1))
    edge.fenced = [leaseOf(offer(1))]
    const stopped = new Promise<void>((resolve) => run.signal.addEventListener('abort', () => resolve()))
    edge.cut()
    await stopped
    edge.fenced = []
  })

  test('drains: a running job that outlives the time is stopped and given back', async () => {
    const system = await start()
    const run = await begin(system, offer(1))
    const drained = system.agent.drain(0.05)
    await system.edge.next('drain')
    const back = await system.edge.next('return')
    expect(run.signal.aborted).toBe(true)
    system.edge.ack(back)
    await drained
  })

  test('answers a slice under the number of the question', async () => {
    const { edge } = await start()
    edge.send({
      type: 'slice',
      re: 77,
      tenant: 'demo',
      result: `r${jobId(1)}`,
      schema,
      rows: 1,
      query: { sql: 'SELECT 1' },
      scope: 'slice',
      format: 'json',
      hash: 'h',
      files: [],
      max_body_bytes: 1_000,
      put: { url: '/p', headers: {} },
      timeout_seconds: 5,
    })
    expect(await edge.next('sliced')).toMatchObject({ re: 77, outcome: { ok: true, body: '{}' } })
  })
})

describe('the spool', () => {
  test('is emptied at the start: what an earlier process left is worth nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'scarab-spool-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, 'left'), 'x')
    await openSpool(folder)
    expect(await readdir(folder)).toEqual([])
  })
})

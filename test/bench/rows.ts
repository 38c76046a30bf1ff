import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { LedgerContext } from '../../edge/ledger/context.ts'
import { commit } from '../../edge/ledger/context.ts'
import { complete } from '../../edge/ledger/finish.ts'
import { completion, HOLDER, nodeTask, request, submission, testLedger } from '../../edge/ledger/fixture.ts'
import { accept, offer } from '../../edge/ledger/leases.ts'
import { handedOver, publicationOutcome } from '../../edge/ledger/publication.ts'
import { LEDGER_MIGRATIONS } from '../../edge/ledger/schema.ts'
import { submit } from '../../edge/ledger/submit.ts'
import type { SqlValue, Store } from '../../edge/storage/store.ts'
import type { Figure } from './figures.ts'

const JOBS = 200

/**
 * What Durable Objects cost beyond what is included, in dollars (facts of the platform, November 2026): a million rows written,
 * a million rows read, a million requests, a million gigabyte-seconds at 128 MB while an object works. Rows of indexes count.
 */
const PRICE = { written: 1, read: 0.001, requests: 0.15, gigabyteSeconds: 12.5 }
const OBJECT_GIGABYTES = 0.128
/** Of a lone job at its ledger: submit, accept, completion, handover's answer, outcome; and `ready` at the pool. */
const REQUESTS = 6
/** An alarm that is set is a row written. One for the job's outbox, one for its lane: many jobs share them. */
const ALARMS = 2

interface Statement {
  query: string
  values: (SqlValue | { base64: string })[]
}

/** An object that runs statements and counts as the platform does. */
const SCRIPT = `
import { DurableObject } from 'cloudflare:workers'
export class Counter extends DurableObject {
  async fetch(request) {
    const { statements } = await request.json()
    let [written, read] = [0, 0]
    this.ctx.storage.transactionSync(() => {
      for (const { query, values } of statements) {
        const bound = values.map((value) => value && typeof value === 'object' ? Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)) : value)
        const cursor = this.ctx.storage.sql.exec(query, ...bound)
        cursor.toArray()
        written += cursor.rowsWritten
        read += cursor.rowsRead
      }
    })
    return Response.json({ written, read })
  }
}
export default { fetch: (request, env) => env.COUNTER.get(env.COUNTER.idFromName('one')).fetch(request) }
`

const recorded = (store: Store, into: Statement[]): Store => {
  const note = (query: string, values: SqlValue[]): void => {
    into.push({
      query,
      values: values.map((value) => (value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value)),
    })
  }
  return {
    all: (query, ...values) => {
      note(query, values)
      return store.all(query, ...values)
    },
    run: (query, ...values) => {
      note(query, values)
      return store.run(query, ...values)
    },
    transaction: (body) => store.transaction(body),
  }
}

/** A lone small job, from its submit until it stands in its table: rows that its ledger writes and reads, and what that costs. */
export const measureRows = async (cpuMsOfJob: number | null): Promise<Figure[]> => {
  const bench = testLedger()
  const statements: Statement[] = []
  const context: LedgerContext = { ...bench.context, store: recorded(bench.context.store, statements) }
  for (let turn = 0; turn < JOBS; turn++) {
    bench.pass(1_000)
    const taken = commit(context, (inner) =>
      submit(inner, submission({ args: [turn], sameness: `s${turn}`, submitted_hash: 'a'.repeat(64), signature: 'p.c' }), 0),
    )
    if (!taken.ok) throw new Error(taken.detail)
    const [lease] = commit(context, (inner) => offer(inner, request(HOLDER, 1, { daily: nodeTask('a') }))).offers
    if (!lease) throw new Error('nothing was offered')
    const { job, attempt } = lease
    commit(context, (inner) => accept(inner, HOLDER, [{ job, attempt, start: true }]))
    commit(context, (inner) => complete(inner, HOLDER, [completion(job, attempt)]))
    commit(context, (inner) => handedOver(inner, 'publish', [job]))
    commit(context, (inner) => publicationOutcome(inner, [{ job, attempt, publication: 'published', snapshot: '1', reason: null }]))
    // What settling a small result does, without its trip to object storage.
    context.store.run('UPDATE results SET inline_parquet = NULL WHERE job = ?', job)
    context.store.run(`DELETE FROM timers WHERE kind = 'purge' AND ref = ?`, job)
  }
  const { written, read } = await countRows(statements)
  const rows = written / JOBS + ALARMS
  const seconds = (cpuMsOfJob ?? 0) / 1_000
  const dollars =
    rows * PRICE.written + (read / JOBS) * PRICE.read + REQUESTS * PRICE.requests + seconds * OBJECT_GIGABYTES * PRICE.gigabyteSeconds
  return [
    {
      what: 'a lone small job: rows that its ledger writes / reads, indexes included',
      measured: `${rows.toFixed(1)} / ${(read / JOBS).toFixed(1)}`,
      aim: '',
      beside: `${ALARMS} of them alarms that are set; a busy ledger shares those, and timers, among many jobs`,
      good: null,
    },
    {
      what: 'the same on Cloudflare, a million jobs',
      measured: `$${dollars.toFixed(2)}`,
      aim: '',
      beside: `$${PRICE.written}/M rows written, $${PRICE.read}/M read, $${PRICE.requests}/M requests (${REQUESTS} a job), $${PRICE.gigabyteSeconds}/M GB-s${cpuMsOfJob === null ? ', time of objects left out' : ` (${cpuMsOfJob.toFixed(2)} ms of CPU a job here)`}; without R2, the Worker and what is included`,
      good: null,
    },
  ]
}

const countRows = async (statements: readonly Statement[]): Promise<{ written: number; read: number }> => {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          name: 'counter',
          modules: [{ type: 'ESModule', path: 'counter.mjs', contents: SCRIPT }],
          compatibilityDate: '2026-01-01',
          durableObjects: { COUNTER: { className: 'Counter', useSQLite: true } },
        },
      ],
    }),
  )
  try {
    const url = await miniflare.ready
    const ask = async (list: readonly Statement[]): Promise<{ written: number; read: number }> => {
      const answer = await fetch(url, { method: 'POST', body: JSON.stringify({ statements: list }) })
      if (!answer.ok) throw new Error(`the counter answered ${answer.status} ${(await answer.text()).slice(0, 300)}`)
      return (await answer.json()) as { written: number; read: number }
    }
    await ask(LEDGER_MIGRATIONS.flat().map((query) => ({ query, values: [] })))
    return await ask(statements)
  } finally {
    await miniflare.dispose()
  }
}

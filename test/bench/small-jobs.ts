import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { System } from '../../edge/embedded/system.ts'
import { RawClient } from './client.ts'
import { cpuMs } from './cpu.ts'
import { count, type Figure, ms, quantile, timed } from './figures.ts'
import { openDiscarding, ROWS } from './source.ts'

const WARM_UP = 200
const SEQUENTIAL = 300
const BURST = 2_000
const CONNECTIONS = 16

/** A burst's results are in Iceberg by then, or something is wrong. */
const PUBLISHED_LIMIT_MS = 180_000

const Submitted = z.object({ id: z.string(), state: z.string(), publication: z.string() })
const Rows = z.object({ rows: z.array(z.array(z.unknown())) })

export const ONE_ROW_TASK = `-- name: one_payment
-- db: bank
-- param: id bigint
SELECT id, account, amount, currency, paid_at, day, note FROM payments WHERE id = $1;
`

const idOf = (turn: number): number => 1 + ((turn * 7_919) % ROWS)
const bodyOf = (turn: number): string => `{"args":["${idOf(turn)}"]}`
const SUBMIT = '/v1/tasks/one_payment/jobs'
const WAIT = 'Prefer: wait=30\r\n'

/** The rows of a finished job, looked into: a figure about wrong rows would be none. */
const readBack = async (client: RawClient, id: string, turn: number): Promise<void> => {
  const answer = await client.ask('GET', `/v1/jobs/${id}/result.json`)
  const { rows } = Rows.parse(JSON.parse(answer.body.toString()))
  if (answer.status !== 200 || rows.length !== 1 || rows[0]?.[0] !== String(idOf(turn)))
    throw new Error(`job ${id} (payment ${idOf(turn)}) answered ${answer.status} ${answer.body.toString().slice(0, 300)}`)
}

const submit = async (client: RawClient, turn: number, headers = ''): Promise<z.infer<typeof Submitted>> => {
  const answer = await client.ask('POST', SUBMIT, headers, bodyOf(turn))
  if (answer.status !== 200 && answer.status !== 202) throw new Error(`submit: ${answer.status} ${answer.body.toString().slice(0, 300)}`)
  return Submitted.parse(JSON.parse(answer.body.toString()))
}

const ended = (state: string): boolean => {
  if (state === 'failed' || state === 'cancelled') throw new Error(`a job ${state}`)
  return state === 'succeeded'
}

const waited = async (client: RawClient, turn: number): Promise<void> => {
  const job = await submit(client, turn, WAIT)
  if (!ended(job.state)) throw new Error(`job ${job.id} took longer than 30 s`)
  await readBack(client, job.id, turn)
}

/** Milliseconds until a result stands in its table. Results are handed over in the order of their jobs. */
const untilPublished = async (client: RawClient, id: string): Promise<number> => {
  const from = performance.now()
  for (;;) {
    const answer = await client.ask('GET', `/v1/jobs/${id}`)
    const { publication } = Submitted.parse(JSON.parse(answer.body.toString()))
    const passed = performance.now() - from
    if (publication === 'published') return passed
    if (passed > PUBLISHED_LIMIT_MS) throw new Error(`job ${id} is ${publication} after ${Math.round(passed / 1_000)} s`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const polled = async (client: RawClient, turn: number): Promise<void> => {
  let job = await submit(client, turn)
  while (!ended(job.state)) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    const answer = await client.ask('GET', `/v1/jobs/${job.id}`)
    job = Submitted.parse(JSON.parse(answer.body.toString()))
  }
  await readBack(client, job.id, turn)
}

/** Runs `turns` over many connections, each taking the next one when it is done; jobs a second. */
const over = async (clients: RawClient[], turns: number, body: (client: RawClient, turn: number) => Promise<void>): Promise<void> => {
  let next = 0
  await Promise.all(
    clients.map(async (client) => {
      while (next < turns) await body(client, next++)
    }),
  )
}

const perSecond = async (turns: number, work: () => Promise<void>): Promise<number> => {
  const from = performance.now()
  await work()
  return (turns / (performance.now() - from)) * 1_000
}

/** What the disk takes to make a page durable: the floor under every acknowledgement. */
const syncMs = (folder: string): number => {
  const place = mkdtempSync(join(folder, 'sync-'))
  const file = openSync(join(place, 'page'), 'w')
  const page = new Uint8Array(4096)
  const taken: number[] = []
  for (let turn = 0; turn < 100; turn += 1) {
    const from = performance.now()
    writeSync(file, page, 0, page.length, turn * page.length)
    fdatasyncSync(file)
    taken.push(performance.now() - from)
  }
  closeSync(file)
  rmSync(place, { recursive: true })
  return quantile(taken, 0.5)
}

/** One-row reports: alone by waiting and by polling, then many at once. `folder` lies on the disk of the state. */
export const measureSmallJobs = async (system: System, token: string, port: number, folder: string): Promise<Figure[]> => {
  const client = await RawClient.open(system.origin, token)
  for (let turn = 0; turn < WARM_UP; turn += 1) await waited(client, turn)

  const source = await openDiscarding(port)
  const select = `SELECT id, account, amount, currency, paid_at, day, note FROM payments WHERE id = `
  const bare = await timed(SEQUENTIAL, (turn) => source.run(`${select}${idOf(turn)}`))
  const empty = await timed(SEQUENTIAL, () => client.ask('GET', '/healthz'))
  const floor = `query alone ${ms(quantile(bare, 0.5))}, empty request ${ms(quantile(empty, 0.5))}, fdatasync ${ms(syncMs(folder))}`
  source.close()

  const waits = await timed(SEQUENTIAL, (turn) => waited(client, turn))
  const polls = await timed(SEQUENTIAL, (turn) => polled(client, turn))

  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => RawClient.open(system.origin, token)))
  const pings = await perSecond(BURST, () => over(clients, BURST, async (one) => void (await one.ask('GET', '/healthz'))))
  const pids = { workerd: system.workerdPid(), node: system.nodePid() }
  const before = { workerd: cpuMs(pids.workerd), node: cpuMs(pids.node) }
  const ids: string[] = []
  let posted = 0
  const burst = await perSecond(BURST, async () => {
    const from = performance.now()
    await over(clients, BURST, async (one, turn) => {
      ids[turn] = (await submit(one, turn)).id
    })
    posted = performance.now() - from
    await over(clients, BURST, async (one, turn) => {
      const id = ids[turn] ?? ''
      const answer = await one.ask('GET', `/v1/jobs/${id}`, WAIT)
      if (!ended(Submitted.parse(JSON.parse(answer.body.toString())).state)) throw new Error(`job ${id} took longer than 30 s`)
      await readBack(one, id, turn)
    })
  })
  const cpu = `CPU a job: workerd ${((cpuMs(pids.workerd) - before.workerd) / BURST).toFixed(2)} ms, node ${((cpuMs(pids.node) - before.node) / BURST).toFixed(2)} ms`
  const tail = await untilPublished(client, ids.at(-1) ?? '')
  // The edge has closed those that were idle while the results were published.
  for (const one of clients) one.close()
  const fresh = await Promise.all(Array.from({ length: CONNECTIONS }, () => RawClient.open(system.origin, token)))
  const loop = await perSecond(BURST, () => over(fresh, BURST, waited))
  for (const one of [client, ...fresh]) one.close()

  const p50 = quantile(waits, 0.5)
  const p99 = quantile(waits, 0.99)
  const polled50 = quantile(polls, 0.5)
  return [
    {
      what: 'one-row Postgres report, submit → rows read, `Prefer: wait`, p50',
      measured: ms(p50),
      aim: '≤ 6 ms',
      beside: floor,
      good: p50 <= 6,
    },
    { what: 'the same, p99', measured: ms(p99), aim: '≤ 20 ms', beside: '', good: p99 <= 20 },
    {
      what: 'the same, asked each millisecond, p50',
      measured: ms(polled50),
      aim: '≤ 8 ms',
      beside: `p99 ${ms(quantile(polls, 0.99))}`,
      good: polled50 <= 8,
    },
    {
      what: `${count(BURST)} over ${CONNECTIONS} connections: all posted, then all waited for and read`,
      measured: `${count(burst)} jobs/s`,
      aim: '≥ 500 jobs/s',
      beside: `posts ${count((BURST / posted) * 1_000)}/s, empty requests ${count(pings)}/s; ${cpu}`,
      good: burst >= 500,
    },
    {
      what: `the same: until the last of them stands in its Iceberg table`,
      measured: `${(tail / 1_000).toFixed(1)} s`,
      aim: '',
      beside: 'after the last was read; a file and a put each, until small results share files',
      good: null,
    },
    {
      what: `${count(BURST)} over ${CONNECTIONS} connections: each waits for its own`,
      measured: `${count(loop)} jobs/s`,
      aim: '',
      beside: '',
      good: null,
    },
  ]
}

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { z } from 'zod'
import type { System } from '../../edge/embedded/system.ts'
import { RawClient } from './client.ts'
import { cpuMs } from './cpu.ts'
import { count, type Figure, ms, quantile } from './figures.ts'
import { ROWS } from './source.ts'

const CONNECTIONS = 16
const SUBMITS = 2_000
const BATCHES = 30
const BATCH = 500
const WAITING = 10_000
const READERS = 3_000
const SMALL = 100
const READERS_LIMIT_MS = 120_000

const Submitted = z.object({ id: z.string(), state: z.string() })
const Taken = z.object({ items: z.array(z.object({ status: z.number() })) })

/** No two of them alike, so that none shares the execution of another. */
let turn = 0
const one = (queue: string): string => `{"task":"one_payment","args":["${1 + ((turn++ * 7_919) % ROWS)}"],"queue":"${queue}","fresh":true}`
const body = (queue: string): string => one(queue).replace('"task":"one_payment",', '')

const parsed = <T>(schema: z.ZodType<T>, answer: { status: number; body: Buffer }): T => {
  if (answer.status >= 300) throw new Error(`${answer.status} ${answer.body.toString().slice(0, 300)}`)
  return schema.parse(JSON.parse(answer.body.toString()))
}
const setQueue = async (client: RawClient, queue: string, paused: boolean): Promise<void> => {
  const answer = await client.ask('PUT', `/v1/queues/${queue}`, '', JSON.stringify({ paused }))
  if (answer.status !== 200) throw new Error(`queue ${queue}: ${answer.status} ${answer.body.toString().slice(0, 300)}`)
}

/** Over many connections, each of which takes the next turn when it is done. Answers a second, and what each took, ms. */
const over = async (
  clients: readonly RawClient[],
  turns: number,
  act: (client: RawClient) => Promise<unknown>,
): Promise<{ rate: number; taken: number[] }> => {
  const taken: number[] = []
  let left = turns
  const from = performance.now()
  await Promise.all(
    clients.map(async (client) => {
      while (left-- > 0) {
        const began = performance.now()
        await act(client)
        taken.push(performance.now() - began)
      }
    }),
  )
  return { rate: (turns / (performance.now() - from)) * 1_000, taken }
}

/** Clients of so many tenants, in turn. */
const clientsOf = async (system: System, tenants: number, name: string): Promise<RawClient[]> => {
  const tokens = await Promise.all(Array.from({ length: tenants }, (_, index) => system.token(`${name}${index}`)))
  return Promise.all(Array.from({ length: CONNECTIONS }, (_, index) => RawClient.open(system.origin, tokens[index % tenants] ?? null)))
}

const closeAll = (clients: readonly RawClient[]): void => {
  for (const client of clients) client.close()
}

/** Submits of jobs that stay where they are: their queue is paused. */
const measureSubmits = async (system: System): Promise<Figure[]> => {
  const figures: Figure[] = []
  for (const tenants of [1, 4, 8]) {
    const clients = await clientsOf(system, tenants, `submits-${tenants}-`)
    for (const client of clients.slice(0, tenants)) await setQueue(client, 'held', true)
    const empty = await over(clients, SUBMITS, (client) => client.ask('GET', '/healthz'))
    const { rate, taken } = await over(clients, SUBMITS, async (client) =>
      parsed(Submitted, await client.ask('POST', '/v1/tasks/one_payment/jobs', '', body('held'))),
    )
    closeAll(clients)
    figures.push({
      what: `submits of ${tenants === 1 ? 'one tenant' : `${tenants} tenants`} over ${CONNECTIONS} connections`,
      measured: `${count(rate)}/s, p99 ${ms(quantile(taken, 0.99))}`,
      aim: '',
      beside: `empty requests ${count(empty.rate)}/s, p99 ${ms(quantile(empty.taken, 0.99))}`,
      good: null,
    })
  }
  return figures
}

const measureBatches = async (system: System): Promise<Figure[]> => {
  const clients = (await clientsOf(system, 1, 'batches')).slice(0, 2)
  const [first] = clients
  if (first) await setQueue(first, 'held', true)
  const { rate, taken } = await over(clients, BATCHES, async (client) => {
    const jobs = Array.from({ length: BATCH }, () => one('held')).join()
    const { items } = parsed(Taken, await client.ask('POST', '/v1/jobs/batch', '', `{"jobs":[${jobs}]}`))
    if (items.length !== BATCH || items.some(({ status }) => status !== 202)) throw new Error('not all of a batch was taken')
  })
  closeAll(clients)
  return [
    {
      what: `batches of ${BATCH}, one tenant: jobs stored`,
      measured: `${count(rate * BATCH)} jobs/s`,
      aim: '≥ 10,000 jobs/s',
      beside: `a batch p50 ${ms(quantile(taken, 0.5))}, p99 ${ms(quantile(taken, 0.99))}`,
      good: rate * BATCH >= 10_000,
    },
  ]
}

const residentMegabytes = (pid: number | null): number => {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(pid === null ? '' : readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return Number(kilobytes ?? 0) / 1_024
}

/** Opens a stream of events; resolves when its first bytes are there, and `ended` when it has told of the job's end. */
const openReader = (origin: string, token: string, job: string): Promise<{ ended: Promise<void>; close(): void }> => {
  const { hostname, port, host } = new URL(origin)
  return new Promise((opened, reject) => {
    let text = ''
    const end = Promise.withResolvers<undefined>()
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(
        `GET /v1/jobs/${job}/events HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nAccept: text/event-stream\r\n\r\n`,
      )
    })
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1')
      if (text.includes('"seq":1,')) opened({ ended: end.promise.then(() => undefined), close: () => socket.destroy() })
      if (text.includes('"state":"cancelled"')) end.resolve(undefined)
    })
    socket.on('error', reject)
    socket.on('close', () => {
      reject(new Error(`a stream closed: ${text.slice(0, 200)}`))
      end.reject(new Error('a stream closed before its job ended'))
    })
    end.promise.catch(() => undefined)
  })
}

/** Readers of one job that waits; then it is cancelled, and all of them hear of it. */
const measureReaders = async (system: System): Promise<Figure[]> => {
  const token = await system.token('readers')
  const client = await RawClient.open(system.origin, token)
  await setQueue(client, 'held', true)
  const job = parsed(Submitted, await client.ask('POST', '/v1/tasks/one_payment/jobs', '', body('held')))
  client.close()
  const before = residentMegabytes(system.workerdPid())
  const from = performance.now()
  const readers: Awaited<ReturnType<typeof openReader>>[] = []
  for (let open = 0; open < READERS; open += 50)
    readers.push(...(await Promise.all(Array.from({ length: 50 }, () => openReader(system.origin, token, job.id)))))
  const opened = performance.now() - from
  const again = await RawClient.open(system.origin, token)
  const after = residentMegabytes(system.workerdPid())
  const told = performance.now()
  const late = AbortSignal.timeout(READERS_LIMIT_MS)
  const answer = await again.ask('POST', `/v1/jobs/${job.id}/cancel`)
  if (answer.status >= 300) throw new Error(`cancel: ${answer.status}`)
  await Promise.race([
    Promise.all(readers.map(({ ended }) => ended)),
    new Promise((_resolve, reject) =>
      late.addEventListener('abort', () => reject(new Error('not all readers have heard')), { once: true }),
    ),
  ])
  const heard = performance.now() - told
  for (const { close } of readers) close()
  again.close()
  return [
    {
      what: `${count(READERS)} readers of one job's events: all opened`,
      measured: `${(opened / 1_000).toFixed(1)} s`,
      aim: '',
      beside: `workerd ${Math.round(before)} → ${Math.round(after)} MB, ${(((after - before) * 1_024) / READERS).toFixed(1)} KiB a reader`,
      good: null,
    },
    { what: 'the same: an event is heard by all', measured: ms(heard), aim: '≤ 1 s', beside: '', good: heard <= 1_000 },
  ]
}

/** A tenant with one job at a time beside one that has ten thousand waiting. */
const measureFairness = async (system: System): Promise<{ figures: Figure[]; cpu: number }> => {
  const openSmall = async (): Promise<RawClient> => RawClient.open(system.origin, await system.token('small'))
  const openBig = async (): Promise<RawClient> => RawClient.open(system.origin, await system.token('big'))
  const waits = async (): Promise<number[]> => {
    const small = await openSmall()
    const { taken } = await over([small], SMALL, async (client) => {
      const job = parsed(Submitted, await client.ask('POST', '/v1/tasks/one_payment/jobs', 'Prefer: wait=30\r\n', body('own')))
      if (job.state !== 'succeeded') throw new Error(`a job is ${job.state} after 30 s`)
    })
    small.close()
    return taken
  }
  await waits()
  const before = cpuMs(system.workerdPid())
  const alone = await waits()
  const cpu = (cpuMs(system.workerdPid()) - before) / SMALL
  let big = await openBig()
  await setQueue(big, 'many', true)
  for (let stored = 0; stored < WAITING; stored += BATCH)
    parsed(Taken, await big.ask('POST', '/v1/jobs/batch', '', `{"jobs":[${Array.from({ length: BATCH }, () => one('many')).join()}]}`))
  await setQueue(big, 'many', false)
  big.close()
  const from = performance.now()
  const beside = await waits()
  const seconds = (performance.now() - from) / 1_000
  big = await openBig()
  await setQueue(big, 'many', true)
  const { waiting } = parsed(z.object({ waiting: z.number() }), await big.ask('GET', '/v1/queues/many'))
  big.close()
  const rate = (WAITING - waiting) / seconds
  return {
    cpu,
    figures: [
      {
        what: `a small tenant's job while another has ${count(WAITING)} waiting, submit → end, p50 / p99`,
        measured: `${ms(quantile(beside, 0.5))} / ${ms(quantile(beside, 0.99))}`,
        aim: 'p99 ≤ 1 s',
        beside: `alone ${ms(quantile(alone, 0.5))} / ${ms(quantile(alone, 0.99))}; first come, first served it would wait ${(WAITING / rate).toFixed(0)} s (${count(rate)} jobs/s, ${count(waiting)} left)`,
        good: waiting > 0 ? quantile(beside, 0.99) <= 1_000 : null,
      },
    ],
  }
}

/**
 * What many clients do to ledgers, over the whole system; each part's figures are told when they are measured. Answers
 * milliseconds of workerd's CPU for a job that runs alone.
 */
export const measureLoad = async (system: System, measured: (figures: Figure[]) => void): Promise<number> => {
  measured(await measureSubmits(system))
  measured(await measureBatches(system))
  const fair = await measureFairness(system)
  measured(fair.figures)
  measured(await measureReaders(system))
  return fair.cpu
}

import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import type { JobEvent, ProgressEvent } from '../../edge/contract/events.ts'
import { plainTask } from '../../edge/contract/fixture.ts'
import type { Param } from '../../edge/contract/tasks.ts'
import { type MadeResult, sha256 } from './support-results.ts'
import type { SupportWork } from './support-work.ts'

/** A report of the support server: what `GET /v1/tasks` says of it, and what its jobs come to. */
export interface SupportTask {
  name: string
  description: string
  params?: Param[]
  sql: string
  /** What a finished job has; a text fails the job with this message. */
  result: MadeResult | string
  inline?: boolean
  /** A job of this task stays running until it is cancelled or `finish` is called. */
  endless?: boolean
}

interface SupportJob {
  id: string
  task: SupportTask
  args: unknown
  created: number
  events: JobEvent[]
  progress: ProgressEvent | null
  readers: Set<ServerResponse>
  state: JobEvent['state']
  publication: 'none' | 'pending' | 'published'
  cancelled: boolean
}

export interface SupportServer {
  origin: string
  token: string
  code: string
  /** Every request, as `METHOD /path`. */
  requests: string[]
  /** Breaks all open event streams, as a restart of the edge would. */
  dropStreams(): void
  /** Every following request to the API answers this status; null heals it. */
  fail(status: number | null): void
  /** Jobs stay at 65 percent of their run until `release`. */
  hold(): void
  release(): void
  close(): Promise<void>
}

const CSP = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  json: 'application/json',
  wasm: 'application/wasm',
}

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const jobId = (n: number): string => {
  let id = ''
  let rest = Date.now()
  for (let i = 0; i < 10; i++) {
    id = (CROCKFORD[rest % 32] ?? '0') + id
    rest = Math.floor(rest / 32)
  }
  return `${id}support${CROCKFORD[n >> 5] ?? '0'}${CROCKFORD[n & 31] ?? '0'}x0000000`.replace(/[ilou]/g, 'z').slice(0, 26)
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/**
 * A stand-in for the edge that speaks its API from memory, so that client and page can be driven before and without it. It runs
 * no query: results are made beforehand. A job takes `stepMilliseconds` a step.
 */
export const startSupportServer = async (options: {
  dist: string
  tasks: SupportTask[]
  stepMilliseconds?: number
  port?: number
  /** Groups, schedules, lanes and dead letters, where they are wanted. */
  work?: SupportWork
}): Promise<SupportServer> => {
  const step = options.stepMilliseconds ?? 60
  const jobs = new Map<string, SupportJob>()
  const requests: string[] = []
  const token = 'support-token'
  const code = 'support-code'
  let failing: number | null = null
  let held = false
  const holding: (() => void)[] = []
  let closed = false

  const wake = (job: SupportJob): void => {
    for (const reader of job.readers) {
      const { sent, until } = streams.get(reader) ?? { sent: 0, until: 'terminal' }
      for (const event of job.events)
        if (event.seq > sent) reader.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      streams.set(reader, { sent: job.events.length, until })
      const ended =
        until === 'published' ? job.publication === 'published' || job.state === 'failed' || job.state === 'cancelled' : isDone(job)
      if (ended) {
        job.readers.delete(reader)
        reader.end()
      }
    }
  }
  const streams = new Map<ServerResponse, { sent: number; until: string }>()
  const isDone = (job: SupportJob): boolean => ['succeeded', 'failed', 'cancelled'].includes(job.state)

  const happen = (job: SupportJob, event: Partial<JobEvent>): void => {
    if (event.state) job.state = event.state
    job.events.push({
      seq: job.events.length + 1,
      job: job.id as JobEvent['job'],
      type: 'state',
      state: job.state,
      at: new Date().toISOString(),
      ...event,
    })
    wake(job)
  }
  const report = (job: SupportJob, phase: ProgressEvent['phase'], percent: number | null): void => {
    job.progress = {
      job: job.id as JobEvent['job'],
      state: job.state,
      at: new Date().toISOString(),
      phase,
      engine: 'duckdb',
      progress: { percent, rows: null },
    }
    for (const reader of job.readers) reader.write(`event: progress\ndata: ${JSON.stringify(job.progress)}\n\n`)
  }

  const run = (job: SupportJob): void => {
    const steps: (() => void)[] = [
      () => happen(job, { state: 'leased', attempt: 1 }),
      () => {
        happen(job, { state: 'running', attempt: 1 })
        report(job, 'planning', null)
      },
      () => report(job, 'executing', 20),
      () => report(job, 'executing', 65),
      () => report(job, 'executing', 90),
      () => report(job, 'uploading', null),
      () => {
        if (typeof job.task.result === 'string')
          happen(job, { state: 'failed', error: { code: 'source_failed', message: job.task.result } })
        else {
          job.publication = 'pending'
          happen(job, { state: 'succeeded', rows: job.task.result.rows })
        }
      },
      () => {
        if (job.state !== 'succeeded') return
        job.publication = 'published'
        happen(job, { type: 'publication', publication: 'published', snapshot: '4638512904112345678' })
      },
    ]
    let at = 0
    const next = (): void => {
      if (closed || job.cancelled) return
      if (job.task.endless && at === 5) return
      steps[at]?.()
      at += 1
      if (held && at === 4) holding.push(() => setTimeout(next, step))
      else if (at < steps.length) setTimeout(next, step)
    }
    setTimeout(next, step)
  }

  const jobDocument = (job: SupportJob) => {
    const at = (state: string): string | null => job.events.find((event) => event.type === 'state' && event.state === state)?.at ?? null
    const made = typeof job.task.result === 'string' ? null : job.task.result
    const done = job.state === 'succeeded' && made !== null
    return {
      id: job.id,
      alias: null,
      task: job.task.name,
      state: job.state,
      publication: job.publication,
      queue: 'default',
      attempt: job.events.length > 1 ? 1 : 0,
      tries: 1,
      progress: job.progress?.progress ?? null,
      rows: done ? made.rows : null,
      bytes: done ? made.parquet.length : null,
      created_at: new Date(job.created).toISOString(),
      started_at: at('running'),
      finished_at: at('succeeded') ?? at('failed') ?? at('cancelled'),
      phase: job.state === 'running' ? (job.progress?.phase ?? null) : null,
      engine: job.events.length > 2 ? 'duckdb' : null,
      error: job.state === 'failed' ? { code: 'source_failed', message: String(job.task.result) } : null,
      cancel: job.cancelled ? { requested_at: new Date().toISOString(), outcome: 'confirmed', reason: null } : null,
      result: done ? { id: `r${job.id}` } : null,
      seq: job.events.length,
      args: job.args,
      run_date: new Date(job.created).toISOString().slice(0, 10),
      links: { self: `/v1/jobs/${job.id}`, events: `/v1/jobs/${job.id}/events`, result: `/v1/jobs/${job.id}/result` },
    }
  }

  const resultDocument = (job: SupportJob, made: MadeResult) => ({
    version: 1,
    result: `r${job.id}`,
    job: job.id,
    tenant: 'demo',
    task: job.task.name,
    task_hash: 'a'.repeat(64),
    family: `reports.${job.task.name.replace(/[^a-z0-9_]/g, '_')}`,
    attempt: 1,
    run_date: '2026-11-21',
    columns: made.columns,
    added: ['tenant_id', 'job_id', 'run_date'],
    schema_id: 's1',
    rows: made.rows,
    bytes: made.parquet.length,
    files: [
      {
        n: 0,
        bytes: made.parquet.length,
        sha256: sha256(made.parquet),
        rows: made.rows,
        run_date: '2026-11-21',
        split_offsets: Array.from({ length: Math.max(1, Math.ceil(made.rows / 122_880)) }, (_, i) => 4 + i),
        stats: [],
        key: `t/demo/x/data/${job.id}/1/0.parquet`,
      },
    ],
    inline: made.all !== null,
    first_rows: made.first,
    engine: { name: 'duckdb', version: '1.5.5', query_id: null },
    source: null,
    seconds: { planning: 0.012, executing: 1.84, uploading: 0.21 },
    created_at: new Date().toISOString(),
    signature: 'x',
    pack: made.pack === null ? null : { bytes: made.pack.length, sha256: sha256(made.pack) },
    links: {
      self: `/v1/jobs/${job.id}/result`,
      parquet: `/v1/jobs/${job.id}/result.parquet`,
      csv: `/v1/jobs/${job.id}/result.csv`,
      json: `/v1/jobs/${job.id}/result.json`,
      slice: `/v1/jobs/${job.id}/slice`,
      ...(made.pack === null ? {} : { pack: `/v1/jobs/${job.id}/result.duckdb` }),
    },
    file_links: [`/v1/jobs/${job.id}/result.parquet`],
  })

  const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
  const problem = (response: ServerResponse, status: number, problemCode: string, detail: string): void =>
    json(response, status, { type: 'about:blank', title: problemCode, status, code: problemCode, detail })

  const asset = async (path: string, response: ServerResponse): Promise<void> => {
    const clean = normalize(path === '/' ? '/index.html' : path)
    const extension = clean.slice(clean.lastIndexOf('.') + 1)
    const headers: Record<string, string> = {
      'content-type': TYPES[extension] ?? 'application/octet-stream',
      'content-security-policy': CSP,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': clean.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    }
    try {
      const packed = extension === 'wasm'
      const bytes = await readFile(join(options.dist, packed ? `${clean}.br` : clean))
      response.writeHead(200, packed ? { ...headers, 'content-encoding': 'br' } : headers)
      response.end(bytes)
    } catch {
      response.writeHead(404).end()
    }
  }

  const api = async (request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> => {
    if (url.pathname === '/v1/session/config') return json(response, 200, { issuers: [{ issuer: 'support', sign_in: '/support/sign-in' }] })
    if (url.pathname === '/support/sign-in') {
      const given: unknown = JSON.parse((await bodyOf(request)).toString())
      const right = typeof given === 'object' && given !== null && 'code' in given && given.code === code
      return right
        ? json(response, 200, { access_token: token, expires_in: 3600 })
        : problem(response, 401, 'invalid_token', 'The code is not known or has been used')
    }
    if (failing !== null)
      return problem(response, failing, failing === 403 ? 'insufficient_scope' : 'unavailable', 'The support server was told to fail')
    if (request.headers.authorization !== `Bearer ${token}`) return problem(response, 401, 'invalid_token', 'The token is not known')
    const parts = url.pathname.split('/').slice(2).map(decodeURIComponent)
    if (options.work?.owns(url.pathname)) {
      const text = (await bodyOf(request)).toString()
      return options.work.answer(request, response, url, text === '' ? null : JSON.parse(text))
    }
    if (url.pathname === '/v1/tasks') return json(response, 200, { items: options.tasks.map(taskInfo), next: null })
    if (parts[0] === 'tasks' && parts[1] !== undefined) {
      const task = options.tasks.find((one) => one.name === parts[1])
      if (task === undefined) return problem(response, 404, 'unknown_task', `There is no task ${parts[1]}`)
      if (parts[2] !== 'jobs') return json(response, 200, { ...taskInfo(task), sql: task.sql })
      const body: unknown = JSON.parse((await bodyOf(request)).toString() || '{}')
      const args = typeof body === 'object' && body !== null && 'args' in body ? body.args : []
      const job: SupportJob = {
        id: jobId(jobs.size),
        task,
        args: Array.isArray(args) ? args : Object.values(args ?? {}),
        created: Date.now(),
        events: [],
        progress: null,
        readers: new Set(),
        state: 'waiting',
        publication: 'none',
        cancelled: false,
      }
      jobs.set(job.id, job)
      happen(job, { state: 'waiting' })
      run(job)
      return json(response, 202, jobDocument(job), { location: `/v1/jobs/${job.id}` })
    }
    if (url.pathname === '/v1/jobs') {
      const items = [...jobs.values()].reverse().map(jobDocument)
      return json(response, 200, { items, next: null })
    }
    const job = parts[0] === 'jobs' ? jobs.get(parts[1] ?? '') : undefined
    if (job === undefined) return problem(response, 404, 'not_found', `There is nothing at ${url.pathname}`)
    const made = typeof job.task.result === 'string' ? null : job.task.result
    if (parts[2] === undefined) return json(response, 200, jobDocument(job))
    if (parts[2] === 'cancel') {
      if (!isDone(job)) {
        job.cancelled = true
        happen(job, { type: 'cancel', cancel: 'requested' })
        happen(job, { state: 'cancelled', cancel: 'confirmed' })
      }
      return json(response, 200, jobDocument(job))
    }
    if (parts[2] === 'events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      response.write(': hello\n\n')
      streams.set(response, { sent: Number(request.headers['last-event-id'] ?? 0), until: url.searchParams.get('until') ?? 'terminal' })
      job.readers.add(response)
      response.on('close', () => job.readers.delete(response))
      wake(job)
      if (job.progress !== null && !isDone(job)) response.write(`event: progress\ndata: ${JSON.stringify(job.progress)}\n\n`)
      return
    }
    if (job.state !== 'succeeded' || made === null) return problem(response, 409, 'no_result', `The job is ${job.state}`)
    if (parts[2] === 'result') return json(response, 200, resultDocument(job, made))
    if (parts[2] === 'result.json' && made.all !== null)
      return json(response, 200, { columns: made.columns.map(({ name, type }) => ({ name, type })), rows: made.all, hash: '' })
    const file = parts[2] === 'result.parquet' ? made.parquet : parts[2] === 'result.duckdb' ? made.pack : null
    if (file !== null) {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': file.length,
        'cache-control': 'private, max-age=31536000',
      })
      return void response.end(file)
    }
    if (parts[2] === 'slice') return problem(response, 503, 'no_node', 'No compute node serves this tenant')
    problem(response, 404, 'not_found', `There is nothing at ${url.pathname}`)
  }

  const taskInfo = (task: SupportTask) => ({
    ...plainTask(task.name, {
      hash: 'a'.repeat(64),
      description: task.description,
      params: task.params ?? [],
      arity: task.params?.length ?? 0,
      family: `reports.${task.name.replace(/[^a-z0-9_]/g, '_')}`,
      emit_format: ['parquet'],
      columns: typeof task.result === 'string' ? null : task.result.columns,
    }),
    sql: undefined,
    pools: ['default'],
    available: true,
    notice: null,
    last_seen_at: new Date().toISOString(),
  })

  const iceberg = async (response: ServerResponse, url: URL): Promise<void> => {
    const families = new Set(
      options.tasks.filter((task) => typeof task.result !== 'string').map((task) => taskInfo(task).family.split('.')[1]),
    )
    if (url.pathname === '/iceberg/v1/config') return json(response, 200, { defaults: {}, overrides: {} })
    if (url.pathname === '/iceberg/v1/namespaces') return json(response, 200, { namespaces: [['reports']] })
    if (url.pathname === '/iceberg/v1/namespaces/reports/tables')
      return json(response, 200, { identifiers: [...families].map((name) => ({ namespace: ['reports'], name })) })
    const now = Date.now()
    const snapshots = [3, 2, 1].map((ago, i) => ({
      'snapshot-id': 4_638_512_904_112_000 + i,
      'sequence-number': i + 1,
      'timestamp-ms': now - ago * 3_600_000,
      summary: {
        operation: 'append',
        'added-records': '1200',
        'total-records': String(1200 * (i + 1)),
        'added-data-files': '1',
        'total-data-files': String(i + 1),
      },
    }))
    json(response, 200, {
      'metadata-location': 's3://x/m.json',
      metadata: {
        'format-version': 2,
        'current-snapshot-id': snapshots[2]?.['snapshot-id'],
        snapshots,
        schemas: [{ 'schema-id': 0, type: 'struct', fields: [] }],
        'current-schema-id': 0,
      },
    })
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://support')
    requests.push(`${request.method} ${url.pathname}`)
    const answer =
      url.pathname.startsWith('/v1/') || url.pathname.startsWith('/support/')
        ? api(request, response, url)
        : url.pathname.startsWith('/iceberg/')
          ? iceberg(response, url)
          : asset(url.pathname, response)
    answer.catch((error: unknown) => problem(response, 500, 'internal', String(error)))
  })
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    token,
    code,
    requests,
    dropStreams: () => {
      for (const job of jobs.values()) for (const reader of job.readers) reader.destroy()
    },
    hold: () => {
      held = true
    },
    release: () => {
      held = false
      for (const go of holding.splice(0)) go()
    },
    fail: (status) => {
      failing = status
    },
    close: async () => {
      closed = true
      for (const job of jobs.values()) for (const reader of job.readers) reader.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

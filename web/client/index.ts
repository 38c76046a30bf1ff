import { type EngineAssets, warmUp } from './engine.ts'
import { type TenantWatched, type TenantWatchOptions, watchTenant } from './events.ts'
import { type Groups, groupsOf } from './groups.ts'
import { createHttp, type Http, type TokenSource } from './http.ts'
import { type Queues, queuesOf } from './queues.ts'
import { type ListOptions, listQuery, posted, withSignal } from './requests.ts'
import { type Schedules, schedulesOf } from './schedules.ts'
import { fetchDocument, type OpenOptions, openResult, type Slice } from './slice.ts'
import { type Watched, type WatchOptions, watchJob } from './watch.ts'
import {
  type BatchItem,
  type BatchJob,
  type DeadJob,
  isBatchAnswer,
  isDeadJob,
  isJob,
  isPage,
  isTask,
  type Job,
  type Page,
  type ResultDocument,
  type SubmitBody,
  type TaskInfo,
} from './wire.ts'

export { cellText, tsv } from './csv.ts'
export type { EngineAssets, QueryOptions } from './engine.ts'
export { EngineError } from './engine.ts'
export type { TenantWatched, TenantWatchOptions } from './events.ts'
export type { Connection } from './follow.ts'
export type { Groups, GroupWatched, GroupWatchOptions } from './groups.ts'
export { isAbort } from './queue.ts'
export type { Queues } from './queues.ts'
export type { ListOptions } from './requests.ts'
export type { Schedules } from './schedules.ts'
export type { OpenOptions, Slice, SliceEvent } from './slice.ts'
export type { ColumnSummary } from './stats.ts'
export type { View } from './view.ts'
export type { Watched, WatchOptions } from './watch.ts'
export * from './wire.ts'

export interface ClientOptions {
  /** Where Scarab answers, for example `https://reports.example.com`. Default: the page's own origin. */
  origin?: string | undefined
  /** A bearer token, or how to get one; asked before every request. */
  token: TokenSource
  /** Where the engine's files lie (`web/build.mjs` lists them). Needed for `openResult` and `warmUp` only. */
  assets?: EngineAssets | undefined
  fetch?: typeof fetch | undefined
}

export interface SubmitOptions extends SubmitBody {
  /** A repeated request with this key makes no second job. */
  idempotencyKey?: string | undefined
  /** Seconds to wait for the end, at most 30: the answer may then be the finished job. */
  wait?: number | undefined
  signal?: AbortSignal | undefined
}

export interface Client {
  readonly http: Http
  tasks(signal?: AbortSignal): Promise<Page<TaskInfo>>
  task(name: string, signal?: AbortSignal): Promise<TaskInfo>
  submit(task: string, options?: SubmitOptions): Promise<Job>
  /** Up to 1,000 jobs in one transaction; an answer for each, in order: one that is refused leaves the others alone. */
  batch(jobs: BatchJob[], options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<BatchItem[]>
  job(id: string, signal?: AbortSignal): Promise<Job>
  jobs(options?: ListOptions & { alias?: string; task?: string; state?: string }): Promise<Page<Job>>
  cancel(id: string): Promise<Job>
  /** Jobs that failed and were not run again, each with why and what helps. */
  dead(options?: ListOptions & { task?: string | undefined }): Promise<Page<DeadJob>>
  /** Runs a dead job again, as a new job (`retried_from`). */
  retry(id: string): Promise<Job>
  remove(id: string): Promise<void>
  /** Events and progress of a job as they happen; survives broken connections without a gap. */
  watch(id: string, options?: WatchOptions): AsyncGenerator<Watched, void, undefined>
  /** Events of all of the tenant's jobs, filtered; never ends by itself. */
  watchAll(options?: TenantWatchOptions): AsyncGenerator<TenantWatched, void, undefined>
  readonly groups: Groups
  readonly schedules: Schedules
  readonly queues: Queues
  result(id: string, signal?: AbortSignal): Promise<ResultDocument>
  /** Starts the engine while a job still runs. */
  warmUp(): void
  openResult(ref: string | ResultDocument, options?: Partial<OpenOptions>): Promise<Slice>
}

/**
 * @example
 * const client = createClient({ origin: 'http://127.0.0.1:8787', token, assets })
 * client.warmUp()
 * const job = await client.submit('flights_by_carrier', { args: { year: 2001 } })
 * for await (const seen of client.watch(job.id)) console.log(seen)
 * const slice = await client.openResult(job.id)
 * const view = await slice.view({ where: [{ col: 'carrier', op: '=', value: 'DL' }], order: ['-flights'] })
 * console.log(view.count, await view.page(0, 50))
 */
export const createClient = (options: ClientOptions): Client => {
  const origin = options.origin ?? location.origin
  const http = createHttp({ origin, token: options.token, ...(options.fetch ? { fetch: options.fetch } : {}) })
  const assets = (): EngineAssets => {
    if (options.assets === undefined) throw new Error('createClient needs `assets` to open results: the addresses of the engine files')
    return options.assets
  }
  const jobPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`
  return {
    http,
    tasks: (signal) => http.json('/v1/tasks', isPage(isTask), withSignal(signal)),
    task: (name, signal) => http.json(`/v1/tasks/${encodeURIComponent(name)}`, isTask, withSignal(signal)),
    submit: (task, { idempotencyKey, wait, signal, ...body } = {}) =>
      http.json(`/v1/tasks/${encodeURIComponent(task)}/jobs`, isJob, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
          ...(wait === undefined ? {} : { prefer: `wait=${wait}` }),
        },
        body: JSON.stringify(body),
        ...withSignal(signal),
      }),
    job: (id, signal) => http.json(jobPath(id), isJob, withSignal(signal)),
    batch: async (jobs, given = {}) => (await http.json('/v1/jobs/batch', isBatchAnswer, posted({ jobs }, given))).items,
    jobs: (given = {}) => http.json(`/v1/jobs${listQuery({ ...given })}`, isPage(isJob), withSignal(given.signal)),
    dead: (given = {}) => http.json(`/v1/dead${listQuery({ ...given })}`, isPage(isDeadJob), withSignal(given.signal)),
    retry: (id) => http.json(`${jobPath(id)}/retry`, isJob, { method: 'POST' }),
    cancel: (id) => http.json(`${jobPath(id)}/cancel`, isJob, { method: 'POST' }),
    remove: async (id) => {
      await http.request(jobPath(id), { method: 'DELETE' })
    },
    watch: (id, watch) => watchJob(http, id, watch),
    watchAll: (watch) => watchTenant(http, watch),
    groups: groupsOf(http),
    schedules: schedulesOf(http),
    queues: queuesOf(http),
    result: (id, signal) => fetchDocument(http, id, signal),
    warmUp: () => {
      warmUp(assets())
      void import('./copy.ts')
    },
    openResult: (ref, open = {}) => openResult(http, ref, { assets: assets(), ...open }),
  }
}

import { csvHeader, csvRows } from './csv.ts'
import { type Engine, type EngineAssets, giveBack, type QueryOptions, takeEngine, warmUp } from './engine.ts'
import type { Http } from './http.ts'
import type { Loaded } from './load.ts'
import type { LocalCopy } from './local.ts'
import { isAbort } from './queue.ts'
import { fixedView, previewView, remoteView } from './remote.ts'
import type { ColumnSummary } from './stats.ts'
import type { View } from './view.ts'
import {
  ApiError,
  type Cell,
  type Column,
  type Filter,
  isResultDocument,
  isSliceAnswer,
  type Mode,
  type Progress,
  type ResultDocument,
  type ViewSpec,
} from './wire.ts'

export interface OpenOptions {
  assets: EngineAssets
  /** `auto`: a local copy where it fits. `local` waits for nothing else and ignores the limits. `remote`: the server slices. */
  mode?: 'auto' | 'local' | 'remote' | undefined
  /** `parquet` loads the result's own files although it has a pack. */
  source?: 'pack' | 'parquet' | undefined
  maxLocalBytes?: number | undefined
  signal?: AbortSignal | undefined
}

/** Whole-file copies pay up to about 250 MB of pack (facts, summary 18); Parquet needs five times its size in memory. */
export const MAX_LOCAL_PACK_BYTES = 250 * 1024 * 1024
export const MAX_LOCAL_PARQUET_BYTES = 64 * 1024 * 1024

/** An engine lost so often for one result is not started again for it. */
const MAX_LOSSES = 2

/** A pack is made after the job succeeded: how long to look for it before Parquet has to do. */
const PACK_WAIT_MILLISECONDS = 30_000
const PACK_POLL_MILLISECONDS = 400
/** A result older than this without a pack will not get one: its grant has ended. */
const PACK_GRANT_MILLISECONDS = 15 * 60_000

export type SliceEvent = { type: 'mode'; mode: Mode } | { type: 'progress'; progress: Progress } | { type: 'error'; error: Error }

/** `onPart` gets the summary as far as it is known, before the number of distinct values. */
export type StatsOptions = QueryOptions & { onPart?: ((summary: ColumnSummary) => void) | undefined }

export interface Slice {
  readonly document: ResultDocument
  /** The report's own columns. */
  readonly columns: Column[]
  readonly rowCount: number
  readonly mode: Mode
  /** Resolves with the mode that stays: `local`, or `remote` where a copy is not possible. Never rejects. */
  readonly settled: Promise<Mode>
  view(spec: ViewSpec, options?: QueryOptions): Promise<View>
  sql(text: string, options?: QueryOptions & { maxRows?: number }): Promise<{ columns: Column[]; rows: Cell[][]; truncated: boolean }>
  /** Exact figures of one column over the rows that `where` leaves. Needs the local copy. */
  stats(column: string, where?: Filter[], options?: StatsOptions): Promise<ColumnSummary>
  exportCsv(spec: ViewSpec, options?: QueryOptions & { onProgress?: (rows: number) => void }): Promise<Blob>
  on(listener: (event: SliceEvent) => void): () => void
  /** Gives the engine and its memory back. */
  close(): void
}

const loadCopy = () => import('./copy.ts')

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

const reportColumns = (document: ResultDocument): Column[] => {
  const added = new Set<string>(document.added)
  return document.columns.filter((column) => !added.has(column.name))
}

/** Opens a finished job's result: the first rows at once, the local copy as soon as it is here. */
export const openResult = async (http: Http, ref: string | ResultDocument, options: OpenOptions): Promise<Slice> => {
  if (options.mode !== 'remote') {
    warmUp(options.assets)
    void loadCopy()
  }
  const document = typeof ref === 'string' ? await fetchDocument(http, ref, options.signal) : ref
  return new OpenSlice(http, document, options)
}

export const fetchDocument = (http: Http, job: string, signal?: AbortSignal): Promise<ResultDocument> =>
  http.json(`/v1/jobs/${encodeURIComponent(job)}/result`, isResultDocument, signal ? { signal } : {})

class OpenSlice implements Slice {
  readonly columns: Column[]
  readonly rowCount: number
  #settled: Promise<Mode>
  #losses = 0
  readonly #http: Http
  readonly #options: OpenOptions
  readonly #listeners = new Set<(event: SliceEvent) => void>()
  readonly #stop = new AbortController()
  #document: ResultDocument
  #mode: Mode = 'preview'
  #copy: LocalCopy | null = null
  #engine: Engine | null = null
  #allRows: Promise<Cell[][]> | null = null

  constructor(http: Http, document: ResultDocument, options: OpenOptions) {
    this.#http = http
    this.#options = options
    this.#document = document
    this.columns = reportColumns(document)
    this.rowCount = document.rows
    options.signal?.addEventListener('abort', () => this.close(), { once: true })
    this.#settled = this.#settle()
  }

  get settled(): Promise<Mode> {
    return this.#settled
  }

  get mode(): Mode {
    return this.#mode
  }

  get document(): ResultDocument {
    return this.#document
  }

  on(listener: (event: SliceEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async view(spec: ViewSpec, options: QueryOptions = {}): Promise<View> {
    if (this.#copy !== null) return this.#copy.view(spec, options)
    const plain = spec.sql === undefined && !spec.where?.length && !spec.order?.length && !spec.group?.length && spec.select === undefined
    if (plain && this.#mode === 'preview') {
      const rest = (): Promise<View> => (this.#document.inline ? this.#inlineView() : this.#remote(spec, options))
      return previewView(this.columns, this.#document.first_rows, this.rowCount, rest)
    }
    // The engine needs a moment for a small result, the server is asked only where that is not so.
    if (this.#document.inline && (await this.settled) === 'local') return this.view(spec, options)
    return this.#remote(spec, options)
  }

  async sql(text: string, options: QueryOptions & { maxRows?: number } = {}) {
    const view = await this.view({ sql: text }, options)
    try {
      const rows = await view.page(0, options.maxRows ?? 10_000, options)
      return { columns: view.columns, rows, truncated: view.truncated || rows.length < view.count }
    } finally {
      view.close()
    }
  }

  async stats(name: string, where: Filter[] = [], options: StatsOptions = {}): Promise<ColumnSummary> {
    const column = this.columns.find((one) => one.name === name)
    if (column === undefined) throw new Error(`there is no column ${JSON.stringify(name)}`)
    const copy = this.#copy
    if (copy === null) throw new Error('statistics need the local copy')
    return (await loadCopy()).summarise(copy, column, where, options)
  }

  async exportCsv(spec: ViewSpec, options: QueryOptions & { onProgress?: (rows: number) => void } = {}): Promise<Blob> {
    const parts: BlobPart[] = []
    let count = 0
    let breath = performance.now()
    const take = async (rows: Cell[][]): Promise<void> => {
      parts.push(csvRows(rows))
      count += rows.length
      options.onProgress?.(count)
      // A long export must not freeze the page, and a pause for each of its batches would take longer than the rest.
      if (performance.now() - breath < 30) return
      await new Promise((resolve) => setTimeout(resolve))
      breath = performance.now()
    }
    const copy = this.#copy
    if (copy !== null) {
      const source = await copy.export(spec, options)
      await source.each(take)
      return new Blob([csvHeader(source.columns), ...parts], { type: 'text/csv;charset=utf-8' })
    }
    const view = await this.view(spec, options)
    const STEP = 10_000
    for (let from = 0; from < view.count; from += STEP) await take(await view.page(from, STEP, options))
    return new Blob([csvHeader(view.columns), ...parts], { type: 'text/csv;charset=utf-8' })
  }

  close(): void {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    this.#listeners.clear()
    const engine = this.#engine
    this.#engine = null
    this.#copy = null
    engine?.close()
  }

  #emit(event: SliceEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  #progress = (progress: Progress): void => this.#emit({ type: 'progress', progress })

  #become(mode: Mode): Mode {
    this.#mode = mode
    this.#emit({ type: 'mode', mode })
    return mode
  }

  #remote(spec: ViewSpec, options: QueryOptions): Promise<View> {
    return remoteView(this.#http, this.#document, this.columns, spec, options)
  }

  /** All rows of a small result: the first rows where those are all, else the server's typed JSON. */
  #inlineRows(): Promise<Cell[][]> {
    const { document } = this
    if (document.first_rows.length >= document.rows) return Promise.resolve(document.first_rows)
    this.#allRows ??= this.#http
      .json(document.links.json ?? `/v1/jobs/${document.job}/result.json`, isSliceAnswer, { signal: this.#stop.signal })
      .then((answer) => {
        if (answer.rows.length !== document.rows)
          throw new ApiError(0, 'unexpected_answer', `The server sent ${answer.rows.length} rows of a result that has ${document.rows}`)
        return answer.rows
      })
    return this.#allRows
  }

  async #inlineView(): Promise<View> {
    return fixedView('preview', this.columns, await this.#inlineRows())
  }

  async #settle(): Promise<Mode> {
    // The caller gets this object first, and can listen.
    await Promise.resolve()
    if (this.#options.mode === 'remote') return this.#become('remote')
    const gone = (): boolean => this.#stop.signal.aborted
    let engine: Engine | null = null
    try {
      const plan = await this.#plan()
      if (plan === null || gone()) return this.#become('remote')
      this.#progress({ phase: 'engine' })
      engine = await takeEngine(this.#options.assets)
      if (gone()) {
        giveBack(engine)
        return this.#mode
      }
      const loaded = await plan(engine)
      const { LocalCopy, lock } = await loadCopy()
      await lock(engine)
      if (gone()) {
        engine.close()
        return this.#mode
      }
      this.#engine = engine
      this.#copy = new LocalCopy(engine, loaded.relation, this.columns, this.rowCount)
      this.#progress({ phase: 'ready' })
      const mine = engine
      engine.lost.catch((error: unknown) => this.#recover(mine, error))
      return this.#become('local')
    } catch (error) {
      // An engine in an unknown state holds a file that may be foreign: away with it.
      engine?.close()
      if (gone() || isAbort(error)) return this.#mode
      this.#emit({ type: 'error', error: error instanceof Error ? error : new Error(String(error)) })
      return this.#become('remote')
    }
  }

  /** A lost engine takes the copy with it: once more from the browser's cache, and from the server while that lasts. */
  #recover(engine: Engine, error: unknown): void {
    if (this.#engine !== engine || this.#stop.signal.aborted) return
    this.#engine = null
    this.#copy = null
    this.#losses += 1
    if (error instanceof Error) this.#emit({ type: 'error', error })
    // A question that breaks the engine would break the next one, too.
    if (this.#losses > MAX_LOSSES) {
      this.#become('remote')
      return
    }
    this.#become('preview')
    this.#settled = this.#settle()
  }

  /** How the copy gets into the engine, or null where the server has to slice. */
  async #plan(): Promise<((engine: Engine) => Promise<Loaded>) | null> {
    const { mode, source, maxLocalBytes } = this.#options
    const copy = await loadCopy()
    const context = (engine: Engine) => ({
      engine,
      http: this.#http,
      document: this.#document,
      columns: this.columns,
      signal: this.#stop.signal,
      onProgress: this.#progress,
    })
    if (source !== 'parquet') {
      // An empty result has neither a file worth fetching nor rows: its columns are all there is.
      if (this.#document.inline || this.#document.rows === 0) {
        return async (engine) => copy.loadRows(context(engine), this.#document.rows === 0 ? [] : await this.#inlineRows())
      }
      await this.#awaitPack()
      const { pack } = this.#document
      if (pack !== null) {
        if (mode !== 'local' && pack.bytes > (maxLocalBytes ?? MAX_LOCAL_PACK_BYTES)) return null
        return (engine) => copy.loadPack(context(engine), pack, this.#document.links.pack ?? `/v1/jobs/${this.#document.job}/result.duckdb`)
      }
    }
    if (mode !== 'local' && this.#document.bytes > (maxLocalBytes ?? MAX_LOCAL_PARQUET_BYTES)) return null
    return (engine) => copy.loadParquet(context(engine))
  }

  /** `succeeded` never waits for the pack, so a fresh result is asked for again until it has one. */
  async #awaitPack(): Promise<void> {
    const started = Date.now()
    while (this.#document.pack === null && !this.#stop.signal.aborted) {
      const age = Date.now() - Date.parse(this.#document.created_at)
      if (age > PACK_GRANT_MILLISECONDS || Date.now() - started > PACK_WAIT_MILLISECONDS) return
      this.#progress({ phase: 'waiting' })
      await sleep(PACK_POLL_MILLISECONDS)
      const again = await fetchDocument(this.#http, this.#document.job, this.#stop.signal)
      this.#document = { ...this.#document, pack: again.pack, links: again.links, file_links: again.file_links }
    }
  }
}

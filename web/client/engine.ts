import type { AsyncDuckDB, AsyncDuckDBConnection } from '@duckdb/duckdb-wasm'
import type { RecordBatch, Schema } from 'apache-arrow'
import { aborted, type Priority, StatementQueue } from './queue.ts'

/** Where the engine's files lie. Absolute, or relative to the page. They are never fetched from anywhere else. */
export interface EngineAssets {
  /** `duckdb-browser-eh.worker.js` of the pinned version. */
  duckdbWorker: string
  /** `duckdb-eh.wasm`, served with its encoding. */
  duckdbWasm: string
  /** `parquet_wasm_bg.wasm`: fetched only for a result without a pack. */
  parquetWasm: string
}

export interface QueryOptions {
  priority?: Priority | undefined
  signal?: AbortSignal | undefined
}

export interface Table {
  schema: Schema
  batches: RecordBatch[]
}

/**
 * A statement that does not stop for so long after it was told to is inside one step of the engine (a cross join can stay there
 * for minutes), and only the end of its worker ends it.
 */
const STOP_GRACE_MILLISECONDS = 2_000

/** Faults of the machine below SQL, after which DuckDB answers nothing sensible any more. */
const BROKEN = /memory access out of bounds|unreachable|table index is out of bounds|function signature mismatch|null function|Aborted\(/i

/** How long the engine works before it looks for a cancellation. */
const POLL_MILLISECONDS = 20

/**
 * One DuckDB in one worker: one database, one connection, one statement at a time. An engine that held a result is thrown away
 * with its worker: that alone gives its memory back, and a database that is opened anew in the old memory hangs or crashes.
 */
export class Engine {
  readonly assets: EngineAssets
  readonly #db: AsyncDuckDB
  readonly #worker: Worker
  readonly #queue = new StatementQueue()
  readonly #lost = Promise.withResolvers<never>()
  readonly #connection: AsyncDuckDBConnection
  #closed = false

  constructor(assets: EngineAssets, worker: Worker, db: AsyncDuckDB, connection: AsyncDuckDBConnection) {
    this.assets = assets
    this.#worker = worker
    this.#db = db
    this.#connection = connection
    this.#lost.promise.catch(() => undefined)
    worker.addEventListener('error', () => this.#lose('the engine crashed'))
  }

  get files(): AsyncDuckDB {
    return this.#db
  }

  /** Rejects when the engine is gone without having been closed; every statement then rejects as well. */
  get lost(): Promise<never> {
    return this.#lost.promise
  }

  #lose(why: string): void {
    if (this.#closed) return
    this.close()
    this.#lost.reject(new EngineError(`${why}; it starts again`))
  }

  /** Runs one statement and hands on its batches as they come; what `onBatch` waits for holds the engine back. */
  async stream(
    sql: string,
    options: QueryOptions & { onSchema?: (schema: Schema) => void; onBatch: (batch: RecordBatch) => void | Promise<void> },
  ): Promise<void> {
    await this.#queue.run(
      options.priority ?? 'view',
      async (signal) => {
        const connection = this.#connection
        let grace: ReturnType<typeof setTimeout> | undefined
        const cancel = (): void => {
          grace = setTimeout(() => this.#lose('the engine did not stop a statement'), STOP_GRACE_MILLISECONDS)
          connection.cancelSent().catch(() => undefined)
        }
        signal.addEventListener('abort', cancel, { once: true })
        const work = async (): Promise<void> => {
          const reader = await connection.send(sql, true)
          if (signal.aborted) throw aborted()
          await reader.open()
          options.onSchema?.(reader.schema)
          for await (const batch of reader) {
            if (signal.aborted) throw aborted()
            await options.onBatch(batch)
          }
        }
        try {
          await Promise.race([work(), this.#lost.promise])
          if (signal.aborted) throw aborted()
        } catch (error) {
          if (signal.aborted) throw aborted()
          if (error instanceof Error && BROKEN.test(error.message)) this.#lose(`the engine broke (${error.message})`)
          throw error instanceof Error ? new EngineError(error.message) : error
        } finally {
          clearTimeout(grace)
          signal.removeEventListener('abort', cancel)
        }
      },
      options.signal,
    )
  }

  /** Runs one statement and keeps its whole answer. */
  async query(sql: string, options: QueryOptions = {}): Promise<Table> {
    let schema: Schema | undefined
    let batches: RecordBatch[] = []
    await this.stream(sql, {
      ...options,
      onSchema: (made) => {
        schema = made
        // A statement that was stopped for a better one begins anew.
        batches = []
      },
      onBatch: (batch) => void batches.push(batch),
    })
    if (schema === undefined) throw new EngineError('the statement has no answer')
    return { schema, batches }
  }

  async insertArrow(ipc: Uint8Array, table: string): Promise<void> {
    const insert = (): Promise<void> => this.#connection.insertArrowFromIPCStream(ipc, { name: table, create: true })
    await this.#queue.run('view', () => Promise.race([insert(), this.#lost.promise]))
  }

  close(): void {
    this.#closed = true
    this.#worker.terminate()
  }
}

/** A statement that DuckDB refused, with its own words. */
export class EngineError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'EngineError'
  }
}

const openDatabase = async (db: AsyncDuckDB): Promise<AsyncDuckDBConnection> => {
  // Exact values: no cast to double (9007199254740993 would lose its last digit), no cast to Date.
  await db.open({
    path: ':memory:',
    query: {
      queryPollingInterval: POLL_MILLISECONDS,
      castBigIntToDouble: false,
      castDecimalToDouble: false,
      castTimestampToDate: false,
      castDurationToTime64: false,
    },
    filesystem: { forceFullHTTPReads: false, allowFullHTTPReads: false, reliableHeadRequests: true },
  })
  const connection = await db.connect()
  // Extensions would come from the vendor's server, at first use and without a word.
  await connection.query('SET autoinstall_known_extensions = false')
  await connection.query('SET autoload_known_extensions = false')
  return connection
}

const startEngine = async (assets: EngineAssets): Promise<Engine> => {
  const duckdb = await import('@duckdb/duckdb-wasm')
  const absolute = (path: string): string => new URL(path, location.href).href
  const workerUrl = absolute(assets.duckdbWorker)
  // A worker of another origin is refused; a Blob worker that imports it is not.
  const ownUrl =
    new URL(workerUrl).origin === location.origin
      ? workerUrl
      : URL.createObjectURL(new Blob([`importScripts(${JSON.stringify(workerUrl)})`], { type: 'text/javascript' }))
  const worker = new Worker(ownUrl)
  try {
    const db = new duckdb.AsyncDuckDB(new duckdb.VoidLogger(), worker)
    await db.instantiate(absolute(assets.duckdbWasm), null)
    return new Engine(assets, worker, db, await openDatabase(db))
  } catch (error) {
    worker.terminate()
    throw error
  }
}

/** At most one engine waits, warm, for the next result. */
let warm: { assets: EngineAssets; engine: Promise<Engine> } | null = null

/** Starts the engine (2 to 3 s) while something else is waited for anyway. Repeating it costs nothing. */
export const warmUp = (assets: EngineAssets): void => {
  if (warm?.assets.duckdbWasm === assets.duckdbWasm) return
  const engine = startEngine(assets)
  const mine = { assets, engine }
  warm = mine
  engine.catch(() => {
    // A failed start is not kept: the next one tries again.
    if (warm === mine) warm = null
  })
}

/** The warm engine, which from now on is the caller's own; or a new one. */
export const takeEngine = async (assets: EngineAssets): Promise<Engine> => {
  warmUp(assets)
  const taken = warm
  warm = null
  if (taken === null) throw new EngineError('the engine did not start')
  return taken.engine
}

/** An engine that nothing was put into waits for the next result. */
export const giveBack = (engine: Engine): void => {
  if (warm !== null) engine.close()
  else warm = { assets: engine.assets, engine: Promise.resolve(engine) }
}

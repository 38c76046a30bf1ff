import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineFault } from '../engines/engine.ts'
import { engineFault, failureOf } from './faults.ts'
import type { Answers, BoundValue, Cell, ChildSettings, Described, FromChild, Op, Requests, Sandbox, ToChild } from './protocol.ts'

/** After this long without an answer to an interrupt the process is killed. */
export const INTERRUPT_GRACE_MILLISECONDS = 900
/** Closing a database takes milliseconds; a process that takes longer than this is killed. */
const RESET_GRACE_MILLISECONDS = 10_000
/** One for the running statement, the others for files and for closing. */
const WORK_POOL_THREADS = 4
const STDERR_CHARACTERS = 2_000
/** Room for what DuckDB does not count, beside a quarter of its own limit: threads, results on their way, small text heaps. */
const PROCESS_OVERHEAD_BYTES = 512 * 1024 ** 2

/** A child that keeps more than this of what it may take is no good for another statement. */
const KEPT_SHARE = 0.25

export interface ChildOptions {
  /** Threads of DuckDB. */
  threads: number
  /** DuckDB's own limit. The process may have a quarter more, and 512 MiB. */
  memoryLimitBytes: number
  /** Where the child's own folder for spilled data is made. */
  tempFolder: string
  maxSpillBytes: number | null
  /** `setTimeout`, but in tests: how long a machine takes to stop a statement must not decide what they see. */
  after?: (ms: number, run: () => void) => Timer
}

/** What a piece of work may do with a child while it holds it. */
export interface DuckdbSession {
  /** DuckDB's version. */
  readonly version: string
  /** Describes one SELECT without running it; refuses any other statement. `values` null: without arguments. */
  describe(sql: string, values: BoundValue[] | null): Promise<Described>
  /** Runs one statement of ours. Rows come whole: for small answers only. */
  run(sql: string, values?: BoundValue[]): Promise<Cell[][]>
  /** Size and SHA-256 of a file, hashed in the child. */
  digest(path: string): Promise<{ bytes: number; sha256: string }>
  /** Statements may read `path` from `pipe` (made here) while it grows; `grown` says how far it is. Linux only. */
  follow(path: string, pipe: string): Promise<void>
  grown(bytes: number, ended: boolean): void
  /** Hears of the running statement's progress, a few times a second. */
  onProgress: ((percent: number | null, rows: number | null) => void) | null
}

type Waiting = { resolve(answer: unknown): void; reject(error: Error): void }

/** A DuckDB child process as its parent sees it. */
export class DuckdbChild implements DuckdbSession {
  readonly #process: Bun.Subprocess
  readonly #folder: string
  readonly #after: NonNullable<ChildOptions['after']>
  readonly #memoryLimitBytes: number
  readonly #growthLimitBytes: number
  readonly #waiting = new Map<number, Waiting>()
  #version = ''
  #next = 1
  #signal: AbortSignal | null = null
  #stderr = ''
  /** Why we killed it; null while we did not. */
  #fate: EngineFault | null = null
  #dead = false
  onProgress: ((percent: number | null, rows: number | null) => void) | null = null
  /** How the last work was stopped; null when it was not. */
  stopped: 'interrupted' | 'killed' | null = null

  private constructor(options: ChildOptions, folder: string, ready: Waiting) {
    const settings: ChildSettings = {
      parent: process.pid,
      threads: options.threads,
      memoryLimitBytes: options.memoryLimitBytes,
      growthLimitBytes: Math.ceil(options.memoryLimitBytes * 1.25) + PROCESS_OVERHEAD_BYTES,
      tempFolder: folder,
      maxSpillBytes: options.maxSpillBytes,
    }
    this.#folder = folder
    this.#memoryLimitBytes = settings.memoryLimitBytes
    this.#growthLimitBytes = settings.growthLimitBytes
    this.#after = options.after ?? ((ms, run) => setTimeout(run, ms))
    this.#process = Bun.spawn([process.execPath, '--no-install', join(import.meta.dir, 'child.ts'), JSON.stringify(settings)], {
      cwd: folder,
      // Nothing of the node's environment: it may hold passwords of sources.
      // A crash of a child is ours to report, not the runtime's to send away.
      env: { UV_THREADPOOL_SIZE: String(WORK_POOL_THREADS), HOME: folder, TZ: 'UTC', DO_NOT_TRACK: '1', BUN_ENABLE_CRASH_REPORTING: '0' },
      stdio: ['ignore', 'ignore', 'pipe'],
      serialization: 'advanced',
      ipc: (message: FromChild) => this.#hear(message, ready),
      onExit: (child, code) => this.#ended(ready, child.signalCode === null ? `exit code ${code}` : `signal ${child.signalCode}`),
    })
    void this.#listen()
  }

  /** Starts a child and waits until it can take work. Throws EngineFault. */
  static async start(options: ChildOptions): Promise<DuckdbChild> {
    await mkdir(options.tempFolder, { recursive: true })
    const folder = await mkdtemp(join(options.tempFolder, `duckdb-${process.pid}-`))
    const ready = Promise.withResolvers<unknown>()
    const child = new DuckdbChild(options, folder, ready)
    await ready.promise
    return child
  }

  get pid(): number {
    return this.#process.pid
  }

  get version(): string {
    return this.#version
  }

  get alive(): boolean {
    return !this.#dead && this.#fate === null
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<number> {
    return this.#process.exited
  }

  async #listen(): Promise<void> {
    const stream = this.#process.stderr
    if (!(stream instanceof ReadableStream)) return
    const decoder = new TextDecoder()
    for await (const chunk of stream) this.#stderr = (this.#stderr + decoder.decode(chunk)).slice(-STDERR_CHARACTERS)
  }

  #hear(message: FromChild, ready: Waiting): void {
    if (message.kind === 'ready') {
      this.#version = message.version
      ready.resolve(null)
    } else if (message.kind === 'progress') {
      this.onProgress?.(message.percent, message.rows)
    } else {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.kind === 'answer') waiting?.resolve(message.answer)
      else waiting?.reject(new EngineFault(failureOf(message.code, message.message)))
    }
  }

  #ended(ready: Waiting, how: string): void {
    this.#dead = true
    const memory = /allocate|bad_alloc|out of memory/i.test(this.#stderr)
    const fault =
      this.#fate ??
      (memory
        ? engineFault('limit', 'out_of_memory', 'the DuckDB process ended because it needed more memory than the node allows')
        : engineFault(
            'internal',
            'engine_crashed',
            `the DuckDB process ended in the middle of its work (${how}) ${this.#stderr.trim().slice(-500)}`.trim(),
          ))
    ready.reject(fault)
    for (const waiting of this.#waiting.values()) waiting.reject(fault)
    this.#waiting.clear()
    void rm(this.#folder, { recursive: true, force: true })
  }

  #post(message: ToChild): void {
    this.#process.send(message)
  }

  async #request<O extends Op>(op: O, request: Requests[O]): Promise<Answers[O]> {
    if (this.#signal?.aborted === true && op !== 'close') throw this.#cancelled()
    if (!this.alive) throw engineFault('internal', 'engine_crashed', 'the DuckDB process has ended')
    const id = this.#next++
    const answer = Promise.withResolvers<Answers[O]>()
    this.#waiting.set(id, answer as Waiting)
    this.#post({ op, id, request } as ToChild)
    return answer.promise
  }

  #cancelled(): EngineFault {
    return engineFault('cancelled', 'cancelled', 'the statement was interrupted')
  }

  describe(sql: string, values: BoundValue[] | null): Promise<Described> {
    return this.#request('describe', { sql, values })
  }

  async run(sql: string, values: BoundValue[] = []): Promise<Cell[][]> {
    return (await this.#request('run', { sql, values })).rows
  }

  digest(path: string): Promise<{ bytes: number; sha256: string }> {
    return this.#request('digest', { path })
  }

  async follow(path: string, pipe: string): Promise<void> {
    await this.#request('follow', { path, pipe })
  }

  grown(bytes: number, ended: boolean): void {
    if (this.alive) this.#post({ op: 'grown', bytes, ended })
  }

  /**
   * Does one piece of work in a fresh database behind `sandbox`. When `signal` fires, the running statement is interrupted;
   * if it does not stop in time, the process is killed. Either way the promise settles within a second of the signal.
   */
  async work<T>(sandbox: Sandbox, signal: AbortSignal, body: (session: DuckdbSession) => Promise<T>): Promise<T> {
    this.stopped = null
    this.#signal = signal
    let last: Timer | null = null
    const stop = (): void => {
      if (this.#waiting.size === 0) return
      this.stopped = 'interrupted'
      if (this.alive) this.#post({ op: 'interrupt' })
      last = this.#after(INTERRUPT_GRACE_MILLISECONDS, () => {
        this.stopped = 'killed'
        this.kill(engineFault('cancelled', 'cancelled', 'the statement did not stop within a second, so its DuckDB process was killed'))
      })
    }
    signal.addEventListener('abort', stop, { once: true })
    try {
      if (signal.aborted) throw this.#cancelled()
      await this.#request('open', sandbox)
      return await body(this)
    } finally {
      signal.removeEventListener('abort', stop)
      if (last !== null) clearTimeout(last)
      this.#signal = null
      this.onProgress = null
    }
  }

  /**
   * Drops the database of the last work and prepares the next one. Answers whether another work finds about as much
   * memory here as in a new process.
   */
  async reset(): Promise<boolean> {
    // One that cannot let go of a database keeps whoever waits for a child waiting.
    const late = setTimeout(() => this.kill(), RESET_GRACE_MILLISECONDS)
    try {
      const { rssBytes, grownBytes } = await this.#request('close', {})
      return rssBytes <= this.#memoryLimitBytes && grownBytes <= this.#growthLimitBytes * KEPT_SHARE
    } finally {
      clearTimeout(late)
    }
  }

  /** Ends the process at once; work that it still has fails with `fate`. */
  kill(fate: EngineFault = engineFault('lost', 'engine_closed', 'the node ended its DuckDB process')): void {
    if (!this.alive) return
    this.#fate = fate
    this.#process.kill('SIGKILL')
  }
}

import { readdir, rm } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { EngineFault } from '../engines/engine.ts'
import { engineFault } from './faults.ts'
import type { Sandbox } from './protocol.ts'
import { type ChildOptions, DuckdbChild, type DuckdbSession } from './session.ts'

export interface PoolOptions extends Partial<Omit<ChildOptions, 'tempFolder'>> {
  /** A folder for spilled data, of this node alone. */
  tempFolder: string
  /** How many children run at most; further work waits its turn. Default 2. */
  max?: number
  /** How many wait ready when there is nothing to do. Default 2, or `max`. */
  warm?: number
}

/** A child is replaced after so many pieces of work: whatever leaks does not grow for ever. */
const MAX_WORKS = 1_000
const LINGER_MILLISECONDS = 60_000
/** A share of the machine's memory for all children of a node together. */
const MEMORY_SHARE = 0.5
const MIN_MEMORY_BYTES = 256 * 1024 ** 2

const engineClosed = (): EngineFault => engineFault('lost', 'engine_closed', 'the node is shutting its DuckDB processes down')

/** Removes what children of dead nodes left behind. */
const removeStale = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const pid = /^duckdb-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || Number(pid) === process.pid) continue
    try {
      process.kill(Number(pid), 0)
    } catch {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}

/**
 * Warm DuckDB children, one piece of work each at a time. A child that crashes or is killed costs the work it had, and is
 * replaced. All children end with this process.
 */
export class DuckdbPool {
  readonly #options: ChildOptions
  readonly #max: number
  readonly #warm: number
  readonly #idle: DuckdbChild[] = []
  readonly #works = new WeakMap<DuckdbChild, number>()
  readonly #all = new Set<DuckdbChild>()
  readonly #waiting: ((child: DuckdbChild | EngineFault) => void)[] = []
  /** How to get children back that work ahead of need, the longest lent first. */
  readonly #lent = new Set<() => void>()
  #starting = 0
  /** Children that have finished their work and will be free in a few milliseconds. */
  #resetting = 0
  #closed = false

  constructor(options: PoolOptions) {
    this.#max = options.max ?? 2
    this.#warm = Math.min(options.warm ?? 2, this.#max)
    this.#options = {
      tempFolder: options.tempFolder,
      threads: options.threads ?? availableParallelism(),
      memoryLimitBytes: options.memoryLimitBytes ?? Math.max(MIN_MEMORY_BYTES, Math.floor((totalmem() * MEMORY_SHARE) / this.#max)),
      maxSpillBytes: options.maxSpillBytes ?? null,
      ...(options.after === undefined ? {} : { after: options.after }),
    }
  }

  /** Starts the warm children; resolves when the first one is ready. Throws EngineFault when none can be started. */
  async start(): Promise<void> {
    await removeStale(this.#options.tempFolder)
    const starts = Array.from({ length: Math.max(1, this.#warm) }, () => this.#spawn())
    const first = await Promise.any(starts).catch((error: unknown) => {
      throw error instanceof AggregateError ? error.errors[0] : error
    })
    for (const start of starts) start.then((child) => this.#give(child)).catch(() => undefined)
    void first
  }

  /** Process ids of the children, for tests and for the node's own account of itself. */
  get pids(): number[] {
    return [...this.#all].map((child) => child.pid)
  }

  async #spawn(): Promise<DuckdbChild> {
    this.#starting++
    try {
      const child = await DuckdbChild.start(this.#options)
      this.#all.add(child)
      void child.exited.then(() => this.#lost(child))
      if (this.#closed) child.kill()
      return child
    } finally {
      this.#starting--
    }
  }

  #lost(child: DuckdbChild): void {
    this.#all.delete(child)
    const place = this.#idle.indexOf(child)
    if (place >= 0) this.#idle.splice(place, 1)
    this.#refill()
  }

  /** Starts a child for work that waits, unless one is about to be free; otherwise as many as shall stay warm. */
  #refill(): void {
    if (this.#closed) return
    const short = this.#waiting.length > this.#resetting + this.#starting
    if (this.#all.size + this.#starting >= (short ? this.#max : this.#warm)) {
      if (short) this.#recall()
      return
    }
    this.#spawn().then(
      (child) => this.#give(child),
      (error: unknown) =>
        this.#waiting.shift()?.(error instanceof EngineFault ? error : engineFault('internal', 'engine_start', String(error))),
    )
  }

  #recall(): void {
    const [recall] = this.#lent
    if (recall === undefined) return
    this.#lent.delete(recall)
    recall()
  }

  #give(child: DuckdbChild): void {
    if (!child.alive) return
    const next = this.#waiting.shift()
    if (next !== undefined) {
      next(child)
      return
    }
    if (this.#idle.includes(child)) return
    this.#idle.push(child)
    if (this.#idle.length > this.#warm) this.#retireLater()
  }

  /** More than the warm ones stay for a while: the next burst should not wait for starts. The least used one goes. */
  #retireLater(): void {
    setTimeout(() => {
      if (this.#idle.length > this.#warm) this.#idle.shift()?.kill()
    }, LINGER_MILLISECONDS).unref()
  }

  async #take(signal: AbortSignal): Promise<DuckdbChild> {
    for (;;) {
      if (this.#closed) throw engineClosed()
      const idle = this.#idle.pop()
      if (idle?.alive === true) return idle
      if (idle !== undefined) continue
      const child = await this.#turn(signal)
      if (child instanceof EngineFault) throw child
      if (child.alive) return child
    }
  }

  #turn(signal: AbortSignal): Promise<DuckdbChild | EngineFault> {
    const turn = Promise.withResolvers<DuckdbChild | EngineFault>()
    const give = turn.resolve
    const leave = (): void => {
      const place = this.#waiting.indexOf(give)
      if (place < 0) return
      this.#waiting.splice(place, 1)
      turn.reject(engineFault('cancelled', 'cancelled', 'cancelled before the statement began'))
    }
    this.#waiting.push(give)
    this.#refill()
    signal.addEventListener('abort', leave, { once: true })
    return turn.promise.finally(() => signal.removeEventListener('abort', leave))
  }

  /**
   * Does `body` in a child, in a fresh database behind `sandbox`. Throws EngineFault: class `cancelled` when `signal` fired,
   * within a second of it; `internal` (`engine_crashed`) when the process ended; `limit` (`out_of_memory`).
   */
  async use<T>(
    sandbox: Sandbox,
    signal: AbortSignal,
    body: (session: DuckdbSession) => Promise<T>,
    stopped?: (how: 'interrupted' | 'killed') => void,
  ): Promise<T> {
    if (signal.aborted) throw engineFault('cancelled', 'cancelled', 'cancelled before the statement began')
    return this.#work(await this.#take(signal), sandbox, signal, body, stopped)
  }

  /**
   * As `use`, in a child that nobody else needs now; null when there is none. `recall` is called once when other work
   * waits for a child and no other can be had: `body` should then be stopped by `signal`.
   */
  lend<T>(sandbox: Sandbox, signal: AbortSignal, recall: () => void, body: (session: DuckdbSession) => Promise<T>): Promise<T> | null {
    if (this.#closed || signal.aborted) return null
    const child = this.#idle.findLast(({ alive }) => alive)
    if (child === undefined) return null
    this.#idle.splice(this.#idle.indexOf(child), 1)
    const mine = (): void => recall()
    this.#lent.add(mine)
    return this.#work(child, sandbox, signal, body).finally(() => this.#lent.delete(mine))
  }

  async #work<T>(
    child: DuckdbChild,
    sandbox: Sandbox,
    signal: AbortSignal,
    body: (session: DuckdbSession) => Promise<T>,
    stopped?: (how: 'interrupted' | 'killed') => void,
  ): Promise<T> {
    try {
      return await child.work(sandbox, signal, body)
    } finally {
      if (child.stopped !== null) stopped?.(child.stopped)
      void this.#release(child)
    }
  }

  async #release(child: DuckdbChild): Promise<void> {
    if (!child.alive) return
    const works = (this.#works.get(child) ?? 0) + 1
    this.#works.set(child, works)
    // A process may hold on to memory that no query uses, and would refuse it to the next one; so may one that has run for long.
    this.#resetting++
    const roomy = await child.reset().catch(() => false)
    this.#resetting--
    // Whoever waits was counting on a child that has died meanwhile.
    if (!child.alive) this.#refill()
    else if (this.#closed || works >= MAX_WORKS || !roomy) child.kill()
    else this.#give(child)
  }

  /** Ends every child, also those at work. */
  async close(): Promise<void> {
    this.#closed = true
    for (const leave of this.#waiting.splice(0)) leave(engineClosed())
    const children = [...this.#all]
    for (const child of children) child.kill()
    await Promise.all(children.map((child) => child.exited))
  }
}

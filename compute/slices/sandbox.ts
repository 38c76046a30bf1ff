import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { TOO_LONG } from './faults.ts'
import type { ChildAnswer, FromSandbox, SandboxSettings, SliceTask, ToSandbox } from './protocol.ts'

/** Statements at once in one child. Each holds threads of its work pool, which must be larger. */
const MAX_RUNNING = 4
const WORK_POOL_THREADS = 16
/** Questions that wait for one of those places; more are sent away at once. */
const MAX_WAITING = 64
/** After its interrupt a statement has this long to stop; then its process goes (a single vector call can take seconds). */
const INTERRUPT_GRACE_MILLISECONDS = 1_500
/** How often a busy child's memory is looked at; a string heap was seen to grow by 200 MB a second. */
const MEMORY_WATCH_MILLISECONDS = 100
const PAGE_BYTES = 4_096

interface Pending {
  settle(answer: ChildAnswer): void
  timer: Timer
}

type Death = 'memory' | 'timeout' | 'closed' | 'crash'

const failed = (code: Extract<ChildAnswer, { ok: false }>['code'], detail: string): ChildAnswer => ({ ok: false, code, detail })

/** The child process of one tenant. It never serves another one. */
export class Sandbox {
  readonly #process: Bun.Subprocess<'ignore', 'ignore', 'inherit'>
  readonly #settings: SandboxSettings
  readonly #pending = new Map<number, Pending>()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #next = 1
  #death: Death | null = null
  #guilty: number | null = null
  #watch: Timer | null = null
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>

  constructor(settings: SandboxSettings) {
    this.#settings = settings
    for (const folder of ['spill', 'answers']) {
      rmSync(join(settings.folder, folder), { recursive: true, force: true })
      mkdirSync(join(settings.folder, folder), { recursive: true, mode: 0o700 })
    }
    this.#process = Bun.spawn({
      cmd: [process.execPath, join(import.meta.dir, 'child.ts'), JSON.stringify(settings)],
      // Empty but for what the runtime needs: no secret of the node can be read from it.
      env: {
        UV_THREADPOOL_SIZE: String(WORK_POOL_THREADS),
        HOME: settings.folder,
        TMPDIR: join(settings.folder, 'spill'),
        TZ: 'UTC',
        // A crash is ours to report, not the runtime's.
        DO_NOT_TRACK: '1',
        BUN_ENABLE_CRASH_REPORTING: '0',
      },
      cwd: settings.folder,
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'inherit',
      serialization: 'json',
      ipc: (message: FromSandbox) => {
        if (message.kind === 'answer') this.#settle(message.id, message.answer)
      },
    })
    this.exited = this.#process.exited.then(() => this.#ended())
  }

  get pid(): number {
    return this.#process.pid
  }

  get alive(): boolean {
    return this.#death === null
  }

  /** Asks the child; always settles, at the latest a grace after the timeout. */
  async run(task: SliceTask, milliseconds: number): Promise<ChildAnswer> {
    const until = Date.now() + milliseconds
    if (this.#waiting.length >= MAX_WAITING) return failed('unavailable', `${MAX_WAITING} slices of this tenant wait already; ask again`)
    if (this.#running >= MAX_RUNNING) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
    try {
      if (!this.alive) return failed('unavailable', 'the slice sandbox was ended; ask again')
      const left = until - Date.now()
      if (left <= 0) return failed('slice_timeout', 'other slices of this tenant took all the time; ask again')
      return await this.#ask(task, left)
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  #ask(task: SliceTask, milliseconds: number): Promise<ChildAnswer> {
    const id = this.#next++
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#send({ op: 'interrupt', id })
        const pending = this.#pending.get(id)
        if (pending === undefined) return
        pending.timer = setTimeout(() => this.#kill('timeout', id), INTERRUPT_GRACE_MILLISECONDS)
      }, milliseconds)
      this.#pending.set(id, { settle: resolve, timer })
      this.#watch ??= setInterval(() => this.#look(), MEMORY_WATCH_MILLISECONDS)
      this.#send({ op: 'slice', id, task })
    })
  }

  forget(key: string): void {
    if (this.alive) this.#send({ op: 'forget', key })
  }

  async close(): Promise<void> {
    this.#kill('closed', null)
    await this.exited
  }

  #send(message: ToSandbox): void {
    try {
      this.#process.send(message)
    } catch {
      // Its end is on the way, and answers everything that is pending.
    }
  }

  #settle(id: number, answer: ChildAnswer): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    clearTimeout(pending.timer)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#stopWatch()
    pending.settle(answer)
  }

  #stopWatch(): void {
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#watch = null
  }

  /** DuckDB's limit does not count string heaps (seen: 8 GB under a limit of 500 MB), so the process itself is watched. */
  #look(): void {
    if (process.platform !== 'linux') return
    try {
      const resident = Number(readFileSync(`/proc/${this.#process.pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
      if (resident > this.#settings.processLimitBytes) this.#kill('memory', null)
    } catch {
      this.#stopWatch()
    }
  }

  #kill(why: Death, guilty: number | null): void {
    if (this.#death !== null) return
    this.#death = why
    this.#guilty = guilty
    this.#process.kill('SIGKILL')
  }

  #ended(): void {
    this.#stopWatch()
    this.#death ??= 'crash'
    const alone = this.#pending.size === 1
    for (const id of [...this.#pending.keys()]) this.#settle(id, this.#lastWord(id, alone))
  }

  /** Only who certainly did it is told so; the others may ask again. */
  #lastWord(id: number, alone: boolean): ChildAnswer {
    if (this.#death === 'timeout' && id === this.#guilty) return failed('slice_timeout', TOO_LONG)
    if (alone && this.#death === 'memory')
      return failed(
        'slice_failed',
        `the slice needs more than ${Math.floor(this.#settings.processLimitBytes / 1024 / 1024)} MiB of memory: ask for fewer rows or groups`,
      )
    if (alone && this.#death === 'crash') return failed('slice_failed', 'the engine stopped while it computed this slice')
    return failed('unavailable', 'the slice sandbox was ended; ask again')
  }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { openLog } from './folder.ts'

/** A child that died is started again after 0.2 s, 0.4 s, … at most 10 s; one that lived this long begins anew. */
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000
const STEADY_MS = 30_000
/** What a drained child gets beyond its drain time before it is killed. */
const KILL_AFTER_MS = 2_000
/** So much of what a child said last is kept for the report of its death. */
const MAX_WORDS = 2_000

export interface SupervisedChild {
  pid(): number | null
  /** Ends it: SIGTERM, its drain time, then SIGKILL. */
  stop(drainSeconds: number): Promise<void>
  /** No drain. */
  kill(): void
}

export interface ChildOptions {
  command: string
  args: string[]
  env: Record<string, string | undefined>
  log: string
  /** Told each line of its standard output. */
  said?(line: string): void
  /** Told at every death that was not asked for, with the last line it said on stderr; `pauseMs` is infinite when it is not started again. */
  died(why: string, pauseMs: number): void
  /** Whether starting again after this exit code makes no sense. */
  final?(code: number): boolean
}

/** Keeps one process running. Its stdin is a pipe that nobody writes: the end of it tells the child that we are gone. */
export const supervise = (options: ChildOptions): SupervisedChild => {
  const log = openLog(options.log)
  let child: ChildProcess | null = null
  let stopping = false
  let pause = FIRST_PAUSE_MS
  let timer: NodeJS.Timeout | undefined

  const start = (): void => {
    const began = Date.now()
    let words = ''
    let settled = false
    const born = spawn(options.command, options.args, { stdio: ['pipe', 'pipe', 'pipe'], env: options.env, detached: true })
    child = born
    born.stdout?.pipe(log, { end: false })
    born.stderr?.pipe(log, { end: false })
    const { said } = options
    if (said && born.stdout) createInterface({ input: born.stdout }).on('line', said)
    born.stderr?.on('data', (bytes: Buffer) => {
      words = (words + bytes.toString('utf8')).slice(-MAX_WORDS)
    })
    const ended = (why: string, code: number | null): void => {
      if (settled) return
      settled = true
      if (child === born) child = null
      if (stopping) return
      const final = code !== null && options.final?.(code) === true
      if (Date.now() - began > STEADY_MS) pause = FIRST_PAUSE_MS
      // What it said before it gave up is for a person to read; else the last line is enough.
      const said = final ? words.trim() : (words.trim().split('\n').at(-1) ?? '')
      options.died(said === '' ? why : final ? said : `${why}: ${said}`, final ? Number.POSITIVE_INFINITY : pause)
      if (final) return
      timer = setTimeout(start, pause)
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
    }
    born.once('error', (fault) => ended(fault.message, null))
    born.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`, code))
  }
  start()

  return {
    pid: () => child?.pid ?? null,
    kill: () => {
      stopping = true
      clearTimeout(timer)
      child?.kill('SIGKILL')
    },
    stop: async (drainSeconds) => {
      stopping = true
      clearTimeout(timer)
      const last = child
      if (last && last.exitCode === null && last.signalCode === null) {
        const gone = new Promise<void>((resolve) => last.once('exit', () => resolve()))
        last.kill('SIGTERM')
        const deadline = setTimeout(() => last.kill('SIGKILL'), drainSeconds * 1000 + KILL_AFTER_MS)
        await gone
        clearTimeout(deadline)
      }
      await new Promise<void>((resolve) => log.end(resolve))
    },
  }
}

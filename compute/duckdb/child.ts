/** The DuckDB child: a process of its own, because a crash or a kill must cost one job and not the node. */
import { ChildFault, Database } from './database.ts'
import { Follower } from './follower.ts'
import { limitProcess, mappedBytes } from './process-limits.ts'
import type { Answers, ChildSettings, FromChild, Op, ToChild } from './protocol.ts'

/** An interrupt that arrives before the query has really begun is lost, so it is repeated. */
const INTERRUPT_MILLISECONDS = 50
const PROGRESS_MILLISECONDS = 250

const settings: ChildSettings = JSON.parse(process.argv[2] ?? '{}')

const die = (): never => {
  // Not process.exit: it would wait for native threads that a running query holds.
  process.kill(process.pid, 'SIGKILL')
  process.exit(1)
}
process.on('disconnect', die)
const bornBytes = mappedBytes()
limitProcess(settings.parent, settings.growthLimitBytes)
// DuckDB's calls run on the process's work pool, which has as many threads as processors: with two queries, even
// reading a file would wait. Only whoever spawns can widen it.
if (process.env.UV_THREADPOOL_SIZE === undefined) {
  console.error('UV_THREADPOOL_SIZE is not set')
  process.exit(1)
}

const send = (message: FromChild): void => {
  process.send?.(message)
}

let next = Database.create(settings)
let current: Database | null = null
let follower: Follower | null = null
let busy = 0
let interrupting: Timer | null = null

const opened = (): Database => {
  if (current === null) throw new ChildFault('sandbox', 'no database is open')
  return current
}

const digest = async (path: string): Promise<Answers['digest']> => {
  const hash = new Bun.CryptoHasher('sha256')
  let bytes = 0
  for await (const chunk of Bun.file(path).stream()) {
    hash.update(chunk)
    bytes += chunk.byteLength
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Reports the running statement's progress, when it changed. */
const watch = (database: Database): Timer => {
  let last: number | null = null
  return setInterval(() => {
    const { percent, rows } = database.progress
    if (percent === null || percent === last) return
    last = percent
    send({ kind: 'progress', percent, rows })
  }, PROGRESS_MILLISECONDS)
}

const perform = async (message: Exclude<ToChild, { op: 'interrupt' | 'grown' }>): Promise<Answers[Op]> => {
  switch (message.op) {
    case 'open': {
      const database = await next
      current = database
      await database.open(message.request)
      return null
    }
    case 'describe':
      return opened().describe(message.request.sql, message.request.values)
    case 'run': {
      const timer = watch(opened())
      try {
        return { rows: await opened().run(message.request.sql, message.request.values) }
      } finally {
        clearInterval(timer)
      }
    }
    case 'digest':
      return digest(message.request.path)
    case 'follow':
      follower = await Follower.open(message.request.path, message.request.pipe, die)
      return null
    case 'close': {
      follower?.stop()
      follower = null
      current?.close()
      current = null
      process.chdir(settings.tempFolder)
      next = Database.create(settings)
      return { rssBytes: process.memoryUsage.rss(), grownBytes: mappedBytes() - bornBytes }
    }
  }
}

const settle = (): void => {
  busy--
  if (busy === 0 && interrupting !== null) {
    clearInterval(interrupting)
    interrupting = null
  }
}

/** The connection takes one statement at a time; hashing a file does not wait for it. */
let line: Promise<unknown> = Promise.resolve()

process.on('message', (message: ToChild) => {
  if (message.op === 'interrupt') {
    if (busy > 0 && interrupting === null) interrupting = setInterval(() => current?.interrupt(), INTERRUPT_MILLISECONDS)
    if (busy > 0) current?.interrupt()
    // Behind the interrupt: a statement that waits at the pipe cannot hear it, and must not take its end for the data's.
    follower?.stop()
    return
  }
  if (message.op === 'grown') {
    follower?.grown(message.bytes, message.ended)
    return
  }
  busy++
  const work = message.op === 'digest' ? perform(message) : line.then(() => perform(message))
  if (message.op !== 'digest') line = work.catch(() => undefined)
  work
    .then(
      (answer) => send({ kind: 'answer', id: message.id, answer }),
      (error: unknown) =>
        send({
          kind: 'error',
          id: message.id,
          code: error instanceof ChildFault ? error.code : null,
          message: error instanceof Error ? error.message : String(error),
        }),
    )
    .finally(settle)
    .catch(die)
})

const first = await next
send({ kind: 'ready', version: await first.version })

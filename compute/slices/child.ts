/**
 * The slice child: one tenant's questions, in a process that has nothing else. It opens files that the node downloaded,
 * each result in a locked database of its own, and keeps the last few open, because the next question is about the same result.
 */
import type { DuckDBConnection } from '@duckdb/node-api'
import { limitProcess } from '../duckdb/process-limits.ts'
import { answer } from './answer.ts'
import { faultOf, PackUnusable, TOO_LONG } from './faults.ts'
import { Outlet } from './outlet.ts'
import type { ChildAnswer, FromSandbox, SandboxSettings, SliceTask, ToSandbox } from './protocol.ts'
import { Relation } from './relation.ts'
import { refuseSystemCalls } from './syscalls.ts'

/** Results kept open. */
const MAX_OPEN_RESULTS = 3
/** An interrupt that arrives before the query has really begun is lost, so it is repeated. */
const INTERRUPT_MILLISECONDS = 50
/** A slice has at most MAX_SLICE_ROWS rows, but a row may be of any width. */
const MAX_SLICE_BYTES = 512 * 1024 * 1024
const MAX_WHOLE_BYTES = 16 * 1024 * 1024 * 1024

const settings: SandboxSettings = JSON.parse(process.argv[2] ?? '{}')

const die = (): never => {
  // Not process.exit: it would wait for native threads that a running query holds.
  process.kill(process.pid, 'SIGKILL')
  process.exit(1)
}
process.on('disconnect', die)
limitProcess(settings.parent, settings.processLimitBytes)
// After the imports: loading DuckDB's library is over.
if (!refuseSystemCalls() && process.platform === 'linux') console.error('slices: this kernel takes no seccomp filter')

const send = (message: FromSandbox): void => {
  process.send?.(message)
}

/** Open relations by key, the one used last at the end. */
const open = new Map<string, { relation: Promise<Relation>; users: number }>()

const close = (key: string): void => {
  const found = open.get(key)
  if (found === undefined || found.users > 0) return
  open.delete(key)
  found.relation.then((relation) => relation.close()).catch(() => undefined)
}

const relationOf = (task: SliceTask): { relation: Promise<Relation>; users: number } => {
  const { key } = task.result
  let found = open.get(key)
  open.delete(key)
  found ??= { relation: Relation.open(task.result, settings, `spill/${key}`), users: 0 }
  found.users++
  open.set(key, found)
  for (const other of open.keys()) if (open.size > MAX_OPEN_RESULTS && other !== key) close(other)
  return found
}

const running = new Map<number, { connection: DuckDBConnection | null; interrupted: boolean; timer: Timer | null }>()

const interrupt = (id: number): void => {
  const run = running.get(id)
  if (run === undefined || run.timer !== null) return
  run.interrupted = true
  run.connection?.interrupt()
  run.timer = setInterval(() => run.connection?.interrupt(), INTERRUPT_MILLISECONDS)
}

const slice = async (id: number, task: SliceTask): Promise<ChildAnswer> => {
  const run: { connection: DuckDBConnection | null; interrupted: boolean; timer: Timer | null } = {
    connection: null,
    interrupted: false,
    timer: null,
  }
  running.set(id, run)
  const held = relationOf(task)
  const outlet = new Outlet(task.answerFile, task.maxBodyBytes, task.scope === 'all' ? MAX_WHOLE_BYTES : MAX_SLICE_BYTES)
  try {
    const relation = await held.relation
    await relation.use(async (connection) => {
      run.connection = connection
      try {
        await answer(connection, relation, task, outlet)
      } finally {
        run.connection = null
      }
    })
    return await outlet.end()
  } catch (error) {
    await outlet.discard()
    if (run.interrupted) return { ok: false, code: 'slice_timeout', detail: TOO_LONG }
    if (error instanceof PackUnusable) return { ok: false, code: 'pack_unusable', detail: error.message }
    return faultOf(error, settings.folder)
  } finally {
    if (run.timer !== null) clearInterval(run.timer)
    running.delete(id)
    held.users--
    // A relation that could not be opened must not be remembered as one.
    held.relation.catch(() => open.delete(task.result.key))
  }
}

process.on('message', (message: ToSandbox) => {
  if (message.op === 'interrupt') interrupt(message.id)
  else if (message.op === 'forget') close(message.key)
  else
    slice(message.id, message.task)
      .then((made) => send({ kind: 'answer', id: message.id, answer: made }))
      .catch(die)
})

send({ kind: 'ready' })

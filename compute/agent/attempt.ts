import type { ResultSchema } from '../../edge/contract/columns.ts'
import type { NodeManifest } from '../../edge/contract/manifests.ts'
import type { Failure, Lease, Offer, UploadedFile } from '../../edge/contract/node.ts'
import { type Engine, EngineFault, type EngineName, type Produced, type Source, type SqlTask } from '../engines/engine.ts'
import { GrantRefused, uploadFile } from '../results/upload.ts'
import { EMBEDDED_DUCKDB } from '../tasks/sources.ts'
import { leanFiles } from './lean-files.ts'
import type { Reading } from './progress.ts'
import { Fenced, type Requests } from './requests.ts'
import type { AbortReason, Outcome } from './words.ts'

/** How long an engine may take to stop before its slot is given away and the cancel counts as not confirmed. */
const STOP_SECONDS = 30
/** `setTimeout` cannot wait longer (24 days). */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Why an attempt was stopped: asked from outside, or by its own deadline. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
  readonly reason: AbortReason | 'limit'
  constructor(reason: AbortReason | 'limit') {
    super(reason)
    this.reason = reason
  }
}

export interface AttemptTools {
  edge: URL
  task(offer: Offer): SqlTask | null
  source(name: string): Source | null
  engine(name: EngineName): Engine | null
  requests: Pick<Requests, 'schema' | 'grant'>
  /** Made already, unless the engine `makes` it. */
  folder(lease: Lease, makes: boolean): Promise<string>
  report(reading: Reading): void
  /** Milliseconds of a clock that never goes back. */
  clock(): number
}

export interface Attempt {
  outcome: Outcome
  /** What a pack can be made of, when the attempt completed with files. */
  produced: Produced | null
  schema: ResultSchema | null
}

type StageOfRun = 'planning' | 'executing' | 'uploading'

/** Runs one attempt to its end. Never throws: every fault becomes an outcome. `stop` is aborted with a `Stopped`. */
export const runAttempt = async (offer: Offer, sourceName: string, tools: AttemptTools, stop: AbortController): Promise<Attempt> => {
  const { signal } = stop
  let stage: StageOfRun = 'planning'
  let engine: Engine | null = null
  const limit = offer.max_runtime_seconds
  const deadline = limit === null ? undefined : setTimeout(() => stop.abort(new Stopped('limit')), Math.min(limit * 1000, LONGEST_TIMER_MS))
  try {
    const task = tools.task(offer)
    const source = tools.source(sourceName)
    engine = source && tools.engine(source.type)
    if (!task) throw fault('unknown_task', `this node has no task "${offer.task}"`, 'internal')
    if (!source) throw fault('unknown_source', `the node's configuration has no source "${sourceName}": add [db.${sourceName}]`, 'source')
    if (!engine) throw fault('unknown_engine', `source "${source.name}": this node has no engine for type "${source.type}"`, 'source')
    const running = engine
    const report = (phase: StageOfRun, percent: number | null, rows: number | null): void =>
      tools.report({ phase, percent, rows, engine: running.name })

    const began = tools.clock()
    report('planning', null, null)
    let schema = offer.schema
    if (schema === null) {
      const plan = await stoppable(running.plan(task, offer.args, source, signal), signal)
      schema = await tools.requests.schema(offer, plan.columns, signal)
    }
    const folder = await tools.folder(offer, running.makesFolder === true)
    signal.throwIfAborted()

    const planned = tools.clock()
    stage = 'executing'
    report('executing', null, null)
    const { tenant, job, attempt } = offer
    const produced = await stoppable(
      running.execute(
        { tenant, job, attempt, task, args: offer.args, source, schema, runDate: offer.run_date, folder, maxRuntimeSeconds: limit },
        { started: () => {}, progress: (percent, rows) => report('executing', percent, rows) },
        signal,
      ),
      signal,
    )
    clearTimeout(deadline)

    const executed = tools.clock()
    stage = 'uploading'
    report('uploading', null, produced.rows)
    const uploads = produced.inline ? [] : await upload(offer, produced, tools, signal)
    const uploaded = tools.clock()
    const manifest: NodeManifest = {
      schema,
      rows: produced.rows,
      files: leanFiles(
        produced.files.map(({ path: _path, ...file }) => file),
        schema.columns,
        task.partition_by,
      ),
      first_rows: produced.firstRows,
      engine: produced.engine,
      source: source.name === EMBEDDED_DUCKDB.name ? null : source.name,
      seconds: { planning: seconds(planned - began), executing: seconds(executed - planned), uploading: seconds(uploaded - executed) },
    }
    const item = JSON.stringify({ tenant, job, attempt, manifest, inline: produced.inline, uploads })
    return { outcome: { kind: 'complete', item }, produced: produced.inline ? null : produced, schema }
  } catch (reason) {
    return { outcome: outcomeOf(reason, offer, signal, stage, engine), produced: null, schema: null }
  } finally {
    clearTimeout(deadline)
  }
}

/** Uploads the files one after another; a grant that ran out meanwhile is asked for once more. */
const upload = async (offer: Offer, produced: Produced, tools: AttemptTools, signal: AbortSignal): Promise<UploadedFile[]> => {
  const asked = produced.files.map(({ n, bytes, sha256 }) => ({ kind: 'data' as const, n, bytes, sha256 }))
  const puts = asked.length > 0 ? await tools.requests.grant(offer, asked, signal) : []
  const uploads: UploadedFile[] = []
  for (const [index, file] of produced.files.entries()) {
    const want = asked[index]
    let put = puts.find((one) => one.kind === 'data' && one.n === file.n)
    if (!put || !want) throw fault('upload_failed', `the edge granted no upload for file ${file.n}`, 'internal')
    let done: UploadedFile | null
    try {
      done = await uploadFile(file.path, file.bytes, put, { edge: tools.edge, signal })
    } catch (reason) {
      if (!(reason instanceof GrantRefused)) throw reason
      ;[put] = await tools.requests.grant(offer, [want], signal)
      if (!put) throw reason
      done = await uploadFile(file.path, file.bytes, put, { edge: tools.edge, signal })
    }
    if (done) uploads.push(done)
  }
  return uploads
}

const outcomeOf = (reason: unknown, offer: Offer, signal: AbortSignal, stage: StageOfRun, engine: Engine | null): Outcome => {
  const stopped = signal.aborted && signal.reason instanceof Stopped ? signal.reason.reason : null
  if (stopped === 'fence' || stopped === 'drain' || reason instanceof Fenced) return { kind: 'stopped' }
  if (stopped === 'cancel') {
    if (stage === 'uploading') return { kind: 'cancelled', outcome: 'confirmed', reason: 'the query had ended; its result was dropped' }
    if (reason instanceof StillRunning) return { kind: 'cancelled', outcome: 'not_confirmed', reason: reason.message }
    const said = stage === 'executing' ? engine?.cancelled(offer) : undefined
    return { kind: 'cancelled', ...(said ?? { outcome: 'confirmed' as const, reason: 'the query had not begun' }) }
  }
  if (stopped === 'limit')
    return {
      kind: 'fail',
      failure: {
        code: 'max_runtime',
        message: `the query ran longer than ${offer.max_runtime_seconds} s (max_runtime of task "${offer.task}") and was stopped`,
        class: 'limit',
      },
    }
  return { kind: 'fail', failure: failureOf(reason) }
}

/** What the edge hears about a fault. Only `EngineFault` has words that were written for people. */
export const failureOf = (reason: unknown): Failure => {
  if (reason instanceof EngineFault) return { ...reason.failure, message: reason.failure.message.slice(0, 8_000) }
  if (reason instanceof GrantRefused)
    return { code: 'upload_refused', message: `an upload was refused: ${reason.message}`, class: 'internal' }
  const words = reason instanceof Error ? reason.message : String(reason)
  return { code: 'internal', message: `unexpected fault on the node: ${words}`.slice(0, 8_000), class: 'internal' }
}

class StillRunning extends Error {
  override readonly name = 'StillRunning'
}

/** Waits for the engine to stop by itself after the signal, but not for ever. */
const stoppable = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  let timer: Timer | undefined
  let onAbort: (() => void) | undefined
  const overdue = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(new StillRunning(`the engine did not stop within ${STOP_SECONDS} s`)), STOP_SECONDS * 1000)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, overdue])
  } finally {
    clearTimeout(timer)
    if (onAbort) signal.removeEventListener('abort', onAbort)
  }
}

const fault = (code: string, message: string, of: Failure['class']): EngineFault => new EngineFault({ code, message, class: of })
const seconds = (ms: number): number => Math.round(ms * 1000) / 1_000_000

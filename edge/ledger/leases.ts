import type { JobId, NodeId, PoolName, QueueName, SessionId } from '../contract/ids.ts'
import type { Failure, Lease } from '../contract/node.ts'
import { first } from '../storage/store.ts'
import { clearTimer, setTimer } from '../storage/timers.ts'
import { bind, type NodeTask } from './binding.ts'
import { isAbandoned, mayBegin, noteCancelled, takeLead } from './coalesce.ts'
import { type LedgerContext, moveOneTimer, setOneTimer } from './context.ts'
import { adopt, findJob, findJobs, isHolder, type JobRow, move, moves, type Step } from './jobs.ts'
import { openings, ruleOf } from './lane-rules.ts'
import { isEmptyLane, laneClosed, laneDrained, laneReady, laneUnsuited } from './lanes.ts'
import { MAX_OFFERS, SESSION_SECONDS } from './limits.ts'
import { fitting } from './read.ts'
import { backoff, mayRetry } from './retries.ts'
import { isHeld } from './states.ts'

/** Who speaks: one session of one node. */
export interface Holder {
  node: NodeId
  session: SessionId
}

export interface OfferedJob {
  job: JobId
  attempt: number
  task: string
  args: string
  db: string | null
  engine_hint: string | null
  family: string
  run_date: string
  max_runtime_seconds: number | null
  /** Slots that it takes on the node. */
  weight: number
  accept_by: number
}

export interface OfferRequest extends Holder {
  pool: PoolName
  queue: QueueName
  /** The node's own definitions, by name. */
  tasks: Record<string, NodeTask>
  /** Slots to fill. A job is offered while one of them is free, also when it takes more. */
  want: number
  offer_seconds: number
  /** The announcement by which the pool knows the lane; absent when offers ride on an answer. */
  seq?: number | undefined
}

/** The node's own properties only: a task may be called "constructor". */
const definitionOf = ({ tasks }: OfferRequest, name: string): NodeTask | undefined => (Object.hasOwn(tasks, name) ? tasks[name] : undefined)

export interface OfferAnswer {
  offers: OfferedJob[]
  /** Set when no job waits in the lane any more: the announcement that the pool may forget. */
  drained: number | null
  /** Nothing was looked at, for the node's tasks are not known here: ask again with their list. */
  untold?: boolean
}

/** Notes that a session holds something here, so that its silence will be noticed. */
export const touchSession = (context: LedgerContext, holder: Holder): void => {
  const now = context.now()
  const seen =
    context.memory.sessions.get(holder.session) ??
    first<{ renewed_at: number }>(context.store, 'SELECT renewed_at FROM sessions WHERE session = ?', holder.session)?.renewed_at
  // A row a minute is enough for a deadline of two and a half.
  if (seen !== undefined && seen > now - 60_000) return
  context.memory.sessions.set(holder.session, now)
  context.store.run(
    'INSERT INTO sessions (session, node, renewed_at) VALUES (?, ?, ?) ON CONFLICT (session) DO UPDATE SET renewed_at = excluded.renewed_at',
    holder.session,
    holder.node,
    now,
  )
  setTimer(context.store, 'session', holder.session, now + SESSION_SECONDS * 1000)
}

/** Offers the oldest waiting jobs of a lane that this node can run. Each offer raises the attempt's number: it is the fence. */
export const offer = (context: LedgerContext, request: OfferRequest): OfferAnswer => {
  // Whoever asks hears what is held as well: a pool in a new life knows nothing of it.
  if (ruleOf(context, request.queue).settings.reserve > 0) context.memory.counted.add(request.queue)
  // Offers that ride on an answer ask often where nothing waits.
  if (isEmptyLane(context, request.pool, request.queue)) return { offers: [], drained: laneDrained(context, request.pool, request.queue) }
  const most = openings(context, request.queue)
  if (most === 0) return { offers: [], drained: laneClosed(context, request.pool, request.queue) }
  const acceptBy = context.now() + request.offer_seconds * 1000
  const want = Math.min(request.want, MAX_OFFERS)
  const { jobs, more } = nextWaiting(context, request, want, most)
  const offers: OfferedJob[] = []
  // What shares the execution of one before it waits for that now, whatever its row at hand says.
  const led = new Set<string>()
  for (const row of jobs) {
    if (led.has(row.id)) continue
    const change = {
      attempt: row.attempt + 1,
      node: request.node,
      session: request.session,
      offer_by: acceptBy,
      task_hash: definitionOf(request, row.task)?.hash ?? null,
    }
    if (move(context, row, 'offer', change) !== 'moved') continue
    for (const id of takeLead(context, row)) led.add(id)
    offers.push({
      job: row.id as JobId,
      attempt: row.attempt,
      task: row.task,
      args: row.args,
      db: row.db,
      engine_hint: row.engine_hint,
      family: row.family,
      run_date: row.run_date,
      max_runtime_seconds: row.max_runtime_seconds,
      weight: row.weight,
      accept_by: acceptBy,
    })
  }
  if (offers.length > 0) {
    touchSession(context, request)
    // One timer for all offers: it fires for the oldest and looks at the rest.
    setOneTimer(context, 'offers', acceptBy)
  }
  if (!more) return { offers, drained: laneDrained(context, request.pool, request.queue) }
  if (openings(context, request.queue) === 0) return { offers, drained: laneClosed(context, request.pool, request.queue) }
  if (offers.length === 0 && request.want > 0 && request.seq !== undefined) laneUnsuited(context, request.pool, request.queue, request.seq)
  return { offers, drained: null }
}

interface WaitingRow extends Pick<JobRow, 'id' | 'task' | 'submitted_hash' | 'signature' | 'created_at'> {
  size: number
  weight: number
}

/** How many of the jobs fill so many slots: the last one may take more than are left. */
const filling = (rows: readonly { weight: number }[], slots: number): number => {
  let left = slots
  let count = 0
  for (const { weight } of rows) {
    if (left <= 0) break
    left -= weight
    count += 1
  }
  return count
}

/** How many jobs are looked through for those that a node can run, when others stand before them. */
const LOOK = 1_000

/**
 * The first jobs of a lane that the node can run, as many as it wants and one message carries, at most `most`; `more`: others
 * wait besides.
 * Jobs whose task was redefined since they came fail here: their arguments fit parameters that are gone.
 */
const nextWaiting = (context: LedgerContext, request: OfferRequest, want: number, most: number): { jobs: JobRow[]; more: boolean } => {
  const waiting = (limit: number, where = '', ...values: string[]): WaitingRow[] =>
    context.store.all<WaitingRow>(
      `SELECT id, task, submitted_hash, signature, created_at, length(args) AS size, weight FROM jobs
       WHERE state = 'waiting' AND pool = ? AND queue = ? ${where} ORDER BY priority DESC, id LIMIT ?`,
      request.pool,
      request.queue,
      ...values,
      limit,
    )
  const judge = (row: WaitingRow): ReturnType<typeof bind> => {
    const task = definitionOf(request, row.task)
    return task ? bind(row, task) : 'stale'
  }
  let seen = waiting(want + 1)
  let more = seen.length > want
  let suited = seen.filter((row) => judge(row) === 'bound')
  // Jobs that this node cannot run stand before those that it can.
  if (suited.length < want && more) {
    seen = waiting(LOOK, 'AND task IN (SELECT value FROM json_each(?))', JSON.stringify(Object.keys(request.tasks)))
    suited = seen.filter((row) => judge(row) === 'bound')
  }
  let failed = 0
  if (want > 0) for (const row of seen) if (judge(row) === 'changed' && failTaskChanged(context, row.id)) failed++
  const taken = suited.slice(0, Math.min(filling(suited, want), fitting(suited), most))
  more ||= seen.length > taken.length + failed
  return {
    jobs: findJobs(
      context,
      taken.map(({ id }) => id),
    ),
    more,
  }
}

const failTaskChanged = (context: LedgerContext, id: string): boolean => {
  const row = findJob(context, id)
  if (!row) return false
  const error = {
    code: 'task_changed',
    message: `The task "${row.task}" was redefined, with other parameters or another result, after this job was submitted. Submit it again.`,
  }
  return (
    move(context, row, 'fail', { error_code: error.code, error_message: error.message, error_class: 'arguments' }, { error }) === 'moved'
  )
}

export type LeaseVerdict = 'ok' | 'fenced' | 'cancelled'

export const verdictFor = (row: JobRow | undefined): LeaseVerdict => (row?.state === 'cancelled' ? 'cancelled' : 'fenced')

/** The node takes offers. With `start` the attempt begins at once, in the same transaction. */
export const accept = (context: LedgerContext, holder: Holder, items: { job: JobId; attempt: number; start: boolean }[]): LeaseVerdict[] =>
  items.map(({ job, attempt, start }) => {
    const row = findJob(context, job)
    if (!isHolder(row, attempt, holder.session)) return verdictFor(row)
    const taken = { input: 'accept', change: { offer_by: null }, body: { attempt } } as const
    const verdict = moves(context, row, start ? [taken, beginning(context, row)] : [taken])
    return verdict === 'moved' || verdict === 'ignored' ? 'ok' : verdictFor(row)
  })

/** From here on the attempt burns a try (architecture, section 2: tries). */
const beginning = (context: LedgerContext, row: JobRow): Step => ({
  input: 'start',
  change: { tries: row.tries + 1, started_at: row.started_at ?? context.now() },
  body: { attempt: row.attempt },
})

const begin = (context: LedgerContext, row: JobRow): LeaseVerdict => {
  const verdict = moves(context, row, [beginning(context, row)])
  return verdict === 'moved' || verdict === 'ignored' ? 'ok' : verdictFor(row)
}

export const start = (context: LedgerContext, holder: Holder, items: { job: JobId; attempt: number }[]): LeaseVerdict[] =>
  items.map(({ job, attempt }) => {
    const row = findJob(context, job)
    return isHolder(row, attempt, holder.session) ? begin(context, row) : verdictFor(row)
  })

/** The job waits again, for any node. */
const release = { node: null, session: null, offer_by: null } as const

/** The holder gives back what it does not want or cannot finish: burns no try. */
export const handBack = (
  context: LedgerContext,
  holder: Holder,
  items: { job: JobId; attempt: number; reason: string }[],
): LeaseVerdict[] =>
  items.map(({ job, attempt, reason }) => {
    const row = findJob(context, job)
    if (!isHolder(row, attempt, holder.session)) return verdictFor(row)
    if (row.cancel_at !== null && (row.state !== 'carrying' || isAbandoned(context, row)))
      return stopHeld(context, row, 'confirmed', `the node gave the job back: ${reason}`)
    const tries = row.state === 'running' ? row.tries - 1 : row.tries
    const verdict = move(context, row, 'hand_back', { ...release, tries }, { reason })
    if (verdict === 'moved' && row.state === 'waiting') laneReady(context, row.pool, row.queue)
    return verdict === 'moved' ? 'ok' : verdictFor(row)
  })

/** Ends a held job as cancelled and says what is known of its query. I8. */
export const stopHeld = (
  context: LedgerContext,
  row: JobRow,
  outcome: 'confirmed' | 'not_confirmed',
  reason: string | null,
): LeaseVerdict => {
  clearTimer(context.store, 'cancel', row.id)
  if (row.state === 'carrying') noteCancelled(context, row.id, outcome, reason)
  const verdict = move(
    context,
    row,
    'stop',
    { ...release, cancel_outcome: outcome, cancel_reason: reason },
    { cancel: outcome, ...(reason ? { reason } : {}) },
  )
  return verdict === 'moved' ? 'ok' : verdictFor(row)
}

/** The attempt ended without the job's fault: tried again while tries are left. */
export const lose = (context: LedgerContext, row: JobRow, failure: Failure): void => {
  if (row.cancel_at !== null && (row.state === 'leased' || row.state === 'running' || isAbandoned(context, row))) {
    stopHeld(context, row, 'not_confirmed', failure.message)
    return
  }
  const last = row.state === 'running' && !mayRetry(row.tries, row.max_tries)
  const before = row.state
  if (last) {
    const error = { code: failure.code, message: `${failure.message} Tried ${row.tries === 1 ? 'once' : `${row.tries} times`}.` }
    const change = { error_code: error.code, error_message: error.message, error_class: failure.class }
    move(context, row, 'lose_last', { ...release, ...change }, { error })
    return
  }
  const pause = backoff(row.tries, context.random)
  const due = before === 'running' ? context.now() + pause : null
  if (move(context, row, 'lose', { ...release, due_at: due }, { reason: failure.message }) !== 'moved') return
  if (due !== null) setTimer(context.store, 'due', row.id, due)
  else if (row.state === 'waiting') laneReady(context, row.pool, row.queue)
}

/** A back-off is over, or the job's `eta` has come. */
export const becomeDue = (context: LedgerContext, id: string): void => {
  const row = findJob(context, id)
  if (row?.state !== 'scheduled') clearTimer(context.store, 'due', id)
  // What has begun once goes on for those that share it.
  else mayBegin(context, row, 'due', row.tries > 0 ? { ...row, sameness: null } : row, { due_at: null })
}

/** Offers that nobody took in time go back to their lanes. */
export const lapseOffers = (context: LedgerContext): void => {
  const now = context.now()
  const rows = heldWhere(
    context,
    `SELECT * FROM jobs INDEXED BY jobs_held WHERE state IN ('offered', 'leased', 'running', 'carrying') AND state = 'offered' AND session IS NOT NULL`,
  )
  let next: number | null = null
  for (const row of rows) {
    const by = row.offer_by ?? 0
    if (by > now) next = next === null ? by : Math.min(next, by)
    else if (move(context, row, 'lapse', release) === 'moved') laneReady(context, row.pool, row.queue)
  }
  moveOneTimer(context, 'offers', next)
}

const heldWhere = (context: LedgerContext, query: string, ...values: string[]): JobRow[] =>
  adopt(context, context.store.all<JobRow>(query, ...values))

const heldBy = (context: LedgerContext, session: string): JobRow[] =>
  heldWhere(context, `SELECT * FROM jobs WHERE state IN ('offered', 'leased', 'running', 'carrying') AND session = ? ORDER BY id`, session)

/** A session is over: everything it held goes back or is tried again. */
export const endSession = (context: LedgerContext, session: string, reason: string): void => {
  for (const row of heldBy(context, session)) {
    if (row.state === 'offered') {
      if (move(context, row, 'lapse', release) === 'moved') laneReady(context, row.pool, row.queue)
    } else lose(context, row, { code: 'node_lost', message: reason, class: 'lost' })
  }
  context.memory.sessions.delete(session)
  context.store.run('DELETE FROM sessions WHERE session = ?', session)
  clearTimer(context.store, 'session', session)
}

/** Words of one returning session that are known again: copies come soon. */
const KNOWN_TURNS = 20

/** Whether this word of a returning session comes for the first time. */
const hears = (context: LedgerContext, holder: Holder, turn: string): boolean => {
  touchSession(context, holder)
  const { store } = context
  const said = first<{ turns: string | null }>(store, 'SELECT turns FROM sessions WHERE session = ?', holder.session)?.turns
  const turns = said == null ? [] : (JSON.parse(said) as string[])
  if (turns.includes(turn)) return false
  store.run('UPDATE sessions SET turns = ? WHERE session = ?', JSON.stringify([...turns, turn].slice(-KNOWN_TURNS)), holder.session)
  return true
}

/**
 * The same session is back on a new socket and says what it holds. Answers the leases that are no longer its own; what
 * the ledger thought it held and it does not know of (an answer was lost) goes back without burning a try.
 */
export const resumeSession = (
  context: LedgerContext,
  holder: Holder,
  holding: (Lease & { running: boolean })[],
  turn: string | null = null,
): Lease[] => {
  // I8: a second copy of this word says nothing of what the node has taken since the first, and may run.
  const isCopy = turn !== null && !hears(context, holder, turn)
  const fenced: Lease[] = []
  const claimed = new Set<string>()
  for (const lease of holding) {
    const row = findJob(context, lease.job)
    if (!isHolder(row, lease.attempt, holder.session) || !isHeld(row.state)) {
      fenced.push({ tenant: lease.tenant, job: lease.job, attempt: lease.attempt })
      continue
    }
    claimed.add(row.id)
    // An accept (or start) whose answer was lost counts: the node says it holds the job, and its attempt is current.
    if (row.state === 'offered') move(context, row, 'accept', { offer_by: null }, { attempt: row.attempt })
    if (row.state === 'leased' && lease.running) begin(context, row)
    if (row.cancel_at !== null && (row.state !== 'carrying' || isAbandoned(context, row)))
      context.emit({ kind: 'cancel', node: holder.node, session: holder.session, lease, reason: row.cancel_reason ?? '' })
  }
  for (const row of heldBy(context, holder.session)) {
    if (isCopy || claimed.has(row.id)) continue
    if (row.state === 'offered') {
      if (move(context, row, 'lapse', release) === 'moved') laneReady(context, row.pool, row.queue)
    } else if (row.cancel_at !== null) stopHeld(context, row, 'not_confirmed', 'the node came back without the job')
    else {
      const tries = row.state === 'running' ? row.tries - 1 : row.tries
      if (move(context, row, 'hand_back', { ...release, tries }, { reason: 'the node came back without the job' }) === 'moved')
        laneReady(context, row.pool, row.queue)
    }
  }
  touchSession(context, holder)
  return fenced
}

/** Still there: moves the deadline of everything the session holds by one row. */
export const renewSession = (context: LedgerContext, holder: Holder): boolean => {
  if (heldBy(context, holder.session).length === 0) {
    context.memory.sessions.delete(holder.session)
    // One that has come back goes by its timer: a copy of its word may still be under way.
    if (context.store.run('DELETE FROM sessions WHERE session = ? AND turns IS NULL', holder.session) > 0)
      clearTimer(context.store, 'session', holder.session)
    return false
  }
  context.memory.sessions.set(holder.session, context.now())
  context.store.run('UPDATE sessions SET renewed_at = ? WHERE session = ?', context.now(), holder.session)
  setTimer(context.store, 'session', holder.session, context.now() + SESSION_SECONDS * 1000)
  return true
}

/** May this session still act for the attempt? Grants and uploads ask before anything is written. */
export const holds = (context: LedgerContext, session: string, job: string, attempt: number): boolean => {
  const row = findJob(context, job)
  if (!isHolder(row, attempt, session)) return false
  return row.state === 'carrying' || ((row.state === 'leased' || row.state === 'running') && row.cancel_at === null)
}

import type { LedgerContext } from '../../edge/ledger/context.ts'
import type { JobRow } from '../../edge/ledger/jobs.ts'
import { standingOf } from '../../edge/ledger/lane-rules.ts'
import { isTelling } from '../../edge/ledger/sharers.ts'
import { isEnded, isHeld, SHOWN } from '../../edge/ledger/states.ts'
import type { Model, ModelJob } from './model.ts'

export interface TimerRow {
  kind: string
  ref: string
  due: number
}
interface EventRow {
  n: number
  job: string
  seq: number
  type: string
  state: string
  body: string
}

const TERMINAL = ['succeeded', 'failed', 'cancelled']
const SAME = ['state', 'attempt', 'tries', 'session'] as const

/** What was true of a ledger when it was last looked at, and what must be true of it at any moment. */
export class Invariants {
  rows = new Map<string, JobRow>()
  #n = 0
  readonly #seqs = new Map<string, number>()
  readonly #ends = new Map<string, number>()

  /** Throws with every rule that is broken. `open`: how many more jobs a queue may give out; `known`: lanes that the pool knows. */
  check(context: LedgerContext, model: Model, open: (queue: string) => number, known: ReadonlyMap<string, number>): void {
    const wrong: string[] = []
    const rows = context.store.all<JobRow>('SELECT * FROM jobs ORDER BY id')
    const timers = context.store.all<TimerRow>('SELECT kind, ref, due FROM timers')
    const timer = (kind: string, ref: string): TimerRow | undefined => timers.find((one) => one.kind === kind && one.ref === ref)
    for (const row of rows) {
      wrong.push(...this.#life(row))
      const cached = context.memory.jobs.get(row.id)
      if (cached && JSON.stringify({ ...row, ...cached }) !== JSON.stringify(row)) wrong.push(`memory and database differ about ${row.id}`)
      const expected = model.jobs.get(row.id)
      if (!expected) wrong.push(`${row.id} came from nowhere`)
      else if (!expected.loose) wrong.push(...differences(row, expected))
    }
    for (const { id } of model.all()) if (!rows.some((row) => row.id === id)) wrong.push(`${id} is gone`)
    wrong.push(...this.#events(context, rows), ...timing(context, rows, timer), ...sharing(context, rows, model, timer))
    wrong.push(...lanes(context, rows, open, known, timer), ...standings(context, rows))
    this.rows = new Map(rows.map((row) => [row.id, row]))
    if (wrong.length > 0) throw new Error(wrong.join('\n'))
  }

  /** I1, I2. */
  #life(row: JobRow): string[] {
    const before = this.rows.get(row.id)
    const wrong: string[] = []
    if ((row.finished_at !== null) !== TERMINAL.includes(SHOWN[row.state]))
      wrong.push(`${row.id} is ${row.state}, finished ${row.finished_at}`)
    if (row.tries < 0 || row.tries > (row.max_tries ?? 11)) wrong.push(`tries of ${row.id} are ${row.tries}`)
    if (isHeld(row.state) !== (row.session !== null) && !isEnded(row.state))
      wrong.push(`I2: ${row.id} is ${row.state}, held by ${row.session}`)
    if (!before) return wrong
    if (isEnded(before.state) && before.state !== row.state) wrong.push(`I1: ${row.id} was ${before.state} and became ${row.state}`)
    if (before.finished_at !== null && before.finished_at !== row.finished_at) wrong.push(`I1: ${row.id} has ended twice`)
    if (row.attempt < before.attempt || row.seq < before.seq) wrong.push(`I2: ${row.id} counts backwards`)
    if (row.session !== before.session && row.session !== null && row.attempt === before.attempt)
      wrong.push(`I2: attempt ${row.attempt} of ${row.id} went from ${before.session} to ${row.session}`)
    return wrong
  }

  /** I9, and that a job ends once. */
  #events(context: LedgerContext, rows: readonly JobRow[]): string[] {
    const wrong: string[] = []
    const last = new Map<string, EventRow>()
    for (const event of context.store.all<EventRow>('SELECT n, job, seq, type, state, body FROM events WHERE n > ? ORDER BY n', this.#n)) {
      const seq = this.#seqs.get(event.job) ?? 0
      if (event.seq !== seq + 1) wrong.push(`I9: event ${event.seq} of ${event.job} follows ${seq}`)
      this.#n = event.n
      this.#seqs.set(event.job, event.seq)
      last.set(event.job, event)
      if (event.type === 'state' && TERMINAL.includes(event.state)) this.#ends.set(event.job, (this.#ends.get(event.job) ?? 0) + 1)
    }
    for (const row of rows) {
      if (this.#seqs.get(row.id) !== row.seq) wrong.push(`I9: ${row.id} counts ${row.seq} events and has ${this.#seqs.get(row.id)}`)
      const event = last.get(row.id)
      if (event && event.state !== SHOWN[row.state]) wrong.push(`I9: ${row.id} is ${row.state}, its last event says ${event.state}`)
      if ((this.#ends.get(row.id) ?? 0) !== (row.finished_at === null ? 0 : 1))
        wrong.push(`${row.id} was told to end ${this.#ends.get(row.id)} times`)
    }
    return wrong
  }
}

const differences = (row: JobRow, expected: ModelJob): string[] => {
  const wrong: string[] = []
  const differs = (what: string, is: unknown, should: unknown): void => {
    if (is !== should) wrong.push(`${what} of ${row.id} (${row.state}) should be ${String(should)}, is ${String(is)}`)
  }
  for (const name of SAME) if (!(name === 'session' && isEnded(row.state))) differs(name, row[name], expected[name])
  differs('leader', row.coalesced_with, expected.leader)
  differs('source', row.reused_from, expected.source)
  differs('cancel asked', row.cancel_at !== null, expected.cancelling)
  differs('end', row.finished_at, expected.finished)
  differs('deletion', row.deleted_at !== null, expected.deleted)
  return wrong
}

/** Whoever waits for a time has a timer, or it would wait for ever. */
const timing = (context: LedgerContext, rows: readonly JobRow[], timer: (kind: string, ref: string) => TimerRow | undefined): string[] => {
  const wrong: string[] = []
  const needs = (kind: string, ref: string, by: number, row: JobRow): void => {
    const set = timer(kind, ref)
    if (!set || set.due > by) wrong.push(`${row.id} is ${row.state} without a timer "${kind}" in time`)
  }
  for (const row of rows) {
    if (row.state === 'scheduled') needs('due', row.id, row.due_at ?? 0, row)
    if (row.finished_at === null && row.expires_at !== null && row.started_at === null && row.cancel_at === null)
      needs('expire', row.id, row.expires_at, row)
    if (row.state === 'offered') needs('offers', '', row.offer_by ?? 0, row)
    if (isHeld(row.state)) needs('session', row.session ?? '', Number.POSITIVE_INFINITY, row)
    if ((row.state === 'leased' || row.state === 'running') && row.cancel_at !== null)
      needs('cancel', row.id, Number.POSITIVE_INFINITY, row)
    const shares = rows.find(({ id }) => id === row.coalesced_with)
    const said = ['confirmed', 'not_confirmed', 'too_late', null].includes(row.cancel_outcome)
    if (isEnded(row.state) && !said && (!shares || isEnded(shares.state)))
      wrong.push(`I8: ${row.id} is ${row.state}, its cancel ${row.cancel_outcome}`)
    if (row.deleted_at !== null && row.finished_at === null) wrong.push(`${row.id} was deleted and is ${row.state}`)
  }
  const held = context.store.all<{ session: string }>('SELECT session FROM sessions').map(({ session }) => session)
  for (const session of held) if (!timer('session', session)) wrong.push(`session ${session} has no timer`)
  return wrong
}

/** A job that others have joined is going to run, or has joined one that is. */
const leads = (byId: ReadonlyMap<string, JobRow>, leader: JobRow): boolean => {
  let one: JobRow | undefined = leader
  for (let steps = byId.size; one && steps > 0; steps--) {
    if (one.state !== 'joined') return true
    one = byId.get(one.coalesced_with ?? '')
  }
  return false
}

/** I4: one result, one writer; nobody's result is taken away; nobody's is kept. */
const sharing = (
  context: LedgerContext,
  rows: readonly JobRow[],
  model: Model,
  timer: (kind: string, ref: string) => TimerRow | undefined,
): string[] => {
  const wrong: string[] = []
  const byId = new Map(rows.map((row) => [row.id, row]))
  const results = new Set(context.store.all<{ job: string }>('SELECT job FROM results').map(({ job }) => job))
  const outbox = new Map(context.store.all<{ job: string; kind: string }>('SELECT job, kind FROM outbox').map((row) => [row.job, row.kind]))
  const wanted = new Set<string>()
  for (const row of rows) {
    if (row.state === 'joined') {
      const leader = byId.get(row.coalesced_with ?? '')
      if (!leader) wrong.push(`${row.id} has joined nobody`)
      else if (isEnded(leader.state) && !timer('followers', leader.id))
        wrong.push(`${row.id} has joined ${leader.id}, which is ${leader.state}`)
      else if (!leads(byId, leader)) wrong.push(`${row.id} has joined ${leader.id}, which runs for nobody`)
    }
    if (row.state === 'waiting' && row.coalesced_with !== null && byId.get(row.coalesced_with)?.state !== 'waiting')
      wrong.push(`${row.id} waits for what ${row.coalesced_with} does already`)
    const writer = byId.get(row.reused_from ?? row.coalesced_with ?? row.id)
    if (row.state !== 'succeeded' || row.deleted_at !== null || !writer) continue
    wanted.add(writer.id)
    if (row.publication !== 'expired' && row.publication !== 'withdrawn' && !results.has(writer.id))
      wrong.push(`the result of ${row.id} is gone`)
    if (row.publication !== writer.publication && !isTelling(context, writer.id))
      wrong.push(`I4: ${row.id} is ${row.publication}, its writer ${writer.publication}`)
  }
  for (const row of rows) {
    const writes = row.state === 'succeeded' ? row.coalesced_with === null && row.reused_from === null : results.has(row.id)
    if (!writes && results.has(row.id)) wrong.push(`I4: ${row.id} shares a result, and wrote one`)
    if (row.publication === 'pending' && writes && !outbox.has(row.id)) wrong.push(`I4: ${row.id} is pending, and not on its way`)
    if (row.state === 'carrying' && model.followers(row.id).length === 0 && !model.get(row.id).loose && !timer('cancel', row.id))
      wrong.push(`I8: nobody wants ${row.id} any more, and its node is not told`)
    const over = row.deleted_at !== null || row.state === 'cancelled'
    if (results.has(row.id) && !wanted.has(row.id) && over && !timer('purge', row.id))
      wrong.push(`nobody reads the result of ${row.id}, and it stays`)
    const kept = row.publication === 'pending' || row.publication === 'published'
    if (writes && kept && !wanted.has(row.id) && outbox.get(row.id) !== 'withdraw')
      wrong.push(`I4: nobody points to the result of ${row.id}, and it stays`)
  }
  if (outbox.size > 0 && !timer('outbox', '')) wrong.push('results are on their way without a timer')
  return wrong
}

/** A job that waits is known to the pool, or will be: unless its queue is paused or full. */
const lanes = (
  context: LedgerContext,
  rows: readonly JobRow[],
  open: (queue: string) => number,
  known: ReadonlyMap<string, number>,
  timer: (kind: string, ref: string) => TimerRow | undefined,
): string[] => {
  const waiting = new Set(rows.filter(({ state }) => state === 'waiting').map(({ pool, queue }) => `${pool}/${queue}`))
  return [...waiting].flatMap((ref) => {
    const lane = context.memory.lanes.get(ref)
    if (open(ref.slice(ref.indexOf('/') + 1)) <= 0 || known.has(ref)) return []
    if (timer('lane', ref) && lane?.announced !== false) return []
    return [`jobs wait in ${ref}, and nobody says so (${lane ? `announced ${lane.announced}, number ${lane.seq}` : 'not in memory'})`]
  })
}

/** What is kept in memory of how many jobs wait and are held is what can be counted. */
const standings = (context: LedgerContext, rows: readonly JobRow[]): string[] =>
  [...new Set(rows.map(({ queue }) => queue))].flatMap((queue) => {
    const there = rows.filter((row) => row.queue === queue)
    const counted = {
      waiting: there.filter(({ state }) => state === 'waiting').length,
      held: there.filter(({ state }) => isHeld(state)).length,
    }
    const { waiting, held } = standingOf(context, queue)
    return waiting === counted.waiting && held === counted.held
      ? []
      : [`of ${queue} wait ${counted.waiting} and are held ${counted.held}, kept are ${waiting} and ${held}`]
  })

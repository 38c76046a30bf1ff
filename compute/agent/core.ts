import type { CancelOutcome } from '../../edge/contract/jobs.ts'
import type { AckMessage, Failure, Lease, Offer } from '../../edge/contract/node.ts'
import { type Item, isEmpty, itemOf, type Lane, lane, MAX_ITEMS, takeBatch } from './lanes.ts'
import { inTurn, weightOf } from './turns.ts'

import { type CoreSettings, type Effect, keyOf, leaseOf, type Outcome, type Stage } from './words.ts'

interface Work {
  offer: Offer
  stage: Stage
  /** Whether the acceptance in flight asks to begin at once. */
  begins: boolean
  source: string | null
  cancelled: boolean
  /** Seconds it has been here without a slot. */
  waited: number
}

const LANES = ['complete', 'fail', 'cancelled', 'packed', 'return', 'start', 'accept'] as const
type LaneName = (typeof LANES)[number]
/** An answered message of these names single items, not a list. */
const SINGLE: ReadonlySet<LaneName> = new Set<LaneName>(['cancelled', 'packed'])
const CARRIES_WANT: ReadonlySet<LaneName> = new Set<LaneName>(['complete', 'fail'])

/**
 * Offers are held ahead of the slots, so that a slot never waits for the edge: as many as the slots finish in a second,
 * by what runs took lately. An offer held ahead of a long query would keep another node from it.
 */
const AHEAD_MS = 1_000
/** At most this many: as many as slots, small nodes 8. */
export const mostAhead = (slots: number): number => Math.max(slots, 8)
/** Weight of the newest run in the mean of run times. */
const NEWEST = 0.2
/**
 * An offer that cannot begin at once waits so many seconds for a slot before it is accepted, well within the time that it
 * stands: acceptance and start then mostly are one message, and one transaction of the ledger.
 */
const ACCEPT_TICKS = 1
/** A lease that has waited this many seconds for a slot, all being taken, goes back: another node may be free. */
const STALL_TICKS = 5
/** Attempts that wait for their own task's bound, or for their source's, do not stop others from coming; up to this many. */
const MAX_HELD = 200

/**
 * The agent's memory and decisions, without clock, network or files: what is told to it goes in by method calls, what is
 * to be done comes out as effects, in order (words.ts). `agent.ts` wires it to the socket and to the engines.
 */
export class AgentCore {
  readonly #settings: CoreSettings
  readonly #work = new Map<string, Work>()
  readonly #lanes: Record<LaneName, Lane> = {
    complete: lane(),
    fail: lane(),
    cancelled: lane(),
    packed: lane(),
    return: lane(),
    accept: lane(),
    start: lane(),
  }
  #effects: Effect[] = []
  #re = 0
  #connected = false
  #announced = false
  #draining = false
  #idleSaid = false
  /** How many offers the edge may still send by what it was last told. */
  #told = 0
  /** Mean time of the latest runs; null before the first. */
  #meanMs: number | null = null
  /** All slots are in long use: nothing is held ahead until one is free. */
  #stalled = false

  constructor(settings: CoreSettings) {
    this.#settings = settings
  }

  /** A number for a request of the wiring's own (`announce`, `schema`, `grant`). */
  nextRe(): number {
    this.#re += 1
    return this.#re
  }

  get draining(): boolean {
    return this.#draining
  }

  /** What `hello` says about leases. */
  holding(): (Lease & { running: boolean })[] {
    const held: (Lease & { running: boolean })[] = []
    for (const { offer, stage } of this.#work.values()) {
      if (stage !== 'returning') held.push({ ...leaseOf(offer), running: stage === 'running' || stage === 'reporting' })
    }
    return held
  }

  /** How many attempts are in each stage, for the log and for tests. */
  counts(): Partial<Record<Stage, number>> {
    const counts: Partial<Record<Stage, number>> = {}
    for (const { stage } of this.#work.values()) counts[stage] = (counts[stage] ?? 0) + 1
    return counts
  }

  // ---- the connection ----------------------------------------------------------------------------------------------

  /** The edge knows us again: what was in flight is sent once more, in the order it was sent before. */
  welcome(fenced: Lease[]): Effect[] {
    this.#connected = true
    this.#announced = false
    this.#told = 0
    for (const lease of fenced) this.#fence(lease)
    const flights = LANES.flatMap((name) => this.#lanes[name].flight ?? []).sort((a, b) => a.re - b.re)
    for (const { text } of flights) this.#effects.push({ do: 'send', text })
    if (this.#draining) this.#send({ type: 'drain', re: this.nextRe() })
    return this.#flush()
  }

  /** The edge has the whole list of our tasks: from now on offers make sense. */
  announced(): Effect[] {
    this.#announced = true
    return this.#flush()
  }

  lost(): Effect[] {
    this.#connected = false
    this.#announced = false
    return this.#flush()
  }

  // ---- what the edge says ------------------------------------------------------------------------------------------

  offers(items: Offer[]): Effect[] {
    this.#takeOffers(items)
    return this.#flush()
  }

  ack(message: Pick<AckMessage, 're' | 'items' | 'offers'>): Effect[] {
    this.#answered(message.re, (index) => message.items[index] ?? { outcome: 'refused', detail: 'the answer did not name it' })
    this.#takeOffers(message.offers)
    return this.#flush()
  }

  /** The edge could not take a message now (then it is sent again), or did not understand it (then its items count as refused). */
  refused(re: number, code: string, detail: string): Effect[] {
    if (code === 'unavailable') this.#effects.push({ do: 'again', re })
    else this.#answered(re, () => ({ outcome: 'refused', detail }))
    return this.#flush()
  }

  /** Sends a message that is still not answered once more. */
  again(re: number): Effect[] {
    const flight = LANES.map((name) => this.#lanes[name].flight).find((one) => one?.re === re)
    if (flight && this.#connected) this.#effects.push({ do: 'send', text: flight.text })
    return this.#flush()
  }

  cancel(lease: Lease): Effect[] {
    const work = this.#work.get(keyOf(lease))
    switch (work?.stage) {
      case 'accepting':
      case 'starting':
        work.cancelled = true
        break
      case 'offered':
      case 'leased':
        this.#neverBegan(work)
        break
      case 'running':
        work.cancelled = true
        this.#effects.push({ do: 'abort', lease: leaseOf(lease), reason: 'cancel' })
        break
      case 'returning':
        break
      case 'reporting':
        this.#sayCancelled(lease, 'too_late', 'the attempt had ended')
        break
      case undefined:
        this.#sayCancelled(lease, 'too_late', 'this node holds no such attempt')
        break
    }
    return this.#flush()
  }

  fence(lease: Lease): Effect[] {
    this.#fence(lease)
    return this.#flush()
  }

  // ---- what the engines say ----------------------------------------------------------------------------------------

  /** `ms`: how long the run took. */
  settled(lease: Lease, outcome: Outcome, ms: number): Effect[] {
    this.#stalled = false
    const work = this.#work.get(keyOf(lease))
    // Fenced meanwhile: nobody asks any more.
    if (work?.stage !== 'running') return this.#flush()
    work.source = null
    if (outcome.kind === 'complete' || outcome.kind === 'fail')
      this.#meanMs = this.#meanMs === null ? ms : this.#meanMs * (1 - NEWEST) + ms * NEWEST
    switch (outcome.kind) {
      case 'complete':
        // A cancel that came too late to stop anything must still be answered.
        if (work.cancelled) this.#sayCancelled(lease, 'too_late', 'the result was already complete')
        this.#report(work, 'complete', outcome.item)
        break
      case 'fail':
        if (work.cancelled) this.#sayCancelled(lease, 'too_late', 'the attempt had failed')
        this.#report(work, 'fail', JSON.stringify({ ...leaseOf(lease), failure: outcome.failure }))
        break
      case 'cancelled':
        work.stage = 'reporting'
        this.#sayCancelled(lease, outcome.outcome, outcome.reason)
        break
      case 'stopped':
        this.#giveBack(work, this.#draining ? 'the node is shutting down' : 'the run was stopped')
        break
    }
    return this.#flush()
  }

  /** The pack of a won attempt is uploaded. `item` is the message's JSON without `type` and `re`. */
  packed(lease: Lease, item: string): Effect[] {
    this.#lanes.packed.waiting.push({ lease: leaseOf(lease), json: item })
    return this.#flush()
  }

  /** Once a second: leases that cannot begin soon go back to their lane, which burns no try. */
  tick(): Effect[] {
    if (!this.#draining)
      for (const work of this.#work.values()) {
        if (work.stage === 'offered') work.waited += 1
        if (work.stage !== 'leased' || this.#slotsFree()) continue
        work.waited += 1
        if (work.waited < STALL_TICKS) continue
        this.#stalled = true
        this.#giveBack(work, 'all slots of the node are in long use')
      }
    return this.#flush()
  }

  // ---- the way out -------------------------------------------------------------------------------------------------

  /** No new work: what has not begun goes back, what runs goes on. */
  drain(): Effect[] {
    if (!this.#draining) {
      this.#draining = true
      this.#told = 0
      if (this.#connected) this.#send({ type: 'drain', re: this.nextRe() })
      for (const work of this.#work.values())
        if (work.stage === 'leased' || work.stage === 'offered') this.#giveBack(work, 'the node is shutting down')
    }
    return this.#flush()
  }

  /** The drain's time is over: what still runs is stopped and goes back, which burns no try. */
  drainOver(): Effect[] {
    for (const { offer, stage } of this.#work.values())
      if (stage === 'running') this.#effects.push({ do: 'abort', lease: leaseOf(offer), reason: 'drain' })
    return this.#flush()
  }

  // ---- inside ------------------------------------------------------------------------------------------------------

  #takeOffers(items: Offer[]): void {
    for (const offer of items) {
      this.#told = Math.max(0, this.#told - weightOf(offer))
      const key = keyOf(offer)
      // The same offer twice: the first one is being dealt with.
      if (this.#work.has(key)) continue
      const work: Work = { offer, stage: 'offered', begins: false, source: null, cancelled: false, waited: 0 }
      this.#work.set(key, work)
      if (this.#draining) this.#giveBack(work, 'the node is shutting down')
      else if (this.#settings.task(offer) === null)
        this.#giveBack(work, `the node has no task "${offer.task}" with hash ${offer.task_hash}`)
    }
  }

  #answered(re: number, outcomeOf: (index: number) => { outcome: string; detail: string | null }): void {
    for (const name of LANES) {
      const { flight } = this.#lanes[name]
      if (flight?.re !== re) continue
      this.#lanes[name].flight = null
      flight.items.forEach((item, index) => {
        const { outcome, detail } = outcomeOf(index)
        this.#itemAnswered(name, item, outcome, detail)
      })
      return
    }
  }

  #itemAnswered(name: LaneName, item: Item, outcome: string, detail: string | null): void {
    const work = this.#work.get(keyOf(item.lease))
    if (outcome === 'refused')
      this.#effects.push({ do: 'log', line: `${name} of job ${item.lease.job} was refused: ${detail ?? 'no reason given'}` })
    if (!work) return
    switch (name) {
      case 'accept':
      case 'start':
        if (work.stage !== 'accepting' && work.stage !== 'starting') return
        if (outcome !== 'ok') this.#end(work, false)
        else if (work.cancelled) this.#neverBegan(work)
        else if (this.#draining) this.#giveBack(work, 'the node is shutting down')
        else if (work.begins && work.source !== null) {
          work.stage = 'running'
          this.#effects.push({ do: 'run', offer: work.offer, source: work.source })
        } else work.stage = 'leased'
        return
      case 'complete':
        // A completion that the edge cannot take would leave the job running for ever.
        if (outcome === 'refused') this.#report(work, 'fail', refusedCompletion(item.lease, detail))
        else this.#end(work, outcome === 'ok')
        return
      case 'packed':
        return
      case 'cancelled':
        // A cancel answered "too late" stands beside the report of the end, which closes the attempt.
        if (work.stage === 'reporting' && this.#reportedBy(work) === 'cancelled') this.#end(work, false)
        return
      default:
        this.#end(work, false)
    }
  }

  /** Which lane holds the end of this attempt. */
  #reportedBy(work: Work): LaneName {
    const key = keyOf(work.offer)
    const holds = (name: LaneName): boolean =>
      [...this.#lanes[name].waiting, ...(this.#lanes[name].flight?.items ?? [])].some(({ lease }) => keyOf(lease) === key)
    return holds('complete') ? 'complete' : holds('fail') ? 'fail' : 'cancelled'
  }

  #report(work: Work, name: 'complete' | 'fail', json: string): void {
    work.stage = 'reporting'
    this.#lanes[name].waiting.push({ lease: leaseOf(work.offer), json })
  }

  #giveBack(work: Work, reason: string): void {
    work.stage = 'returning'
    work.source = null
    this.#lanes.return.waiting.push({ lease: leaseOf(work.offer), json: JSON.stringify({ ...leaseOf(work.offer), reason }) })
  }

  #neverBegan(work: Work): void {
    work.stage = 'reporting'
    work.source = null
    this.#sayCancelled(work.offer, 'confirmed', 'it had not begun')
  }

  #sayCancelled(lease: Lease, outcome: CancelOutcome, reason: string | null): void {
    const item = leaseOf(lease)
    this.#lanes.cancelled.waiting.push({ lease: item, json: JSON.stringify({ ...item, outcome, reason }) })
  }

  #fence(lease: Lease): void {
    const work = this.#work.get(keyOf(lease))
    if (!work) return
    if (work.stage === 'running') this.#effects.push({ do: 'abort', lease: leaseOf(lease), reason: 'fence' })
    this.#end(work, false)
  }

  #end(work: Work, won: boolean): void {
    this.#work.delete(keyOf(work.offer))
    this.#effects.push({ do: 'end', lease: leaseOf(work.offer), won })
  }

  #send(message: object): void {
    this.#effects.push({ do: 'send', text: JSON.stringify(message) })
  }

  /** Whether a slot, the task's own bound and a source have room; then they are taken. */
  #begin(work: Work): boolean {
    let used = 0
    let ofTask = 0
    const active = new Map<string, number>()
    for (const other of this.#work.values()) {
      if (other.source === null) continue
      used += weightOf(other.offer)
      if (other.offer.task === work.offer.task) ofTask += 1
      active.set(other.source, (active.get(other.source) ?? 0) + 1)
    }
    const bound = this.#settings.task(work.offer)?.concurrency ?? null
    if (used >= this.#settings.slots || (bound !== null && ofTask >= bound)) return false
    work.source = this.#settings.place(work.offer, (source) => (active.get(source) ?? 0) >= this.#settings.maxActive(source))
    return work.source !== null
  }

  #slotsFree(): boolean {
    return this.#usedSlots() < this.#settings.slots
  }

  #usedSlots(): number {
    let used = 0
    for (const { source, offer } of this.#work.values()) if (source !== null) used += weightOf(offer)
    return used
  }

  #ahead(): number {
    if (this.#stalled || this.#meanMs === null) return 0
    const { slots } = this.#settings
    return Math.min(mostAhead(slots), Math.floor((slots * AHEAD_MS) / Math.max(1, this.#meanMs)))
  }

  #room(): number {
    if (this.#draining) return 0
    let [held, accepting] = [0, 0]
    for (const { stage, offer } of this.#work.values()) {
      if (stage === 'reporting' || stage === 'returning') continue
      held += 1
      // Whether offers can begin is seen when the acceptance before them is answered.
      if (stage === 'accepting' || (stage === 'offered' && this.#lanes.accept.flight !== null)) accepting += weightOf(offer)
    }
    const { slots } = this.#settings
    // Whatever waits beside a free slot is bounded by something else, so the slot is for others.
    const free = Math.min(slots - this.#usedSlots() - accepting, MAX_HELD - held)
    return Math.max(0, this.#idle() + this.#ahead(), free)
  }

  /** Slots that nothing here will take. Below zero: a heavy job has taken more than were free, or offers wait ahead. */
  #idle(): number {
    let held = 0
    for (const { stage, offer } of this.#work.values()) if (stage !== 'reporting' && stage !== 'returning') held += weightOf(offer)
    return this.#draining ? 0 : this.#settings.slots - held
  }

  #flush(): Effect[] {
    if (this.#connected) {
      for (const name of LANES) {
        const items = this.#itemsOf(name)
        if (items.length > 0) this.#fly(name, items)
      }
      this.#sayWant()
    }
    if (this.#draining && !this.#idleSaid && this.#work.size === 0 && LANES.every((name) => isEmpty(this.#lanes[name]))) {
      this.#idleSaid = true
      this.#effects.push({ do: 'idle' })
    }
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  /** What of a lane may leave now. */
  #itemsOf(name: LaneName): Item[] {
    const one = this.#lanes[name]
    if (one.flight !== null) return []
    if (name === 'start') return this.#startable()
    if (name === 'accept') return this.#acceptable()
    return SINGLE.has(name) ? one.waiting.splice(0, 1) : takeBatch(one)
  }

  #startable(): Item[] {
    return this.#beginning('leased', MAX_ITEMS).map((work) => {
      work.stage = 'starting'
      return itemOf(leaseOf(work.offer))
    })
  }

  #acceptable(): Item[] {
    const taken = this.#beginning('offered', MAX_ITEMS)
    for (const work of this.#work.values())
      if (taken.length < MAX_ITEMS && work.stage === 'offered' && !work.begins && work.waited >= ACCEPT_TICKS) taken.push(work)
    return taken.map((work) => {
      work.stage = 'accepting'
      return itemOf({ ...leaseOf(work.offer), start: work.begins })
    })
  }

  /** Work of a stage for which there is room now, which is taken. */
  #beginning(stage: Stage, most: number): Work[] {
    if (this.#draining || !this.#slotsFree()) return []
    const begun: Work[] = []
    for (const work of inTurn(this.#work, stage)) {
      if (begun.length === most || !this.#slotsFree()) break
      if (!this.#begin(work)) continue
      work.begins = true
      begun.push(work)
    }
    return begun
  }

  #fly(name: LaneName, items: Item[]): void {
    const re = this.nextRe()
    const list = items.map(({ json }) => json).join(',')
    let text: string
    if (SINGLE.has(name)) text = `{"type":"${name}","re":${re},${list.slice(1)}`
    else if (CARRIES_WANT.has(name)) {
      this.#told = this.#announced ? this.#room() : 0
      text = `{"type":"${name}","re":${re},"items":[${list}],"want":${this.#told},"idle":${this.#idle()}}`
    } else text = `{"type":"${name}","re":${re},"items":[${list}]}`
    this.#lanes[name].flight = { re, items, text }
    this.#effects.push({ do: 'send', text })
  }

  /** Only when nothing is on its way whose answer could bring offers along. */
  #sayWant(): void {
    if (!this.#announced || this.#lanes.complete.flight || this.#lanes.fail.flight) return
    const room = this.#room()
    if (room === this.#told || (room < this.#told && !this.#stalled)) return
    this.#told = room
    this.#send({ type: 'want', want: room, idle: this.#idle() })
  }
}

const refusedCompletion = (lease: Lease, detail: string | null): string =>
  JSON.stringify({
    ...lease,
    failure: {
      code: 'completion_refused',
      message: `the edge could not take the result: ${detail ?? 'no reason given'}`,
      class: 'internal',
    } satisfies Failure,
  })

import { type NodeId, QueueName, type TenantId } from '../contract/ids.ts'
import type { LaneSettings } from '../contract/queues.ts'
import { nodeNamed, type TestPool } from './fixture.ts'
import { type Dispatch, held, report } from './pool.ts'

interface Job {
  lane: FairLane
  ms: number
  /** Slots that it takes. */
  weight: number
  /** Slots that had been released when it came. */
  since: number
}

/** A lane as its ledger sees it. */
interface FairLane {
  tenant: TenantId
  queue: QueueName
  waiting: Job[]
  seq: number
  announced: boolean
  /** Slots that its jobs take on nodes. */
  held: number
  settings: Partial<LaneSettings>
}

interface FairNode {
  n: number
  slots: number
  used: number
}

/**
 * Tenants, lanes and nodes around the real pool in virtual time: jobs run for as long as they say, a slot that is released is
 * told to the pool, what the pool gives is fetched from the lane. Messages take no time and arrive in order, so what is
 * measured is the choice alone: how many slots were released while a job waited.
 */
export class FairWorld {
  readonly pool: TestPool
  readonly lanes: FairLane[] = []
  /** Slots released so far, of all nodes. */
  releases = 0
  /** Of each job that began: its lane, and how many slots were released while it waited. */
  readonly begun: { tenant: TenantId; queue: QueueName; waited: number; at: number; weight: number }[] = []
  readonly #nodes = new Map<NodeId, FairNode>()
  readonly #agenda: { at: number; run: () => void }[] = []

  constructor(pool: TestPool) {
    this.pool = pool
  }

  node(n: number, slots: number, queues: QueueName[] | null = null): void {
    this.#nodes.set(nodeNamed(n).node, { n, slots, used: 0 })
    this.pool.enter(n, slots, queues)
    this.#settle()
  }

  lane(tenant: TenantId, queue = 'default', settings: Partial<LaneSettings> = {}): FairLane {
    const known = this.lanes.find((one) => one.tenant === tenant && one.queue === queue)
    if (known) return known
    const made: FairLane = { tenant, queue: QueueName.parse(queue), waiting: [], seq: 0, announced: false, held: 0, settings }
    this.lanes.push(made)
    if (settings.reserve !== undefined) this.#announce(made)
    return made
  }

  submit(lane: FairLane, count: number, ms: () => number, weight = 1): void {
    for (let n = 0; n < count; n++) lane.waiting.push({ lane, ms: ms(), weight, since: this.releases })
    if (!lane.announced) this.#announce(lane)
  }

  /** `run` happens at that time. */
  at(at: number, run: () => void): void {
    this.#agenda.push({ at, run })
    this.#agenda.sort((a, b) => a.at - b.at)
  }

  /** Goes from event to event until that time. */
  until(end: number): void {
    for (;;) {
      const next = this.#agenda[0]
      if (!next || next.at > end) break
      this.#agenda.shift()
      this.pool.now = next.at
      next.run()
      this.#settle()
    }
    this.pool.now = end
  }

  /** Slots given to a tenant, or to one of its lanes, between two times. */
  slotsOf(tenant: TenantId, queue?: string, from = 0, to = Number.POSITIVE_INFINITY): number {
    return this.begun
      .filter((one) => one.tenant === tenant && (queue === undefined || one.queue === queue) && one.at >= from && one.at < to)
      .reduce((sum, { weight }) => sum + weight, 0)
  }

  idle(): number {
    return [...this.#nodes.values()].reduce((sum, { slots, used }) => sum + Math.max(0, slots - used), 0)
  }

  #announce(lane: FairLane): void {
    lane.seq += 1
    lane.announced = true
    this.pool.announce(lane.tenant, lane.seq, lane.queue, lane.settings, lane.held)
    this.#settle()
  }

  /** Carries out what the pool wants, and what that brings about, to the end. */
  #settle(): void {
    for (let rounds = 0; this.pool.effects.length > 0; rounds++) {
      if (rounds > 1_000) throw new Error('the pool asks in circles')
      for (const dispatch of this.pool.dispatches()) this.#dispatch(dispatch)
    }
  }

  #dispatch({ node: name, session, tenant, queue, count }: Dispatch): void {
    const node = this.#nodes.get(name)
    const lane = this.lanes.find((one) => one.tenant === tenant && one.queue === queue)
    if (!node || !lane) throw new Error(`nobody knows ${name} or ${queue} of ${tenant}`)
    let taken = 0
    while (taken < count && node.used < node.slots) {
      const job = lane.waiting.shift()
      if (!job) break
      taken += job.weight
      node.used += job.weight
      lane.held += job.weight
      this.begun.push({ tenant, queue, waited: this.releases - job.since, at: this.pool.now, weight: job.weight })
      this.at(this.pool.now + job.ms, () => this.#ended(node, job))
    }
    this.#counted(lane)
    const drained = lane.waiting.length === 0
    if (drained) lane.announced = false
    const free = node.slots - node.used
    report(this.pool.context, {
      node: name,
      session,
      free: Math.max(0, free),
      idle: free,
      drained: drained ? [{ tenant, queue, seq: lane.seq }] : [],
      unsuitable: [],
      unused: [{ tenant, queue, count: count - taken }],
    })
  }

  #ended(node: FairNode, { lane, weight }: Job): void {
    node.used -= weight
    lane.held -= weight
    this.releases += weight
    this.#counted(lane)
    const free = node.slots - node.used
    this.pool.report(node.n, Math.max(0, free), { idle: free })
  }

  #counted({ settings, tenant, queue, held: now }: FairLane): void {
    if ((settings.reserve ?? 0) > 0) held(this.pool.context, { tenant, queue, held: now, at: this.pool.now })
  }
}

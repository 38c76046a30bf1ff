import type { JobId } from '../contract/ids.ts'
import type { Failure } from '../contract/node.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import { cancelAnswered } from './cancel.ts'
import type { LedgerContext } from './context.ts'
import { type Completion, complete, fail } from './finish.ts'
import { KnownTasks, type OfferAsk } from './known-tasks.ts'
import { accept, type Holder, handBack, type LeaseVerdict, type OfferAnswer, offer, start } from './leases.ts'

export interface Ended {
  verdicts: LeaseVerdict[]
  next: OfferAnswer | null
}

export interface LeaseDeskDeps {
  commit: <T>(body: (context: LedgerContext) => T) => T
  env: Env
}

/** What links ask for their nodes: each call is one transaction. */
export class LeaseDesk {
  readonly #deps: LeaseDeskDeps
  readonly #known = new KnownTasks()

  constructor(deps: LeaseDeskDeps) {
    this.#deps = deps
  }

  async offer(ask: OfferAsk): Promise<OfferAnswer> {
    const answer = this.#deps.commit((context) => this.#offer(context, ask))
    await fault(this.#deps.env, 'ledger.offered')
    return answer
  }

  async accept(holder: Holder, items: { job: JobId; attempt: number; start: boolean }[]): Promise<LeaseVerdict[]> {
    const verdicts = this.#deps.commit((context) => accept(context, holder, items))
    await fault(this.#deps.env, 'ledger.accepted')
    return verdicts
  }

  start(holder: Holder, items: { job: JobId; attempt: number }[]): LeaseVerdict[] {
    return this.#deps.commit((context) => start(context, holder, items))
  }

  handBack(holder: Holder, items: { job: JobId; attempt: number; reason: string }[]): LeaseVerdict[] {
    return this.#deps.commit((context) => handBack(context, holder, items))
  }

  /** Ends attempts and answers with the next offers: in a steady state the pool is not asked. */
  async complete(holder: Holder, items: Completion[], next: OfferAsk | null): Promise<Ended> {
    const answer = this.#deps.commit((context) => ({ verdicts: complete(context, holder, items), next: this.#next(context, next) }))
    await fault(this.#deps.env, 'ledger.completed')
    return answer
  }

  async fail(holder: Holder, items: { job: JobId; attempt: number; failure: Failure }[], next: OfferAsk | null): Promise<Ended> {
    const answer = this.#deps.commit((context) => ({ verdicts: fail(context, holder, items), next: this.#next(context, next) }))
    await fault(this.#deps.env, 'ledger.failed')
    return answer
  }

  cancelAnswered(holder: Holder, item: { job: JobId; attempt: number; outcome: string; reason: string | null }): LeaseVerdict {
    return this.#deps.commit((context) => cancelAnswered(context, holder, item))
  }

  #next(context: LedgerContext, ask: OfferAsk | null): OfferAnswer | null {
    return ask && this.#offer(context, ask)
  }

  #offer(context: LedgerContext, ask: OfferAsk): OfferAnswer {
    const request = this.#known.resolve(ask)
    return request ? offer(context, request) : { offers: [], drained: null, untold: true }
  }
}

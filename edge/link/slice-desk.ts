import type { z } from 'zod'
import type { TenantId } from '../contract/ids.ts'
import type { Sliced, SliceMessage } from '../contract/node.ts'

export type SliceOutcome = z.infer<typeof Sliced>['outcome']
export type SliceFault = Pick<Extract<SliceOutcome, { ok: false }>, 'code' | 'detail'>
export type SliceAsk = Omit<SliceMessage, 'type' | 're'>

/** The node answers within the time of its question, or has this much longer for the way. */
const SLACK_MS = 5_000
/** A node that could not make a derived object is not asked for it again for this long: others are. */
export const AVOID_MS = 10_000
/** Derived objects that are remembered at once; the oldest fault goes first. */
export const MAX_DERIVATIONS = 1_000

export interface DeskOptions {
  /** False when the node is not connected, or may not see the tenant (I6). */
  ask(tenant: TenantId, message: SliceMessage): boolean
  now(): number
  /** Runs something later, unless what it answers is called before. */
  after(ms: number, run: () => void): () => void
  /** Where numbers of questions begin. */
  first: number
}

/** The questions about results that a link's node has not answered yet, and the derived objects that it makes. */
export class SliceDesk {
  readonly #options: DeskOptions
  readonly #open = new Map<number, { resolve: (outcome: SliceOutcome) => void; stop: () => void }>()
  /** By object key; null while it is being made. */
  readonly #derivations = new Map<string, { fault: SliceFault; at: number } | null>()
  #nextRe: number
  #sessions = 0

  constructor(options: DeskOptions) {
    this.#options = options
    this.#nextRe = options.first
  }

  /** Asks the node and waits for its answer. */
  ask(request: SliceAsk): Promise<SliceOutcome> {
    const re = this.#nextRe++
    const late = {
      ok: false as const,
      code: 'slice_timeout' as const,
      detail: `the node did not answer within ${request.timeout_seconds} s`,
    }
    return new Promise((resolve) => {
      const stop = this.#options.after(request.timeout_seconds * 1000 + SLACK_MS, () => this.answered(re, late))
      this.#open.set(re, { resolve, stop })
      if (!this.#options.ask(request.tenant, { type: 'slice', re, ...request }))
        this.answered(re, { ok: false, code: 'unavailable', detail: 'the node is not connected' })
    })
  }

  /** What the node said; a number that nobody waits for is passed over. */
  answered(re: number, outcome: SliceOutcome): void {
    const open = this.#open.get(re)
    this.#open.delete(re)
    open?.stop()
    open?.resolve(outcome)
  }

  /** The session is over: its node has forgotten what it was asked, and the next one has troubles of its own. */
  sessionOver(): void {
    this.#sessions++
    this.#derivations.clear()
    for (const re of [...this.#open.keys()])
      this.answered(re, { ok: false, code: 'unavailable', detail: 'the node went away while it was at work' })
  }

  /** Begins to make a derived object, once. Answers the fault of a try that has failed: told once, but for a node's own trouble, which lasts a while. */
  derive(key: string, request: SliceAsk): SliceFault | null {
    const known = this.#derivations.get(key)
    if (known === null) return null
    if (known !== undefined) {
      const stays = known.fault.code === 'unavailable' && known.at + AVOID_MS > this.#options.now()
      if (!stays) this.#derivations.delete(key)
      if (stays || known.fault.code !== 'unavailable') return known.fault
    }
    this.#derivations.set(key, null)
    const session = this.#sessions
    void this.ask(request).then((outcome) => {
      if (session !== this.#sessions) return
      this.#derivations.delete(key)
      if (outcome.ok) return
      this.#derivations.set(key, { fault: { code: outcome.code, detail: outcome.detail }, at: this.#options.now() })
      if (this.#derivations.size <= MAX_DERIVATIONS) return
      const [oldest] = [...this.#derivations].find(([, fault]) => fault !== null) ?? []
      if (oldest !== undefined) this.#derivations.delete(oldest)
    })
    return null
  }
}

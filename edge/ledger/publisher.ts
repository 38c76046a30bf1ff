import { stub } from '../addressing.ts'
import type { Family } from '../contract/ids.ts'
import type { Env } from '../env.ts'
import { fault } from '../fault.ts'
import type { LedgerContext } from './context.ts'
import { handedOver, handover } from './publication.ts'

/**
 * Results are handed to their table when the ledger has been quiet for this long: nobody waits for it, since a result is
 * readable before, while a commit and a put for every small result cost more than the jobs themselves…
 */
const HANDOVER_QUIET_MS = 250
/** …or when the oldest has waited this long. */
const HANDOVER_LATEST_MS = 60_000

export interface PublisherDeps {
  env: Env
  context: LedgerContext
  commit: <T>(body: (context: LedgerContext) => T) => T
  /** When a job last came or ended, or its result was asked for, in milliseconds since 1970. */
  busyAt: () => number
}

/** Hands results over to their tables: one call in flight a family, the rest gathers. What fails is repeated by the outbox's timer. */
export class Publisher {
  readonly #deps: PublisherDeps
  readonly #flushing = new Set<string>()

  constructor(deps: PublisherDeps) {
    this.#deps = deps
  }

  async handOver(family: Family): Promise<void> {
    if (this.#flushing.has(family)) return
    this.#flushing.add(family)
    const { env, context, commit } = this.#deps
    try {
      const table = stub(env.TABLE, `${context.tenant}/${family}`, env)
      const latest = Date.now() + HANDOVER_LATEST_MS
      for (;;) {
        // Before each batch: work that begins meanwhile goes before a backlog.
        await this.#untilQuiet(latest)
        const batch = handover(context, family)
        if (batch.publish.length === 0 && batch.withdraw.length === 0) return
        await fault(env, 'ledger.handing-over')
        if (batch.publish.length > 0) {
          const { accepted } = await table.publish(batch.publish)
          commit((inner) => handedOver(inner, 'publish', accepted))
          if (accepted.length === 0) return
        }
        if (batch.withdraw.length > 0) {
          const { accepted } = await table.withdraw(context.tenant, family, batch.withdraw)
          commit((inner) => handedOver(inner, 'withdraw', accepted))
          if (accepted.length === 0) return
        }
      }
    } catch (reason) {
      console.warn(`table ${family} did not take results; they are repeated: ${String(reason)}`)
    } finally {
      this.#flushing.delete(family)
    }
  }

  /** Waits until nobody has wanted anything of the ledger for a moment, but no longer than until `latest` (ms). */
  async #untilQuiet(latest: number): Promise<void> {
    for (;;) {
      const now = Date.now()
      const quiet = now - this.#deps.busyAt()
      if (quiet >= HANDOVER_QUIET_MS || now >= latest) return
      await new Promise((later) => setTimeout(later, HANDOVER_QUIET_MS - quiet))
    }
  }
}

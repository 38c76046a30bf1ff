import { stub } from '../addressing.ts'
import type { JobId, NodeId, SessionId } from '../contract/ids.ts'
import type { Lease } from '../contract/node.ts'
import type { Env } from '../env.ts'
import { clearTimer } from '../storage/timers.ts'
import { archiveResult, purgeResult } from './archive.ts'
import { cancelSent } from './cancel.ts'
import type { LedgerEffect } from './context.ts'
import { type Desk, fetchCarried } from './groups/desk.ts'
import { findJob } from './jobs.ts'
import { laneAcknowledged, laneUnheard } from './lanes.ts'
import { isUnwanted } from './remove.ts'

/** What a ledger does outside after a commit: none of it throws, and what fails is repeated by a timer. */
export class Errands {
  readonly #env: Env
  readonly #desk: Desk

  constructor(env: Env, desk: Desk) {
    this.#env = env
    this.#desk = desk
  }

  async tellPool({ pool, queue, seq, settings, held }: Extract<LedgerEffect, { kind: 'ready' }>): Promise<void> {
    try {
      await stub(this.#env.POOL, pool, this.#env).ready({ tenant: this.#desk.context.tenant, queue, seq, pool, settings, held })
      laneAcknowledged(this.#desk.context, pool, queue, seq)
    } catch (reason) {
      console.warn(`pool ${pool} did not take ready ${queue}#${seq}; it is repeated: ${String(reason)}`)
      this.#desk.commit((context) => laneUnheard(context, pool, queue))
    }
  }

  readonly #held = new Map<string, Extract<LedgerEffect, { kind: 'held' }>>()

  /** Only the latest word of a turn is said: the next one, and every announcement, makes good what is lost. */
  async tellHeld(effect: Extract<LedgerEffect, { kind: 'held' }>): Promise<void> {
    const key = `${effect.pool}/${effect.queue}`
    const isFirst = !this.#held.has(key)
    this.#held.set(key, effect)
    if (!isFirst) return
    await Promise.resolve()
    const { pool, queue, held, at } = this.#held.get(key) ?? effect
    this.#held.delete(key)
    try {
      await stub(this.#env.POOL, pool, this.#env).held({ tenant: this.#desk.context.tenant, queue, held, at })
    } catch (reason) {
      console.warn(`pool ${pool} did not hear what ${queue} holds: ${String(reason)}`)
    }
  }

  async tellLink(node: NodeId, session: SessionId, lease: Lease, reason: string): Promise<void> {
    try {
      const sent = await stub(this.#env.LINK, node, this.#env).cancel({ session, lease, reason })
      if (sent) this.#desk.commit((context) => cancelSent(context, lease.job, lease.attempt))
    } catch (cause) {
      console.warn(`cancel of ${lease.job} did not reach ${node}: ${String(cause)}`)
    }
  }

  /** A published result leaves this database when it is more than a few KiB; a deleted one leaves object storage too. */
  async settle(job: JobId): Promise<void> {
    const { context } = this.#desk
    const row = findJob(context, job)
    if (!row) return
    const unwanted = isUnwanted(context, row)
    const { deleted_at } = row
    try {
      await (unwanted ? purgeResult : archiveResult)(context, this.#env.RESULTS, job)
      // What came meanwhile, a deletion say, has a timer of its own under this name: it stays.
      const now = findJob(context, job)
      if (!now || (now.deleted_at === deleted_at && isUnwanted(context, now) === unwanted)) clearTimer(context.store, 'purge', job)
    } catch (reason) {
      console.warn(`result of ${job} was not moved; it is tried again: ${String(reason)}`)
    }
  }

  async carry(group: string, step: string): Promise<void> {
    try {
      await fetchCarried(this.#desk, this.#env.RESULTS, group, step)
    } catch (reason) {
      console.warn(`values of step ${step} of ${group} were not read; it is tried again: ${String(reason)}`)
    }
  }
}

import type { Offer } from '../../edge/contract/node.ts'

interface Work {
  offer: Offer
  stage: string
  /** Where it runs; null: it takes no slot yet. */
  source: string | null
}

/** Slots that a job takes. It begins while one is free, and may owe the others. */
export const weightOf = ({ weight = 1 }: Offer): number => weight

/**
 * Work of a stage in the order in which it begins: as it came, but a tenant with fewer jobs running goes before one whose offers
 * the node holds ahead. The edge gives slots in fair order; what is held ahead must not stand in that order's way. Counts
 * anew after each, for what was taken may have begun.
 */
export function* inTurn<W extends Work>(all: ReadonlyMap<unknown, W>, wanted: W['stage']): Generator<W> {
  const left = [...all.values()].filter(({ stage }) => stage === wanted)
  while (left.length > 0) {
    const running = new Map<string, number>()
    for (const { source, offer } of all.values()) if (source !== null) running.set(offer.tenant, (running.get(offer.tenant) ?? 0) + 1)
    const of = ({ offer }: W): number => running.get(offer.tenant) ?? 0
    const next = left.reduce((first, one) => (of(one) < of(first) ? one : first))
    left.splice(left.indexOf(next), 1)
    yield next
  }
}

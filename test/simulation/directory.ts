import type { AnnouncedTask } from '../../edge/contract/tasks.ts'

/** Stands in for the Directory, which has tests of its own: it takes every announcement and remembers what sweeps walk. */
export class DirectoryDouble {
  readonly ledgers = new Set<string>()
  readonly tables = new Set<string>()
  readonly pools = new Set<string>()
  readonly nodes = new Map<string, string>()
  readonly #poolsOf = new Map<string, Set<string>>()

  announce(message: { node: string; pool: string; tasks: AnnouncedTask[] }): { accepted: number; refused: [] } {
    this.pools.add(message.pool)
    for (const { name } of message.tasks) this.#poolsOf.set(name, (this.#poolsOf.get(name) ?? new Set()).add(message.pool))
    return { accepted: message.tasks.length, refused: [] }
  }

  nodeSeen(seen: { node: string; session: string }): void {
    this.nodes.set(seen.node, seen.session)
  }

  nodeGone(): void {}

  poolsOf(_tenant: string, names: string[]): string[][] {
    return names.map((name) => [...(this.#poolsOf.get(name) ?? [])])
  }

  remember(memory: { ledger?: string; table?: string }): void {
    if (memory.ledger !== undefined) this.ledgers.add(memory.ledger)
    if (memory.table !== undefined) this.tables.add(memory.table)
  }
}

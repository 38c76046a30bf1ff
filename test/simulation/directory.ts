import type { AnnouncedTask } from '../../edge/contract/tasks.ts'

/** Stands in for the Directory, which has tests of its own: it takes every announcement and remembers what sweeps walk. */
export class DirectoryDouble {
  readonly ledgers = new Set<string>()
  readonly tables = new Set<string>()
  readonly pools = new Set<string>()
  readonly nodes = new Map<string, string>()

  announce(message: { node: string; pool: string; tasks: AnnouncedTask[] }): { accepted: number; refused: [] } {
    this.pools.add(message.pool)
    return { accepted: message.tasks.length, refused: [] }
  }

  nodeSeen(seen: { node: string; session: string }): void {
    this.nodes.set(seen.node, seen.session)
  }

  nodeGone(): void {}

  remember(memory: { ledger?: string; table?: string }): void {
    if (memory.ledger !== undefined) this.ledgers.add(memory.ledger)
    if (memory.table !== undefined) this.tables.add(memory.table)
  }
}

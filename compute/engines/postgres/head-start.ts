import type { DuckdbPool } from '../../duckdb/pool.ts'
import type { DuckdbSession } from '../../duckdb/session.ts'
import type { Materialised } from '../../results/materialise.ts'
import type { CsvSpool } from './spool.ts'

/** Behind the source's end DuckDB gets as long again as it has had, and this at least; reading anew is certain to end. */
const LEAST_PATIENCE_MS = 30_000
/** `setTimeout` cannot wait longer (24 days). */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Where, and with what, a spool becomes Parquet. */
export interface Reading {
  pool: Pick<DuckdbPool, 'lend'>
  folder: string
  allowed: string[]
  signal: AbortSignal
  body(session: DuckdbSession, pipe: string | undefined): Promise<Materialised>
}

/**
 * DuckDB reads a spool while the source still writes into it: on two processors a third of the time of a long report.
 * It takes a child only where nobody needs it and gives it back to whoever does. Whatever happens to it, the spool is
 * whole: a head start that fails is forgotten, and its rows count only when the source's own count has been confirmed.
 */
export class HeadStart {
  readonly #stop = new AbortController()
  readonly #begun = performance.now()
  #made: Promise<Materialised | null> = Promise.resolve(null)
  #session: DuckdbSession | null = null
  #bytes = 0
  #ended = false

  /** Null where no child is free, where files cannot be followed, and for cells with line breaks, which one thread reads from a file. */
  static begin(spool: Pick<CsvSpool, 'path' | 'multiline'>, reading: Reading): HeadStart | null {
    // Pipes with a name and a death signal for children: Linux only, as the child's limits are.
    if (process.platform !== 'linux' || spool.multiline) return null
    const head = new HeadStart()
    const pipe = `${spool.path}.pipe`
    const { pool, folder, allowed, body } = reading
    const signal = AbortSignal.any([reading.signal, head.#stop.signal])
    const recall = () => {
      // Once the source has ended it is nearly done, and would be next in the line.
      if (!head.#ended) head.#stop.abort()
    }
    const made = pool.lend({ folder, allowed }, signal, recall, async (session) => {
      await session.follow(spool.path, pipe)
      head.#session = session
      session.grown(head.#bytes, head.#ended)
      return body(session, pipe)
    })
    if (made === null) return null
    head.#made = made
      .catch(() => null)
      .finally(() => {
        // The child works for somebody else from now on, and may follow another spool.
        head.#session = null
      })
    return head
  }

  /** What is in the spool by now. */
  grown({ bytes, multiline }: Pick<CsvSpool, 'bytes' | 'multiline'>): void {
    if (multiline) this.#stop.abort()
    this.#bytes = bytes
    this.#session?.grown(bytes, false)
  }

  /** The spool is complete. Null: it must be read from its beginning. */
  async finish(spool: Pick<CsvSpool, 'bytes' | 'multiline'>): Promise<Materialised | null> {
    if (spool.multiline) {
      await this.abandon()
      return null
    }
    this.#ended = true
    this.#bytes = spool.bytes
    this.#session?.grown(spool.bytes, true)
    const patience = Math.max(LEAST_PATIENCE_MS, performance.now() - this.#begun)
    const late = setTimeout(() => this.#stop.abort(), Math.min(patience, LONGEST_TIMER_MS))
    return this.#made.finally(() => clearTimeout(late))
  }

  /** Resolves when nothing works in the folder any more. */
  async abandon(): Promise<void> {
    this.#stop.abort()
    await this.#made
  }
}

import type { DuckdbPool } from '../../duckdb/pool.ts'
import type { DuckdbSession } from '../../duckdb/session.ts'
import type { Materialised } from '../../results/materialise.ts'
import type { CsvSpool } from './spool.ts'

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
  /** Whether it reads as cells with line breaks must be read. */
  readonly #multiline: boolean
  #made: Promise<Materialised | null> = Promise.resolve(null)
  #session: DuckdbSession | null = null
  #bytes = 0
  #ended = false

  private constructor(multiline: boolean) {
    this.#multiline = multiline
  }

  /** Null where no child is free, or where files cannot be followed. */
  static begin(spool: Pick<CsvSpool, 'path' | 'multiline'>, reading: Reading): HeadStart | null {
    // Pipes with a name and a death signal for children: Linux only, as the child's limits are.
    if (process.platform !== 'linux') return null
    const head = new HeadStart(spool.multiline)
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
    head.#made = made.catch(() => null)
    return head
  }

  /** So many bytes are in the spool. */
  grown(bytes: number): void {
    this.#bytes = bytes
    this.#session?.grown(bytes, false)
  }

  /** The spool is complete. Null: it must be read from its beginning. */
  async finish(spool: Pick<CsvSpool, 'bytes' | 'multiline'>): Promise<Materialised | null> {
    if (spool.multiline && !this.#multiline) {
      await this.abandon()
      return null
    }
    this.#ended = true
    this.#bytes = spool.bytes
    this.#session?.grown(spool.bytes, true)
    return this.#made
  }

  /** Resolves when nothing works in the folder any more. */
  async abandon(): Promise<void> {
    this.#stop.abort()
    await this.#made
  }
}

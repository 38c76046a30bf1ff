import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { typeName } from '../../../edge/contract/columns.ts'
import type { EngineFault, RunHooks } from '../engine.ts'
import type { Connection } from './connection.ts'
import { fault } from './faults.ts'
import type { HeadStart } from './head-start.ts'
import { MAX_SHORT_BYTES, MAX_SHORT_ROWS } from './short.ts'
import { CsvSpool, type Misfit } from './spool.ts'
import type { ResultColumn } from './types.ts'

/** From here on it pays to have DuckDB read the spool while it grows: some 50,000 rows, of which the child reads a few milliseconds. */
const LONG_BYTES = 4 * 1024 * 1024
/** Progress is told once in so many rows, and not more often than this. */
const PROGRESS_ROWS = 16_384
const PROGRESS_MS = 400

export const misfitFault = ({ column, type, value, why }: Misfit): EngineFault =>
  fault(
    'unkeepable_value',
    `column "${column}": the value ${value} ${why === null ? `does not fit ${typeName(type)}` : `is ${why}`}. Change it in the query, or write "-- types: ${column}=string" to keep its text.`,
    'sql',
  )

/**
 * Takes the rows of a running query. The first ones are only kept; when they become many they go to a spool, and so does
 * everything behind them. So whether a result is small is found out while it comes, and no query runs twice.
 */
export class Collector {
  rows = 0
  /** Why rows are thrown away since: the query is being stopped. */
  failure: EngineFault | null = null
  spool: CsvSpool | null = null
  /** DuckDB at work on the spool while it grows. */
  headStart: HeadStart | null = null
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #discarding = false
  #ended = false
  #isLong = false
  #told = 0
  readonly #columns: readonly ResultColumn[]
  readonly #folder: string
  readonly #connection: Connection
  readonly #hooks: RunHooks
  readonly #failed: () => void
  readonly #long: (spool: CsvSpool) => HeadStart | null

  /** `failed` is called once, at the first value that cannot be kept; `long` once, when the spool has become long. */
  constructor(
    columns: readonly ResultColumn[],
    folder: string,
    connection: Connection,
    hooks: RunHooks,
    failed: () => void,
    long: (spool: CsvSpool) => HeadStart | null,
  ) {
    this.#columns = columns
    this.#folder = folder
    this.#connection = connection
    this.#hooks = hooks
    this.#failed = failed
    this.#long = long
  }

  /** From now on rows are read and forgotten: a server that cannot send does not hear that it shall stop. */
  discard(): void {
    this.#discarding = true
    this.#connection.resume()
  }

  fail(failure: EngineFault): void {
    if (this.failure) return
    this.failure = failure
    // Behind its end the connection serves somebody else: there is nothing to stop any more.
    if (this.#ended) return
    this.discard()
    this.#failed()
  }

  /** The query is over and its connection no longer ours. */
  end(): void {
    this.#ended = true
  }

  row(bytes: Uint8Array, start: number, end: number): void {
    if (this.#discarding) return
    this.rows += 1
    if (this.spool) {
      this.spool.row(bytes, start, end)
      if (this.rows % PROGRESS_ROWS === 0) this.#tell()
      return
    }
    this.#kept.push(bytes.slice(start, end))
    this.#keptBytes += end - start
    if (this.#keptBytes > MAX_SHORT_BYTES || this.#kept.length > MAX_SHORT_ROWS) this.toSpool()
  }

  #tell(): void {
    const now = performance.now()
    if (now - this.#told < PROGRESS_MS) return
    this.#told = now
    this.#hooks.progress(null, this.rows)
  }

  /** The rows of a result that stayed small. */
  get kept(): readonly Uint8Array[] {
    return this.#kept
  }

  /** Moves what was kept to the spool; rows that come later follow. */
  toSpool(): CsvSpool {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    } catch {
      // Opening the spool fails then, and says why.
    }
    const spool = new CsvSpool(join(this.#folder, 'spool.csv'), this.#columns, {
      pause: () => {
        if (!this.#discarding && !this.#ended) this.#connection.pause()
      },
      resume: () => {
        if (!this.#ended) this.#connection.resume()
      },
      misfit: (misfit) => this.fail(misfitFault(misfit)),
      written: (bytes) => {
        if (bytes >= LONG_BYTES && !this.#isLong && !this.#discarding && !this.#ended) {
          this.#isLong = true
          this.headStart = this.#long(spool)
        }
        this.headStart?.grown(spool)
      },
    })
    this.spool = spool
    for (const row of this.#kept) spool.row(row, 0, row.length)
    this.#kept = []
    return spool
  }
}

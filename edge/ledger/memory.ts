import type { JobRow } from './jobs.ts'
import type { QueueRule, Standing } from './lane-rules.ts'

/** A lane as the ledger has it in memory; of all this only `ceiling` stands in the database. */
export interface Lane {
  pool: string
  queue: string
  /** The number of the last announcement. */
  seq: number
  /** Numbers up to here are set aside in the database, so that no life of the ledger says one of them twice. */
  ceiling: number
  /** The pool was told, or is being told, that jobs wait here. */
  announced: boolean
  /** The last announcement that the pool has written down. */
  acked: number
  /** When the lane was last announced, ms. */
  saidAt: number
  /** The lane's timer is set. */
  timed: boolean
  /** No job waits here: known since the last look, and until the next job comes. */
  empty: boolean
}

/** Rows kept at most, and the largest arguments of a row that is kept, in characters. */
const MAX_JOBS = 5_000
const MAX_ARGS = 4_096

/**
 * What a ledger keeps in memory beside its database. A cache only: one object owns one database, so nobody else can change
 * what is kept here, and a new life begins with nothing. Reading a small job's row anew for each of its eight messages, and
 * its lane and session besides, cost more than running it. After a rollback all of it is forgotten.
 */
export class LedgerMemory {
  readonly jobs = new Map<string, JobRow>()
  readonly lanes = new Map<string, Lane>()
  /** Of each queue how it is to be served. */
  readonly queues = new Map<string, QueueRule>()
  /** Queues with a limit or a reserve of which this transaction has changed what nodes hold. */
  readonly counted = new Set<string>()
  /** Of each queue how many jobs wait in it and are held; null: nobody has asked in this life. */
  standing: Map<string, Standing> | null = null
  /** When a session was last renewed, ms. */
  readonly sessions = new Map<string, number>()
  /** Kinds of which the one timer is set. */
  readonly timers = new Set<string>()
  /** Jobs of groups that this transaction has changed: their steps follow before it ends. */
  readonly touched = new Set<string>()
  /** Schedules of which a run has ended in this transaction. */
  readonly schedules = new Set<string>()
  /** Jobs that wait again since this transaction: those that share their execution may have a better place. */
  readonly waiting = new Set<string>()
  /** Jobs that others follow; null: not read yet. */
  leaders: Set<string> | null = null
  /** Jobs that this transaction has ended: what follows from it is done before it ends too. */
  readonly ended = new Set<string>()

  keep(row: JobRow): void {
    if (row.args.length <= MAX_ARGS) this.jobs.set(row.id, row)
  }

  /** Between transactions only: within one, two copies of a row could say different things. */
  trim(): void {
    if (this.jobs.size <= MAX_JOBS) return
    let over = this.jobs.size - MAX_JOBS / 2
    for (const id of this.jobs.keys()) {
      if (over-- <= 0) break
      this.jobs.delete(id)
    }
  }

  forget(): void {
    this.jobs.clear()
    this.lanes.clear()
    this.queues.clear()
    this.counted.clear()
    this.standing = null
    this.sessions.clear()
    this.timers.clear()
    this.touched.clear()
    this.schedules.clear()
    this.leaders = null
    this.ended.clear()
    this.waiting.clear()
  }
}

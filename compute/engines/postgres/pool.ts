import { Connection } from './connection.ts'
import type { Address } from './dsn.ts'
import { ConnectionTrouble } from './socket.ts'

/** An idle connection is closed after this long, so that a node at rest holds none of the source's slots. */
const IDLE_MS = 5 * 60_000

interface Waiter {
  give(connection: Connection | null): void
}

export interface Borrowed {
  connection: Connection
  /** It has served before, and may have died in its sleep. */
  reused: boolean
}

/** At most `max` connections to one source (`max_active`), first come, first served. */
export class ConnectionPool {
  readonly address: Address
  readonly #max: number
  readonly #idle = new Map<Connection, ReturnType<typeof setTimeout>>()
  readonly #all = new Set<Connection>()
  readonly #waiting = new Set<Waiter>()
  #opening = 0
  #closed = false

  constructor(address: Address, max: number) {
    this.address = address
    this.#max = Math.max(1, max)
  }

  /** Throws ConnectionTrouble. */
  async acquire(signal: AbortSignal): Promise<Borrowed> {
    for (;;) {
      if (this.#closed) throw new ConnectionTrouble('aborted', 'the node is stopping')
      if (signal.aborted) throw new ConnectionTrouble('aborted', 'stopped while waiting for a connection')
      const idle = this.#takeIdle()
      if (idle) return { connection: idle, reused: true }
      if (this.#all.size + this.#opening < this.#max) return { connection: await this.#open(signal), reused: false }
      const given = await this.#wait(signal)
      if (given?.usable) return { connection: given, reused: true }
    }
  }

  /** The newest of the idle ones: the others may grow old and go. */
  #takeIdle(): Connection | null {
    for (;;) {
      const last = [...this.#idle].at(-1)
      if (!last) return null
      const [connection, timer] = last
      clearTimeout(timer)
      this.#idle.delete(connection)
      if (connection.usable) return connection
    }
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    this.#opening += 1
    try {
      const connection = await Connection.open(this.address, signal)
      if (this.#closed) {
        connection.destroy()
        throw new ConnectionTrouble('aborted', 'the node is stopping')
      }
      this.#all.add(connection)
      connection.onClose = () => {
        this.#all.delete(connection)
        clearTimeout(this.#idle.get(connection))
        this.#idle.delete(connection)
        this.#wake(null)
      }
      return connection
    } catch (error) {
      // The place is free again: whoever waits for one may try.
      this.#wake(null)
      throw error
    } finally {
      this.#opening -= 1
    }
  }

  #wait(signal: AbortSignal): Promise<Connection | null> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        give: (connection) => {
          signal.removeEventListener('abort', abort)
          resolve(connection)
        },
      }
      const abort = () => {
        this.#waiting.delete(waiter)
        reject(new ConnectionTrouble('aborted', 'stopped while waiting for a connection'))
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiting.add(waiter)
    })
  }

  #wake(connection: Connection | null): boolean {
    const [waiter] = this.#waiting
    if (!waiter) return false
    this.#waiting.delete(waiter)
    waiter.give(connection)
    return true
  }

  /** Gives a connection back; one that is not fit to be used again is closed. */
  release(connection: Connection): void {
    if (!connection.usable || this.#closed) {
      connection.close()
      return
    }
    if (this.#wake(connection)) return
    const timer = setTimeout(() => connection.close(), IDLE_MS)
    timer.unref()
    this.#idle.set(connection, timer)
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#all) connection.destroy()
    while (this.#wake(null));
  }
}

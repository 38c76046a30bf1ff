import { Connection } from './connection.ts'
import { lookUp } from './query.ts'
import { ConnectionTrouble } from './socket.ts'

/** A cancel request that arrives before the query has begun is lost, so it is repeated. */
const REPEAT_MS = 250
/** After this long without an answer the connection is given up, and the server is asked what it is doing. */
export const PATIENCE_MS = 5_000

export interface Stopped {
  outcome: 'confirmed' | 'not_confirmed'
  reason: string
}

const pause = (ms: number, until: Promise<unknown>): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  void until.then(() => resolve())
  return promise.finally(() => clearTimeout(timer))
}

/** Looks from another connection whether the backend is still at work. */
const lookAt = async (connection: Connection, patienceMs: number): Promise<Stopped> => {
  const signal = AbortSignal.timeout(patienceMs)
  let observer: Connection | null = null
  try {
    observer = await Connection.open(connection.address, signal)
    const [row] = await lookUp(observer, 'select state from pg_stat_activity where pid = $1::int4', [String(connection.pid)])
    const state = row?.[0] ?? null
    if (row === undefined) return { outcome: 'confirmed', reason: 'the server has ended the session of the query' }
    if (state !== null && state !== 'active') return { outcome: 'confirmed', reason: `the server reports the session as "${state}"` }
    return { outcome: 'not_confirmed', reason: 'the server still reports the query as active' }
  } catch (error) {
    const why = error instanceof ConnectionTrouble ? error.message : 'it could not be asked'
    return {
      outcome: 'not_confirmed',
      reason: `the query did not answer to the cancel request, and the server could not be asked about it: ${why}`,
    }
  } finally {
    observer?.close()
  }
}

/**
 * Stops what `connection` is running at the server and says what is known (I8). `work` is the running exchange: it must go
 * on taking rows, for a server that is blocked on sending does not hear a cancel request.
 */
export const stopAtServer = async (connection: Connection, work: Promise<unknown>, patienceMs = PATIENCE_MS): Promise<Stopped> => {
  // A late cancel request must not hit the next query on this connection.
  connection.tainted = true
  const settled = { is: false }
  const end = work.then(
    () => {
      settled.is = true
    },
    () => {
      settled.is = true
    },
  )
  const begun = performance.now()
  while (!settled.is && connection.alive && performance.now() - begun < patienceMs) {
    const request = connection.cancel(AbortSignal.timeout(patienceMs)).catch(() => undefined)
    await pause(REPEAT_MS, Promise.race([end, request.then(() => end)]))
  }
  if (settled.is && connection.alive) return { outcome: 'confirmed', reason: 'the server answered that the query has ended' }
  connection.destroy()
  return lookAt(connection, patienceMs)
}

import type { Failure } from '../../../edge/contract/node.ts'
import { EngineFault, type Source } from '../engine.ts'
import { isOverload } from './overload.ts'
import type { ConnectionTrouble } from './socket.ts'
import type { ServerError } from './wire.ts'

const MAX_MESSAGE_CHARACTERS = 4_000
/** Shorter passwords stand in ordinary words, and hiding them would show them. */
const SHORTEST_HIDDEN_PASSWORD = 4

export const fault = (code: string, message: string, failureClass: Failure['class']): EngineFault =>
  new EngineFault({ code, message: message.slice(0, MAX_MESSAGE_CHARACTERS), class: failureClass })

/** A server's message can quote a connection string (dblink does): the password goes, whatever quotes it. */
export const withoutPassword = (text: string, password: string | null): string =>
  password !== null && password.length >= SHORTEST_HIDDEN_PASSWORD ? text.replaceAll(password, '***') : text

export const connectionFault = (source: Source, trouble: ConnectionTrouble): EngineFault => {
  const message = `source "${source.name}": ${trouble.message}`
  if (trouble.kind === 'rejected') return fault('source_rejected', message, 'source')
  if (trouble.kind === 'aborted') return fault('cancelled', message, 'cancelled')
  if (trouble.kind === 'overloaded') return fault('source_overloaded', message, 'overloaded')
  return fault(trouble.kind === 'lost' ? 'connection_lost' : 'source_unavailable', message, 'lost')
}

/**
 * SQLSTATEs that say "not you, not now": the server was stopped, or a standby had to go on. A second attempt may do, so they
 * count as lost. PostgreSQL documentation, appendix A.
 */
const PASSING = /^(08|57P0[1245]|40001|40P01)/

export interface ErrorContext {
  source: Source
  sql: string
  password: string | null
  /** Before BindComplete only the arguments can be at fault for a data exception. */
  bound: boolean
  /** Our own limit passed: 57014 then is the statement timeout, without it somebody else's doing. */
  overdue: boolean
  maxRuntimeSeconds: number | null
}

const placeOf = (sql: string, position: number | null): string => {
  if (position === null) return ''
  const before = [...sql]
    .slice(0, position - 1)
    .join('')
    .split('\n')
  return ` (line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1} of the query)`
}

export const serverFault = (error: ServerError, context: ErrorContext): EngineFault => {
  const { source } = context
  const parts = [error.message, error.detail, error.hint === null ? null : `Hint: ${error.hint}`].filter((part) => part !== null)
  const text = withoutPassword(`${parts.join('. ')}${placeOf(context.sql, error.position)}`, context.password)
  const message = `source "${source.name}": ${text} [SQLSTATE ${error.code}]`
  if (error.code === '57014') {
    if (context.overdue)
      return fault('max_runtime', `the statement was stopped after ${context.maxRuntimeSeconds} seconds, the task's max_runtime`, 'limit')
    return fault('stopped_by_source', message, 'source')
  }
  if (isOverload(error.code)) return fault('source_overloaded', message, 'overloaded')
  if (PASSING.test(error.code)) return fault('connection_lost', message, 'lost')
  if (error.code === '25006') return fault('not_read_only', `${message}. Reports run in a read-only transaction`, 'sql')
  if (!context.bound && (error.code.startsWith('22') || error.code === '08P01')) return fault('invalid_argument', message, 'arguments')
  if (error.code.startsWith('28') || error.code === '42501') return fault('source_error', message, 'source')
  return fault(error.code.startsWith('42') ? 'invalid_sql' : 'sql_error', message, 'sql')
}

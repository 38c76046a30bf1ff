import type { Connection } from './connection.ts'
import { type Field, FROM_SERVER, Outgoing, readError, readFields, readOids, type ServerError, tagRows, textOf } from './wire.ts'

/** What the server says about a statement without running it. */
export interface Description {
  /** Type oid of each `$n`. */
  parameters: number[]
  fields: Field[]
}

export type Described = { ok: true; description: Description } | { ok: false; error: ServerError }

/** What statement_timeout can say at most: 32 bits of milliseconds, 24 days. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1
/** Prepared statements a connection keeps; the oldest makes room. */
const MAX_STATEMENTS = 256
let statementNumber = 0

const statementKey = (sql: string, oids: readonly number[]): string => `${oids.join()}\n${sql}`

/** Adds what is needed to have `sql` prepared; null where it already is. */
const prepare = (connection: Connection, request: Outgoing, sql: string, oids: readonly number[]): { name: string; fresh: boolean } => {
  const key = statementKey(sql, oids)
  const known = connection.statements.get(key)
  if (known !== undefined) return { name: known, fresh: false }
  const [oldest] = connection.statements
  if (oldest && connection.statements.size >= MAX_STATEMENTS) {
    connection.statements.delete(oldest[0])
    request.closeStatement(oldest[1])
  }
  statementNumber += 1
  const name = `scarab_${statementNumber}`
  request.parse(name, sql, oids).describeStatement(name)
  return { name, fresh: true }
}

/** Forgets a prepared statement that the server no longer has, or no longer knows as the same. */
export const forget = (connection: Connection, sql: string, oids: readonly number[]): void => {
  connection.statements.delete(statementKey(sql, oids))
}

/** Parse and Describe (documentation, section 54.2.3), which runs nothing. Throws ConnectionTrouble. */
export const describe = async (connection: Connection, sql: string, oids: readonly number[]): Promise<Described> => {
  forget(connection, sql, oids)
  const request = new Outgoing()
  const { name } = prepare(connection, request, sql, oids)
  const description: Description = { parameters: [], fields: [] }
  let failure: ServerError | null = null
  await connection.exchange(
    request.sync(),
    {
      row: () => undefined,
      message: (type, bytes, start, end) => {
        if (type === FROM_SERVER.parameterDescription) description.parameters = readOids(bytes, start)
        else if (type === FROM_SERVER.rowDescription) description.fields = readFields(bytes, start)
        else if (type === FROM_SERVER.error) failure ??= readError(bytes, start, end)
      },
    },
    1,
  )
  if (failure) return { ok: false, error: failure }
  connection.statements.set(statementKey(sql, oids), name)
  return { ok: true, description }
}

/** Runs a query of ours and returns its rows as text. Throws ConnectionTrouble. */
export const lookUp = async (connection: Connection, sql: string, args: (string | null)[]): Promise<(string | null)[][]> => {
  const rows: (string | null)[][] = []
  await connection.exchange(
    new Outgoing().parse('', sql, []).bind('', args).execute().sync(),
    {
      row: (bytes, start) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset)
        const row: (string | null)[] = []
        let at = start + 2
        for (let left = view.getInt16(start); left > 0; left -= 1) {
          const length = view.getInt32(at)
          at += 4
          row.push(length < 0 ? null : textOf(bytes, at, at + length))
          at += Math.max(length, 0)
        }
        rows.push(row)
      },
      message: () => undefined,
    },
    1,
  )
  return rows
}

export interface Ended {
  error: ServerError | null
  /** The server took the arguments: what fails from here on is the query. */
  bound: boolean
  /** What the server counted; null when it did not come to its end. */
  rows: number | null
}

export interface Report {
  sql: string
  oids: readonly number[]
  args: readonly (string | null)[]
  /** For the server's statement_timeout; null leaves the one of the role or the database. */
  timeoutMs: number | null
  /** Called when the server has taken up the work: from then on a lost connection is a lost attempt. */
  begun(): void
  /** Called when the statement was prepared anew, before its first row. */
  fields(fields: Field[]): void
  row(bytes: Uint8Array, start: number, end: number): void
}

/**
 * Runs a report in a read-only transaction of its own: begin, (parse,) bind, execute and commit leave in one write and
 * cost one round trip. After an error the server skips to the commit, which then rolls back. Throws ConnectionTrouble.
 */
export const runReport = async (connection: Connection, report: Report): Promise<Ended> => {
  const timeout =
    report.timeoutMs === null
      ? ''
      : `;set local statement_timeout = ${Math.min(LONGEST_TIMEOUT_MS, Math.max(1, Math.ceil(report.timeoutMs)))}`
  const request = new Outgoing().simple(`begin read only${timeout}`)
  const { name, fresh } = prepare(connection, request, report.sql, report.oids)
  request.bind(name, report.args).execute().sync().simple('commit')
  const ended: Ended = { error: null, bound: false, rows: null }
  await connection.exchange(
    request,
    {
      row: report.row,
      message: (type, bytes, start, end) => {
        if (type !== FROM_SERVER.error) report.begun()
        if (type === FROM_SERVER.bindComplete) ended.bound = true
        else if (type === FROM_SERVER.parseComplete && fresh) connection.statements.set(statementKey(report.sql, report.oids), name)
        else if (type === FROM_SERVER.rowDescription) report.fields(readFields(bytes, start))
        else if (type === FROM_SERVER.error) ended.error ??= readError(bytes, start, end)
        else if (type === FROM_SERVER.commandComplete) ended.rows ??= tagRows(textOf(bytes, start, end - 1))
      },
    },
    3,
  )
  if (ended.error?.code === '0A000' || ended.error?.code === '26000') {
    // "cached plan must not change result type", or somebody's DISCARD ALL: it must be prepared anew.
    if (!ended.bound) forget(connection, report.sql, report.oids)
  }
  return ended
}

import { connect } from 'node:net'

/** One connection to a test's PostgreSQL, for looking at what the system does there. */
export interface Observer {
  /** Runs one statement; values come as the server's text. One at a time. */
  query(sql: string): Promise<(string | null)[][]>
  close(): Promise<void>
}

const message = (type: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type, 'latin1'), length, body])
}

/** The fields of a DataRow (PostgreSQL documentation, "Message Formats"). */
const valuesOf = (body: Buffer): (string | null)[] => {
  let at = 2
  return Array.from({ length: body.readInt16BE(0) }, () => {
    const length = body.readInt32BE(at)
    at += 4
    if (length < 0) return null
    at += length
    return body.toString('utf8', at - length, at)
  })
}

/** Connects as a superuser who is trusted, and speaks the simple query protocol. */
export const observe = async (port: number): Promise<Observer> => {
  const socket = connect(port, '127.0.0.1')
  let rest = Buffer.alloc(0)
  let rows: (string | null)[][] = []
  let error: string | null = null
  let settle: { resolve: (rows: (string | null)[][]) => void; reject: (fault: Error) => void } | null = null
  const answer = (): Promise<(string | null)[][]> =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject }
    })
  const take = (type: string, body: Buffer): void => {
    if (type === 'D') rows.push(valuesOf(body))
    else if (type === 'E') error = body.toString('utf8').replaceAll('\0', ' ')
    else if (type === 'Z') {
      const [done, fault] = [rows, error]
      rows = []
      error = null
      if (fault === null) settle?.resolve(done)
      else settle?.reject(new Error(fault))
    }
  }
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 5 && rest.length >= rest.readInt32BE(1) + 1) {
      const end = rest.readInt32BE(1) + 1
      take(rest.toString('latin1', 0, 1), rest.subarray(5, end))
      rest = rest.subarray(end)
    }
  })
  socket.on('error', (fault) => settle?.reject(fault))
  const ready = answer()
  const version = Buffer.alloc(4)
  version.writeInt32BE(196_608)
  socket.write(message('', Buffer.concat([version, Buffer.from('user\0scarab\0database\0postgres\0\0')])))
  await ready
  return {
    query: (sql) => {
      const rowsOf = answer()
      socket.write(message('Q', Buffer.from(`${sql}\0`)))
      return rowsOf
    },
    close: () =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve()
        socket.once('close', () => resolve())
        socket.end(message('X', Buffer.alloc(0)))
      }),
  }
}

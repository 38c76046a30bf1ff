import { connect } from 'node:net'
import { type PostgresServer, startPostgres } from '../support/postgres.ts'

export const ROWS = 1_000_000

/** A real PostgreSQL with fsync and a million rows of eight columns. */
export const startSource = async (): Promise<PostgresServer> => {
  const server = await startPostgres({ fsync: true, settings: { shared_buffers: '512MB', max_wal_size: '4GB' } })
  await query(
    server.port,
    `CREATE TABLE payments (
       id bigint PRIMARY KEY, account integer NOT NULL, amount numeric(12,2) NOT NULL, currency text NOT NULL,
       paid_at timestamptz NOT NULL, day date NOT NULL, settled boolean, note text);
     INSERT INTO payments
       SELECT n, (n % 50000)::int, (n * 7919 % 10000000) / 100.0, (ARRAY['EUR','USD','INR','JPY'])[(1 + n % 4)::int],
         timestamptz '2026-01-01 00:00:00+00' + n * interval '13 seconds', date '2026-01-01' + (n / 6646)::int,
         n % 3 = 0, CASE WHEN n % 5 = 0 THEN NULL ELSE 'payment ' || n END
       FROM generate_series(1::bigint, ${ROWS}::bigint) AS s(n);
     VACUUM (ANALYZE, FREEZE) payments; CHECKPOINT`,
  )
  return server
}

const message = (type: string, text: string): Buffer => {
  const body = Buffer.from(`${text}\0`)
  const bytes = Buffer.alloc(5 + body.length)
  bytes.write(type, 'latin1')
  bytes.writeInt32BE(4 + body.length, 1)
  body.copy(bytes, 5)
  return bytes
}

/** "ReadyForQuery, idle": nothing follows it. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

/** A connection that sends simple queries and throws their answers away: what a source can do at most. */
export interface Discarding {
  /** Bytes that came back. Throws where the server refuses. */
  run(sql: string): Promise<number>
  close(): void
}

export const openDiscarding = async (port: number): Promise<Discarding> => {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  let tail = Buffer.alloc(0)
  let bytes = 0
  let refused: string | null = null
  let done: (() => void) | null = null
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (chunk[0] === 0x45 && bytes === chunk.length) refused = chunk.toString('utf8').replaceAll('\0', ' ')
    tail = chunk.length >= READY.length ? Buffer.from(chunk.subarray(-READY.length)) : Buffer.concat([tail, chunk]).subarray(-READY.length)
    if (tail.equals(READY)) done?.()
  })
  const ready = (): Promise<void> =>
    new Promise((resolve, reject) => {
      done = resolve
      socket.once('error', reject)
    })
  const parameters = Buffer.from('\0\x03\0\0user\0scarab\0database\0postgres\0\0', 'latin1')
  const startup = Buffer.alloc(4 + parameters.length)
  startup.writeInt32BE(startup.length)
  parameters.copy(startup, 4)
  const opened = ready()
  socket.write(startup)
  await opened
  return {
    run: async (sql) => {
      bytes = 0
      refused = null
      const over = ready()
      socket.write(message('Q', sql))
      await over
      if (refused !== null) throw new Error(refused)
      return bytes
    },
    close: () => socket.destroy(),
  }
}

const query = async (port: number, sql: string): Promise<void> => {
  const connection = await openDiscarding(port)
  for (const one of sql.split(';')) await connection.run(one)
  connection.close()
}

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { connect, createServer, type Server } from 'node:net'
import { PATIENCE_MS } from '../../test-patience.ts'
import type { Source } from '../engine.ts'
import { type Fixture, openFixture } from './fixture.ts'

setDefaultTimeout(PATIENCE_MS)

let pg: Fixture
let proxy: Server

const DATA_ROW = 'D'.charCodeAt(0)
/** A message is a byte of type and a length that counts itself (PostgreSQL documentation, "Message Formats"). */
const HEAD_BYTES = 5

/** After so many data rows one is lost on the way; zero: never. */
let losesIn = 0

/** Passes a server's messages on, whole ones only, but for one row. */
const loseRow = (forward: (bytes: Buffer) => void): ((bytes: Buffer) => void) => {
  let held = Buffer.alloc(0)
  return (bytes) => {
    held = Buffer.concat([held, bytes])
    while (held.length >= HEAD_BYTES) {
      const size = 1 + held.readUInt32BE(1)
      if (held.length < size) return
      const message = held.subarray(0, size)
      held = held.subarray(size)
      if (message[0] === DATA_ROW && losesIn > 0 && --losesIn === 0) continue
      forward(message)
    }
  }
}

beforeAll(async () => {
  pg = await openFixture()
  proxy = createServer((client) => {
    const server = connect(pg.server.port, '127.0.0.1')
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
    client.pipe(server)
    server.on(
      'data',
      loseRow((bytes) => client.write(bytes)),
    )
    server.on('close', () => client.end())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', () => resolve()))
})
afterAll(async () => {
  proxy.close()
  await pg.close()
})

const source = (): Source => {
  const address = proxy.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return { name: 'lossy', type: 'postgres', dsn: `postgres://scarab@127.0.0.1:${port}/postgres?sslmode=disable`, maxActive: 1 }
}

test('rows that the server counted and that did not arrive fail the attempt as lost (I5)', async () => {
  const sql = 'select g::bigint as n from generate_series(1, 5000) as g'
  const whole = await pg.execute(sql, { source: source() })
  expect(whole.produced.rows).toBe(5000)
  losesIn = 2500
  const run = await pg.prepare(sql, { source: source() })
  const work = pg.engine.execute(run, { started: () => {}, progress: () => {} }, new AbortController().signal)
  expect(await pg.failure(work)).toMatchObject({ code: 'rows_missing', class: 'lost' })
})

import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PART_BYTES, SINGLE_PUT_BYTES } from '../../edge/contract/node.ts'
import type { Client } from './support/client.ts'
import { startWorld, type World } from './support/world.ts'

const ROWS = 60_000
const LARGE_ROWS = 400_000
const TASKS = {
  // Too much for a completion, little enough for one PUT.
  'medium.sql': `-- name: medium\n-- db: duckdb\nSELECT i, sha256(i::VARCHAR) AS code FROM range(${ROWS}) t(i)\n`,
  // Texts that hardly compress: more than one PUT may carry.
  'large.sql': `-- name: large\n-- db: duckdb\nSELECT i, array_to_string(list_transform(range(8), lambda n: sha256(n || ' ' || i)), '') AS code FROM range(${LARGE_ROWS}) t(i)\n`,
  'tiny.sql': '-- name: tiny\n-- db: duckdb\nSELECT 1 AS n\n',
}

interface Seen {
  method: string
  url: URL
  headers: IncomingMessage['headers']
  bytes: number
  status: number
}

/** Stands before the storage's S3 door, passes everything on as it came, and remembers it. */
const seen: Seen[] = []
let door: Server
let address = ''
let world: World
let acme: Client

beforeAll(async () => {
  door = createServer((asked, answer) => {
    const chunks: Buffer[] = []
    asked.on('data', (chunk: Buffer) => chunks.push(chunk))
    asked.on('end', () => {
      const body = Buffer.concat(chunks)
      const method = asked.method ?? ''
      const url = new URL(asked.url ?? '', address)
      const to = new URL(world.system.entry)
      const onward = request(
        { host: to.hostname, port: to.port, method, path: asked.url, headers: { ...asked.headers, 'content-length': String(body.length) } },
        (answered) => {
          seen.push({ method, url, headers: asked.headers, bytes: body.length, status: answered.statusCode ?? 0 })
          answer.writeHead(answered.statusCode ?? 502, answered.headers)
          answered.pipe(answer)
        },
      )
      onward.on('error', () => answer.destroy())
      onward.end(body)
    })
  })
  address = await new Promise((resolve) => {
    door.listen(0, '127.0.0.1', () => {
      const bound = door.address()
      resolve(`http://127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`)
    })
  })
  world = await startWorld({
    tasks: TASKS,
    s3: { accessKeyId: 'scarab-test', secretAccessKey: 'a secret of this test' },
    bindings: { S3_ENDPOINT: `${address}/cdn-cgi/local/r2/s3` },
  })
  acme = await world.as('acme')
})
afterAll(async () => {
  await world?.end()
  door.closeAllConnections()
  door.close()
})

const dataPuts = (job: string): Seen[] => seen.filter(({ method, url }) => method === 'PUT' && url.pathname.includes(`/data/${job}/`))
const signedHeaders = ({ url }: Seen): string[] => (url.searchParams.get('X-Amz-SignedHeaders') ?? '').split(';')

test('a result goes to object storage by one presigned PUT that can write its key once', async () => {
  const job = await acme.run('medium')
  expect(job).toMatchObject({ state: 'succeeded', rows: ROWS, error: null })
  const puts = dataPuts(job.id)
  expect(puts.map(({ status }) => status)).toEqual([200])
  const [put] = puts
  if (!put) throw new Error('no PUT')
  expect(put.headers['if-none-match']).toBe('*')
  expect(signedHeaders(put)).toContain('if-none-match')
  // Only a signature, no lasting key: the node was told one address and holds no secret.
  expect(put.headers.authorization).toBeUndefined()

  const { files } = await acme.result(job.id)
  expect(put.bytes).toBe(files[0]?.bytes)
  expect(put.url.pathname.endsWith(`/${files[0]?.key}`)).toBe(true)
  const file = await acme.ask(`/v1/jobs/${job.id}/result.parquet`)
  expect((await file.arrayBuffer()).byteLength).toBe(put.bytes)
  const sum = await acme.slice(job.id, { sql: 'SELECT count(*) AS n, sum(i)::BIGINT AS total, count(DISTINCT code) AS codes FROM result' })
  expect(sum.rows).toEqual([[String(ROWS), String((ROWS * (ROWS - 1)) / 2), String(ROWS)]])

  // The address is still good, but not for other bytes, another key, or without the condition that makes it write-once.
  const again = (change: { path?: string; headers?: Record<string, string> }): Promise<Response> =>
    fetch(`${address}${change.path ?? put.url.pathname}${put.url.search}`, {
      method: 'PUT',
      body: 'other bytes',
      headers: change.headers ?? { 'if-none-match': '*' },
    })
  expect((await again({})).status).toBe(412)
  expect((await again({ headers: {} })).status).toBe(403)
  expect((await again({ path: put.url.pathname.replace('/0.parquet', '/1.parquet') })).status).toBe(403)
  const untouched = await acme.ask(`/v1/jobs/${job.id}/result.parquet`)
  expect((await untouched.arrayBuffer()).byteLength).toBe(put.bytes)
})

test('a larger one goes in presigned parts, and the edge puts them together', async () => {
  const job = await acme.run('large')
  expect(job).toMatchObject({ state: 'succeeded', rows: LARGE_ROWS, error: null })
  const { files } = await acme.result(job.id)
  const bytes = files[0]?.bytes ?? 0
  expect(bytes).toBeGreaterThan(SINGLE_PUT_BYTES)
  const puts = dataPuts(job.id)
  const parts = puts.map(({ url }) => Number(url.searchParams.get('partNumber'))).sort((a, b) => a - b)
  expect(parts).toEqual(Array.from({ length: Math.ceil(bytes / PART_BYTES) }, (_, n) => n + 1))
  expect(puts.map(({ status }) => status)).toEqual(puts.map(() => 200))
  expect(puts.reduce((sum, put) => sum + put.bytes, 0)).toBe(bytes)
  // Beginning and completing is the edge's own business: a node could else name what it likes.
  expect(seen.filter(({ method }) => method === 'POST')).toEqual([])
  const whole = await acme.ask(`/v1/jobs/${job.id}/result.parquet`, { method: 'HEAD' })
  expect([whole.status, whole.headers.get('content-length')]).toEqual([200, String(bytes)])
}, 900_000)

test('a small result needs no object storage of the node at all', async () => {
  const job = await acme.run('tiny')
  expect(job).toMatchObject({ state: 'succeeded', rows: 1 })
  expect(dataPuts(job.id)).toEqual([])
})

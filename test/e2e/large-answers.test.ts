import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TenantId } from '../../edge/contract/ids.ts'
import { OpenedUpload, PART_BYTES, SINGLE_PUT_BYTES } from '../../edge/contract/node.ts'
import { openKeys } from '../../edge/embedded/keys.ts'
import { type Grant, signGrant } from '../../edge/identity/grants.ts'
import { type Client, problemOf } from './support/client.ts'
import { startWorld, type World } from './support/world.ts'

/** Few bytes of Parquet, and more of CSV than one PUT may carry. */
const ROWS = 250_000
const FILLER = 400
const TASKS = {
  'wide.sql': `-- name: wide\n-- db: duckdb\nSELECT i, repeat('x', ${FILLER}) AS filler FROM range(${ROWS}) t(i)\n`,
  'small.sql': '-- name: small\n-- db: duckdb\nSELECT 1 AS n\n',
}

let world: World
let acme: Client
let secret: string

beforeAll(async () => {
  world = await startWorld({ tasks: TASKS })
  acme = await world.as('acme')
  secret = (await openKeys(join(world.folder, 'state'))).secret
  key = `t/acme/_slices/r${(await acme.run('small')).id}/0123456789abcdef0123456789abcdef.csv`
})
afterAll(() => world?.end())

test('the CSV of a whole result goes up in parts where one PUT would be too long', async () => {
  const job = await acme.run('wide')
  expect(job).toMatchObject({ state: 'succeeded', rows: ROWS })
  const answer = await acme.made(`/v1/jobs/${job.id}/result.csv`)
  expect(answer.status).toBe(200)
  const wanted = createHash('sha256').update('i,filler\n')
  const filler = 'x'.repeat(FILLER)
  for (let i = 0; i < ROWS; i++) wanted.update(`${i},${filler}\n`)
  const bytes = new Uint8Array(await answer.arrayBuffer())
  expect(bytes.length).toBeGreaterThan(SINGLE_PUT_BYTES)
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(wanted.digest('hex'))
  // Object storage marks what was put together by the number of its parts.
  expect(answer.headers.get('etag')).toMatch(new RegExp(`-${Math.ceil(bytes.length / PART_BYTES)}"$`))
}, 900_000)

/** A slice of a result that is there: nothing is kept of one that nobody can read. */
let key: string
const grant = (more: Partial<Grant> = {}): Promise<string> =>
  signGrant(secret, { key, mode: 'put', tenant: TenantId.parse('acme'), ...more }, Date.now())
const post = async (path: string, token: string, body: unknown): Promise<Response> =>
  fetch(`${world.system.origin}${path}`, {
    method: 'POST',
    headers: { 'x-scarab-grant': token, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const open = async (bytes: number): Promise<OpenedUpload> =>
  OpenedUpload.parse(await (await post('/node/v1/uploads', await grant(), { bytes })).json())
const put = (part: OpenedUpload['parts'][number], body: string): Promise<Response> =>
  fetch(`${world.system.origin}${part.url}`, { method: 'PUT', headers: part.headers, body })
const close = (to: OpenedUpload['close'], parts: { part: number; etag: string }[]): Promise<Response> =>
  post(to.url, to.headers['x-scarab-grant'] ?? '', { parts })

test('an upload is opened only by the write grant of a slice', async () => {
  const refused: [string, string][] = [
    [await grant({ mode: 'get' }), 'insufficient_scope'],
    [await grant({ upload: 'u', bytes: 9 }), 'insufficient_scope'],
    // Files of attempts have the lease to be looked at, which this door does not.
    [await grant({ job: '00000000000000000000000001' as never, attempt: 1 }), 'insufficient_scope'],
    [
      await signGrant(randomBytes(32).toString('base64url'), { key, mode: 'put', tenant: TenantId.parse('acme') }, Date.now()),
      'invalid_token',
    ],
  ]
  for (const [token, code] of refused) expect(await problemOf(await post('/node/v1/uploads', token, { bytes: 9 }))).toMatchObject({ code })
  expect(await problemOf(await post('/node/v1/uploads', await grant(), { bytes: 0 }))).toMatchObject({ code: 'invalid_body' })
  expect(await problemOf(await post('/node/v1/uploads', await grant(), { bytes: 2 ** 50 }))).toMatchObject({ code: 'body_too_large' })
})

test('it is closed by its own grant, with every part named, and what is there stays', async () => {
  const { parts, close: to, part_bytes } = await open(5)
  expect([parts.length, part_bytes]).toEqual([1, PART_BYTES])
  const [part] = parts
  if (!part) throw new Error('no part')
  // A part has the length that it was granted for.
  expect(await problemOf(await put(part, 'four'))).toMatchObject({ code: 'checksum_mismatch' })
  const { etag } = (await (await put(part, 'fives')).json()) as { etag: string }
  // Neither a part's grant nor the slice's own closes.
  for (const token of [part.headers['x-scarab-grant'] ?? '', await grant()])
    expect(await problemOf(await post('/node/v1/uploads/close', token, { parts: [{ part: 1, etag }] }))).toMatchObject({
      code: 'insufficient_scope',
    })
  expect(
    await problemOf(
      await close(to, [
        { part: 1, etag },
        { part: 2, etag },
      ]),
    ),
  ).toMatchObject({ code: 'invalid_body' })
  expect(await problemOf(await close(to, [{ part: 1, etag: 'wrong' }]))).toMatchObject({ code: 'checksum_mismatch' })
  const closed = await close(to, [{ part: 1, etag: `"${etag}"` }])
  expect(closed.status).toBe(200)
  const first = closed.headers.get('etag')
  // Said twice, it is one upload.
  const again = await close(to, [{ part: 1, etag }])
  expect([again.status, again.headers.get('etag')]).toEqual([200, first])

  const other = await open(6)
  const [second] = other.parts
  if (!second) throw new Error('no part')
  const answered = (await (await put(second, 'others')).json()) as { etag: string }
  expect(await problemOf(await close(other.close, [{ part: 1, etag: answered.etag }]))).toMatchObject({ code: 'already_exists' })
})

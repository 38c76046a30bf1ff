import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PART_BYTES, type PutGrant } from '../../edge/contract/node.ts'
import { EngineFault } from '../engines/engine.ts'
import { PATIENCE_MS } from '../test-patience.ts'
import { GrantRefused, uploadFile } from './upload.ts'

setDefaultTimeout(PATIENCE_MS)

interface Seen {
  path: string
  bytes: number
  first: number | undefined
  header: string | null
}

let folder: string
let seen: Seen[]
let answers: (number | 'cut')[]
let server: Bun.Server<undefined>
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scarab-upload-'))
  seen = []
  answers = []
  server = Bun.serve<undefined>({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      const body = new Uint8Array(await request.arrayBuffer())
      const { pathname } = new URL(request.url)
      seen.push({ path: pathname, bytes: body.length, first: body[0], header: request.headers.get('x-grant') })
      const answer = answers.shift() ?? 200
      if (answer === 'cut') return new Response(null, { status: 502 })
      return Response.json({ detail: 'why not' }, { status: answer, headers: { etag: `"e${pathname}"` } })
    },
  })
})
afterEach(async () => {
  await server.stop(true)
  await rm(folder, { recursive: true, force: true })
})

const pauses: number[] = []
const put = async (bytes: Uint8Array, grant: Partial<PutGrant>, signal = new AbortController().signal) => {
  const path = join(folder, 'file')
  await writeFile(path, bytes)
  pauses.length = 0
  return uploadFile(
    path,
    bytes.length,
    { kind: 'data', n: 3, url: '/o/3', headers: { 'x-grant': 'secret' }, upload: null, parts: [], ...grant },
    {
      edge: new URL(`http://127.0.0.1:${server.port}/`),
      signal,
      pause: async (ms) => void pauses.push(ms),
    },
  )
}
const fault = async (work: Promise<unknown>): Promise<unknown> => work.then(() => null).catch((reason: unknown) => reason)

describe('an upload', () => {
  test('is one PUT with the headers of its grant, relative to the edge', async () => {
    expect(await put(new Uint8Array([7, 8, 9]), {})).toBeNull()
    expect(seen).toEqual([{ path: '/o/3', bytes: 3, first: 7, header: 'secret' }])
  })

  test('in parts sends each part to its own address and returns the etags in order', async () => {
    const bytes = new Uint8Array(PART_BYTES + 5).fill(1, 0, PART_BYTES).fill(2, PART_BYTES)
    const parts = [2, 1].map((part) => ({ part, url: `/p/${part}`, headers: {} }))
    expect(await put(bytes, { upload: 'u1', parts })).toEqual({
      n: 3,
      upload: 'u1',
      parts: [
        { part: 1, etag: '"e/p/1"' },
        { part: 2, etag: '"e/p/2"' },
      ],
    })
    expect(seen.map(({ path, bytes: size, first }) => [path, size, first]).sort()).toEqual([
      ['/p/1', PART_BYTES, 1],
      ['/p/2', 5, 2],
    ])
  })

  test('that fails on the way is tried again, each time after a longer pause', async () => {
    answers = ['cut', 503, 429]
    await put(new Uint8Array([1]), {})
    expect(seen).toHaveLength(4)
    expect(pauses).toEqual([200, 400, 800])
  })

  test('that keeps failing loses the attempt, not the job', async () => {
    answers = Array.from({ length: 10 }, () => 500)
    const reason = await fault(put(new Uint8Array([1]), {}))
    expect(reason).toBeInstanceOf(EngineFault)
    expect((reason as EngineFault).failure).toMatchObject({ code: 'upload_failed', class: 'lost' })
  })

  test('whose bytes are refused fails at once, with the reason and without the address', async () => {
    answers = [422]
    const reason = (await fault(put(new Uint8Array([1]), { url: '/o/3?X-Amz-Signature=abc' }))) as EngineFault
    expect(reason.failure).toMatchObject({ code: 'upload_refused', class: 'internal' })
    expect(reason.message).toContain('why not')
    expect(reason.message).not.toContain('Signature')
    expect(seen).toHaveLength(1)
  })

  test('with an old grant says so, for a new one may help', async () => {
    answers = [403]
    expect(await fault(put(new Uint8Array([1]), {}))).toBeInstanceOf(GrantRefused)
  })

  test('stops when the attempt is stopped', async () => {
    const stop = new AbortController()
    stop.abort(new Error('fenced'))
    expect(await fault(put(new Uint8Array([1]), {}, stop.signal))).toEqual(new Error('fenced'))
    expect(seen).toEqual([])
  })
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { Column, ResultSchema } from '../../edge/contract/columns.ts'
import { ResultId, TenantId } from '../../edge/contract/ids.ts'
import { CloseUpload, type OpenedUpload, OpenUpload, Slice, type SliceMessage } from '../../edge/contract/node.ts'
import { normalise } from '../../edge/contract/slice-form.ts'
import { type SliceFile, SliceRequest } from '../../edge/contract/slices.ts'
import type { Fetch } from './cache.ts'

/** For tests: results made by DuckDB itself, and an edge of memory that gives and takes bytes. */
export interface Fixture {
  folder: string
  db: DuckDBConnection
  fetch: Fetch
  /** What was put, by path; an upload in parts is there when it was closed. */
  stored: Map<string, Uint8Array>
  /** Paths that were asked for. */
  asked: string[]
  /** Makes the bytes of a file fetchable, and says what a slice message says of it. */
  serve(kind: 'parquet' | 'pack', bytes: Uint8Array): SliceFile
  /** Runs statements that leave a file at `$FILE` and serves it. */
  make(kind: 'parquet' | 'pack', ...statements: string[]): Promise<SliceFile>
  close(): void
}

export const EDGE = new URL('http://edge.test/')
/** The part size that this edge asks for. */
export const TEST_PART_BYTES = 100_000

export const fixture = async (): Promise<Fixture> => {
  const folder = mkdtempSync(join(tmpdir(), 'scarab-slices-'))
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  const served = new Map<string, Uint8Array>()
  const stored = new Map<string, Uint8Array>()
  const asked: string[] = []
  let n = 0

  const uploads = (url: URL, { body }: BunFetchRequestInit): OpenedUpload | object => {
    const asked: unknown = JSON.parse(String(body))
    if (url.pathname === '/uploads') {
      const { bytes } = OpenUpload.parse(asked)
      const parts = Array.from({ length: Math.ceil(bytes / TEST_PART_BYTES) }, (_, n) => ({
        part: n + 1,
        url: `/part/${n + 1}`,
        headers: {},
      }))
      return { upload: 'u', part_bytes: TEST_PART_BYTES, parts, close: { url: '/close', headers: {} } } satisfies OpenedUpload
    }
    const { parts } = CloseUpload.parse(asked)
    const pieces = parts.map(({ part, etag }) => {
      const piece = stored.get(`/part/${part}`)
      if (!piece || etag !== `"etag of /part/${part}"`) throw new Error(`part ${part} was not put`)
      return piece
    })
    stored.set('/closed', new Uint8Array(Buffer.concat(pieces)))
    return {}
  }
  const fetch: Fetch = async (url, init) => {
    if (url.pathname === '/refused') return new Response('no', { status: 409 })
    if (init?.method === 'POST') return Response.json(uploads(url, init))
    if (init?.method === 'PUT') {
      stored.set(url.pathname, new Uint8Array(await new Response(init.body).arrayBuffer()))
      return new Response(null, { status: 201, headers: { etag: `"etag of ${url.pathname}"` } })
    }
    asked.push(url.pathname)
    const bytes = served.get(url.pathname)
    return bytes === undefined ? new Response('no', { status: 404 }) : new Response(bytes.slice().buffer)
  }
  const serve = (kind: 'parquet' | 'pack', bytes: Uint8Array): SliceFile => {
    const url = `/files/${n++}`
    served.set(url, bytes)
    return { kind, url, headers: {}, bytes: bytes.byteLength, sha256: new Bun.CryptoHasher('sha256').update(bytes).digest('hex') }
  }
  const make = async (kind: 'parquet' | 'pack', ...statements: string[]): Promise<SliceFile> => {
    const path = join(folder, `made-${n}`)
    if (kind === 'pack') await db.run(`ATTACH '${path}' AS made (STORAGE_VERSION 'v1.4.0')`)
    for (const statement of statements) await db.run(statement.replaceAll('$FILE', path))
    if (kind === 'pack') await db.run('DETACH made')
    return serve(kind, await Bun.file(path).bytes())
  }
  const close = (): void => {
    db.closeSync()
    instance.closeSync()
    rmSync(folder, { recursive: true, force: true })
  }
  return { folder, db, fetch, stored, asked, serve, make, close }
}

export const TENANT = TenantId.parse('demo')
const RESULT = ResultId.parse(`r${'0'.repeat(26)}`)

export const schemaOf = (columns: Column[]): ResultSchema => ({ id: 's1', columns, added: ['tenant_id', 'job_id', 'run_date'] })

/** A slice message as the edge would send it: the request in its normal form. */
export const messageOf = (
  request: unknown,
  schema: ResultSchema,
  rows: number,
  files: SliceFile[],
  more: Partial<SliceMessage> = {},
): SliceMessage => {
  const made = normalise(SliceRequest.parse(request), schema.columns)
  if (!made.ok) throw new Error(JSON.stringify(made.errors))
  return Slice.parse({
    type: 'slice',
    re: 1,
    tenant: TENANT,
    result: RESULT,
    schema,
    rows,
    query: made.slice,
    scope: 'slice',
    format: 'json',
    hash: '0'.repeat(32),
    files,
    max_body_bytes: 262_144,
    put: { url: '/put/answer', headers: { 'if-none-match': '*' } },
    // For a busy machine: only what has no end shall end by it.
    timeout_seconds: 240,
    ...more,
  })
}

import { type CloseUpload, OpenedUpload, type OpenUpload, type SliceMessage } from '../../edge/contract/node.ts'
import { uploadFile } from '../results/upload.ts'
import type { Fetch } from './cache.ts'
import type { SliceOutcome } from './protocol.ts'

/** As long as the grants of an upload live (GRANT_SECONDS of the protocol). */
const STORE_MILLISECONDS = 15 * 60_000
/** Tries of opening and of closing an upload in parts. */
const TRIES = 3

export interface StoreOptions {
  edge: URL
  fetch: Fetch
  /** A longer answer goes in parts: a Worker's request body ends at 100 MB (platform limit). */
  singlePutBytes: number
}

interface Ask {
  url: string
  headers: Record<string, string>
}

/** One question to the edge about an upload; opening twice leaves an upload without parts, closing twice is one closing. */
const ask = async (to: Ask, body: object, { edge, fetch }: StoreOptions, signal: AbortSignal): Promise<Response> => {
  const headers = { ...to.headers, 'content-type': 'application/json' }
  const once = (): Promise<Response> =>
    fetch(new URL(to.url, edge), { method: 'POST', headers, body: JSON.stringify(body), redirect: 'error', signal })
  for (let tried = 1; ; tried++) {
    const isLast = tried === TRIES || signal.aborted
    // A connection that breaks is worth another try like a 503.
    const response = await once().catch((reason: unknown) => {
      if (isLast) throw reason
      return null
    })
    if (response?.ok || response?.status === 412) return response
    await response?.body?.cancel()
    if (response && (response.status < 500 || isLast)) throw new Error(`status ${response.status}`)
  }
}

const hashOf = async (path: string): Promise<{ bytes: number; sha256: string }> => {
  const hash = new Bun.CryptoHasher('sha256')
  let bytes = 0
  for await (const chunk of Bun.file(path).stream()) {
    hash.update(chunk)
    bytes += chunk.byteLength
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Puts a long answer where the message says, in parts where it is longer than one PUT may be. What is there already is the same answer. */
export const storeAnswer = async (path: string, put: SliceMessage['put'], options: StoreOptions): Promise<SliceOutcome> => {
  const { edge, fetch, singlePutBytes } = options
  const stored = await hashOf(path)
  const { bytes } = stored
  const signal = AbortSignal.timeout(STORE_MILLISECONDS)
  try {
    if (bytes <= singlePutBytes || put.uploads === undefined) {
      await uploadFile(path, bytes, { n: 0, url: put.url, headers: put.headers, upload: null, parts: [] }, { edge, fetch, signal })
      return { ok: true, stored }
    }
    const answer = await ask({ url: put.uploads, headers: put.headers }, { bytes } satisfies OpenUpload, options, signal)
    const { upload, part_bytes: partBytes, parts, close } = OpenedUpload.parse(await answer.json())
    const uploaded = await uploadFile(path, bytes, { n: 0, url: '', headers: {}, upload, parts }, { edge, fetch, signal, partBytes })
    const closed = await ask(close, { parts: uploaded?.parts ?? [] } satisfies CloseUpload, options, signal)
    await closed.body?.cancel()
    return { ok: true, stored }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { ok: false, code: 'unavailable', detail: `the answer could not be stored: ${reason}` }
  }
}

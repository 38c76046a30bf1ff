import type { PutGrant, UploadedFile } from '../../edge/contract/node.ts'
import { PART_BYTES } from '../../edge/contract/node.ts'
import { EngineFault } from '../engines/engine.ts'

/** Tries of one PUT, with pauses of 0.2, 0.4, 0.8, … seconds between them. */
const TRIES = 6
const FIRST_PAUSE_MS = 200
/** Parts of one file on their way at once: more gain nothing (measured: `../../edge/embedded`'s Worker route is CPU-bound). */
const PARTS_AT_ONCE = 2

export interface UploadOptions {
  edge: URL
  signal: AbortSignal
  /** Length of all parts but the last; the protocol's own when absent. */
  partBytes?: number
  fetch?: (url: URL, init: BunFetchRequestInit) => Promise<Response>
  pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** The grant was refused by whoever takes the bytes: a new one may help, for grants end after 15 minutes. */
export class GrantRefused extends Error {
  override readonly name = 'GrantRefused'
}

/**
 * Puts one file where its grant says. A relative address is the Worker's own route at the edge. Returns the parts of an
 * upload in parts, else null. Throws `EngineFault` (class `lost` for a connection, `internal` for bytes that are refused),
 * `GrantRefused`, or the signal's reason.
 */
export const uploadFile = async (
  path: string,
  bytes: number,
  put: Omit<PutGrant, 'kind'>,
  options: UploadOptions,
): Promise<UploadedFile | null> => {
  const file = Bun.file(path)
  if (put.upload === null) {
    await putBytes(new URL(put.url, options.edge), put.headers, file, options)
    return null
  }
  const partBytes = options.partBytes ?? PART_BYTES
  const parts: UploadedFile['parts'] = []
  const queue = [...put.parts].sort((a, b) => a.part - b.part)
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const from = (next.part - 1) * partBytes
      const slice = file.slice(from, Math.min(from + partBytes, bytes))
      const etag = await putBytes(new URL(next.url, options.edge), next.headers, slice, options)
      if (etag === null)
        throw new EngineFault({ code: 'upload_failed', message: `part ${next.part} was answered without an etag`, class: 'internal' })
      parts.push({ part: next.part, etag })
    }
  }
  await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker))
  return { n: put.n, upload: put.upload, parts: parts.sort((a, b) => a.part - b.part) }
}

const putBytes = async (url: URL, headers: Record<string, string>, body: Blob, options: UploadOptions): Promise<string | null> => {
  const pause = options.pause ?? sleep
  let last = ''
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (tried > 0) await pause(FIRST_PAUSE_MS * 2 ** (tried - 1), options.signal)
    options.signal.throwIfAborted()
    let answer: Response
    try {
      answer = await (options.fetch ?? fetch)(url, { method: 'PUT', headers, body, signal: options.signal, redirect: 'error' })
    } catch (fault) {
      options.signal.throwIfAborted()
      last = fault instanceof Error ? fault.message : String(fault)
      continue
    }
    const text = await answer.text().catch(() => '')
    if (answer.ok) return answer.headers.get('etag')
    // Keys are write-once and only this attempt may write this one: an earlier try of ours arrived although its answer did not.
    if (answer.status === 412) return answer.headers.get('etag')
    last = `${answer.status} ${detailOf(text)}`
    if (answer.status === 401 || answer.status === 403) throw new GrantRefused(last)
    const again = answer.status >= 500 || answer.status === 429 || answer.status === 408
    if (!again) throw new EngineFault({ code: 'upload_refused', message: `${url.origin} refused an upload: ${last}`, class: 'internal' })
  }
  throw new EngineFault({ code: 'upload_failed', message: `an upload to ${url.origin} failed ${TRIES} times: ${last}`, class: 'lost' })
}

/** The detail of a problem document, else the beginning of the text. Never the address: its query may be a signature. */
const detailOf = (text: string): string => {
  try {
    const problem: unknown = JSON.parse(text)
    if (typeof problem === 'object' && problem !== null && 'detail' in problem) return String(problem.detail).slice(0, 500)
  } catch {
    // Not JSON: object storage answers in XML.
  }
  return text.slice(0, 300)
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })

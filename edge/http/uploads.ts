import { CloseUpload, MAX_UPLOAD_PARTS, type OpenedUpload, OpenUpload, PART_BYTES } from '../contract/node.ts'
import { Problem } from '../contract/problems.ts'
import { type Grant, signGrant } from '../identity/grants.ts'
import { GRANT_HEADER, NODE_OBJECTS_PATH } from '../link/objects.ts'
import { completeUpload, partsOf } from '../storage/multipart.ts'
import { readBody } from './body.ts'
import type { AppContext } from './context.ts'
import { dropIfUnread, grantOf, stored } from './grants.ts'

/** Where a node asks for an upload in parts of a slice's answer, and where it says that all parts are there. */
export const NODE_UPLOADS_PATH = '/node/v1/uploads'
const CLOSE_PATH = `${NODE_UPLOADS_PATH}/close`

/** A slice's write grant. Attempts ask for their uploads over the link, where the lease is looked at. */
const sliceGrantOf = async (c: AppContext): Promise<Grant> => {
  const grant = await grantOf(c, 'put')
  if (grant.job !== undefined)
    throw new Problem('insufficient_scope', 'The grant is for a file of an attempt: ask for its upload over the link.')
  return grant
}

/** Opens an upload in parts for a slice's key; the node learns an address for each part, and never the key. */
export const openUpload = async (c: AppContext): Promise<Response> => {
  const grant = await sliceGrantOf(c)
  if (grant.upload !== undefined) throw new Problem('insufficient_scope', 'The grant is for an upload that is open already.')
  const { bytes } = await readBody(c, OpenUpload)
  if (bytes > MAX_UPLOAD_PARTS * PART_BYTES)
    throw new Problem('body_too_large', `An upload has at most ${MAX_UPLOAD_PARTS * PART_BYTES} bytes, this one ${bytes}. Ask for less.`)
  const { key, tenant } = grant
  const { uploadId: upload } = await c.env.RESULTS.createMultipartUpload(key)
  const now = Date.now()
  const headersFor = async (more: Pick<Grant, 'bytes' | 'part'>): Promise<Record<string, string>> => ({
    [GRANT_HEADER]: await signGrant(c.env.SCARAB_SECRET, { key, tenant, mode: 'put', upload, ...more }, now),
  })
  const parts: OpenedUpload['parts'] = []
  for (const one of partsOf(bytes)) parts.push({ part: one.part, url: NODE_OBJECTS_PATH, headers: await headersFor(one) })
  const close = { url: CLOSE_PATH, headers: await headersFor({ bytes }) }
  return c.json({ upload, part_bytes: PART_BYTES, parts, close } satisfies OpenedUpload)
}

/** Puts the parts together. Each part's grant names its length, so that an object of another length is not this upload's. */
export const closeUpload = async (c: AppContext): Promise<Response> => {
  const grant = await sliceGrantOf(c)
  const { key, upload, bytes, part } = grant
  if (upload === undefined || bytes === undefined || part !== undefined)
    throw new Problem('insufficient_scope', 'The grant does not close an upload in parts.')
  const { parts } = await readBody(c, CloseUpload)
  const wanted = partsOf(bytes).length
  if (new Set(parts.map((one) => one.part)).size !== wanted || parts.length !== wanted)
    throw new Problem('invalid_body', `The upload has ${wanted} parts; name each once, not ${parts.length}.`)
  const wrong = await completeUpload(c.env.RESULTS, key, upload, parts)
  if (wrong !== null) throw new Problem('checksum_mismatch', wrong)
  const head = await c.env.RESULTS.head(key)
  if (head?.size !== bytes)
    throw new Problem('already_exists', `An object of ${head?.size ?? 0} bytes is there already; it is written once.`)
  await dropIfUnread(c, grant)
  return stored(c, head.etag)
}

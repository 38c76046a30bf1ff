import { Hono } from 'hono'
import { stub } from '../addressing.ts'
import { JobId } from '../contract/ids.ts'
import { NODE_SUBPROTOCOL } from '../contract/node.ts'
import { Problem } from '../contract/problems.ts'
import type { Grant } from '../identity/grants.ts'
import { gateOf } from '../identity/wire.ts'
import type { AppContext, AppEnv } from './context.ts'
import { dropIfUnread, grantOf, stored } from './grants.ts'
import { DATA_HEADERS } from './headers.ts'
import { fromFault } from './problem.ts'
import { closeUpload, openUpload } from './uploads.ts'

/** I2: an upload is refused as soon as its attempt is no longer current, even with a grant that is still good. */
const checkLease = async (c: AppContext, grant: Grant): Promise<void> => {
  const { job, attempt, session, tenant } = grant
  if (job === undefined || attempt === undefined || session === undefined) return
  const ledger = stub(c.env.LEDGER, tenant, c.env)
  const pack = grant.key.startsWith(`t/${tenant}/_packs/`)
  const allowed = pack ? await ledger.mayPackAs(session, job, attempt) : await ledger.holds(session, job, attempt)
  if (!allowed) throw new Problem('fenced', `Attempt ${attempt} of job ${job} is no longer current: its uploads are refused.`)
}

const upload = async (c: AppContext): Promise<Response> => {
  const grant = await grantOf(c, 'put')
  await checkLease(c, grant)
  const length = Number(c.req.header('content-length') ?? Number.NaN)
  if (!Number.isSafeInteger(length)) throw new Problem('invalid_header', 'An upload needs its Content-Length.')
  if (grant.bytes !== undefined && grant.bytes !== length)
    throw new Problem('checksum_mismatch', `The grant is for ${grant.bytes} bytes, the upload has ${length}.`)
  const { body } = c.req.raw
  if (!body) throw new Problem('invalid_body', 'The upload has no body.')
  if (grant.upload !== undefined && grant.part !== undefined) {
    const part = await c.env.RESULTS.resumeMultipartUpload(grant.key, grant.upload).uploadPart(grant.part, body)
    return stored(c, part.etag)
  }
  const isSlice = grant.job === undefined
  try {
    // Write-once: nobody, not even the same attempt, overwrites what is there.
    const put = await c.env.RESULTS.put(grant.key, body, {
      ...(isSlice ? {} : { onlyIf: { etagDoesNotMatch: '*' } }),
      ...(grant.sha256 ? { sha256: grant.sha256 } : {}),
    })
    if (put === null) throw new Problem('already_exists', 'The object is there already; it is written once.')
    await dropIfUnread(c, grant)
    return stored(c, put.etag)
  } catch (error) {
    if (error instanceof Problem) throw error
    const message = error instanceof Error ? error.message : String(error)
    if (/sha-?256|checksum|10037/i.test(message)) throw new Problem('checksum_mismatch', 'The bytes do not have the announced SHA-256.')
    throw error
  }
}

const download = async (c: AppContext): Promise<Response> => {
  const grant = await grantOf(c, 'get')
  const headers = { ...DATA_HEADERS, 'content-type': 'application/octet-stream' }
  const object = await c.env.RESULTS.get(grant.key)
  if (object) return new Response(object.body, { headers: { ...headers, 'content-length': String(object.size) }, encodeBody: 'manual' })
  // A small result's file is in the ledger until its table has it.
  const job = JobId.safeParse(grant.job)
  const kept = job.success ? await stub(c.env.LEDGER, grant.tenant, c.env).result(job.data) : null
  if (kept?.found !== 'yes' || kept.parquet === null) throw new Problem('not_found', 'The object is not there (any more).')
  return new Response(kept.parquet.slice(), {
    headers: { ...headers, 'content-length': String(kept.parquet.length) },
    encodeBody: 'manual',
  })
}

export const nodesApp = new Hono<AppEnv>()
  .get('/link', async (c) => {
    const answer = await gateOf(c.env).authenticate(c.req.raw.headers)
    if (!answer.ok) throw fromFault(answer.fault)
    const { identity } = answer
    if (identity.kind !== 'node') throw new Problem('insufficient_scope', 'Only a node token opens a link.')
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket')
      throw new Problem('invalid_header', 'A link is a WebSocket: send Upgrade: websocket.')
    if (!(c.req.header('sec-websocket-protocol') ?? '').split(',').some((name) => name.trim() === NODE_SUBPROTOCOL))
      throw new Problem('invalid_header', `Offer the sub-protocol ${NODE_SUBPROTOCOL}.`)
    const { name, pool, tenants, tasks, expires_at } = identity
    const bounds = JSON.stringify({ name, pool, tenants, tasks, expires_at })
    // A request of our own: nothing the client sent, headers least of all, reaches the object.
    return stub(c.env.LINK, name, c.env).fetch('https://link/', { headers: { upgrade: 'websocket', 'x-scarab-bounds': bounds } })
  })
  .put('/objects', upload)
  .get('/objects', download)
  .post('/uploads', openUpload)
  .post('/uploads/close', closeUpload)

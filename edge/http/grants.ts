import { stub } from '../addressing.ts'
import { JobId } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import { type Grant, verifyGrant } from '../identity/grants.ts'
import { GRANT_HEADER } from '../link/objects.ts'
import type { AppContext } from './context.ts'
import { fromFault } from './problem.ts'

/** The grant that the edge signed for exactly this object. The node names no key. */
export const grantOf = async (c: AppContext, mode: Grant['mode']): Promise<Grant> => {
  const token = c.req.header(GRANT_HEADER)
  if (token === undefined) throw new Problem('missing_token', `Send the header ${GRANT_HEADER} that came with the grant.`)
  const verified = await verifyGrant(c.env.SCARAB_SECRET, token, Date.now())
  if (!verified.ok) throw fromFault(verified.fault)
  if (verified.grant.mode !== mode) throw new Problem('insufficient_scope', `The grant allows ${verified.grant.mode}, not ${mode}.`)
  return verified.grant
}

/** What is purged with a result (packs, slices) must not come back by an upload that was on its way. */
export const dropIfUnread = async (c: AppContext, { key, tenant }: Grant): Promise<void> => {
  const [, job] = /^t\/[^/]+\/_(?:packs|slices)\/r([0-9a-z]{26})[./]/.exec(key) ?? []
  // Another job may share the result of one that was deleted; and one that is not deleted may have outlived its result.
  if (job === undefined || (await stub(c.env.LEDGER, tenant, c.env).isReadable(JobId.parse(job)))) return
  await c.env.RESULTS.delete(key)
  throw new Problem('gone', `The result of job ${job} was deleted meanwhile, or has expired: what is derived from it is not kept.`)
}

/** Like object storage, the answer names what was stored in its ETag (RFC 9110, section 8.8.3): an upload in parts is completed by these. */
export const stored = (c: AppContext, etag: string): Response => c.json({ etag }, 200, { etag: `"${etag}"` })

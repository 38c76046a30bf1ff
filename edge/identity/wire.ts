import { stub } from '../addressing.ts'
import { DirectoryCache } from '../directory/cache.ts'
import type { Env } from '../env.ts'
import { type Authenticated, authenticate, TokenCache } from './identity.ts'
import { type IssuerConfig, parseIssuers } from './issuers.ts'
import { KeyMemo } from './keys.ts'

/** What a Worker keeps about identity between requests: caches only, nothing that it would miss. */
export interface Gate {
  authenticate(headers: Pick<Headers, 'get'>): Promise<Authenticated>
  directory: DirectoryCache
  issuers: IssuerConfig[]
}

let gate: { key: string; value: Gate } | null = null

/** The Worker's gate for this environment. Throws when `SCARAB_ISSUERS` is wrong. */
export const gateOf = (env: Env): Gate => {
  const key = `${env.SCARAB_EMBEDDED}\n${env.SCARAB_ISSUERS}`
  if (gate?.key === key) return gate.value
  const issuers = parseIssuers(env.SCARAB_ISSUERS, { embedded: env.SCARAB_EMBEDDED === '1' })
  // A stub for each call: it belongs to the request that made it.
  const remote = () => stub(env.DIRECTORY, 'directory', env)
  const directory = new DirectoryCache({
    directory: () => {
      const object = remote()
      return {
        tenantOf: (question) => object.tenantOf(question),
        tasks: (tenant) => object.tasks(tenant),
        task: (tenant, name) => object.task(tenant, name),
      }
    },
    now: Date.now,
  })
  const deps = {
    issuers,
    keys: new KeyMemo({ load: (issuer, kid) => remote().keysOf(issuer, kid), now: Date.now }),
    tenantOf: (question: { issuer: string; claim: string; any: boolean }) => directory.tenantOf(question),
    cache: new TokenCache(),
    now: Date.now,
  }
  const value: Gate = { authenticate: (headers) => authenticate(headers, deps), directory, issuers }
  gate = { key, value }
  return value
}

import { stub } from '../addressing.ts'
import type { Env } from '../env.ts'
import { gateOf } from '../identity/wire.ts'
import type { RestDeps } from './rest.ts'

/** The catalog's dependencies in a Worker. */
export const restDeps = (env: Env): RestDeps => ({
  authenticate: (headers) => gateOf(env).authenticate(headers),
  families: (tenant) => stub(env.CATALOG, tenant, env).families(),
  pointer: (tenant, family) => stub(env.CATALOG, tenant, env).pointer(family),
  bucket: env.RESULTS,
  secrets: env.SCARAB_SECRET,
  now: Date.now,
})

import { createMiddleware } from 'hono/factory'
import { decide } from '../identity/decide.ts'
import { hostFault } from '../identity/hosts.ts'
import type { Scope } from '../identity/scopes.ts'
import { gateOf } from '../identity/wire.ts'
import type { AppEnv } from './context.ts'
import { fromFault } from './problem.ts'

/** On one machine every route, the page's too, demands a known Host: else any web page could reach this port by DNS rebinding. */
export const hostGuard = createMiddleware<AppEnv>(async (c, next) => {
  const fault = hostFault(c.req.raw, { embedded: c.env.SCARAB_EMBEDDED === '1', hosts: c.env.SCARAB_HOSTS })
  if (fault) throw fromFault(fault)
  await next()
})

/** Lets a person in who has the scope. The tenant is the token's, from here to the object that is addressed by it (I6). */
export const allow = (scope: Scope) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const answer = await gateOf(c.env).authenticate(c.req.raw.headers)
    if (!answer.ok) throw fromFault(answer.fault)
    const { identity } = answer
    const decision = decide(identity, scope, identity.kind === 'person' ? { tenant: identity.tenant } : {})
    if (!decision.allow) throw fromFault(decision)
    c.set('identity', identity)
    await next()
  })

import type { Context } from 'hono'
import type { Env } from '../env.ts'
import type { Identity, Person } from '../identity/identity.ts'

/** What handlers find in Hono's context beside the bindings. */
export interface AppEnv {
  Bindings: Env
  Variables: {
    /** Names this request in answers and logs. */
    requestId: string
    identity: Identity
  }
}

export type AppContext = Context<AppEnv>

/** The person (or service) that a route's guard has let in. */
export const personOf = (c: AppContext): Person => {
  const identity = c.get('identity')
  if (identity.kind !== 'person') throw new Error('the route is guarded for persons')
  return identity
}

import type { Env } from './env.ts'

/** The one place where Durable Objects are addressed by name, so that a jurisdiction holds for all of them. */
export const stub = <T extends Rpc.DurableObjectBranded>(
  namespace: DurableObjectNamespace<T>,
  name: string,
  env: Env,
): DurableObjectStub<T> => {
  const place = env.SCARAB_JURISDICTION ? namespace.jurisdiction(env.SCARAB_JURISDICTION as DurableObjectJurisdiction) : namespace
  return place.get(place.idFromName(name))
}

import { z } from 'zod'
import { TenantId } from './ids.ts'

/** `SCARAB_TENANT_WEIGHTS`, JSON: `{"acme": 3, "bolt": 0.5}`. Whoever is not named weighs 1. */
export const TenantWeights = z.record(TenantId, z.number().min(0.01).max(100))

/** Throws when the setting is not of that form, naming what is wrong: a share that is silently another would be found late. */
export const tenantWeights = (setting: string | undefined): ReadonlyMap<string, number> => {
  if (setting === undefined || setting.trim() === '') return new Map()
  let json: unknown
  try {
    json = JSON.parse(setting)
  } catch {
    throw new Error(`SCARAB_TENANT_WEIGHTS is not JSON, but "${setting.slice(0, 100)}"; write {"acme": 3}`)
  }
  const parsed = TenantWeights.safeParse(json)
  if (!parsed.success) {
    const name = parsed.error.issues[0]?.path[0]
    const what =
      name === undefined ? `"${setting.slice(0, 100)}"` : `${JSON.stringify(name)} is ${JSON.stringify(Reflect.get(Object(json), name))}`
    throw new Error(`SCARAB_TENANT_WEIGHTS: ${what}; write names of tenants and weights from 0.01 to 100, such as {"acme": 3}`)
  }
  return new Map(Object.entries(parsed.data))
}

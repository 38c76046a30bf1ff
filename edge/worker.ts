import { stub } from './addressing.ts'
import { NodeId, PoolName, TenantId } from './contract/ids.ts'
import type { Env } from './env.ts'
import { app } from './http/app.ts'

export { CatalogObject } from './catalog/object.ts'
export { DirectoryObject } from './directory/object.ts'
export { LedgerObject } from './ledger/object.ts'
export { LinkObject } from './link/object.ts'
export { PoolObject } from './pool/object.ts'
export { TableObject } from './table/object.ts'

/** Each cron run pokes this many objects at once: what an alarm missed is done within two minutes. */
const SWEEP_AT_ONCE = 20

const sweep = async (env: Env): Promise<void> => {
  const directory = stub(env.DIRECTORY, 'directory', env)
  await directory.sweep()
  const { ledgers, tables, pools, nodes } = await directory.lists()
  const pokes: (() => Promise<void>)[] = [
    ...ledgers.map((tenant) => () => stub(env.LEDGER, TenantId.parse(tenant), env).sweep()),
    ...tables.map(
      ({ tenant, family }) =>
        () =>
          stub(env.TABLE, `${tenant}/${family}`, env).sweep(),
    ),
    ...pools.map((pool) => () => stub(env.POOL, PoolName.parse(pool), env).sweep()),
    ...nodes.map((node) => () => stub(env.LINK, NodeId.parse(node), env).sweep()),
  ]
  for (let at = 0; at < pokes.length; at += SWEEP_AT_ONCE) {
    const outcomes = await Promise.allSettled(pokes.slice(at, at + SWEEP_AT_ONCE).map((poke) => poke()))
    for (const outcome of outcomes) if (outcome.status === 'rejected') console.warn(`sweep: ${String(outcome.reason)}`)
  }
}

export default {
  fetch: (request, env, context) => app.fetch(request, env, context),
  scheduled: (_controller, env, context) => context.waitUntil(sweep(env)),
} satisfies ExportedHandler<Env>

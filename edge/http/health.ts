import { Hono } from 'hono'
import { stub } from '../addressing.ts'
import { PoolName } from '../contract/ids.ts'
import { Problem } from '../contract/problems.ts'
import type { AppEnv } from './context.ts'
import { queryOf } from './headers.ts'

/** `/healthz`: the Worker runs. `/readyz`: a job of this pool could be taken, because a node has joined. No secrets, no token. */
export const healthApp = new Hono<AppEnv>()
  .get('/healthz', (c) => c.json({ status: 'ok' }))
  .get('/readyz', async (c) => {
    const name = queryOf(c, 'pool') ?? 'default'
    const pool = PoolName.safeParse(name)
    if (!pool.success) throw new Problem('invalid_parameter', `pool is 1 to 63 characters of a-z, 0-9 and "-", not "${name.slice(0, 50)}".`)
    // Nobody has a token here: a name that no node ever came with must not make an object of its own.
    const known = await stub(c.env.DIRECTORY, 'directory', c.env).hasPool(pool.data)
    const nodes = known ? await stub(c.env.POOL, pool.data, c.env).size() : 0
    return c.json({ status: nodes > 0 ? 'ready' : 'no_node', nodes }, nodes > 0 ? 200 : 503, { 'cache-control': 'no-store' })
  })

import { parseArgs } from 'node:util'
import { openKeys, parseTtl } from './keys.ts'
import { explain, readSettings } from './settings.ts'

/** `npm run -s token -- --tenant T [--scope "…"] [--ttl 1h]`: a token of the development issuer, made offline from the state folder's key. */
try {
  const { values } = parseArgs({
    options: {
      tenant: { type: 'string', default: 'demo' },
      scope: { type: 'string' },
      ttl: { type: 'string', default: '1h' },
      // A node's token instead of a person's.
      node: { type: 'string' },
      pool: { type: 'string', default: 'default' },
      tenants: { type: 'string', default: '*' },
      tasks: { type: 'string', default: '*' },
    },
  })
  const keys = await openKeys(readSettings(process.env).state)
  const ttl = parseTtl(values.ttl)
  const list = (text: string): string[] => text.split(',').map((part) => part.trim())
  const token =
    values.node === undefined
      ? await keys.person(values.tenant, { scope: values.scope, ttl })
      : await keys.node({ name: values.node, pool: values.pool, tenants: list(values.tenants), tasks: list(values.tasks) }, { ttl })
  process.stdout.write(`${token}\n`)
} catch (fault) {
  explain(fault)
  process.exitCode = 1
}

import { parseArgs } from 'node:util'
import { NodeId, PoolName, TenantId } from '../contract/ids.ts'
import { openKeys, PERSON_SCOPES, parseTtl } from './keys.ts'
import { explain, readSettings, StartFault } from './settings.ts'

const USAGE = 'npm run -s token -- [--tenant NAME] [--scope "jobs:read …"] [--ttl 1h]'

const readOptions = () => {
  try {
    return parseArgs({
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
    }).values
  } catch (fault) {
    const [line = ''] = (fault instanceof Error ? fault.message : String(fault)).split('\n')
    throw new StartFault(`${line.replace(/\.$/, '')}: write ${USAGE}`)
  }
}

type Named = { safeParse(text: string): { success: boolean; error?: { issues: { message: string }[] } } }

const checked = (option: string, text: string, schema: Named): string => {
  const parsed = schema.safeParse(text)
  if (parsed.success) return text
  throw new StartFault(`--${option} "${text}" is not possible: ${parsed.error?.issues[0]?.message}`)
}

const list = (text: string): string[] => text.split(',').map((part) => part.trim())

/** `npm run -s token -- --tenant T [--scope "…"] [--ttl 1h]`: a token of the development issuer, made offline from the state folder's key. */
try {
  const values = readOptions()
  const ttl = parseTtl(values.ttl)
  const known = PERSON_SCOPES.split(' ')
  // Not refused: a token that may nothing is how one tries what is forbidden.
  for (const scope of (values.scope ?? '').split(' '))
    if (scope !== '' && !known.includes(scope))
      process.stderr.write(`scarab: --scope: no route asks for "${scope}"; known are ${known.join(', ')}\n`)
  const keys = await openKeys(readSettings(process.env).state)
  const token =
    values.node === undefined
      ? await keys.person(values.tenant, { scope: values.scope, ttl })
      : await keys.node(
          {
            name: checked('node', values.node, NodeId),
            pool: checked('pool', values.pool, PoolName),
            tenants: list(values.tenants).map((name) => (name === '*' ? name : checked('tenants', name, TenantId))),
            tasks: list(values.tasks),
          },
          { ttl },
        )
  process.stdout.write(`${token}\n`)
} catch (fault) {
  explain(fault)
  process.exitCode = 1
}

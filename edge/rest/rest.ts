import { type Context, Hono } from 'hono'
import { Family, type TenantId } from '../contract/ids.ts'
import { familyPrefix } from '../contract/keys.ts'
import type { Fault } from '../contract/problems.ts'
import type { Env } from '../env.ts'
import { metadataText, parseMetadata } from '../iceberg/metadata.ts'
import { decide } from '../identity/decide.ts'
import { type Authenticated, challenge } from '../identity/identity.ts'
import { type BucketReader, keyOfLocation } from '../s3/bucket.ts'
import { type Credentials, vend } from '../s3/session.ts'
import { config, namespacesOf, splitFamily, storageCredentials, tableText } from './answers.ts'
import { type RestErrorType, restError } from './errors.ts'

export interface RestDeps {
  authenticate: (headers: Headers) => Promise<Authenticated>
  /** The tenant's families with at least one commit. */
  families: (tenant: TenantId) => Promise<Family[]>
  /** `s3://lake/…` of the family's current metadata, or null. */
  pointer: (tenant: TenantId, family: Family) => Promise<string | null>
  bucket: Pick<BucketReader, 'get'>
  /** `SCARAB_SECRET`. */
  secrets: string
  now: () => number
}

interface RestEnv {
  Bindings: Env
  Variables: { tenant: TenantId; deps: RestDeps }
}
type RestContext = Context<RestEnv>

/**
 * The Iceberg REST catalog for readers, to be mounted at `/iceberg/v1`: config, namespaces, tables, and tables loaded with
 * credentials that read their folder for an hour. The tenant is the token's; the prefix in the path must say the same.
 * Another tenant's namespace or table answers exactly like one that does not exist (I6).
 *
 * @example
 * app.route('/iceberg/v1', restApp(restDeps))
 */
export const restApp = (depsOf: (env: Env) => RestDeps): Hono<RestEnv> => {
  const app = new Hono<RestEnv>()
  app.use('*', async (c, next) => {
    const deps = depsOf(c.env)
    const answer = await deps.authenticate(c.req.raw.headers)
    if (!answer.ok) return faultError(c, answer.fault)
    const { identity } = answer
    const decision = decide(identity, 'catalog:read', identity.kind === 'person' ? { tenant: identity.tenant } : {})
    if (!decision.allow) return faultError(c, decision)
    if (identity.kind !== 'person') return error(c, 'ForbiddenException', 'only people and services read the catalog')
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD')
      return error(c, 'ForbiddenException', 'this catalog is for reading: results are committed by Scarab alone')
    c.set('tenant', identity.tenant)
    c.set('deps', deps)
    await next()
    c.header('cache-control', 'no-store')
    return
  })
  app.get('/config', (c) => c.json(config(c.get('tenant'))))
  app.use('/:prefix/namespaces/*', async (c, next) => {
    if (c.req.param('prefix') !== c.get('tenant')) return noNamespace(c)
    return await next()
  })
  app.get('/:prefix/namespaces', async (c) => {
    const namespaces = namespacesOf(await families(c))
    const parent = c.req.query('parent')
    if (parent === undefined || parent === '') return c.json({ namespaces: namespaces.map((name) => [name]) })
    // A family's namespace has one level, so nothing lies below it.
    return namespaces.includes(parent) ? c.json({ namespaces: [] }) : noNamespace(c)
  })
  app.get('/:prefix/namespaces/:namespace', async (c) => {
    const namespace = c.req.param('namespace')
    if (!namespacesOf(await families(c)).includes(namespace)) return noNamespace(c)
    return c.req.method === 'HEAD' ? c.body(null, 204) : c.json({ namespace: [namespace], properties: {} })
  })
  app.get('/:prefix/namespaces/:namespace/tables', async (c) => {
    const namespace = c.req.param('namespace')
    const own = (await families(c)).map(splitFamily).filter((family) => family.namespace === namespace)
    if (own.length === 0) return noNamespace(c)
    return c.json({ identifiers: own.map(({ name }) => ({ namespace: [namespace], name })) })
  })
  app.get('/:prefix/namespaces/:namespace/tables/:table', async (c) => {
    const found = await find(c, c.req.param('namespace'), c.req.param('table'))
    if (!found) return noTable(c, c.req.param('namespace'), c.req.param('table'))
    return c.req.method === 'HEAD' ? c.body(null, 204) : await load(c, found)
  })
  app.get('/:prefix/namespaces/:namespace/tables/:table/credentials', async (c) => {
    const found = await find(c, c.req.param('namespace'), c.req.param('table'))
    if (!found) return noTable(c, c.req.param('namespace'), c.req.param('table'))
    return c.json({
      'storage-credentials': storageCredentials(c.get('tenant'), found.family, originOf(c), await credentials(c, found.family)),
    })
  })
  // Not `notFound`, which belongs to the application that this one is mounted in.
  app.all('*', (c) => error(c, 'NotFoundException', 'this catalog has no such endpoint'))
  app.onError((fault, c) => {
    console.error(JSON.stringify({ at: 'rest', path: c.req.path, fault: fault.message }))
    return error(c, 'InternalServerError', 'the catalog could not answer')
  })
  return app
}

type AnyContext = Pick<RestContext, 'req'>

const error = (c: AnyContext, type: RestErrorType, message: string, headers: Record<string, string> = {}): Response =>
  restError(c.req.method, type, message, headers)

const faultError = (c: AnyContext, fault: Fault): Response => {
  const header = challenge(fault)
  const headers: Record<string, string> = header === null ? {} : { 'www-authenticate': header }
  if (fault.code === 'missing_token' || fault.code === 'invalid_token') return error(c, 'NotAuthorizedException', fault.detail, headers)
  if (fault.code === 'unavailable') return error(c, 'ServiceUnavailableException', fault.detail)
  return error(c, 'ForbiddenException', fault.detail, headers)
}

const noNamespace = (c: AnyContext): Response => error(c, 'NoSuchNamespaceException', 'Namespace does not exist')
const noTable = (c: AnyContext, namespace: string, table: string): Response =>
  error(c, 'NoSuchTableException', `Table does not exist: ${namespace}.${table}`)

const families = (c: RestContext): Promise<Family[]> => c.get('deps').families(c.get('tenant'))

interface Found {
  family: Family
  location: string
}

const find = async (c: RestContext, namespace: string, table: string): Promise<Found | null> => {
  const family = Family.safeParse(`${namespace}.${table}`)
  // A dot in the namespace would give another split of the same name.
  if (!family.success || namespace.includes('.')) return null
  const location = await c.get('deps').pointer(c.get('tenant'), family.data)
  return location === null ? null : { family: family.data, location }
}

const load = async (c: RestContext, { family, location }: Found): Promise<Response> => {
  const tenant = c.get('tenant')
  const key = keyOfLocation(location)
  if (!key?.startsWith(familyPrefix(tenant, family))) throw new Error(`the metadata of ${family} lies outside its folder`)
  const object = await c.get('deps').bucket.get(key)
  if (!object) throw new Error(`the metadata ${key} is missing`)
  const whole = await new Response(object.body).text()
  const metadata = c.req.query('snapshots') === 'refs' ? onlyNamed(whole) : whole
  const text = tableText({ tenant, family, location, metadata }, originOf(c), await credentials(c, family))
  return c.body(text, 200, { 'content-type': 'application/json' })
}

/** Only the snapshots that a branch or tag names; a client that wants the others asks again for all. */
const onlyNamed = (text: string): string => {
  const metadata = parseMetadata(text)
  const named = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']))
  return metadataText({ ...metadata, snapshots: metadata.snapshots.filter((snapshot) => named.has(snapshot['snapshot-id'])) })
}

const credentials = (c: RestContext, family: Family): Promise<Credentials> => {
  const { secrets, now } = c.get('deps')
  const tenant = c.get('tenant')
  return vend(secrets, { tenant, prefix: familyPrefix(tenant, family) }, now())
}

/**
 * Where the client reached us; its S3 requests go there too. A proxy that ends TLS before us says so in a header. Whoever
 * sends that himself changes nothing but his own answer.
 */
const originOf = (c: AnyContext): string => {
  const { origin } = new URL(c.req.url)
  return c.req.header('x-forwarded-proto') === 'https' ? origin.replace(/^http:/, 'https:') : origin
}

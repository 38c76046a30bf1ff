import type { Family, TenantId } from '../contract/ids.ts'
import { familyPrefix } from '../contract/keys.ts'
import { locationOfKey } from '../s3/bucket.ts'
import type { Credentials } from '../s3/session.ts'

/** What this catalog serves, so that clients refuse the rest by themselves (`CatalogConfig.endpoints`). */
export const ENDPOINTS = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/credentials',
] as const

/** The tenant is the prefix of every later path; a `warehouse` that a client names changes nothing. */
export const config = (tenant: TenantId) => ({ defaults: {}, overrides: { prefix: tenant }, endpoints: ENDPOINTS })

export const splitFamily = (family: Family): { namespace: string; name: string } => {
  const dot = family.indexOf('.')
  return { namespace: family.slice(0, dot), name: family.slice(dot + 1) }
}

export const namespacesOf = (families: readonly Family[]): string[] =>
  [...new Set(families.map((family) => splitFamily(family).namespace))].sort()

/** Settings of a reader's S3 client. All values are strings, or PyIceberg and Java do not take them. */
const placeAndKeys = (origin: string, credentials: Credentials): Record<string, string> => ({
  's3.endpoint': origin,
  's3.path-style-access': 'true',
  // Without a region DuckDB gives up; without path style it asks amazonaws.com.
  's3.region': 'us-east-1',
  'client.region': 'us-east-1',
  's3.access-key-id': credentials.accessKeyId,
  's3.secret-access-key': credentials.secretAccessKey,
  's3.session-token': credentials.sessionToken,
  's3.session-token-expires-at-ms': String(credentials.expires_at),
})

export const storageCredentials = (tenant: TenantId, family: Family, origin: string, credentials: Credentials) => [
  { prefix: locationOfKey(familyPrefix(tenant, family)), config: placeAndKeys(origin, credentials) },
]

/**
 * `LoadTableResult`, with the table's metadata spliced in as the text that it is: a parse would round its 63-bit ids.
 * The keys stand in `config` and in `storage-credentials`, because readers differ in which of them they take.
 */
export const tableText = (
  table: { tenant: TenantId; family: Family; location: string; metadata: string },
  origin: string,
  credentials: Credentials,
): string => {
  const { namespace, name } = splitFamily(table.family)
  const settings = {
    ...placeAndKeys(origin, credentials),
    'client.refresh-credentials-endpoint': `v1/${table.tenant}/namespaces/${namespace}/tables/${name}/credentials`,
  }
  const vended = storageCredentials(table.tenant, table.family, origin, credentials)
  return `{"metadata-location":${JSON.stringify(table.location)},"metadata":${table.metadata},"config":${JSON.stringify(settings)},"storage-credentials":${JSON.stringify(vended)}}`
}

import type { Family, TenantId } from '../contract/ids.ts'
import { familyPrefix } from '../contract/keys.ts'

/** The bucket's name in addresses where no real bucket is configured; the Worker's own S3 route answers to it. */
export const DEFAULT_BUCKET = 'lake'

export const objectUri = (bucket: string, key: string): string => `s3://${bucket}/${key}`

/** The key of an address, whatever the bucket. Throws for anything that is not `s3://bucket/key`. */
export const keyOf = (uri: string): string => {
  const match = /^s3:\/\/[^/]+\/(.+)$/.exec(uri)
  if (!match?.[1]) throw new Error(`not an s3 address: ${uri}`)
  return match[1]
}

/** Where a family lives; Iceberg's `location` has no slash at its end. */
export const tableLocation = (bucket: string, tenant: TenantId, family: Family): string =>
  objectUri(bucket, familyPrefix(tenant, family)).slice(0, -1)

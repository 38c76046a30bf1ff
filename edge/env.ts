import type { CatalogObject } from './catalog/object.ts'
import type { DirectoryObject } from './directory/object.ts'
import type { LedgerObject } from './ledger/object.ts'
import type { LinkObject } from './link/object.ts'
import type { PoolObject } from './pool/object.ts'
import type { TableObject } from './table/object.ts'

/** Bindings of the Worker and of every Durable Object, as `wrangler.toml` declares them. */
export interface Env {
  DIRECTORY: DurableObjectNamespace<DirectoryObject>
  LEDGER: DurableObjectNamespace<LedgerObject>
  POOL: DurableObjectNamespace<PoolObject>
  LINK: DurableObjectNamespace<LinkObject>
  CATALOG: DurableObjectNamespace<CatalogObject>
  TABLE: DurableObjectNamespace<TableObject>
  RESULTS: R2Bucket
  ASSETS: Fetcher
  /** At least 32 random bytes, base64url: signs manifests, grants and vended credentials. A secret, never a var. */
  SCARAB_SECRET: string
  /** JSON: list of `IssuerConfig` (edge/identity). */
  SCARAB_ISSUERS: string
  /** Extra host names to answer to, comma separated; empty in production, where the route decides. */
  SCARAB_HOSTS?: string
  /** "1" on one machine: demand a loopback Host on every route, accept plain-http issuers. */
  SCARAB_EMBEDDED?: string
  /** Restricts Durable Objects to a jurisdiction ("eu"), in production. */
  SCARAB_JURISDICTION?: string
  /** JSON: weights of tenants in every pool's fair choice, {"acme": 3}; 1 when not named (edge/contract/weights.ts). */
  SCARAB_TENANT_WEIGHTS?: string
  /** S3 settings of the bucket, where nodes can reach it: then uploads are signed PUTs instead of the Worker's route. */
  /** Tests only: where named fault points report themselves (edge/fault.ts). */
  SCARAB_FAULT_URL?: string
  /** Tests only: smaller bounds of a ledger's housekeeping, as JSON (edge/ledger/housekeeping.ts). */
  SCARAB_HOUSEKEEPING?: string
  S3_ENDPOINT?: string
  S3_BUCKET?: string
  S3_ACCESS_KEY_ID?: string
  S3_SECRET_ACCESS_KEY?: string
}

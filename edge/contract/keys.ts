import type { Family, JobId, ResultId, SliceHash, TenantId } from './ids.ts'

/**
 * Object keys, composed by the edge only (a node never names one). Frozen: readers and credentials rely on them.
 * The tenant is the first element, with its slash, so that credentials can be limited to it; families never start
 * with "_", so `_slices`, `_packs`, `_results` and `_jobs` cannot be families.
 */
export const tenantPrefix = (tenant: TenantId): string => `t/${tenant}/`
export const familyPrefix = (tenant: TenantId, family: Family): string => `t/${tenant}/${family}/`
export const dataKey = (tenant: TenantId, family: Family, job: JobId, attempt: number, n: number): string =>
  `t/${tenant}/${family}/data/${job}/${attempt}/${n}.parquet`
export const metadataKey = (tenant: TenantId, family: Family, file: string): string => `t/${tenant}/${family}/metadata/${file}`
export const packKey = (tenant: TenantId, result: ResultId): string => `t/${tenant}/_packs/${result}.duckdb`
export const sliceKey = (tenant: TenantId, result: ResultId, hash: SliceHash, format: 'json' | 'csv'): string =>
  `t/${tenant}/_slices/${result}/${hash}.${format}`
/** A whole large result in another format, made once. */
export const derivedKey = (tenant: TenantId, result: ResultId, format: 'json' | 'csv'): string =>
  `t/${tenant}/_slices/${result}/all.${format}`
export const slicesPrefix = (tenant: TenantId, result: ResultId): string => `t/${tenant}/_slices/${result}/`
/** A page of finished jobs, once they have left the ledger; `nonce`: a key is never written twice with other content. */
export const jobsPageKey = (tenant: TenantId, last: JobId, nonce: string): string => `t/${tenant}/_jobs/${last}-${nonce}.json`
/** Manifest and rows of a finished result, once they have left the ledger. */
export const resultKey = (tenant: TenantId, result: ResultId): string => `t/${tenant}/_results/${result}.json`

import { z } from 'zod'
import { TenantId } from '../contract/ids.ts'

/** Signature algorithms that may be allowed at all: asymmetric ones, so that no public key can ever serve as a shared secret. */
export const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519'] as const

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])

/**
 * One OIDC issuer that this deployment trusts. `SCARAB_ISSUERS` holds a JSON list of them.
 *
 * @example
 * {"issuer": "https://id.example.com/realms/main", "jwks_uri": "https://id.example.com/realms/main/keys",
 *  "algorithms": ["RS256"], "tenants": "table", "tenant_map": {"4711": "acme"}}
 */
export const IssuerConfig = z.object({
  /** Compared with the claim `iss` character by character (RFC 8414, section 2). */
  issuer: z.string().min(1).max(500),
  jwks_uri: z.url({ protocol: /^https?$/ }),
  /** What `aud` of a person's or a service's token must contain … */
  audience: z.string().min(1).default('scarab'),
  /** … and that of a node's. A token that names both is refused. */
  node_audience: z.string().min(1).default('scarab-node'),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['ES256', 'RS256']),
  tenant_claim: z.string().min(1).default('tenant'),
  scope_claim: z.string().min(1).default('scope'),
  /** `any`: the claim is the tenant, created at its first use. `table`: only claims that somebody mapped. */
  tenants: z.enum(['any', 'table']).default('table'),
  /** Value of the tenant claim → tenant, beside the Directory's own table. */
  tenant_map: z.record(z.string(), TenantId).optional(),
  /** Where the page sends somebody who has no token. */
  sign_in: z.url({ protocol: /^https?$/ }).optional(),
})
export type IssuerConfig = z.infer<typeof IssuerConfig>

/**
 * Reads `SCARAB_ISSUERS`. Throws one line that names the entry and what is wrong with it: a deployment with a wrong
 * list must not start to serve. Plain http is for one machine only, and there only to loopback: over a network
 * somebody in between could put their own keys in.
 */
export const parseIssuers = (json: string, options: { embedded: boolean }): IssuerConfig[] => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new Error('SCARAB_ISSUERS is not JSON: expected a list of issuers')
  }
  const parsed = z.array(IssuerConfig).safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new Error(`SCARAB_ISSUERS[${issue?.path.join('.') ?? ''}]: ${issue?.message ?? 'wrong'}`)
  }
  const seen = new Set<string>()
  for (const [index, issuer] of parsed.data.entries()) {
    const fault = faultOf(issuer, options.embedded, seen)
    if (fault) throw new Error(`SCARAB_ISSUERS[${index}] ${issuer.issuer}: ${fault}`)
    seen.add(issuer.issuer)
  }
  // Two issuers that may both name any tenant could name each other's.
  if (parsed.data.filter((issuer) => issuer.tenants === 'any').length > 1)
    throw new Error('SCARAB_ISSUERS: only one issuer may have "tenants": "any"; the others need the table')
  return parsed.data
}

const faultOf = (issuer: IssuerConfig, embedded: boolean, seen: ReadonlySet<string>): string | null => {
  if (seen.has(issuer.issuer)) return 'is listed twice'
  if (issuer.audience === issuer.node_audience) return 'audience and node_audience must differ'
  for (const [field, text] of [
    ['jwks_uri', issuer.jwks_uri],
    ['issuer', issuer.issuer],
  ] as const) {
    if (!text.startsWith('http:')) continue
    if (!embedded) return `${field} ${text} is plain http: use https`
    if (!URL.canParse(text) || !LOOPBACK.has(new URL(text).hostname)) return `${field} ${text} is plain http and not loopback: use https`
  }
  return null
}

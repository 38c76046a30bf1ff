import { z } from 'zod'
import { NodeId, PoolName, type TenantId } from '../contract/ids.ts'
import type { Fault, ProblemCode } from '../contract/problems.ts'
import type { IssuerConfig } from './issuers.ts'
import { isScope, type Scope } from './scopes.ts'
import { sha256Hex } from './secrets.ts'
import { type TokenFault, type Verified, type VerifyDeps, verifyToken } from './tokens.ts'

export interface Person {
  kind: 'person'
  tenant: TenantId
  subject: string
  issuer: string
  scopes: Scope[]
  /** Milliseconds since 1970. */
  expires_at: number
}

export interface NodeIdentity {
  kind: 'node'
  name: NodeId
  pool: PoolName
  /** Tenant names, or `*`. */
  tenants: string[]
  /** Patterns of task names, `*` stands for any run of characters. */
  tasks: string[]
  subject: string
  issuer: string
  expires_at: number
}

/** Who sent a request, from a verified token and from nothing else (I6). Plain data: it crosses RPC. */
export type Identity = Person | NodeIdentity

export type Authenticated = { ok: true; identity: Identity } | { ok: false; fault: Fault }

/** How long a verified token is believed without a new look at it, at most. */
export const TOKEN_CACHE_SECONDS = 60
/** How many verified tokens a Worker keeps. */
export const TOKEN_CACHE_ENTRIES = 2_000

/** The claim `scarab_node` of a node's token. */
export const NodeClaim = z.object({
  name: NodeId,
  pool: PoolName,
  tenants: z.array(z.union([z.literal('*'), z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)])).max(10_000),
  tasks: z.array(z.string().min(1).max(400)).max(1_000),
})

export interface AuthDeps extends VerifyDeps {
  /** The tenant that an issuer's claim stands for, or null: the Directory's table. */
  tenantOf: (question: { issuer: string; claim: string; any: boolean }) => Promise<TenantId | null>
  cache: TokenCache
}

/** Verified tokens by their hash, so that the cache itself is no heap of tokens. The oldest entry makes room. */
export class TokenCache {
  readonly #entries = new Map<string, { identity: Identity; until: number }>()
  readonly #limit: number

  constructor(limit = TOKEN_CACHE_ENTRIES) {
    this.#limit = limit
  }

  get size(): number {
    return this.#entries.size
  }

  get(hash: string, now: number): Identity | null {
    const entry = this.#entries.get(hash)
    if (!entry) return null
    if (now < entry.until) return entry.identity
    this.#entries.delete(hash)
    return null
  }

  set(hash: string, identity: Identity, now: number): void {
    this.#entries.delete(hash)
    if (this.#entries.size >= this.#limit) {
      const oldest = this.#entries.keys().next()
      if (!oldest.done) this.#entries.delete(oldest.value)
    }
    this.#entries.set(hash, { identity, until: Math.min(identity.expires_at, now + TOKEN_CACHE_SECONDS * 1_000) })
  }
}

const CODES: Record<TokenFault, ProblemCode> = {
  malformed: 'invalid_token',
  unknown_issuer: 'invalid_token',
  algorithm: 'invalid_token',
  type: 'invalid_token',
  keys_unavailable: 'unavailable',
  unknown_key: 'invalid_token',
  signature: 'invalid_token',
  expired: 'invalid_token',
  not_yet_valid: 'invalid_token',
  audience: 'invalid_token',
  both_audiences: 'invalid_token',
  claim: 'invalid_token',
}

const failed = (code: ProblemCode, detail: string): Authenticated => ({ ok: false, fault: { code, detail } })

/** RFC 6750, section 2.1; tokens in addresses or bodies (2.2, 2.3) are not taken: addresses end up in logs. */
export const bearer = (headers: Pick<Headers, 'get'>): string | null => {
  const [, token] = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(headers.get('authorization') ?? '') ?? []
  return token ?? null
}

/**
 * Says who sent a request. Tenant, scopes and a node's bounds come from the verified token only; no header, path or body
 * can change them.
 */
export const authenticate = async (headers: Pick<Headers, 'get'>, deps: AuthDeps): Promise<Authenticated> => {
  const token = bearer(headers)
  if (token === null) return failed('missing_token', 'send the header "Authorization: Bearer <token>"')
  const hash = await sha256Hex(token)
  const known = deps.cache.get(hash, deps.now())
  if (known) return { ok: true, identity: known }
  const verified = await verifyToken(token, deps)
  if (!verified.ok) return failed(CODES[verified.reason], verified.detail)
  const outcome = verified.use === 'node' ? await nodeOf(verified, deps) : await personOf(verified, deps)
  if (outcome.ok) deps.cache.set(hash, outcome.identity, deps.now())
  return outcome
}

type Good = Extract<Verified, { ok: true }>

/**
 * The tenants that an issuer's node may serve, or null. An issuer that may name any tenant may also say `*`; any other
 * speaks for its own only (I6), by the same table as for its people.
 */
const nodeTenants = async (names: string[], issuer: IssuerConfig, deps: AuthDeps): Promise<string[] | null> => {
  if (issuer.tenants === 'any') return names
  const tenants: string[] = []
  for (const claim of new Set(names)) {
    const tenant = claim === '*' ? null : await tenantOf(claim, issuer, deps)
    if (!tenant) return null
    tenants.push(tenant)
  }
  return tenants
}

const nodeOf = async ({ claims, issuer }: Good, deps: AuthDeps): Promise<Authenticated> => {
  const parsed = NodeClaim.safeParse(claims.scarab_node)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    return failed(
      'invalid_token',
      `the node token's claim scarab_node${issue ? ` (${issue.path.join('.')}): ${issue.message}` : ' is wrong'}`,
    )
  }
  const tenants = await nodeTenants(parsed.data.tenants, issuer, deps)
  if (!tenants) return failed('insufficient_scope', "the node token names tenants that are not its issuer's: have them mapped")
  // A name is one node's in the whole deployment: such an issuer must not take another's node out of service.
  if (issuer.tenants !== 'any' && !tenants.some((tenant) => parsed.data.name.startsWith(`${tenant}.`)))
    return failed('insufficient_scope', `the node's name must begin with its tenant and a dot, such as "${tenants[0] ?? 'tenant'}.node-1"`)
  const common = { subject: claims.sub, issuer: issuer.issuer, expires_at: claims.exp * 1_000 }
  return { ok: true, identity: { kind: 'node', ...parsed.data, tenants, ...common } }
}

const tenantOf = (claim: string, issuer: IssuerConfig, deps: AuthDeps): TenantId | Promise<TenantId | null> => {
  // Own property only: the claim is the sender's text, and "constructor" is no tenant.
  const mapped = issuer.tenant_map && Object.hasOwn(issuer.tenant_map, claim) ? issuer.tenant_map[claim] : undefined
  return mapped ?? deps.tenantOf({ issuer: issuer.issuer, claim, any: issuer.tenants === 'any' })
}

const personOf = async ({ claims, issuer }: Good, deps: AuthDeps): Promise<Authenticated> => {
  const claim = claims[issuer.tenant_claim]
  if (typeof claim !== 'string' || claim === '' || claim.length > 500)
    return failed('invalid_token', `the token has no claim ${JSON.stringify(issuer.tenant_claim)} that names a tenant`)
  const tenant = await tenantOf(claim, issuer, deps)
  if (!tenant) return failed('insufficient_scope', "the token's tenant is not known here: have it mapped")
  return {
    ok: true,
    identity: {
      kind: 'person',
      tenant,
      subject: claims.sub,
      issuer: issuer.issuer,
      scopes: scopesOf(claims[issuer.scope_claim]),
      expires_at: claims.exp * 1_000,
    },
  }
}

/** RFC 8693, section 4.2: words with blanks between. Some issuers send a list. Scopes that are not ours are left out. */
const scopesOf = (claim: unknown): Scope[] => {
  const words = Array.isArray(claim) ? claim : typeof claim === 'string' ? claim.split(' ') : []
  return [...new Set(words)].filter(isScope)
}

/** Value of `WWW-Authenticate` for a 401 or 403 (RFC 6750, section 3). Null for other faults. */
export const challenge = (fault: Fault): string | null => {
  if (fault.code === 'missing_token') return 'Bearer'
  if (fault.code === 'invalid_token') return 'Bearer error="invalid_token"'
  if (fault.code === 'insufficient_scope') return 'Bearer error="insufficient_scope"'
  return null
}

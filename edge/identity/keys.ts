import { createLocalJWKSet, type LocalJWKSet } from 'jose'
import { z } from 'zod'
import type { IssuerConfig } from './issuers.ts'

/** A key set is asked for anew after this time, so that a withdrawn key stops working. */
export const FRESH_SECONDS = 300
/** An unknown `kid` causes at most one request in this time: an issuer publishes a key this long before it signs with it. */
export const COOLDOWN_SECONDS = 30
/** While an issuer does not answer, its last keys are good for this long. */
export const STALE_SECONDS = 24 * 3600
/** After a failed request the next one waits this long. */
export const RETRY_SECONDS = 1
/** How long the Worker uses keys without asking the Directory. */
export const MEMO_SECONDS = 60
export const FETCH_TIMEOUT_MS = 5_000
export const MAX_JWKS_BYTES = 256 * 1024

const text = z.string().max(8_192).exactOptional()
/** RFC 7517 and 7518: what a public signature key needs. Everything else, private parts too, is dropped by the parse. */
const Jwk = z.object({ kty: z.string(), kid: text, use: text, alg: text, crv: text, x: text, y: text, n: text, e: text })
const Published = Jwk.extend({ key_ops: z.array(z.string()).optional() })
const Jwks = z.object({ keys: z.array(z.unknown()).max(200) })

/** An issuer's public signature keys, and when they were fetched (ms since 1970). Plain data: it crosses RPC. */
export const KeySet = z.object({ keys: z.array(Jwk), fetched_at: z.number() })
export type KeySet = z.infer<typeof KeySet>

export const hasKid = (set: KeySet, kid: string | null): boolean => kid === null || set.keys.some((key) => key.kid === kid)

/** The document's signature keys. Encryption keys and shared secrets have no business here; a key that is none costs only itself. */
export const usableKeys = (document: unknown): KeySet['keys'] =>
  Jwks.parse(document).keys.flatMap((candidate) => {
    const key = Published.safeParse(candidate)
    if (!key.success || !['EC', 'RSA', 'OKP'].includes(key.data.kty)) return []
    const { use = 'sig', key_ops = ['verify'] } = key.data
    return use === 'sig' && key_ops.includes('verify') ? [Jwk.parse(key.data)] : []
  })

/** Fetches a JWKS document. Throws a line that names the address and what came instead. */
export const fetchKeys =
  (fetcher: typeof fetch) =>
  async (uri: string): Promise<unknown> => {
    const response = await fetcher(uri, {
      headers: { accept: 'application/jwk-set+json, application/json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    })
    if (response.status !== 200) throw new Error(`${uri} answered ${response.status}`)
    const text = await response.text()
    if (text.length > MAX_JWKS_BYTES) throw new Error(`${uri} answered more than ${MAX_JWKS_BYTES} bytes`)
    return JSON.parse(text)
  }

export interface IssuerKeysDeps {
  /** The JWKS document behind the address; throws when there is none. */
  fetchKeys: (uri: string) => Promise<unknown>
  now: () => number
  /** Keys survive a restart, and so an issuer that is down meanwhile. */
  stored: { read(issuer: string): KeySet | null; write(issuer: string, set: KeySet): void }
  cooldown_seconds?: number
}

/**
 * Fetches and keeps the keys of all issuers. It lives in the Directory, and not in the Worker, because there requests
 * may share one pending fetch: a hundred cold Workers cause one request to the issuer.
 */
export class IssuerKeys {
  readonly #deps: IssuerKeysDeps
  readonly #cooldown: number
  readonly #pending = new Map<string, Promise<KeySet>>()
  readonly #failedAt = new Map<string, { at: number; message: string }>()

  constructor(deps: IssuerKeysDeps) {
    this.#deps = deps
    this.#cooldown = (deps.cooldown_seconds ?? COOLDOWN_SECONDS) * 1_000
  }

  /** The issuer's keys, fetched anew when they are old, or when `kid` is not among them and the cooldown is over. Throws when there are none. */
  async keysOf(issuer: Pick<IssuerConfig, 'issuer' | 'jwks_uri'>, kid: string | null): Promise<KeySet> {
    const known = this.#deps.stored.read(issuer.issuer)
    const age = known ? this.#deps.now() - known.fetched_at : Number.POSITIVE_INFINITY
    // A clock that was set back must not keep keys for ever: an age below zero is no age.
    const fresh = known !== null && age >= 0 && age < FRESH_SECONDS * 1_000
    if (known && fresh && (hasKid(known, kid) || age < this.#cooldown)) return known
    try {
      return await this.#fetch(issuer)
    } catch (fault) {
      if (known && age < STALE_SECONDS * 1_000) return known
      throw fault
    }
  }

  #fetch(issuer: Pick<IssuerConfig, 'issuer' | 'jwks_uri'>): Promise<KeySet> {
    const pending = this.#pending.get(issuer.issuer)
    if (pending) return pending
    const failed = this.#failedAt.get(issuer.issuer)
    if (failed && this.#deps.now() - failed.at < RETRY_SECONDS * 1_000) return Promise.reject(new Error(failed.message))
    const asked = this.#ask(issuer).finally(() => this.#pending.delete(issuer.issuer))
    this.#pending.set(issuer.issuer, asked)
    return asked
  }

  async #ask(issuer: Pick<IssuerConfig, 'issuer' | 'jwks_uri'>): Promise<KeySet> {
    try {
      const set = { keys: usableKeys(await this.#deps.fetchKeys(issuer.jwks_uri)), fetched_at: this.#deps.now() }
      this.#deps.stored.write(issuer.issuer, set)
      this.#failedAt.delete(issuer.issuer)
      return set
    } catch (fault) {
      const message = `the keys of ${issuer.issuer} could not be fetched: ${fault instanceof Error ? fault.message : String(fault)}`
      this.#failedAt.set(issuer.issuer, { at: this.#deps.now(), message })
      throw new Error(message)
    }
  }
}

export interface KeyMemoDeps {
  /** Asks the Directory. */
  load: (issuer: string, kid: string | null) => Promise<KeySet>
  now: () => number
  cooldown_seconds?: number
}

/** The Worker's copy of the keys, with what jose imported from them. */
export class KeyMemo {
  readonly #deps: KeyMemoDeps
  readonly #cooldown: number
  readonly #memo = new Map<string, { set: KeySet; resolve: LocalJWKSet; until: number }>()

  constructor(deps: KeyMemoDeps) {
    this.#deps = deps
    this.#cooldown = (deps.cooldown_seconds ?? COOLDOWN_SECONDS) * 1_000
  }

  /** Resolves keys for jose. Throws when the issuer's keys cannot be had. */
  async resolver(issuer: string, kid: string | null): Promise<LocalJWKSet> {
    const known = this.#memo.get(issuer)
    const now = this.#deps.now()
    // An unknown kid inside the cooldown cannot be answered by the Directory either: it is not even asked.
    if (known && now < known.until && (hasKid(known.set, kid) || now - known.set.fetched_at < this.#cooldown)) return known.resolve
    const set = await this.#deps.load(issuer, kid)
    const until = this.#deps.now() + MEMO_SECONDS * 1_000
    if (known && known.set.fetched_at === set.fetched_at) {
      known.until = until
      return known.resolve
    }
    const resolve = createLocalJWKSet({ keys: set.keys })
    this.#memo.set(issuer, { set, resolve, until })
    return resolve
  }
}

import { createHash } from 'node:crypto'

/**
 * Everything the edge signs itself hangs on one secret. A key for each purpose is derived from it (HKDF, RFC 5869), so
 * that a signature made for one purpose is worth nothing for another.
 */
export type Purpose = 'grant' | 'manifest' | 's3-token' | 's3-secret' | 'cursor'

export interface MacKey {
  /** Names the secret, not the purpose: the same for all keys of one secret. Says nothing about it. */
  kid: string
  key: CryptoKey
}

/** The shortest secret that is accepted, in bytes. */
export const MIN_SECRET_BYTES = 32

const encoder = new TextEncoder()

export const toBase64Url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

export const fromBase64Url = (text: string): Uint8Array<ArrayBuffer> | null => {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return null
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0))
}

export const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/** Of an even number of hexadecimal digits. */
export const fromHex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: text.length / 2 }, (_, index) => Number.parseInt(text.slice(index * 2, index * 2 + 2), 16))

/** Node's, not Web Crypto's: every request waits for it, and this one is computed at once. */
export const sha256Hex = (text: string): Promise<string> => Promise.resolve(createHash('sha256').update(text).digest('hex'))

// Values, not promises: a Worker's request must not wait for another request's promise (it would count as hung).
const derived = new Map<string, [MacKey, ...MacKey[]]>()

/**
 * The keys for one purpose: the first one signs, every one verifies. `secrets` is `SCARAB_SECRET`: base64url of at least
 * 32 random bytes; for a rotation the new one, a comma, and the old one until nothing that it signed is alive.
 * Throws when a secret is missing or too short.
 */
export const macKeys = async (secrets: string, purpose: Purpose): Promise<[MacKey, ...MacKey[]]> => {
  const name = `${purpose}\n${secrets}`
  const known = derived.get(name)
  if (known) return known
  const [newest, ...older] = secrets.split(',').map((text) => text.trim())
  const keys: [MacKey, ...MacKey[]] = [
    await derive(newest ?? '', purpose),
    ...(await Promise.all(older.map((text) => derive(text, purpose)))),
  ]
  if (derived.size >= 64) derived.clear()
  derived.set(name, keys)
  return keys
}

/** A secret's bytes. Throws when it is missing, too short, or no base64url. */
const secretBytes = (secret: string): Uint8Array<ArrayBuffer> => {
  const bytes = fromBase64Url(secret)
  if (!bytes || bytes.byteLength < MIN_SECRET_BYTES)
    throw new Error(
      `SCARAB_SECRET must be base64url of at least ${MIN_SECRET_BYTES} random bytes (openssl rand -base64 32 | tr '+/' '-_' | tr -d =)`,
    )
  return bytes
}

const derive = async (secret: string, purpose: Purpose): Promise<MacKey> => {
  const bytes = secretBytes(secret)
  const master = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits', 'deriveKey'])
  const hkdf = (label: string) => ({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(32), info: encoder.encode(`scarab/v1/${label}`) })
  const key = await crypto.subtle.deriveKey(hkdf(purpose), master, { name: 'HMAC', hash: 'SHA-256', length: 256 }, false, [
    'sign',
    'verify',
  ])
  return { kid: toBase64Url(new Uint8Array(await crypto.subtle.deriveBits(hkdf('kid'), master, 48))), key }
}

export const mac = async (key: CryptoKey, text: string): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)))

/** In constant time, as `crypto.subtle.verify` compares. */
export const macMatches = (key: CryptoKey, text: string, given: Uint8Array<ArrayBuffer>): Promise<boolean> =>
  crypto.subtle.verify('HMAC', key, given, encoder.encode(text))

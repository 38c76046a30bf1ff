/** The little of Node's crypto that the Worker uses (`nodejs_compat`): synchronous, so that signing fits into a transaction. */
declare module 'node:crypto' {
  interface Hmac {
    update(text: string): Hmac
    digest(): Uint8Array
    digest(encoding: 'base64url'): string
  }
  interface Hash {
    update(text: string): Hash
    digest(encoding: 'hex' | 'base64url'): string
  }
  export function createHash(algorithm: 'sha256'): Hash
  export function hkdfSync(hash: 'sha256', key: Uint8Array, salt: Uint8Array, info: string, bytes: number): ArrayBuffer
  export function createHmac(algorithm: 'sha256', key: string | Uint8Array): Hmac
}

/** The little of Node's crypto that the Worker uses (`nodejs_compat`): a synchronous HMAC, so that signing fits into a transaction. */
declare module 'node:crypto' {
  interface Hmac {
    update(text: string): Hmac
    digest(): Uint8Array
    digest(encoding: 'base64url'): string
  }
  export function createHmac(algorithm: 'sha256', key: string | Uint8Array): Hmac
}

import { gateOf } from '../identity/wire.ts'
import type { AppContext } from './context.ts'

/** What the page may do: its own code, its own origin, and the issuers' sign-in addresses. No inline script, no eval but WebAssembly's. */
const pagePolicy = (c: AppContext): string => {
  const signIns = gateOf(c.env).issuers.flatMap(({ sign_in }) => (sign_in ? [new URL(sign_in).origin] : []))
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    `connect-src ${["'self'", ...new Set(signIns)].join(' ')}`,
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "manifest-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

const hashed = /^\/assets\/[^/]+-[0-9a-f]{8,}\.[a-z.]+$/

/** The page and its assets; null where there is no such file. The engine's wasm is stored compressed only (assets end at 25 MiB) and sent with its encoding. */
export const serveAsset = async (c: AppContext): Promise<Response | null> => {
  const url = new URL(c.req.url)
  const wasm = url.pathname.endsWith('.wasm')
  if (wasm) url.pathname += '.br'
  const found = await c.env.ASSETS.fetch(new Request(url, { method: c.req.method, headers: wasm ? {} : c.req.raw.headers }))
  // What is not there is answered with the page by the platform; the page itself has one address, and its places follow a "#".
  const page = (found.headers.get('content-type') ?? '').startsWith('text/html')
  if (found.ok && page && url.pathname !== '/' && url.pathname !== '/index.html') return null
  const headers = new Headers(found.headers)
  headers.set('x-content-type-options', 'nosniff')
  headers.set('referrer-policy', 'no-referrer')
  headers.set('cross-origin-opener-policy', 'same-origin')
  headers.set('cross-origin-resource-policy', 'same-origin')
  if (found.ok && hashed.test(new URL(c.req.url).pathname)) headers.set('cache-control', 'public, max-age=31536000, immutable')
  if (!wasm) {
    headers.set('content-security-policy', pagePolicy(c))
    return new Response(found.body, { status: found.status, headers })
  }
  if (!found.ok) return null
  headers.set('content-type', 'application/wasm')
  headers.set('content-encoding', 'br')
  headers.delete('content-length')
  return new Response(found.body, { status: 200, headers, encodeBody: 'manual' })
}
